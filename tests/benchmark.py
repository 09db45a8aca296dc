"""Measures what the loop costs beside the bare SDK: `python -m tests.benchmark [--quick]`.

All variants run interleaved in one process over an instant transport; a figure is the median of
five rounds of CPU time per model call, shown as a ratio to a bare loop on `messages.create` that
keeps plain dicts ("dicts"), and to one that keeps the SDK's objects ("objects"). All send the same
tools and settings.
"""

import argparse
import asyncio
import json
import re
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import anthropic
import httpx2

from helpers.agent import run_agent
from helpers.hooks import Hook, Step, no_hook
from helpers.hub import Clock, Hub
from helpers.replies.client import client_over, connect
from helpers.replies.recording import MODEL_INFO, Exchange, Recording, save
from helpers.run import Run
from helpers.steering import Gate
from helpers.tools import NoArguments, SendMessage, Tool, messaging_tools
from helpers.views import Panel

MODEL = "bench"
SETTINGS: dict[str, Any] = {
    "model": MODEL,
    "system": "You are a0.",
    "max_tokens": 2048,
    "cache_control": {"type": "ephemeral"},
}
USAGE = {"input_tokens": 1, "output_tokens": 1}


class Instant(httpx2.AsyncBaseTransport):
    """Answers each request at once with one tool call: "noop", or a message to the next agent."""

    def __init__(self, agents: int = 0) -> None:
        self._agents = agents
        self.noop = self._reply("noop", {})

    def _reply(self, name: str, arguments: dict[str, Any]) -> bytes:
        block = {"type": "tool_use", "id": "toolu_1", "name": name, "input": arguments}
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL}
        rest = {"stop_reason": "tool_use", "stop_sequence": None, "usage": USAGE}
        return json.dumps(message | {"content": [block]} | rest).encode()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        headers = {"content-type": "application/json"}
        if request.method == "GET":
            return httpx2.Response(200, json=MODEL_INFO)
        content = self.noop
        if self._agents:
            found = re.search(rb"You are a(\d+)", await request.aread())
            to = (int(found[1]) + 1) % self._agents if found else 0
            content = self._reply("send_message", {"recipient_ids": [f"a{to}"], "content": "hi"})
        return httpx2.Response(200, content=content, headers=headers)


async def noop(_: NoArguments) -> str:
    return "ok"


NOOP = Tool("noop", "Do nothing.", NoArguments, noop)
SEND = Tool("send_message", "Send.", SendMessage, noop)


def tools_for(hub: Hub, name: str, mail: bool) -> list[Tool]:
    """Return the tools of every variant: what the SDK sends for them costs time too."""
    return messaging_tools(hub, name) if mail else [NOOP, SEND]


async def bare(client: anthropic.AsyncAnthropic, turns: int, tools: Any, keep_dicts: bool) -> None:
    """The least one can write: ask, keep the reply, answer its call."""
    messages: list[Any] = [{"role": "user", "content": "Begin."}]
    for _ in range(turns):
        reply = await client.messages.create(**SETTINGS, tools=tools, messages=messages)
        content: Any = [b.to_dict() for b in reply.content] if keep_dicts else reply.content
        messages.append({"role": "assistant", "content": content})
        results = [
            {"type": "tool_result", "tool_use_id": block.id, "content": "ok"}
            for block in reply.content
            if block.type == "tool_use"
        ]
        messages.append({"role": "user", "content": results})


async def bare_agents(agents: int, turns: int, keep_dicts: bool, mail: bool = False) -> None:
    client = await client_over(Instant(agents if mail else 0), MODEL)
    tools = [tool.param() for tool in tools_for(Hub(show=None), "a0", mail)]
    await asyncio.gather(*(bare(client, turns, tools, keep_dicts) for _ in range(agents)))
    await client.close()


async def our_agents(
    agents: int, turns: int, mail: bool = False, hub: Hub | None = None, hook: Hook = no_hook
) -> None:
    client = await client_over(Instant(agents if mail else 0), MODEL)
    hub = hub or Hub(show=None)
    names = [f"a{number}" for number in range(agents)]
    for name in names:
        hub.register(name)
    await asyncio.gather(
        *(
            run_agent(
                client,
                hub,
                name,
                model=MODEL,
                system=f"You are {name}.",
                task="Begin.",
                tools=tools_for(hub, name, mail),
                max_turns=turns,
                hook=hook,
            )
            for name in names
        )
    )
    await client.close()


Variant = Callable[[], Awaitable[None]]


def cpu(variant: Variant, calls: int) -> float:
    """Return milliseconds of CPU per model call."""
    start = time.process_time()
    asyncio.run(variant())  # type: ignore[arg-type]
    return (time.process_time() - start) / calls * 1000


def compare(name: str, agents: int, turns: int, rounds: int, mail: bool = False) -> None:
    """Print the ratios of one scenario."""
    variants: dict[str, Variant] = {
        "dicts": lambda: bare_agents(agents, turns, True, mail),
        "objects": lambda: bare_agents(agents, turns, False, mail),
        "ours": lambda: our_agents(agents, turns, mail),
    }
    times: dict[str, list[float]] = {key: [] for key in variants}
    for _ in range(rounds):
        for key, variant in variants.items():
            times[key].append(cpu(variant, agents * turns))
    ours, dicts, objects = (statistics.median(times[k]) for k in ("ours", "dicts", "objects"))
    print(f"{name:38} {ours:8.3f} ms {ours / dicts:8.2f} x {ours / objects:8.2f} x", flush=True)


def memory(agents: int, turns: int) -> float:
    """Return KB per agent at the peak of a run in which all live at once."""
    tracemalloc.start()
    asyncio.run(our_agents(1, 1))
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    asyncio.run(our_agents(agents, turns))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return (peak - before) / agents / 1000


async def replay_once(folder: Path, turns: int) -> None:
    async with connect("bench", folder) as session:
        hub = Hub(session.clock, show=None)
        hub.register("a0")
        settings: dict[str, Any] = {"model": session.model, "system": "You are a0."}
        await run_agent(
            session.client, hub, "a0", task="Begin.", tools=[NOOP], max_turns=turns, **settings
        )


def replayed(turns: int, rounds: int) -> float:
    """Return what a replayed call costs beyond one over the instant transport, in ms of CPU."""
    import os

    with tempfile.TemporaryDirectory() as name, redirect_stdout(StringIO()):
        folder = Path(name)
        steps: list[Any] = [Exchange("a0", turn, [{"noop": {}}]) for turn in range(1, turns + 1)]
        save(Recording(folder / "bench.yaml", "authored", "made by the benchmark", MODEL, steps))
        os.environ |= {"COOKBOOK_CLIENT": "fill", "COOKBOOK_PACE": "0"}
        asyncio.run(replay_once(folder, turns))
        os.environ["COOKBOOK_CLIENT"] = "recorded"
        loading = lambda: replay_once(folder, turns)  # noqa: E731
        times = [cpu(loading, turns) for _ in range(rounds)]
        plain = [cpu(lambda: our_agents(1, turns), turns) for _ in range(rounds)]
    return statistics.median(times) - statistics.median(plain)


async def steered_agents(agents: int, turns: int) -> Panel:
    """Run them in the background under a panel; return it."""

    async def work(run: Run) -> None:
        await our_agents(agents, turns, hub=run.connect(Clock()), hook=run.hook)

    run = Run(line=lambda event: None)
    await run.start(work)
    panel = Panel(run)
    await run.result()
    assert panel.beat
    await panel.beat
    return panel


def gate_cost(calls: int) -> float:
    """Return microseconds of CPU that an open gate adds to a call."""
    gate, step = Gate(), Step("a0", 1, "tool_call", "noop", {}, Hub(show=None))

    async def go() -> str:
        return "ok"

    async def through(hook: Hook) -> None:
        gate.open()
        for _ in range(calls):
            await hook(step, go)

    return (cpu(lambda: through(gate.hook), calls) - cpu(lambda: through(no_hook), calls)) * 1000


def redraw_cost(agents: int, turns: int, draws: int) -> float:
    """Return milliseconds of CPU that one redraw of the panel takes, the timeline left out."""

    async def draw() -> float:
        panel = await steered_agents(agents, turns)
        start = time.process_time()
        for _ in range(draws):
            panel.seen = ()
            panel.draw_cards()
        return (time.process_time() - start) / draws * 1000

    return asyncio.run(draw())


def steered(agents: int, turns: int, rounds: int) -> None:
    """Print what steering costs: an open gate, a redraw, and a whole run under a panel."""
    variants: dict[str, Variant] = {
        "plain": lambda: our_agents(agents, turns),
        "steered": lambda: steered_agents(agents, turns),  # type: ignore[dict-item,return-value]
    }
    times: dict[str, list[float]] = {key: [] for key in variants}
    for _ in range(rounds):
        for key, variant in variants.items():
            times[key].append(cpu(variant, agents * turns))
    plain, under = (statistics.median(times[key]) for key in ("plain", "steered"))
    print(f"gate: {gate_cost(20_000):.1f} us per call")
    print(f"panel, {agents} agents: {redraw_cost(agents, turns, 20):.2f} ms per redraw", end=", ")
    print(f"a run under it {under / plain:.2f} x")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmark", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of small scenarios")
    quick = parser.parse_args().quick
    rounds = 1 if quick else 5
    print(f"{'scenario':38} {'per call':>11} {'dicts':>10} {'objects':>10}")
    compare("20 agents, 20 turns", 2 if quick else 20, 20, rounds)
    compare("1 agent, 200 turns", 1, 20 if quick else 200, rounds)
    compare("100 agents exchanging messages, 10", 10 if quick else 100, 10, rounds, mail=True)
    for agents in (50,) if quick else (1_000, 5_000):
        compare(f"{agents:,} agents, 5 turns", agents, 5, rounds)
    print(f"memory: {memory(50 if quick else 1_000, 5):.0f} KB per agent at the peak")
    steered(20 if quick else 100, 5 if quick else 50, rounds)
    print(f"replay: {replayed(20, rounds):.2f} ms more per call, loading the file included")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Presses stop in a real kernel at many moments of a run: `python -m tests.stop [--moments 20]`.

The team of lesson 03 and the lead of lesson 04 run on scripted agents with slow replies and a real
clock, and on a replay with pace; a lone agent and a copied team get no reply at all. Printed is how
long after the interrupt the run had ended, and how long until the cell had too, traceback included.
"""

import argparse
import queue
import statistics
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from helpers.lessons.notebooks import environment

PREPARE = """
import asyncio
import anthropic
import httpx2
from helpers.agent import run_agent
from helpers.replies.client import connect
from helpers.hub import Hub
from helpers.replies.scripted import scripted
from helpers.spawn import run_lead
from helpers.team import Member, run_team

TEAM = [Member("lead", "Wait."), Member("helper1", "Talk."), Member("helper2", "Talk.")]
idle_tasks = len(asyncio.all_tasks())

async def never(*_):
    await asyncio.Event().wait()

async def slow(agent, turn, request):
    await asyncio.sleep(0.3)
    if agent == "lead" and turn == 1 and "start helpers" in request["system"]:
        return [{"create_subagents": {"base_instruction": "Work.",
                                      "per_subagent_instructions": ["a", "b", "c"]}}]
    if agent == "lead" or turn % 3 == 0:
        return [{"wait_for_message": {}}]
    if turn == 1 and "sleep" in [tool["name"] for tool in request["tools"]]:
        return [{"sleep": {"seconds": 5}}]
    return [{"wait_for_message": {}}] if turn > 3 else [
        {"send_message": {"recipient_ids": ["lead"], "content": f"turn {turn}"}}]
"""

RUNS = {
    "03 scripted": """
async with scripted(slow, virtual=False) as session:
    hub = Hub(session.clock, show=None)
    await run_team(session.client, hub, TEAM, model=session.model)
""",
    "04 scripted": """
async with scripted(slow, virtual=False) as session:
    hub = Hub(session.clock, show=None)
    await run_lead(session.client, hub, "Go.", model=session.model)
""",
    "04 replayed": """
import os
from helpers.replies.recording import FOLDER, load
os.environ["COOKBOOK_PACE"] = "0.2"
lead = next(s for s in load(FOLDER / "04_subagents.yaml").steps if s.key == ("lead", 1))
async with connect("04_subagents") as session:
    hub = Hub(session.clock, show=None)
    task = lead.sent["messages"][0]["user"]
    await run_lead(session.client, hub, task, model=session.model)
""",
}

# Nothing at all happens in these, so that only a heartbeat lets the loop notice the stop.
SILENT = {
    "02 silent": """
async with scripted(never, virtual=False) as session:
    hub = Hub(session.clock, show=None)
    hub.register("solo")
    await run_agent(session.client, hub, "solo", model=session.model, system="S.", task="T.")
""",
    "03 copied": """
class Silence(httpx2.AsyncBaseTransport):
    async def handle_async_request(self, request):
        await never()

http_client, hub = httpx2.AsyncClient(transport=Silence()), Hub(show=None)
async with anthropic.AsyncAnthropic(api_key="none", http_client=http_client) as client:
    await run_team(client, hub, TEAM, model="none")
""",
}

GUARD = """
import time
try:
{code}
finally:
    ended = time.time()
"""

REPORT = """
print(ended)
left = len(asyncio.all_tasks()) - idle_tasks
alive = [name for name, box in hub.boxes.items() if box.alive]
print("left", left, "alive", alive)
"""


STOPPED = ("CancelledError", "KeyboardInterrupt", "")  # "": the run was over before the stop


@contextmanager
def kernel() -> Iterator[tuple[KernelManager, BlockingKernelClient]]:
    """Start this Python as a kernel, prepared for the runs."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(env=environment("recorded"), extra_arguments=["--log-level=40"])
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        finish(client, client.execute(PREPARE))
        yield manager, client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def finish(client: BlockingKernelClient, request: str, timeout: float = 30) -> tuple[str, str]:
    """Wait until a cell has ended; return its printed text and the name of its error, if any."""
    text, error, end = "", "", time.monotonic() + timeout
    while (left := end - time.monotonic()) > 0:
        try:
            message = client.get_iopub_msg(timeout=left)
        except queue.Empty:
            break
        if message["parent_header"].get("msg_id") != request:
            continue
        content = message["content"]
        text += content.get("text", "") if message["msg_type"] == "stream" else ""
        error = content["ename"] if message["msg_type"] == "error" else error
        if message["msg_type"] == "status" and content["execution_state"] == "idle":
            return text, error
    raise TimeoutError("the cell did not end")


@dataclass(frozen=True)
class Stop:
    """Seconds from the interrupt to the end of the run and of the cell; what was left behind."""

    run: float
    cell: float
    error: str
    left: str


def stop_after(
    manager: KernelManager, client: BlockingKernelClient, code: str, seconds: float
) -> Stop:
    """Run a cell, interrupt it, and return how that went."""
    request = client.execute(GUARD.format(code=textwrap.indent(code, "    ")))
    time.sleep(seconds)
    start = time.time()
    manager.interrupt_kernel()
    _, error = finish(client, request)
    cell = time.time() - start
    text, _ = finish(client, client.execute(REPORT))
    ended, _, left = text.partition("\n")
    return Stop(float(ended) - start, cell, error, left.strip())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.stop", description=__doc__)
    parser.add_argument("--moments", type=int, default=20, help="interrupts for each run")
    moments = parser.parse_args().moments
    bad = 0
    with kernel() as (manager, client):
        for name, code in (RUNS | SILENT).items():
            stops = []
            for moment in range(moments):
                stop = stop_after(manager, client, code, 0.1 + 0.1 * moment)
                stops.append(stop)
                error, left = stop.error, stop.left
                if error not in STOPPED or left != "left 0 alive []":
                    bad += 1
                    print(f"{name} at {0.1 + 0.1 * moment:.2f} s: {error or 'no error'}, {left}")
            for what, times in (("run", [s.run for s in stops]), ("cell", [s.cell for s in stops])):
                p95, middle = statistics.quantiles(times, n=20)[-1], statistics.median(times)
                print(f"{name}: {what:4} ended after {middle:.2f} s (median), {p95:.2f} s (p95)")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

"""What one agent, its tools, its reply or its network do wrong ends that agent and no other."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import httpx2
import pytest

from helpers.hooks import Go, Step
from helpers.hub import Hub, Message
from helpers.replies import ReplayError
from helpers.replies.client import client_over
from helpers.replies.recording import MODEL_INFO
from helpers.replies.scripted import Answer, Blocks, scripted
from helpers.spawn import run_lead
from helpers.team import Crew, Member, crew, run_team
from helpers.tools import NoArguments, ProgramError, Tool

from .support import ended, in_turn, run, settle, solo

WAIT: Blocks = [{"wait_for_message": {}}]
MEMBERS = [Member("lead", "Work."), Member("helper1", "Work.")]
USAGE = '"usage": {"input_tokens": 1, "output_tokens": 1}, '
HEAD = f'{{"id": "m", "type": "message", "role": "assistant", "model": "m", {USAGE}'
HEAD += '"stop_sequence": null, "stop_reason": "tool_use", "content": '
DEEP = "[" * 100_000 + "]" * 100_000


def calling(name: str, given: str) -> str:
    return f'{HEAD}[{{"type": "tool_use", "id": "x", "name": {name}, "input": {given}}}]}}'


BODIES = {
    "a gateway's page": "<html>Log in</html>",
    "cut JSON": '{"id": "m", "con',
    "an empty object": "{}",
    "nothing": "",
    "null content": HEAD + "null}",
    "NaN in an input": calling('"sleep"', '{"a": NaN}'),
    "100,000 levels": calling('"sleep"', DEEP),
    "a name that is a list": calling('["a"]', "{}"),
    "no usage": HEAD.replace(USAGE, "") + "[]}",
    "no count of tokens": HEAD.replace('"output_tokens": 1', '"output_tokens": null') + "[]}",
}


class Odd(httpx2.AsyncBaseTransport):
    """The lead writes to helper1 and waits; from its second call on helper1 gets these bodies."""

    def __init__(self, bodies: list[str]) -> None:
        self.bodies, self.asked = iter(bodies), {"lead": 0, "helper1": 0}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET":
            return httpx2.Response(200, json=MODEL_INFO)
        system = json.loads(await request.aread())["system"]
        who = "lead" if "You are lead" in system else "helper1"
        self.asked[who] += 1
        await asyncio.sleep(0)
        body = next(self.bodies, None) if who == "helper1" and self.asked[who] > 1 else None
        if body is not None:
            kind = "application/json" if body[:1] in ("{", "[") else "text/html"
            return httpx2.Response(200, text=body, headers={"content-type": kind})
        send = {"recipient_ids": ["helper1"], "content": "Important."}
        plan: list[tuple[str, Any]] = [("send_message", send)] if who == "lead" else []
        plan += [("wait_for_message", {})]
        turn = self.asked[who] - 1
        return httpx2.Response(200, json=message(*plan[turn : turn + 1]))


def message(*calls: tuple[str, Any]) -> dict[str, Any]:
    """A message that makes these calls, or says "Done."."""
    content = [{"type": "tool_use", "id": "t", "name": name, "input": i} for name, i in calls]
    return {
        **{"id": "m", "type": "message", "role": "assistant", "model": "m", "stop_sequence": None},
        "content": content or [{"type": "text", "text": "Done."}],
        "stop_reason": "tool_use" if calls else "end_turn",
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }


def lost(hub: Hub) -> list[Message]:
    """Return the messages that were delivered and neither read nor kept as dead letters."""
    drained: dict[str, list[Message]] = {}
    read = [message for message, _ in hub.dead_letters]
    for event in hub.log.events:
        if event.kind == "message_received":
            drained.setdefault(event.agent, []).append(event.data["message"])
        if event.kind == "model_reply":
            read += drained.pop(event.agent, [])
    sent = [event.data["message"] for event in hub.log.events if event.kind == "message_sent"]
    return [message for message in sent if not any(message is other for other in read)]


def received(hub: Hub, name: str) -> list[Message]:
    events = [e for e in hub.log.events if e.kind == "message_received" and e.agent == name]
    return [event.data["message"] for event in events]


async def odd_team(bodies: list[str]) -> tuple[str, Hub, Odd]:
    transport, hub = Odd(bodies), Hub(show=None)
    client = await client_over(transport, "odd")
    try:
        return await run_team(client, hub, MEMBERS, model="m"), hub, transport
    finally:
        await client.close()


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_an_answer_that_is_no_message_ends_one_helper_and_loses_no_mail(body: str) -> None:
    answer, hub, transport = run(odd_team([body] * 3))
    assert answer == "Done."
    assert hub.boxes["helper1"].status == "crashed"
    assert transport.asked["helper1"] == 4
    assert lost(hub) == []
    notices = [m.content for m in received(hub, "lead") if m.sender == "hub"]
    assert any("ended: crashed. BadReply: what came back is no message" in n for n in notices)


@pytest.mark.parametrize("times", [1, 2])
def test_an_answer_that_is_no_message_is_asked_for_again(times: int) -> None:
    answer, hub, transport = run(odd_team([BODIES["cut JSON"]] * times))
    assert answer == "Done."
    assert hub.boxes["helper1"].status == "done"
    assert transport.asked["helper1"] == 2 + times
    assert lost(hub) == []


def lead_waits(agent: str, turn: int, body: dict[str, Any]) -> Answer:
    if agent == "lead":
        return WAIT if turn == 1 else "Done."
    return [{"odd": {}}] if turn == 1 else WAIT


class NoText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


ERRORS: list[BaseException] = [
    httpx2.ReadError("cut midway"),
    TimeoutError(),
    NoText(),
    KeyError("x"),
    ExceptionGroup("two", [ValueError("a")]),
    SystemExit(2),
    GeneratorExit(),
]


def failing(error: BaseException) -> Callable[[Step, Go], Any]:
    async def hook(step: Step, go: Go) -> Any:
        if step.agent == "helper1":
            raise error
        return await go()

    return hook


async def team_with(**settings: Any) -> tuple[str, Hub]:
    async with scripted(in_turn(lead_waits)) as session:
        hub = Hub(session.clock, show=None)
        answer = await run_team(session.client, hub, MEMBERS, model="m", **settings)
    return answer, hub


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_any_error_of_one_helper_ends_that_helper_and_its_starter_is_told(
    error: BaseException,
) -> None:
    answer, hub = run(team_with(hook=failing(error)))
    assert answer == "Done."
    assert ended(hub) == [("helper1", "crashed"), ("lead", "done")]
    assert any(type(error).__name__ in m.content for m in received(hub, "lead"))


@pytest.mark.parametrize("error", [ProgramError("a bug"), ReplayError("it differs")])
def test_a_mistake_of_the_program_reaches_the_person_and_ends_all(error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)):
        run(team_with(hook=failing(error)))


def test_any_error_of_a_helper_that_a_lead_has_started_ends_that_helper() -> None:
    def script(agent: str, turn: int, body: dict[str, Any]) -> Answer:
        start = {"base_instruction": "Help.", "per_subagent_instructions": ["", ""]}
        plan: list[Answer] = [[{"create_subagents": start}], WAIT, WAIT, "Done."]
        return plan[turn - 1] if agent == "lead" else "I am done."

    async def body() -> Hub:
        async with scripted(in_turn(script)) as session:
            hub = Hub(session.clock, show=None)
            how: Any = {"model": "m", "helper": {"hook": failing(TimeoutError())}}
            assert await run_lead(session.client, hub, "Work.", **how) == "Done."
        return hub

    hub = run(body())
    assert hub.boxes["helper1"].status == "crashed"
    assert hub.boxes["helper2"].status == "done"


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_any_error_of_a_tool_is_that_agent_s_result(error: BaseException) -> None:
    def odd(_: NoArguments) -> None:
        raise error

    answer, hub = run(team_with(tools=[Tool("odd", "Odd.", NoArguments, odd)]))
    assert answer == "Done."
    results = [e.data for e in hub.log.events if e.kind == "tool_result" and e.agent == "helper1"]
    assert results[0]["error"]


def test_a_hook_that_forgets_to_return_is_named() -> None:
    async def forgets(step: Step, go: Go) -> Any:
        await go()

    outcome = solo("Hi.", hook=forgets)
    assert isinstance(outcome.error, ProgramError)
    assert "return await go()" in str(outcome.error)


@asynccontextmanager
async def opened(session: Any) -> AsyncIterator[Crew]:
    async with crew(session.client, Hub(session.clock, show=None)) as team:
        yield team


def start(team: Crew, name: str, starter: str | None, **more: Any) -> None:
    about = {"model": "m", "system": f"You are {name}.", "task": "Work."}
    team.start(name, starter, **about, **more)


def test_a_work_that_leaves_the_program_ends_its_agent_alone() -> None:
    async def leave(agent: Any) -> str:
        sys.exit(3)

    async def body() -> Hub:
        async with scripted(in_turn(lead_waits)) as session, opened(session) as team:
            start(team, "lead", None)
            start(team, "helper1", "lead", work=leave)
            assert await team.answer("lead") == "Done."
        return team.hub

    assert ended(run(body()))[0] == ("helper1", "crashed")


EXITS = """
import asyncio, sys
from helpers.agent import run_agent
from helpers.hub import Hub
from helpers.replies import scripted
from helpers.tools import NoArguments, Tool

async def main():
    async with scripted(lambda a, t, r: [{"leave": {}}] if t == 1 else "Still here.") as session:
        hub = Hub(show=None)
        hub.register("solo")
        leave = Tool("leave", "Leave.", NoArguments, lambda _: sys.exit(2))
        how = {"model": "m", "system": "You are solo.", "task": "Go.", "tools": [leave]}
        print(await run_agent(session.client, hub, "solo", **how))

asyncio.run(main())
"""


def test_a_program_survives_a_tool_that_exits() -> None:
    command = [sys.executable, "-c", EXITS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "Still here.\n"), done.stderr


def test_a_print_that_fails_changes_nothing_but_what_is_shown() -> None:
    def broken(line: str) -> None:
        raise BrokenPipeError("nobody reads")

    async def body(show: Any) -> list[tuple[str, str]]:
        async with scripted(in_turn(lead_waits)) as session:
            hub = Hub(session.clock, show=show)
            assert await run_team(session.client, hub, MEMBERS, model="m") == "Done."
        assert lost(hub) == []
        return [(event.kind, event.agent) for event in hub.log.events]

    with pytest.warns(UserWarning, match="no more is shown of this run: BrokenPipeError"):
        shown = run(body(broken))
    assert shown == run(body(None))


def test_a_crew_that_fails_logs_its_ends_in_the_order_of_their_start() -> None:
    names = [f"helper{i}" for i in range(1, 9)]
    members = [Member(name, "Work.") for name in ("lead", *names)]

    async def body() -> list[tuple[str, str]]:
        async with scripted(in_turn(lead_waits)) as session:
            hub, hook = Hub(session.clock, show=None), failing(ProgramError("x"))
            with pytest.raises(ProgramError):
                await run_team(session.client, hub, members, model="m", hook=hook)
        return ended(hub)

    first = run(body())
    assert [name for name, _ in first] == ["helper1", "lead", *names[1:]]
    assert all(run(body()) == first for _ in range(4))


async def forever(agent: Any) -> str:
    await asyncio.Event().wait()
    return "never"


def test_the_answer_of_a_name_that_was_killed_and_started_again_is_no_internal_error() -> None:
    async def body() -> str:
        async with scripted(in_turn(lead_waits)) as session, opened(session) as team:
            start(team, "lead", None, work=forever)
            answer = asyncio.create_task(team.answer("lead"))
            await settle()
            team.stop(["lead"], "killed")
            start(team, "lead", None)
            with pytest.raises(asyncio.CancelledError):
                await answer
            return await team.answer("lead")

    assert run(body()) == "Done."


def test_an_empty_team_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a member"):
        run(run_team(anthropic.AsyncAnthropic(api_key="x"), Hub(show=None), [], model="m"))

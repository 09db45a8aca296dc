"""Hooks to take along: several in one, and bounds on time."""

import asyncio
from typing import Any

import pytest

from helpers.hooks import Go, Hook, Step, compose, time_limit
from helpers.hub import Hub
from helpers.replies.scripted import Answer, scripted
from helpers.team import Member, run_team
from helpers.tools import NoArguments, Tool

from .support import ended, in_turn, returning, run, solo

LOOK = [returning("look", "seen")]


def noting(name: str, notes: list[str]) -> Hook:
    async def hook(step: Step, go: Go) -> Any:
        notes.append(f"{name} before {step.name}")
        result = await go()
        notes.append(f"{name} after {step.name}")
        return result

    return hook


def test_hooks_put_together_pass_a_step_through_all_the_first_one_outermost() -> None:
    notes: list[str] = []
    hook = compose(noting("a", notes), noting("b", notes))
    assert solo("Done.", hook=hook).status == "done"
    assert notes == [
        *("a before scripted", "b before scripted"),
        *("b after scripted", "a after scripted"),
    ]


def test_no_hooks_put_together_hold_nothing() -> None:
    assert solo([{"look": {}}], "Done.", tools=LOOK, hook=compose()).text == "Done."


def test_a_step_tells_its_run_its_call_and_who_started_the_agent() -> None:
    steps: list[Step] = []

    async def hook(step: Step, go: Go) -> Any:
        steps.append(step)
        return await go()

    outcome = solo([{"look": {}}], "Done.", tools=LOOK, hook=hook, starter="peer")
    assert all(step.hub is outcome.hub for step in steps)
    assert [step.starter for step in steps] == ["peer"] * 3
    assert [step.call_id for step in steps] == ["", "toolu_solo_1_1", ""]


async def slow_run(limit: Hook, calls: int = 1) -> tuple[Hub, str]:
    """An agent looks for ten virtual seconds in each of its calls."""

    async def look(_: NoArguments) -> str:
        await session.clock.sleep(10)
        return "seen"

    def script(agent: str, turn: int, body: dict[str, Any]) -> Answer:
        return [{"look": {}}] if turn <= calls else "Done."

    async with scripted(in_turn(script)) as session:
        hub = Hub(session.clock, show=None)
        tools = [Tool("look", "Look.", NoArguments, look)]
        members = [Member("solo", "Work.")]
        answer = await run_team(session.client, hub, members, model="m", tools=tools, hook=limit)
        return hub, answer


def results(hub: Hub) -> list[Any]:
    return [e.data["text"] for e in hub.log.events if e.kind == "tool_result"]


def test_a_tool_that_takes_too_long_is_an_error_result_that_says_so() -> None:
    hub, answer = run(slow_run(time_limit(tool=5)))
    assert (answer, hub.clock.time()) == ("Done.", 5)
    assert results(hub) == ["over 5 s; it may still be done"]


def test_a_tool_within_its_limit_is_left_alone() -> None:
    hub, answer = run(slow_run(time_limit(tool=10.5, agent=100)))
    assert (answer, results(hub)) == ("Done.", ["seen"])


def test_an_agent_that_takes_too_long_ends_out_of_time() -> None:
    hub, _ = run(slow_run(time_limit(agent=25), calls=5))
    assert ended(hub) == [("solo", "out_of_time")]
    assert hub.clock.time() == 25


def test_the_time_of_an_agent_begins_with_its_own_first_call() -> None:
    async def body() -> list[str]:
        limit = time_limit(agent=15)
        return [(await slow_run(limit))[1] for _ in range(2)]

    assert run(body()) == ["Done.", "Done."]


def test_without_limits_no_clock_is_asked() -> None:
    hub, answer = run(slow_run(time_limit()))
    assert (answer, hub.clock.time()) == ("Done.", 10)


@pytest.mark.parametrize("error", [TimeoutError(), asyncio.CancelledError()])
def test_what_a_tool_raises_by_itself_is_its_own_result(error: BaseException) -> None:
    def odd(_: NoArguments) -> None:
        raise error

    tools = [Tool("odd", "Odd.", NoArguments, odd)]
    outcome = solo([{"odd": {}}], "Done.", tools=tools, hook=time_limit(tool=5))
    assert outcome.status == "done"

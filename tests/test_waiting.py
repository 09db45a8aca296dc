"""Real waiting is work: no virtual timer and no recorded reply runs ahead of it."""

import asyncio
import random
import threading
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Any

import pytest

from helpers.agent import run_agent
from helpers.hooks import Go, Hook, Step, no_hook
from helpers.hub import Event, Hub
from helpers.replies import ReplayError
from helpers.replies.client import Session, connect
from helpers.replies.scripted import Answer, scripted
from helpers.team import Member, crew, run_team
from helpers.tools import NoArguments, ProgramError, messaging_tools

from .support import SOLO, returning, run, settle, tool
from .test_runs import task_of

WAIT: dict[str, Any] = {"wait_for_message": {}}
SEND = {"send_message": {"recipient_ids": ["lead"], "content": "Here it is."}}
Wait = Callable[[], Awaitable[object]]


async def a_sleep() -> None:
    await asyncio.sleep(0.01)


async def a_thread() -> None:
    await asyncio.to_thread(threading.Event().wait, 0.01)


async def a_button() -> None:
    """Something that asyncio knows nothing of sets a future."""
    loop = asyncio.get_running_loop()
    pressed = loop.create_future()
    threading.Timer(0.01, lambda: loop.call_soon_threadsafe(pressed.set_result, None)).start()
    await pressed


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("replay", "stepping"):
        monkeypatch.setattr(f"helpers.replies.{module}.GRACE", 0.02)
    monkeypatch.setattr("helpers.replies.stepping.TURNS", 100)


async def never() -> None:
    """Wait for a thread that is at work until this is given up."""
    over = threading.Event()
    try:
        await asyncio.to_thread(over.wait)
    finally:
        over.set()


def lead_and_helper(helper: Answer | Wait, look: Wait | None = None) -> tuple[str, float]:
    """Let a lead wait for its helper's message; return how the wait ended, and when.

    `helper` is the helper's first answer, or what is awaited before it; `look` is its tool.
    """

    async def script(agent: str, turn: int, request: dict[str, Any]) -> Answer:
        if agent == "lead":
            return [WAIT] if turn == 1 else "Done."
        if turn == 1 and callable(helper):
            await helper()
            return [SEND]
        return helper if turn == 1 and not callable(helper) else [SEND] if turn == 2 else "Done."

    async def look_up(_: NoArguments) -> str:
        assert look
        await look()
        return "found"

    async def scenario() -> tuple[str, float]:
        async with scripted(script) as session:
            hub = Hub(session.clock, show=None)
            async with crew(session.client, hub) as group:
                for name in ("lead", "helper1"):
                    tools = [tool("look_up", look_up), *messaging_tools(hub, name)]
                    own: dict[str, Any] = {"system": f"You are {name}.", "tools": tools}
                    group.start(name, model="m", task="Work.", **own)
                await group.answer("lead")
            ends = [e for e in hub.log.events if e.data.get("tool") == "wait_for_message"]
            return ends[-1].data["text"], session.clock.time()

    return run(scenario())


LOOK: Answer = [{"look_up": {}}]
IN_TIME = ("woke: new messages", 0.0)


@pytest.mark.parametrize("wait", [a_sleep, a_thread, a_button])
def test_no_timer_runs_ahead_of_a_script_that_waits_for_something_real(wait: Wait) -> None:
    assert lead_and_helper(wait) == IN_TIME


@pytest.mark.parametrize("wait", [a_sleep, a_thread])
def test_no_timer_runs_ahead_of_a_tool_that_waits_for_something_real(wait: Wait) -> None:
    assert lead_and_helper(LOOK, wait) == IN_TIME


@pytest.mark.usefixtures("impatient")
def test_a_tool_that_waits_for_something_real_without_a_door_is_named_with_the_remedy() -> None:
    remedy = r"helper1 in look_up → never → to_thread waits for something real.*clock\.outside\("
    with pytest.raises(ProgramError, match=remedy):
        lead_and_helper(LOOK, never)


def fixed_team(hook_of: Callable[[Session], Hook]) -> list[Event]:
    """Play the team of notebook 03 with a hook; return the log."""

    async def scenario() -> list[Event]:
        names = ["lead", "helper1", "helper2"]
        members = [Member(name, task_of("03_fixed_team", name)) for name in names]
        async with connect("03_fixed_team") as session:
            hub, hook = Hub(session.clock, show=None), hook_of(session)
            await run_team(session.client, hub, members, model=session.model, hook=hook)
        return hub.log.events

    return run(scenario())


def before_tools(wait: Wait) -> Callable[[Session], Hook]:
    async def hook(step: Step, go: Go) -> Any:
        if step.kind == "tool_call":
            await wait()
        return await go()

    return lambda session: hook


@pytest.mark.parametrize("seed", range(3))
def test_short_real_waits_in_a_hook_change_nothing_in_a_replay(seed: int) -> None:
    dice = random.Random(seed)
    hook = before_tools(lambda: asyncio.sleep(dice.uniform(0, 0.01)))
    assert fixed_team(hook) == fixed_team(lambda session: no_hook)


@pytest.mark.usefixtures("impatient")
def test_a_replay_names_the_hook_that_waits_for_something_real_and_not_the_prompt() -> None:
    with pytest.raises(ReplayError, match=r"stuck: .* in hook → never → .*clock\.outside\("):
        fixed_team(before_tools(never))


def test_a_door_around_a_model_call_or_a_wait_on_the_clock_does_not_stand_in_its_way() -> None:
    def hook_of(session: Session) -> Hook:
        async def hook(step: Step, go: Go) -> Any:
            if step.kind == "tool_call":
                return await go()
            async with session.clock.outside("a gate"):
                await a_button()
                return await go()

        return hook

    assert fixed_team(hook_of) == fixed_team(lambda session: no_hook)


@pytest.mark.usefixtures("impatient")
def test_a_wait_behind_a_door_may_take_as_long_as_it_takes() -> None:
    async def scenario() -> list[str]:
        order: list[str] = []

        async def person() -> None:
            async with session.clock.outside("an answer"):
                for _ in range(5):
                    await a_button()
            order.append("answered")

        async def sleeper() -> None:
            await session.clock.sleep(3)
            order.append("slept")

        async with scripted(lambda *_: "Hello.") as session:
            await asyncio.gather(sleeper(), person())
        return order

    assert run(scenario()) == ["answered", "slept"]


def test_a_script_may_sleep_on_its_virtual_clock_alone_or_in_tasks_of_its_own() -> None:
    async def scenario() -> str:
        async def script(agent: str, turn: int, request: dict[str, Any]) -> Answer:
            await a_button()
            await session.clock.sleep(1)
            await asyncio.gather(session.clock.sleep(2), session.clock.sleep(3))
            await a_button()
            return f"It is {session.clock.time():g}."

        async with scripted(script) as session:
            hub = Hub(session.clock, show=None)
            hub.register("solo")
            return await run_agent(session.client, hub, "solo", **SOLO)

    assert run(scenario()) == "It is 4."


async def poll() -> None:
    while True:
        await asyncio.sleep(0)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("opened", "error"),
    [
        (lambda: scripted(lambda *_: "Hello."), ProgramError),
        (lambda: connect("04_subagents"), ReplayError),
    ],
    ids=["scripted", "recorded"],
)
def test_a_poll_that_never_lets_the_loop_rest_is_named(opened: Any, error: type[Exception]) -> None:
    async def scenario() -> None:
        async with opened() as session:
            polling = asyncio.create_task(poll(), name="watcher")
            try:
                await session.clock.sleep(1)
            finally:
                polling.cancel()

    with pytest.raises(error, match=r"watcher in poll → sleep .*polls"):
        run(scenario())


def call_again(loop: asyncio.AbstractEventLoop) -> None:
    loop.call_soon(call_again, loop)


@pytest.mark.usefixtures("impatient")
def test_a_callback_that_polls_is_named_too() -> None:
    async def scenario() -> None:
        async with scripted(lambda *_: "Hello.") as session:
            call_again(asyncio.get_running_loop())
            await session.clock.sleep(1)

    with pytest.raises(ProgramError, match=r"a callback waits .*polls"):
        asyncio.run(scenario())


async def look_on() -> None:
    while True:
        await asyncio.sleep(0.01)


@pytest.mark.usefixtures("impatient")
def test_a_task_that_looks_on_is_no_part_of_the_run_if_it_has_a_context_of_its_own() -> None:
    async def scenario(context: Context | None) -> float:
        async with scripted(lambda *_: "Hello.") as session:
            task = asyncio.create_task(look_on(), name="panel", context=context)
            try:
                await session.clock.sleep(1)
            finally:
                task.cancel()
            return session.clock.time()

    assert run(scenario(Context())) == 1
    with pytest.raises(ProgramError, match=r"panel in look_on → sleep .*contextvars\.Context"):
        run(scenario(None))


def test_a_busy_run_is_not_taken_for_a_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> float:
        async with scripted(lambda *_: [{"look_up": {}}]) as session:
            hub = Hub(session.clock, show=None)
            hub.register("solo")
            own: dict[str, Any] = SOLO | {"tools": [returning("look_up", "found")]}
            sleeper = asyncio.create_task(session.clock.sleep(1))
            await run_agent(session.client, hub, "solo", **own)
            await sleeper
            return session.clock.time()

    monkeypatch.setattr("helpers.replies.stepping.GRACE", 0.0)
    monkeypatch.setattr("helpers.replies.stepping.TURNS", 100)
    assert run(scenario()) == 1


def test_a_script_that_waits_for_nothing_lets_others_have_their_turn() -> None:
    async def scenario() -> str:
        async with scripted(lambda *_: [{"look_up": {}}], virtual=False) as session:
            hub = Hub(session.clock, show=None)
            hub.register("solo")
            own: dict[str, Any] = SOLO | {"tools": [returning("look_up", "found")]}
            task = asyncio.create_task(run_agent(session.client, hub, "solo", **own))
            await settle()
            task.cancel()
            await asyncio.wait([task])
            return hub.boxes["solo"].status

    assert run(scenario()) == "killed"


def test_every_clock_starts_at_zero() -> None:
    async def scenario() -> list[float]:
        hub = Hub(show=None)
        hub.register("solo")
        async with scripted(lambda *_: "Hello.") as session:
            return [hub.log.events[0].time, session.clock.time()]

    assert run(scenario()) == [0.0, 0.0]

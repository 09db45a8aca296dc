"""What several test modules share: running coroutines, scripted agents and small tools."""

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from helpers.agent import run_agent
from helpers.hub import Event, Hub
from helpers.replies.scripted import MODEL, Answer, Script, scripted
from helpers.replies.stepping import VirtualClock, run_clock
from helpers.tools import NoArguments, Tool

Result = TypeVar("Result")
TAG = "<agent-message"
SOLO: dict[str, Any] = {"model": MODEL, "system": "You are solo.", "task": "Begin."}


def run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Return the coroutine's result; fail when it hangs or leaves a task behind."""

    async def bounded() -> Result:
        guard = asyncio.timeout(60)
        try:
            async with guard:
                result = await coroutine
        finally:
            assert not guard.expired(), "it hung"
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"tasks left behind: {left}"
        return result

    return asyncio.run(bounded())


@asynccontextmanager
async def ticking() -> AsyncIterator[VirtualClock]:
    """A virtual clock that fires its timers whenever nothing else can run."""
    clock = VirtualClock()
    driver = asyncio.create_task(run_clock(clock))
    try:
        yield clock
    finally:
        driver.cancel()
        await asyncio.gather(driver, return_exceptions=True)


async def settle(turns: int = 10) -> None:
    """Let other tasks run for some turns of the loop."""
    for _ in range(turns):
        await asyncio.sleep(0)


def quiet_hub(*names: str, starter: str | None = None) -> Hub:
    """A hub that prints nothing, on a clock that stands still, with these agents."""
    hub = Hub(VirtualClock(), show=None)
    for name in names:
        hub.register(name, starter)
    return hub


def ended(hub: Hub) -> list[tuple[str, str]]:
    """Return (agent, status) of each end in the log, in order."""
    return [(e.agent, e.data["status"]) for e in hub.log.events if e.kind == "agent_ended"]


def contents(messages: Iterable[Any]) -> list[str]:
    return [message.content for message in messages]


def tool(name: str, handler: Callable[[Any], Awaitable[object]], **flags: bool) -> Tool:
    """A tool without arguments."""
    return Tool(name, f"Run {name}.", NoArguments, handler, **flags)


def returning(name: str, value: object, **flags: bool) -> Tool:
    """A tool that gives back a value."""

    async def handler(_: NoArguments) -> object:
        return value

    return tool(name, handler, **flags)


def raising(name: str, error: BaseException) -> Tool:
    """A tool that raises."""

    async def handler(_: NoArguments) -> object:
        raise error

    return tool(name, handler)


def in_order(*answers: Answer) -> Script:
    """A script that gives these answers one after another, then says "Done."."""
    left = iter(answers)
    return lambda agent, turn, body: next(left, "Done.")


def in_turn(script: Script) -> Script:
    """A script whose replies take a turn of the loop, so that agents run side by side."""

    async def reply(agent: str, turn: int, body: dict[str, Any]) -> Answer:
        await asyncio.sleep(0)
        answer = script(agent, turn, body)
        return await answer if inspect.isawaitable(answer) else answer

    return reply


@dataclass
class Outcome:
    """What came of one agent: its last text, its hub and the requests it sent."""

    hub: Hub
    requests: list[dict[str, Any]] = field(default_factory=list)
    text: str = ""
    error: BaseException | None = None
    shown: list[str] = field(default_factory=list)

    @property
    def status(self) -> str:
        return self.hub.boxes["solo"].status

    def events(self, kind: str) -> list[Event]:
        return [event for event in self.hub.log.events if event.kind == kind]

    def results(self, request: int = -1) -> list[dict[str, Any]]:
        """Return the tool results that are the news of this request."""
        content: list[dict[str, Any]] = self.requests[request]["messages"][-1]["content"]
        return content


def solo(
    *answers: Answer,
    script: Script | None = None,
    mail: Iterable[str] = (),
    peers: Iterable[str] = ("peer",),
    hub: Hub | None = None,
    starter: str | None = None,
    **settings: Any,
) -> Outcome:
    """Run the agent "solo" on scripted answers; `mail` from the first peer waits in its inbox."""
    return run(solo_run(script or in_order(*answers), mail, peers, hub, starter, settings))


async def solo_run(
    script: Script,
    mail: Iterable[str],
    peers: Iterable[str],
    hub: Hub | None,
    starter: str | None,
    settings: dict[str, Any],
) -> Outcome:
    requests: list[dict[str, Any]] = []

    def spy(agent: str, turn: int, body: dict[str, Any]) -> Answer | Awaitable[Answer]:
        requests.append(body)
        return script(agent, turn, body)

    shown: list[str] = []
    async with scripted(spy) as session:
        hub = hub or Hub(session.clock, show=shown.append)
        outcome = Outcome(hub, requests, shown=shown)
        for name in peers:
            hub.register(name)
        hub.register("solo", starter)
        for content in mail:
            hub.post("peer", ["solo"], content)
        try:
            outcome.text = await run_agent(session.client, hub, "solo", **SOLO | settings)
        except (Exception, asyncio.CancelledError) as error:
            outcome.error = error
    return outcome


def words(value: object) -> str:
    """Return a request, or a part of it, as one text to look for words in."""
    return json.dumps(value, ensure_ascii=False)

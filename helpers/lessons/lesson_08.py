"""Checks of notebook 08, make it yours."""

import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from ..hub import Hub
from ..replies.client import Session, connect, recorded
from ..replies.reactive import reactive
from ..replies.recording import Answered, ClockStep, Recording, ReplayError, Step
from ..replies.scripted import scripted
from ..team import Member, run_team
from ..tools import Tool
from .exercises import Check

Run = Callable[[Session], Awaitable[Any]]


@contextmanager
def folder() -> Iterator[Path]:
    """A folder that is thrown away; what sessions print in here is not shown."""
    with tempfile.TemporaryDirectory() as name, redirect_stdout(StringIO()):
        yield Path(name)


async def twice(work: Run) -> list[Any]:
    """Record a run over the scripted agents and replay it; return what both gave. ReplayError."""
    found = []
    with folder() as place:
        for opened in (recorded("mine", scripted(reactive), place), connect("mine", place)):
            async with opened as session:
                found.append(await work(session))
    return found


async def check_door(answer: Any) -> str | None:
    asked: list[int] = []

    async def now() -> str:
        asked.append(1)
        return f"{11 + len(asked)} o'clock"

    async def work(session: Session) -> list[str]:
        tool = answer(session.clock, now)
        if not isinstance(tool, Tool) or tool.name != "what_time":
            raise ValueError("it should return a Tool with the name what_time")
        hub, model = Hub(session.clock, show=None), session.model
        solo = [Member("solo", "You are Mia. Use what_time: now.")]
        await run_team(session.client, hub, solo, model=model, tools=[tool])
        return [e.data["text"] for e in hub.log.events if e.kind == "tool_result"]

    try:
        first, again = await twice(work)
    except ValueError as error:
        return str(error)
    except ReplayError:
        return "the replay asked the watch again, and it is later now: use clock.ask"
    if not first or first[0] != "12 o'clock":
        return f"the agent should read what now() gives, 12 o'clock, and not {first[:1]}"
    return None if first == again else f"the replay reads {again}, and recorded was {first}"


async def check_never_the_same(answer: Any) -> str | None:
    if not callable(answer):
        return "answer with the function itself: its name, without brackets"
    if answer() is ... or not isinstance(answer(), str):
        return "it should return a text"

    async def work(session: Session) -> None:
        members = [Member("lead", answer()), Member("helper1", "Wait.")]
        await run_team(session.client, Hub(session.clock, show=None), members, model=session.model)

    try:
        await twice(work)
    except ReplayError:
        return None
    return "it replays: the text has to be another one each time"


async def check_answer_of(answer: Any) -> str | None:
    timer, yes = ClockStep(1.0), Answered("a person", "Go?", "yes")
    steps: list[Step] = [timer, Answered("a server", "Time?", "noon"), timer, yes, yes]
    recording = Recording(Path("any.yaml"), "scripted", "", "m", steps)
    for whom, number in (("a person", 4), ("a server", 2)):
        if (found := answer(recording, whom)) is ...:
            return "the dots are still there"
        if found != number:
            return f"the first answer of {whom} is step {number}, counted from 1, not {found}"
    return None


def lacking(hub: Any) -> str | None:
    """Return what the team of a run does not have, by its log, or None."""
    if not isinstance(hub, Hub):
        return "it should return the hub of the run"
    if len(hub.boxes) < 3:
        return f"a team of at least three agents is asked for; this one has {len(hub.boxes)}"
    if left := [name for name in hub.boxes if hub.alive(name)]:
        return f"these have not ended: {', '.join(left)}; wait for the team inside my_team"
    own = ("send_message", "wait_for_message")
    results = [e.data for e in hub.log.events if e.kind == "tool_result"]
    errors = [data["error"] for data in results if data["tool"] not in own]
    if False not in errors:
        return "no tool of yours was used: `Use TOOL: VALUE.` in a task does that"
    if True not in errors:
        return "your tool refused nothing: let one agent ask for what it does not have"
    return (
        None if any(e.kind == "message_sent" for e in hub.log.events) else "nobody wrote to another"
    )


async def check_my_team(answer: Any) -> str | None:
    try:
        hubs = await twice(answer)
    except ReplayError as error:
        return f"the replay is another run: {str(error).splitlines()[0]}"
    if problem := lacking(hubs[0]):
        return problem
    first, again = ([(e.kind, e.agent) for e in hub.log.events] for hub in hubs)
    return None if first == again else "the replay is another run: its log differs"


CHECKS: dict[str, Check] = {
    "08.1": check_door,
    "08.2": check_never_the_same,
    "08.3": check_answer_of,
    "08.4": check_my_team,
}

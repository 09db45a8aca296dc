"""Answers to the exercises of notebook 08, right and wrong ones."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

from helpers.hub import Clock, Hub
from helpers.replies import Session
from helpers.replies.recording import Recording
from helpers.team import Member, run_team
from helpers.tools import Arguments, NoArguments, Tool

Now = Callable[[], Awaitable[str]]


def watch(clock: Clock, now: Now, name: str = "what_time", door: bool = True) -> Tool:
    async def what_time(_: NoArguments) -> str:
        return str(await clock.ask("a watch", "time?", now)) if door else await now()

    return Tool(name, "Tell the time.", NoArguments, what_time)


def without_a_door(clock: Clock, now: Now) -> Tool:
    return watch(clock, now, door=False)


def other_name(clock: Clock, now: Now) -> Tool:
    return watch(clock, now, name="time")


def stopped_watch(clock: Clock, now: Now) -> Tool:
    async def what_time(_: NoArguments) -> str:
        return "noon"

    return Tool("what_time", "Tell the time.", NoArguments, what_time)


def never_the_same() -> str:
    return f"You are Mia. This is run {uuid4()}."


def always_the_same() -> str:
    return "You are Mia."


def first_answer(recording: Recording, whom: str) -> int:
    steps = enumerate(recording.steps, 1)
    return next(number for number, step in steps if getattr(step, "outside", None) == whom)


def counted_from_zero(recording: Recording, whom: str) -> int:
    return first_answer(recording, whom) - 1


class Plant(Arguments):
    plant: str


async def count(arguments: Plant) -> int:
    return {"bean": 12}[arguments.plant]


def garden(*uses: str, others: int = 2, answers: bool = True) -> Callable[[Session], Any]:
    """Return an answer to 08.4: a lead and others, of whom the first uses the tool so."""

    async def my_team(session: Session) -> Any:
        hub = Hub(session.clock, show=None)
        names = ["lead", *(f"helper{n}" for n in range(1, others + 1))]
        tasks = {"helper1": " ".join(f"Use count: {plant}." for plant in uses)}
        members = [Member(name, tasks.get(name, f"You are {name}s friend.")) for name in names]
        tools = [Tool("count", "Count.", Plant, count)]
        await run_team(session.client, hub, members, model=session.model, tools=tools)
        return hub if answers else "done"

    return my_team


async def never_alike(session: Session) -> Hub:
    hub = Hub(session.clock, show=None)
    members = [
        Member("lead", never_the_same()),
        Member("helper1", "Wait."),
        Member("cook", "Cook."),
    ]
    await run_team(session.client, hub, members, model=session.model)
    return hub


RIGHT: list[tuple[str, Any]] = [
    ("08.1", watch),
    ("08.2", never_the_same),
    ("08.3", first_answer),
    ("08.4", garden("bean", "rose")),
]
WRONG: list[tuple[str, Any, str]] = [
    ("08.1", lambda clock, now: None, "a Tool with the name what_time"),
    ("08.1", other_name, "a Tool with the name what_time"),
    ("08.1", without_a_door, "asked the watch again"),
    ("08.1", stopped_watch, "12 o'clock, and not ['noon']"),
    ("08.2", "today", "the function itself"),
    ("08.2", lambda: ..., "a text"),
    ("08.2", always_the_same, "it replays"),
    ("08.3", lambda *_: ..., "dots"),
    ("08.3", counted_from_zero, "is step 4, counted from 1, not 3"),
    ("08.4", garden("bean", "rose", answers=False), "return the hub"),
    ("08.4", garden("bean", "rose", others=1), "this one has 2"),
    ("08.4", garden(), "no tool of yours was used"),
    ("08.4", garden("bean"), "refused nothing"),
    ("08.4", never_alike, "the replay is another run: lead, turn 1"),
]

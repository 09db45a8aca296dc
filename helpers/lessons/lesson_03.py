"""Checks of notebook 03, a fixed team."""

import inspect
from typing import Any

from ..hub import Hub
from ..replies.scripted import scripted
from .exercises import Check

NAMES = ["lead", "helper1", "helper2", "helper3"]
RUNNERS = ["hare", "tortoise"]
POSSIBLE = {
    "a": "in the second run the lead greeted helper2 before helper1 said a word",
    "b": "look at the unread mail of the first run",
}
IMPOSSIBLE = {
    "c": "a message needs a sender that has said something",
    "d": "leaving the crew stops every helper, so think about who could still ask",
}


async def check_team(answer: Any) -> str | None:
    if isinstance(answer, list | tuple) and any(
        isinstance(member, list | tuple) for member in answer
    ):
        return "there is a team inside the team: unpack it with a star, [*TEAM, …]"
    if not isinstance(answer, list | tuple) or not all(hasattr(m, "task") for m in answer):
        return "it should be a list of members"
    names = [member.name for member in answer]
    if names != NAMES:
        return f"the names should be {', '.join(NAMES)}, in this order, not {', '.join(names)}"
    known = [word in member.task for word, member in zip(("Ada", "Bo"), answer[1:3], strict=True)]
    if not all(known):
        return "helper1 should still be Ada and helper2 still Bo"
    said = "Cy" in answer[3].task and "tester" in answer[3].task.lower()
    return None if said else "helper3's task does not say who it is: Cy, a tester"


async def check_impossible(answer: Any) -> str | None:
    if not isinstance(answer, (set, frozenset)):
        return 'it should be a set of letters, such as {"a", "b"}'
    answer = {str(letter).lower() for letter in answer}
    for letter, reason in POSSIBLE.items():
        if letter in answer:
            return f"{letter} can happen: {reason}"
    for letter, reason in IMPOSSIBLE.items():
        if letter not in answer:
            return f"one line is missing: {reason}"
    return None if answer == set(IMPOSSIBLE) else "only a, b, c and d are asked about"


async def check_race(answer: Any) -> str | None:
    if not inspect.iscoroutinefunction(answer):
        return "it should be an async function"
    for quick in RUNNERS:
        if problem := await run_race(answer, quick):
            return problem
    return None


async def run_race(answer: Any, quick: str) -> str | None:
    """Return what is wrong when this runner answers after one second, the other after nine."""

    async def script(agent: str, turn: int, request: dict[str, Any]) -> str:
        await session.clock.sleep(1 if agent == quick else 9)
        return f"{agent} found it."

    async with scripted(script) as session:
        hub = Hub(session.clock, show=None)
        text = await answer(session.client, hub, session.model, RUNNERS)
        seconds = session.clock.time()
    if not isinstance(text, str):
        return "it should return a text, the result of the first task that is over"
    if text != f"{quick} found it.":
        return f"{quick} was first and said '{quick} found it.', but it returned {text!r}"
    if seconds > 1:
        return f"it came back after {seconds:g} seconds, but {quick} was over after 1"
    statuses = {name: box.status for name, box in hub.boxes.items()}
    loser = next(name for name in RUNNERS if name != quick)
    if statuses.get(loser) != "dismissed":
        return f"the other should be dismissed; the statuses are {statuses}"
    return None


CHECKS: dict[str, Check] = {
    "03.1": check_team,
    "03.2": check_impossible,
    "03.3": check_race,
}

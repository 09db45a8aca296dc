"""Answers from outside of a run, a person's or a server's, as a recording has them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from .recording import Answered, Recording, ReplayError, Step
from .stepping import VirtualClock

Go = Callable[[], Awaitable[Any]]


class Outside:
    """The questions that are open, each with the step that will answer it."""

    def __init__(self, clock: VirtualClock, recording: Recording) -> None:
        self.clock, self.recording = clock, recording
        self.open: list[tuple[Answered, asyncio.Future[Any]]] = []

    def expected(self, todo: Iterable[Step], whom: str, what: Any) -> Answered:
        """Return the step that answers this. ReplayError: none does."""
        taken = [id(step) for step, _ in self.open]
        steps = [step for step in todo if isinstance(step, Answered) and id(step) not in taken]
        same = [step for step in steps if step.outside == whom]
        if step := next((step for step in same if step.asked == what), None):
            return step
        known = f"it has one to: {same[0].asked}" if same else "there, nobody was asked"
        raise ReplayError(
            f"{self.recording.path.name} has no answer of {whom} to: {what}\n  {known}"
        )

    async def hold(self, step: Answered, go: Go) -> Any:
        """Wait until a step has come, and return its answer, or that of the door inside of it."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if step.ended == "inner":
            inside = await go()
        self.open.append((step, answer))
        self.clock.stir()
        try:
            given = await self.clock.hold(answer)
            return inside if step.ended == "inner" else given
        finally:
            self.open.remove((step, answer))

    def ready(self, step: Answered) -> bool:
        """Return whether somebody waits for this answer; one that never came is not ready."""
        return step.ended != "cancelled" and any(one is step for one, _ in self.open)

    def give(self, step: Answered) -> None:
        next(answer for one, answer in self.open if one is step).set_result(step.answer)

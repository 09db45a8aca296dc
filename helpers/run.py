"""Runs a team in the background of a notebook, for a person to steer. Notebook 07 builds it."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import Context
from typing import Any

from .budget import Budget
from .hooks import Go, Step, compose
from .hub import Clock, Event, Hub, Line
from .steering import OPEN, Desk, Gate, ask_at_limit
from .tools import ProgramError
from .trace import trace_line

Condition = Callable[[Event], bool]
KILLED = "killed_by_human"  # not "killed", of which nobody is told: no agent has done this


class Run(Desk):
    """A team at work in the background, held before its first call (notebook 07)."""

    def __init__(self, line: Line = trace_line, budget: Budget | None = None) -> None:
        self.line, self.budget = line, budget
        self.task: asyncio.Task[Any] | None = None
        self._clear()

    def _clear(self) -> None:
        self.join(Hub(show=None))
        self.source = ""
        self.gate, self.news = Gate(), asyncio.Event()
        self.keeper: asyncio.Task[None] | None = None
        self.goal: Condition | None = None
        self.problem: Exception | None = None  # for the next verb to raise
        self.gated: set[str] = set()  # agents that have the hook
        self.lines: list[str] = []  # what no cell has shown yet
        self.requests: list[tuple[Step, int]] = []  # model calls, and how many messages each had
        limit = [ask_at_limit(self, self.budget)] if self.budget else []
        self._hooks = compose(self.gate.hook, *limit, super().hook)

    @property
    def over(self) -> bool:
        return self.task is None or self.task.done()

    def connect(self, clock: Clock, source: str = "") -> Hub:
        """Return the hub for the team; `source` says where its replies come from."""
        self.join(Hub(clock, self.lines.append, self.line))
        self.hub.log.subscribers.append(self._heard)
        self.source = source
        if self.keeper:
            self.keeper.cancel()
        # In a context of its own, since it only looks on: the team's clock need not wait for it.
        self.keeper = asyncio.create_task(keep(self.gate, clock), context=Context())
        return self.hub

    async def _work(self, work: Callable[["Run"], Awaitable[Any]]) -> Any:
        try:
            return await work(self)
        finally:
            if self.keeper:
                self.keeper.cancel()
                await asyncio.wait([self.keeper])

    def _heard(self, event: Event) -> None:
        """Close the gate at the very event that a person waits for."""
        try:
            if event.kind == "agent_started":  # a name may be used again
                self.gate.ended.pop(event.agent, None)
            if is_reply(event) and event.agent not in self.gated and self.task:
                self.task.cancel()
                raise RuntimeError(f"{event.agent} has no gate, so all was stopped: hook=run.hook")
            if self.goal and self.goal(event):
                self.pause()
        except Exception as error:
            self.problem = error
            self.pause()
        self.news.set()

    async def hook(self, step: Step, go: Go) -> Any:
        """Hold a call until it may begin. EndAgent: its agent was killed, or has finished."""
        if step.hub is not self.hub:
            raise ProgramError("the team needs the hub of this run: hub = run.connect(clock)")
        self.gated.add(step.agent)
        if step.kind == "model_call":
            self.requests.append((step, len(step.detail["messages"])))
        self.news.set()
        return await self._hooks(step, go)

    def pause(self) -> None:
        """Hold each call from now on; what has begun goes on to its end."""
        self.goal = None
        self.gate.close()
        self.news.set()

    def resume(self, until: Condition | None = None) -> None:
        """Let the team go on in the background, to its end or to such an event."""
        self.goal = until
        self.gate.open()

    async def start(self, work: Callable[["Run"], Awaitable[Any]]) -> None:
        """Start work(run) and hold it before its first call; what ran before is stopped."""
        await self.stop()
        self._clear()
        self.task = asyncio.create_task(self._work(work))
        self.task.add_done_callback(lambda task: task.cancelled() or task.exception())
        self.task.add_done_callback(lambda _: self.news.set())
        await self._follow(lambda: bool(self.gate.held))

    async def until(self, condition: Condition) -> None:
        """Go on until such an event has happened, the team asks or it is over; print the way."""
        if not any(condition(event) for event in self.hub.log.events):
            await self._go(condition, lambda: not self.gate.opened.is_set())

    async def step(self) -> None:
        """Go on to the next reply of any agent; what it wants to do is held at the gate."""
        await self._go(is_reply, lambda: not self.gate.opened.is_set())

    async def result(self) -> Any:
        """Go on to the end; return what the work has returned. RuntimeError: it asks you first."""
        await self._go(None, lambda: False)
        if self.task is None or self.task.cancelled():
            raise RuntimeError("nothing runs: it was stopped, or never started")
        if not self.task.done():
            raise RuntimeError(f"the team asks you first: {self.questions[0].text}")
        return self.task.result()

    async def _go(self, goal: Condition | None, arrived: Callable[[], bool]) -> None:
        if self.questions:
            raise RuntimeError(f"the team asks you first: {self.questions[0].text}")
        self.resume(goal)
        await self._follow(arrived)

    async def _follow(self, arrived: Callable[[], bool]) -> None:
        """Print the way until then, a question or the end, and leave the team at rest."""
        try:
            while not (arrived() or self.questions or self.over):
                self.show()
                self.news.clear()
                await self.news.wait()
            self.pause()
            await self.rest()
        finally:  # the stop button as well
            self.pause()
            self.show()

    async def rest(self) -> None:
        """Wait until nothing of a held team moves. What has ended the run is raised."""
        if not self.gate.opened.is_set():
            await self.hub.clock.rest(self._calls_over)
        problem, self.problem = self.problem, None
        if problem:
            raise problem
        if self.task and self.task.done() and not self.task.cancelled():
            self.task.result()

    async def _calls_over(self) -> None:
        calls = self.gate.running.values()
        while any(step.kind == "model_call" for step in calls) and not self.questions:
            self.news.clear()
            await self.news.wait()

    def show(self) -> None:
        """Print the lines that no cell has shown yet: what a background task prints is lost."""
        lines, self.lines[:] = self.lines[:], []
        if lines:
            print("\n".join(lines))

    async def kill(self, agent: str) -> str:
        """End an agent now, whatever it does; who started it is told. Return its final status."""
        if agent not in self.hub.boxes:
            raise ValueError(f"nobody is called {agent!r}; there are {', '.join(self.hub.boxes)}")
        self.gate.end(agent, KILLED)
        with suppress(TimeoutError):  # a tool may refuse to stop: then it ends at its next call
            async with asyncio.timeout(2.0):
                while self.hub.alive(agent) and not self.over:
                    self.news.clear()
                    await self.news.wait()
        await self.rest()
        return self.hub.boxes[agent].status

    async def stop(self) -> None:
        """End the whole team; no task of it is left."""
        if self.task and not self.task.done():
            self.task.cancel()
            await asyncio.wait([self.task])


def is_reply(event: Event) -> bool:
    return event.kind == "model_reply"


async def keep(gate: Gate, clock: Clock) -> None:
    """Beside a team: hold its clock while the gate is closed, and let the stop button close it.

    That button ends the cell that runs, if any does; the team is in the background of all cells.
    """
    while True:
        async with clock.outside("a person, who has paused the team"):
            await gate.opened.wait()
        while gate.opened.is_set():
            before = signal.getsignal(signal.SIGINT)
            if not isinstance(before, StopButton):
                with suppress(ValueError):  # outside of the main thread there is no such button
                    signal.signal(signal.SIGINT, StopButton(before))
            with suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await gate.closed.wait()


class StopButton:
    """Handles SIGINT as before, and closes all open gates of this process."""

    def __init__(self, before: Any) -> None:
        self.before, self.loop = before, asyncio.get_running_loop()

    def __call__(self, number: int, frame: Any) -> None:
        for gate in list(OPEN):
            self.loop.call_soon_threadsafe(gate.close)
        if callable(self.before):
            self.before(number, frame)

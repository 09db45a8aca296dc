"""A clock that is not real, and when a run can do nothing more by itself: what serial steps need.

A step hands over a reply or fires a timer, once the event loop is idle and no task of the run waits
for something real. Seen are `asyncio.sleep`, and threads of `asyncio.to_thread`. Not seen are
sockets, other processes, other threads and what a button will set: they have to be declared, by
`async with clock.outside("what for"):`, and time stands still inside.
"""

import asyncio
import itertools
from bisect import insort
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import Context, ContextVar
from typing import Any

from ..hub import Clock
from ..team import heartbeat
from ..tools import ProgramError

GRACE = 5.0  # real seconds that a run is given which can't go on
TURNS = 10_000  # turns of the loop, and
ROUNDS = 20  # waits in these seconds: a slow machine has fewer
REMEDY = (
    "A tool, a hook or an approve that waits for a person, a thread, a server or real time does so "
    'inside `async with clock.outside("what for"):`, with the clock of its session. '
    "A task that only looks on is created with `context=contextvars.Context()`."
)
MARKS: ContextVar[tuple[object, ...]] = ContextVar("MARKS", default=())
Answers = Callable[[str, Any, Callable[[], Awaitable[Any]]], Awaitable[Any]]
DRIVER = object()  # the mark of tasks that take the steps


@contextmanager
def marked(mark: object) -> Iterator[None]:
    """Mark the code in here and the tasks that it starts: as part of a run, as behind a door."""
    before = MARKS.get()
    MARKS.set((*before, mark))
    try:
        yield
    finally:
        MARKS.set(before)


class VirtualClock(Clock):
    """A clock that stands still until its session fires the next timer, and is closed after it."""

    def __init__(self) -> None:
        self._now = 0.0
        self._timers: list[tuple[float, int, Callable[[], Any]]] = []
        self._numbers = itertools.count()
        self._closed = False
        self._held: dict[asyncio.Future[Any], tuple[object, ...]] = {}
        self._doors: dict[object, str] = {}
        self.failure: Exception | None = None  # the outcome of the session, if there is one
        self.answers: Answers | None = None  # who has the answers from outside, or writes them down
        self.changed = asyncio.Event()
        self.changes = 0

    @property
    def waits_for(self) -> list[str]:
        """What is waited for outside of the run: meanwhile nothing fires and nothing is stuck.

        A door does not count while code behind it waits for this very clock or its session.
        """
        asleep = set(itertools.chain(*self._held.values())) if self._doors else ()
        return [what for door, what in self._doors.items() if door not in asleep]

    def time(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        done = asyncio.get_running_loop().create_future()
        with self._timer(seconds, lambda: done.set_result(None)):
            await self.hold(done)

    @asynccontextmanager
    async def timeout(self, seconds: float) -> AsyncIterator[None]:
        expire_now = 0.0  # a moment of the loop's own clock that lies in the past
        async with asyncio.timeout(None) as scope:
            with self._timer(seconds, lambda: scope.reschedule(expire_now)):
                yield

    @asynccontextmanager
    async def outside(self, what: str) -> AsyncIterator[None]:
        door = object()
        self._doors[door] = what
        self.stir()
        try:
            with marked(door):
                yield
        finally:
            del self._doors[door]
            self.stir()

    async def ask(self, whom: str, what: Any, go: Callable[[], Awaitable[Any]]) -> Any:
        return await (self.answers or super().ask)(whom, what, go)

    async def rest(self, calls_over: Callable[[], Awaitable[None]]) -> None:
        """Wait until nothing moves; calls in flight get no reply as long as somebody is outside."""
        await asyncio.create_task(still(self), context=Context())

    def stir(self) -> None:
        """Tell the session that something has changed: a sign of life."""
        self.changes += 1
        self.changed.set()

    async def hold(self, future: asyncio.Future[Any]) -> Any:
        """Await what the session will give; the end of the session cancels it."""
        self._held[future] = MARKS.get()
        try:
            return await future
        finally:
            del self._held[future]

    def close(self, failure: Exception | None = None) -> None:
        """End the session, for this reason: cancel who still waits, and refuse later timers."""
        self._closed, self.failure = True, self.failure or failure
        for future in self._held:
            future.cancel()
        self.stir()

    def next(self) -> float | None:
        """Return when the next timer is due, or None."""
        return self._timers[0][0] if self._timers else None

    def advance(self, seconds: float) -> None:
        """Move on to this many seconds, at which no timer is overdue."""
        self._now = max(self._now, seconds)

    def fire(self) -> None:
        """Advance to the next timer and fire it."""
        self._now, _, callback = self._timers.pop(0)
        callback()

    @contextmanager
    def _timer(self, seconds: float, callback: Callable[[], Any]) -> Iterator[None]:
        if self._closed:
            raise RuntimeError("the session of this clock is over: use that of the one that runs")
        timer = (self._now + max(0.0, seconds), next(self._numbers), callback)
        insort(self._timers, timer)
        self.stir()
        try:
            yield
        finally:
            if timer in self._timers:
                self._timers.remove(timer)


def whereabouts(task: Any) -> str:
    """Return whose task it is and where it is: "helper1 in call_tool → look_up → sleep"."""
    if not isinstance(task, asyncio.Task):
        return "a callback"
    coroutine: Any = task.get_coro()
    names: list[str] = []
    while hasattr(coroutine, "cr_code"):
        names.append(coroutine.cr_code.co_name)
        coroutine = coroutine.cr_await
    return f"{task.get_name()} in {' → '.join(names[-3:])}"


def real_waits(clock: Clock) -> dict[asyncio.Future[Any], str]:
    """Return what tasks of this clock's run wait for in real time or in threads, and who does."""
    loop: Any = asyncio.get_running_loop()
    timers = [timer for timer in getattr(loop, "_scheduled", ()) if not timer.cancelled()]
    futures = [t._args[0] for t in timers if "_set_result" in getattr(t._callback, "__name__", "")]
    threads = getattr(loop, "_default_executor", None)
    if threads and threads._idle_semaphore._value < len(threads._threads):
        waiters = [getattr(task, "_fut_waiter", None) for task in asyncio.all_tasks()]
        futures += [waiter for waiter in waiters if "_chain_future" in repr(waiter)]
    found = {}
    for future in futures:
        for callback, context in future._callbacks or ():
            task: Any = getattr(callback, "__self__", None)
            ours = isinstance(task, asyncio.Task) and clock in context.get(MARKS, ())
            if ours and task.get_coro().__name__ != heartbeat.__name__:
                found[future] = whereabouts(task)
    return found


async def still(clock: VirtualClock) -> None:
    """Wait until nothing can run but drivers, and nobody waits for something real without a door.

    ProgramError: for GRACE real seconds it was not so, and the run gave no sign of life.
    """
    loop: Any = asyncio.get_running_loop()
    began, changes, turns = loop.time(), clock.changes, 0
    MARKS.set((DRIVER,))
    while True:
        await asyncio.sleep(0)
        ready = [h for h in getattr(loop, "_ready", ()) if DRIVER not in h._context.get(MARKS, ())]
        unknown = not hasattr(loop, "_ready") and turns < 100  # a loop of another make
        real: dict[asyncio.Future[Any], str] = {}
        ended: object = True
        if not ready and not unknown:
            real = {} if clock.waits_for or clock.failure else real_waits(clock)
            if not real:
                return
            ended, _ = await asyncio.wait(real, timeout=GRACE, return_when="FIRST_COMPLETED")
        turns += TURNS // ROUNDS if real else 1
        if changes != clock.changes:
            began, changes, turns = loop.time(), clock.changes, 0
        elif not ended or (turns > TURNS and loop.time() - began > GRACE):
            owner = getattr(ready[0]._callback, "__self__", None) if ready else None
            who = ", ".join(real.values()) or whereabouts(owner)
            raise ProgramError(f"{who} waits for something real, or polls. {REMEDY}")


async def run_clock(clock: VirtualClock) -> None:
    """Fire the timers of a virtual clock, one each time its run is still, until cancelled."""
    while True:
        clock.changed.clear()
        if clock.next() is None or clock.waits_for:
            await clock.changed.wait()
            continue
        await still(clock)
        if clock.next() is not None and not clock.waits_for:
            clock.fire()

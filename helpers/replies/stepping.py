"""A clock that is not real and a look into the event loop: what serial steps of a replay need."""

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from ..hub import Clock


class VirtualClock(Clock):
    """A clock that stands still until its session fires the next timer, and is closed after it."""

    def __init__(self) -> None:
        self._now = 0.0
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._closed = False
        self._sleepers: set[asyncio.Future[None]] = set()
        self.waits_for: list[str] = []  # what the run waits for outside of it: time stands still
        self.changed = asyncio.Event()

    def time(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        done = asyncio.get_running_loop().create_future()
        timer = self._add(seconds, lambda: done.set_result(None))
        self._sleepers.add(done)
        try:
            await done
        finally:
            self._sleepers.discard(done)
            self._remove(timer)

    @asynccontextmanager
    async def timeout(self, seconds: float) -> AsyncIterator[None]:
        async with asyncio.timeout(None) as scope:
            expire_now = 0.0  # a moment of the loop's own clock that lies in the past
            timer = self._add(seconds, lambda: scope.reschedule(expire_now))
            try:
                yield
            finally:
                self._remove(timer)

    @asynccontextmanager
    async def outside(self, what: str) -> AsyncIterator[None]:
        self.waits_for.append(what)
        self.changed.set()
        try:
            yield
        finally:
            self.waits_for.remove(what)
            self.changed.set()

    def close(self) -> None:
        """Cancel who still sleeps, and refuse later sleeps: nobody would ever wake them."""
        self._closed = True
        for sleeper in self._sleepers:
            sleeper.cancel()

    def next(self) -> float | None:
        """Return when the next timer is due, or None."""
        return self._timers[0][0] if self._timers else None

    def fire(self) -> None:
        """Advance to the next timer and fire it."""
        self._now, _, callback = heapq.heappop(self._timers)
        callback()

    def _add(self, seconds: float, callback: Callable[[], Any]) -> tuple[float, int, Any]:
        if self._closed:
            raise RuntimeError(
                "the session of this clock is over: use the clock of the one that runs"
            )
        timer = (self._now + max(0.0, seconds), next(self._numbers), callback)
        heapq.heappush(self._timers, timer)
        self.changed.set()
        return timer

    def _remove(self, timer: tuple[float, int, Any]) -> None:
        if timer in self._timers:
            self._timers.remove(timer)
            heapq.heapify(self._timers)


class IdleProbe:
    """Tells when a loop has nothing left to run but other probes."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._turns = 0

    async def idle(self) -> None:
        self._turns = 0
        self._done = self._loop.create_future()
        self._loop.call_soon(self._look)
        await self._done

    def _look(self) -> None:
        self._turns += 1
        ready = getattr(self._loop, "_ready", None)
        if ready is None:  # a loop of another make: let it take 100 turns
            quiet = self._turns > 100
        else:
            quiet = all(isinstance(_owner(handle), IdleProbe) for handle in ready)
        if quiet and not self._done.done():
            self._done.set_result(None)
        elif not self._done.done():
            self._loop.call_soon(self._look)


def _owner(handle: asyncio.Handle) -> object:
    return getattr(getattr(handle, "_callback", None), "__self__", None)


async def run_clock(clock: VirtualClock) -> None:
    """Fire the timers of a virtual clock, one each time the loop is idle, until cancelled."""
    probe = IdleProbe()
    while True:
        await probe.idle()
        if clock.next() is not None and not clock.waits_for:
            clock.fire()
        else:
            clock.changed.clear()
            await clock.changed.wait()

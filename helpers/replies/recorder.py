"""Records a run in the serial steps of a replay, and goes on with a recording that was cut off.

Requests go out at once, side by side. A reply that has come in is handed over only when the loop is
idle, and a timer fires only then: so the file holds a run that a replay can repeat. Each step is
written to NAME.part before anybody acts on it.
"""

import asyncio
import json
import time
from contextlib import suppress
from contextvars import Context, ContextVar
from functools import partial
from typing import Any

import anthropic
import httpx2

from ..hooks import Hook
from ..hooks import Step as ToolStep
from ..hub import Clock
from ..tools import ProgramError
from .journal import Journal
from .outside import Go
from .recording import Answered, ClockStep, Exchange, Step
from .replay import Replay
from .scrubbing import Scrub
from .stepping import DRIVER, MARKS, REMEDY, marked, whereabouts
from .talks import Conversation

PASSED_ON = ("anthropic-beta",)  # headers of a request that the API needs; the rest is the SDK's
INSIDE: ContextVar[list[str]] = ContextVar("INSIDE")  # doors that were opened inside of a door
WHOLE = object()  # the mark of code whose result is recorded as one step, whatever it asks
STREAMS = ("/asyncio/streams.py", "/asyncio/subprocess.py", "/asyncio/base_events.py", "/anyio/")


def in_words(block: dict[str, Any]) -> dict[str, Any]:
    """Return a block of a reply in the words of a file; one of another kind as the API gave it."""
    if block["type"] == "text" and not block.get("citations"):
        return {"text": block["text"]}
    if block["type"] == "tool_use" and block["name"] != "text":
        return {block["name"]: block["input"]}
    return block


def as_json(value: Any, whom: str) -> Any:
    """Return a value as a file gives it back. ProgramError: JSON does not have it."""
    try:
        return json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
    except TypeError as error:
        raise ProgramError(f"the answer of {whom} can't be recorded: {error}") from None


def waits_for_a_stream(task: asyncio.Task[Any]) -> bool:
    """Return whether an agent waits for a socket or a process, by the code that its task is in."""
    coroutine: Any = task.get_coro()
    of_an_agent: bool = False
    while hasattr(coroutine, "cr_code"):
        file = coroutine.cr_code.co_filename.replace("\\", "/")
        of_an_agent = of_an_agent or file.endswith("/agent.py")
        if any(part in file for part in STREAMS):
            return of_an_agent
        coroutine = coroutine.cr_await
    return False


class Recorder(Replay):
    """Answers from NAME.part as far as it goes, then from another client, and writes that down.

    `virtual`: no time passes in the inner session, so timers fire when no call is under way.
    """

    def __init__(
        self, journal: Journal, inner: anthropic.AsyncAnthropic, virtual: bool, scrub: Scrub
    ) -> None:
        super().__init__(journal.recording, 0.0, scrub)
        self._journal, self._inner, self._virtual = journal, inner, virtual
        self._arrived: list[Step] = []
        self._fetching: dict[int, asyncio.Task[None]] = {}
        self._spent, self._seen, self._away = 0.0, time.monotonic(), False
        self.models: set[str] = set()

    def _arrive(self, text: str, request: httpx2.Request) -> Conversation:
        talk = super()._arrive(text, request)
        if not self._is_recorded(talk.exchange):
            context = Context()
            context.run(MARKS.set, (DRIVER,))
            fetch = self._fetch(talk.exchange, text, request)
            task = asyncio.get_running_loop().create_task(fetch, context=context)
            self._fetching[id(talk.exchange)] = task
        return talk

    def _new_name(self, name: str) -> str:
        number = 1 + sum(talk.speaker == name for talk in self._talks)
        return name if number == 1 else f"{name}.{number}"

    def _writes(self, exchange: Exchange | None) -> bool:
        return exchange is None

    def _is_recorded(self, step: Step) -> bool:
        return any(step is other for other in self._todo)

    async def _fetch(self, exchange: Exchange, text: str, request: httpx2.Request) -> None:
        """Ask the inner client; the SDK's own retries happen here and leave no trace."""
        body = {key: value for key, value in json.loads(text).items() if key != "stream"}
        options: Any = {"headers": {k: v for k, v in request.headers.items() if k in PASSED_ON}}
        if limits := request.extensions.get("timeout"):
            options["timeout"] = httpx2.Timeout(**limits)
        path = request.url.raw_path.decode()
        try:
            raw = await self._inner.post(path, body=body, cast_to=httpx2.Response, options=options)
            self._take(exchange, self.scrub(as_json(raw.json(), "the API")))
        except (anthropic.AuthenticationError, anthropic.NotFoundError) as error:
            self.clock.close(error)  # a wrong key or model is for the person
        except anthropic.APIStatusError as error:
            exchange.failed = {"status": error.status_code, "body": self.scrub(error.body)}
        except anthropic.APIConnectionError as error:
            exchange.failed = {"status": 0, "body": self.scrub(str(error))}
        except Exception as error:
            self.clock.close(error)
        del self._fetching[id(exchange)]
        self._come_in(exchange)

    def _take(self, exchange: Exchange, message: Any) -> None:
        try:
            exchange.reply = [in_words(block) for block in message["content"]]
            exchange.stop_reason = message["stop_reason"]
            exchange.usage = {k: v for k, v in message["usage"].items() if type(v) is int}
            self.models.add(str(message["model"]))
        except (TypeError, KeyError, AttributeError):  # no message: the run gets it as it is
            exchange.reply, exchange.failed = None, {"status": 200, "body": message}

    def _come_in(self, step: Step) -> None:
        self._arrived.append(step)
        self.clock.stir()

    async def hear(self, whom: str, what: Any, go: Go) -> Any:
        """Ask somebody outside, and write the answer down; return it as the file will give it."""
        asked = self.scrub(what)
        recorded = [step for step in self._todo if isinstance(step, Answered)]
        if any((step.outside, step.asked) == (whom, asked) for step in recorded):
            return await super().hear(whom, what, go)
        if WHOLE in MARKS.get():
            async with self.clock.outside(whom):
                return await go()
        INSIDE.get([]).append(whom)
        step, inside = Answered(whom, asked), list[str]()
        before = INSIDE.set(inside)
        try:
            async with self.clock.outside(whom):
                answer = await go()
        except asyncio.CancelledError:
            step.ended = "cancelled"
            self._write(step)
            raise
        finally:
            INSIDE.reset(before)
        if inside:
            step.ended = "inner"
        else:
            step.answer = self.scrub(as_json(answer, whom))
        self._come_in(step)
        return await self.outside.hold(step, partial(asyncio.sleep, 0, answer))

    def _next(self) -> Step | None:
        if self._todo:
            self._seen = time.monotonic()
            return super()._next()
        self._let_time_pass()
        if self.clock.waits_for:
            return None
        due = self.clock.next()
        if due is not None:
            busy = self._fetching or self._arrived
            if (not busy) if self._virtual else due <= self._spent:
                return ClockStep(due)
        return self._arrived[0] if self._arrived else None

    def _let_time_pass(self) -> None:
        """Add up real seconds, but for those in which somebody is outside."""
        now = time.monotonic()
        self._spent += 0.0 if self._away else now - self._seen
        self._seen, self._away = now, bool(self.clock.waits_for)

    def _play(self, step: Step) -> None:
        if not self._is_recorded(step):
            self._name_undeclared()
            self._arrived = [other for other in self._arrived if other is not step]
            if isinstance(step, Exchange) and not self._virtual:
                due = self.clock.next()
                now = self._spent if due is None else min(self._spent, due)
                step.at = int(now * 1000) / 1000  # rounded down: no timer is overdue then
            self._journal.add(step)  # before anybody can act on it
        super()._play(step)
        if not self._todo:
            self._spent = max(self._spent, self.clock.time())

    def _name_undeclared(self) -> None:
        """ProgramError: a task of the run waits for a server or a process, and no door says so."""
        for task in asyncio.all_tasks():
            waiter: Any = getattr(task, "_fut_waiter", None)
            marks = [
                context.get(MARKS, ()) for _, context in getattr(waiter, "_callbacks", None) or ()
            ]
            if any(self.clock in mark for mark in marks) and waits_for_a_stream(task):
                who = whereabouts(task)
                raise ProgramError(f"{who} waits for a server or a process. {REMEDY}")

    def _cancel(self, talk: Conversation) -> None:
        exchange = talk.exchange
        known = self._is_recorded(exchange)
        super()._cancel(talk)
        if known or self.clock.failure:
            return
        if task := self._fetching.pop(id(exchange), None):
            task.cancel()
        self._arrived = [other for other in self._arrived if other is not exchange]
        self._write(Exchange(*exchange.key, sent=exchange.sent))

    def _write(self, step: Step) -> None:
        self.played.append(step)
        self._journal.add(step)

    def _owes(self) -> bool:
        return bool(self._arrived) or super()._owes()

    async def _change(self) -> None:
        due = self.clock.next()
        if self._todo or not (self._fetching or due is not None):
            await super()._change()
            return
        idle = due is None or self._virtual or self.clock.waits_for
        wait = None if idle or due is None else max(0.0, due - self._spent)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self.clock.changed.wait()

    async def stop(self) -> None:
        """Cancel the calls that are still under way."""
        tasks = list(self._fetching.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def durable(clock: Clock) -> Hook:
    """Return a hook by which a tool that acts runs once: its result is one step of the recording.

    A run that goes on after a crash, and a replay, take that result and do not act again.
    """

    async def hook(step: ToolStep, go: Go) -> Any:
        async def act() -> Any:
            with marked(WHOLE):
                return await go()

        if not step.detail.get("acts"):
            return await go()
        return await clock.ask(step.name, step.detail["input"], act)

    return hook

"""The message hub: mailboxes, statuses and the event log of one run. Notebook 01 builds it."""

import asyncio
import re
import time
import warnings
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from .trace import describe, one_line, quoted, trace_line

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
RESERVED = ("hub", "human")


@dataclass(frozen=True)
class Message:
    """What one agent tells another: Message("lead", "helper1", "Please start.")."""

    sender: str
    recipient: str
    content: str


@dataclass(frozen=True)
class Event:
    """One entry of a run's log: Event(7, 0.0, "message_sent", "lead", {"message": …})."""

    step: int
    time: float  # on the run's clock
    kind: str
    agent: str
    data: dict[str, Any]
    wall: float = field(default=0.0, compare=False)  # seconds since 1970


Show = Callable[[str], None]
Line = Callable[[Event], str | None]


class Clock:
    """Real time, from 0 at its first use. A recording brings a virtual clock with these methods."""

    started: float | None = None

    def time(self) -> float:
        now = asyncio.get_running_loop().time()
        self.started = now if self.started is None else self.started
        return now - self.started

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def timeout(self, seconds: float) -> AbstractAsyncContextManager[Any]:
        return asyncio.timeout(seconds)

    def outside(self, what: str) -> AbstractAsyncContextManager[Any]:
        """Wait in here for a person or a server: meanwhile a virtual clock stands still."""
        return nullcontext()

    async def ask(self, whom: str, what: Any, go: Callable[[], Awaitable[Any]]) -> Any:
        """Return what a person or a server answers, in JSON's types: a recording keeps it."""
        async with self.outside(whom):
            return await go()

    async def rest(self, calls_over: Callable[[], Awaitable[None]]) -> None:
        """Wait until a team that is held moves no more: here until its model calls are over."""
        await calls_over()


@dataclass
class Mailbox:
    """What the hub keeps for one agent: who started it, its status and its mail (notebook 01)."""

    starter: str | None = None
    status: str = "active"  # or "idling" while it waits; in the end one final status
    inbox: list[Message] = field(default_factory=list)
    unconfirmed: list[Message] = field(default_factory=list)  # taken, not yet answered by a model
    bell: asyncio.Event = field(default_factory=asyncio.Event)
    text: str = ""  # what the agent said last

    @property
    def alive(self) -> bool:
        return self.status in ("active", "idling")

    def wake(self) -> None:
        """Ring the bell; who was idling is active again, and who has ended stays so."""
        self.bell.set()
        self.status = "active" if self.alive else self.status


class Log:
    """The events of one run, in order, each told to the subscribers (notebook 01)."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.events: list[Event] = []
        self.subscribers: list[Callable[[Event], None]] = []

    def record(self, kind: str, agent: str, **data: Any) -> None:
        """Add an event. A subscriber that fails hears no more: it can't change what happened."""
        event = Event(len(self.events), self.clock.time(), kind, agent, data, time.time())
        self.events.append(event)
        for subscriber in self.subscribers[:]:
            try:
                subscriber(event)
            except Exception as error:
                self.subscribers.remove(subscriber)
                warnings.warn(f"no more is shown of this run: {describe(error)}", stacklevel=2)


def show_line(show: Show, line: Line, event: Event) -> None:
    """Show an event as a line, if people have to read of it."""
    if text := line(event):
        show(text)


def refusal(boxes: dict[str, Mailbox], message: Message) -> str | None:
    """Return why a message can't be delivered, or None (notebook 01)."""
    sender, recipient = boxes.get(message.sender), boxes.get(message.recipient)
    if message.sender == message.recipient:
        return "that is the sender itself"
    if sender and not sender.alive:
        return f"the sender has ended ({sender.status})"
    if recipient is None:
        alive = [name for name, box in boxes.items() if box.alive]
        more = f" and {len(alive) - 20} more" if len(alive) > 20 else ""
        return f"unknown name; alive are {', '.join(alive[:20])}{more}"
    return None if recipient.alive else f"has ended ({recipient.status})"


class Hub:
    """Mailboxes, dead letters and the log of one run (notebook 01)."""

    def __init__(
        self,
        clock: Clock | None = None,
        show: Show | None = print,
        line: Line = trace_line,
    ):
        self.clock = clock or Clock()
        self.log = Log(self.clock)
        if show:
            self.log.subscribers.append(partial(show_line, show, line))
        self.boxes: dict[str, Mailbox] = {}
        self.living: dict[str, Mailbox] = {}
        self.dead_letters: list[tuple[Message, str]] = []
        self._numbers: Counter[str] = Counter()

    def register(self, name: str, starter: str | None = None) -> None:
        """Open a mailbox. ValueError: the name is malformed, reserved or in use."""
        if not NAME.fullmatch(name) or name.lower() in RESERVED or self.alive(name):
            raise ValueError(f"{name!r} can't name an agent: malformed, reserved or in use")
        self.boxes[name] = self.living[name] = Mailbox(starter)
        self.log.record("agent_started", name, starter=starter)

    def new_name(self, prefix: str = "helper") -> str:
        """Return a name that was never used: helper1, helper2, …"""
        while True:
            self._numbers[prefix] += 1
            if (name := f"{prefix}{self._numbers[prefix]}") not in self.boxes:
                return name

    def alive(self, name: str) -> bool:
        return name in self.boxes and self.boxes[name].alive

    def post(self, sender: str, recipients: Iterable[str], content: str) -> dict[str, str]:
        """Deliver to each living recipient; return "delivered" or the reason for each name."""
        if isinstance(recipients, str):
            raise TypeError(f"recipients must be a list of names, not the text {recipients!r}")
        return {r: self.deliver(Message(sender, r, content)) for r in dict.fromkeys(recipients)}

    def deliver(self, message: Message) -> str:
        problem = refusal(self.boxes, message)
        if problem:
            self.bury(message, problem)
            return problem
        box = self.boxes[message.recipient]
        box.inbox.append(message)
        box.wake()
        self.log.record("message_sent", message.sender, message=message)
        return "delivered"

    def notify(self, name: str | None, text: str) -> None:
        """Tell an agent, if it is alive, in the name of the hub."""
        if name and self.alive(name):
            self.deliver(Message("hub", name, text))

    def bury(self, message: Message, reason: str) -> None:
        """Keep a message that nobody will read, with the reason."""
        self.dead_letters.append((message, reason))
        self.log.record("message_dead", message.recipient, message=message, reason=reason)

    def drain(self, name: str) -> list[Message]:
        """Empty the inbox; its mail stays `unconfirmed` until the model has answered."""
        box = self.boxes[name]
        mail, box.inbox = box.inbox, []
        box.unconfirmed += mail
        for message in mail:
            self.log.record("message_received", name, message=message)
        return mail


async def wait_for_mail(hub: Hub, name: str, seconds: float = 60.0) -> str:
    """Return why the wait ended: mail came, the deadline, or nobody is left to send any."""
    box, in_time = hub.boxes[name], True
    if box.inbox:
        return "new messages"
    try:
        async with hub.clock.timeout(seconds):
            while box.alive and not box.inbox and any_at_work(hub, box):
                box.bell.clear()
                box.status = "idling"
                await box.bell.wait()
    except TimeoutError:
        in_time = False
    finally:
        box.status = "active" if box.alive else box.status
    if box.inbox or not in_time:
        return "new messages" if box.inbox else f"{seconds:g}s timeout"
    idle = [other for other in hub.living if other != name]  # nobody is at work
    return f"nobody can send; waiting: {', '.join(idle)}" if idle else "no other agent is alive"


def any_at_work(hub: Hub, but: Mailbox | None = None) -> bool:
    """Return whether an agent (another than this one) is neither waiting nor at its end."""
    return any(box.status == "active" for box in hub.living.values() if box is not but)


def end_agent(hub: Hub, name: str, status: str, reason: str = "") -> None:
    """End an agent that lives, and let the others know who wait for nobody now (notebook 02)."""
    close_box(hub, name, status, reason)
    wake_one(hub)


def close_box(hub: Hub, name: str, status: str, reason: str = "") -> None:
    """Set the one final status, bury unread mail and tell who has to know (notebook 02)."""
    box = hub.boxes[name]
    if not box.alive:
        return
    box.status = status
    hub.living.pop(name, None)
    hub.log.record("agent_ended", name, status=status, reason=reason)
    unread, box.unconfirmed, box.inbox = box.unconfirmed + box.inbox, [], []
    for message in unread:
        hub.bury(message, f"{name} ended ({status}) before reading it")
        if status != "dismissed":
            words = quoted(one_line(message.content))
            hub.notify(message.sender, f"{name} ended ({status}) before reading: {words}")
    if status not in ("killed", "dismissed"):
        parts = [f"{name} ended: {status}.", one_line(reason, 500)]
        parts += [f"Its last words: {quoted(box.text)}"] if box.text else []
        hub.notify(box.starter, " ".join(filter(None, parts)))


def wake_one(hub: Hub) -> None:
    """If nobody is left who could send, let the first of those who wait decide."""
    waiting = next(iter(hub.living.values()), None)
    if waiting and not any_at_work(hub):
        waiting.wake()

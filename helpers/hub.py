"""The message hub: mailboxes, statuses and the event log of one run. Notebook 01 builds it."""

import asyncio
import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any
from unicodedata import east_asian_width

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
    time: float
    kind: str
    agent: str
    data: dict[str, Any]


Show = Callable[[str], None]
Line = Callable[[Event], str | None]


class Clock:
    """Real time. A recording brings a virtual clock with the same four methods."""

    def time(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def timeout(self, seconds: float) -> AbstractAsyncContextManager[Any]:
        return asyncio.timeout(seconds)

    def outside(self, what: str) -> AbstractAsyncContextManager[Any]:
        """Wait in here for a person or a server: meanwhile a virtual clock stands still."""
        return nullcontext()


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
    """The events of one run, in order, each shown as it happens (notebook 01)."""

    def __init__(self, clock: Clock, show: Show | None, line: Line):
        self.clock, self.show, self.line = clock, show, line
        self.events: list[Event] = []

    def record(self, kind: str, agent: str, **data: Any) -> None:
        event = Event(len(self.events), self.clock.time(), kind, agent, data)
        self.events.append(event)
        if self.show and (line := self.line(event)):
            self.show(line)


def one_line(value: object, limit: int = 60) -> str:
    """Return text safe to print on one line: printable, cut to this many columns with "…"."""
    text = "".join(c if c.isprintable() else " " for c in str(value)[: limit + 1])
    ends = list(itertools.accumulate(1 + (east_asian_width(c) in "WF") for c in text))
    return text if not ends or ends[-1] <= limit else text[: sum(e < limit for e in ends)] + "…"


def describe(error: BaseException) -> str:
    """Return an error's type and text, also of one whose text can't be made."""
    try:
        return f"{type(error).__name__}: {error}".rstrip(": ")
    except Exception:
        return type(error).__name__


def call_line(tool: str, given: Any, result: object) -> str:
    """Return a tool call and its result in words; a message that was sent reads as one."""
    fields = given if isinstance(given, dict) else {"input": given}
    names, words, fate = fields.get("recipient_ids"), fields.get("content"), str(result)
    if tool == "send_message" and isinstance(names, list) and fate.startswith("delivered to "):
        _, _, missed = fate.partition("; ")
        words = f"{one_line(words, 30)} · {missed}" if missed else words
        return f"→ {', '.join(map(str, names))}: {words}"
    arguments = ", ".join(f"{name}={value!r}" for name, value in fields.items())
    return f"{one_line(tool, 30)}({one_line(arguments, 40)}) → {fate}"


def trace_line(event: Event) -> str | None:
    """Return the line of at most 95 columns that people read for this event, or None."""
    data, line = event.data, ""
    if event.kind == "tool_result":
        line = call_line(data["tool"], data["input"], data["text"])
    elif event.kind == "message_received":
        line = f"← {data['message'].sender}: {data['message'].content}"
    elif event.kind == "agent_ended" and data["status"] not in ("done", "killed", "dismissed"):
        line = f"ended: {data['status']} {data['reason']}".rstrip()
    return one_line(f"  [{event.agent}] {line}", 95) if line else None


def tool_summary(events: Iterable[Event]) -> str:
    """Return one line per agent that counts its tool calls (notebook 03)."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for event in events:
        if event.kind == "tool_call":
            counts[event.agent][one_line(event.data["tool"])] += 1
    return "\n".join(
        f"  {agent}: " + ", ".join(f"{n}×{tool}" for tool, n in counts[agent].most_common())
        for agent in sorted(counts)
    )


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
        self.log = Log(self.clock, show, line)
        self.boxes: dict[str, Mailbox] = {}
        self.living: dict[str, Mailbox] = {}
        self.dead_letters: list[tuple[Message, str]] = []
        self._numbers: dict[str, itertools.count[int]] = defaultdict(lambda: itertools.count(1))

    def register(self, name: str, starter: str | None = None) -> None:
        """Open a mailbox. ValueError: the name is malformed, reserved or in use."""
        if not NAME.fullmatch(name) or name in RESERVED or self.alive(name):
            raise ValueError(f"{name!r} can't name an agent: malformed, reserved or in use")
        self.boxes[name] = self.living[name] = Mailbox(starter)
        self.log.record("agent_started", name, starter=starter)

    def new_name(self, prefix: str = "helper") -> str:
        """Return a name that was never used: helper1, helper2, …"""
        names = (f"{prefix}{number}" for number in self._numbers[prefix])
        return next(name for name in names if name not in self.boxes)

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
    idle = [n for n, b in hub.living.items() if n != name and b.status == "idling"]
    return f"nobody can send; waiting: {', '.join(idle)}" if idle else "no other agent is alive"


def any_at_work(hub: Hub, but: Mailbox | None = None) -> bool:
    """Return whether an agent (another than this one) is neither waiting nor at its end."""
    return any(box.status == "active" for box in hub.living.values() if box is not but)


def end_agent(hub: Hub, name: str, status: str, reason: str = "") -> None:
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
        if hub.alive(message.sender) and status != "dismissed":
            notice = f"{name} ended ({status}) before reading: {one_line(message.content)}"
            hub.deliver(Message("hub", message.sender, notice))
    if box.starter and hub.alive(box.starter) and status not in ("killed", "dismissed"):
        parts = [f"{name} ended: {status}.", reason, box.text]
        hub.deliver(Message("hub", box.starter, " ".join(part for part in parts if part)))
    waiting = next(iter(hub.living.values()), None)
    if waiting and not any_at_work(hub):
        waiting.wake()  # nobody can send any more: let the first of them decide

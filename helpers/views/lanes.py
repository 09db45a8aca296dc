"""Reads a run's event log into lanes, calls and mail, and writes them as lines of text."""

import itertools
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..trace import one_line

LINES, COLUMNS, STRIP = 25, 95, 60  # the text form: at most so many; STRIP for the steps
KEY = "M model call  T tool call  w waiting  z sleeping  · between calls  ! end  × never read"
LETTERS = {"model": "M", "tool": "T", "wait": "w", "sleep": "z"}
KINDS = {"wait_for_message": "wait", "sleep": "sleep"}  # tools that get a look of their own


@dataclass
class Call:
    """A model or tool call from its first to its last step; `cut` when no result came."""

    kind: str  # model, tool, wait or sleep
    name: str
    start: int
    end: int
    cut: bool = False


@dataclass
class Mail:
    """A message: when it was sent, when received (None: never), and whether it died unread."""

    message: Any
    sent: int
    received: int | None = None
    dead: bool = False


@dataclass
class Lane:
    """The agents of one name, each from and to which step it lived, its status; their calls."""

    name: str
    lives: list[tuple[int, int, str]] = field(default_factory=list)
    groups: list[list[Call]] = field(default_factory=list)  # of calls that ran side by side
    open: dict[Any, Call] = field(default_factory=dict)  # by id; the model's has none

    @property
    def status(self) -> str:
        return ", ".join(status or "running" for _, _, status in self.lives)

    @property
    def end(self) -> str:
        return one_line(self.status, 20)

    @property
    def cut(self) -> str:
        kind = next((call.kind for group in self.groups for call in group if call.cut), "")
        return f"{kind if kind in KINDS.values() else 'call'} cut off" if kind else ""

    def read(self, event: Any) -> None:
        """Enter what an event says of the agent's calls and its end."""
        key, name = event.data.get("id"), str(event.data.get("tool", "model"))
        if event.kind in ("model_call", "tool_call"):
            self.groups += [] if self.open else [[]]
            kind = KINDS.get(name, event.kind.removesuffix("_call"))
            self.open[key] = Call(kind, name, event.step, event.step)
            self.groups[-1].append(self.open[key])
        elif event.kind in ("model_reply", "tool_result") and key in self.open:
            self.open.pop(key).end = event.step
        elif event.kind == "agent_ended" and not self.lives[-1][2]:
            self.close(event.step, str(event.data["status"]))

    def close(self, step: int, status: str = "") -> None:
        """End the agent, or (no status) show it up to the last step of a log that goes on."""
        for call in self.open.values():
            call.end, call.cut = step, status != ""
        self.open.clear()
        self.lives[-1] = (self.lives[-1][0], step, status)


def read_lanes(events: Sequence[Any]) -> tuple[Lane, ...]:
    """Return the lanes of a log, in the order in which agents started."""
    lanes: dict[str, Lane] = {}
    for event in events:
        if event.kind == "agent_started":
            lane = lanes.setdefault(event.agent, Lane(event.agent))
            lane.lives.append((event.step, event.step, ""))
        elif event.agent in lanes:
            lanes[event.agent].read(event)
    for lane in lanes.values():
        if not lane.lives[-1][2]:
            lane.close(events[-1].step)
    return tuple(lanes.values())


def read_mail(events: Iterable[Any]) -> tuple[Mail, ...]:
    """Return the messages of a log. Equal ones arrive, and die, in order."""
    mail: list[Mail] = []
    sent: dict[Any, deque[Mail]] = defaultdict(deque)  # not received; next, by recipient: not read
    received: dict[str, dict[Any, deque[Mail]]] = defaultdict(lambda: defaultdict(deque))
    for event in events:
        if event.kind == "model_reply":  # the recipient's model has answered: what it got is read
            received.pop(event.agent, None)
        if event.kind not in ("message_sent", "message_received", "message_dead"):
            continue
        message = event.data["message"]
        what = (message.sender, message.recipient, message.content)
        unread = received[message.recipient].get(what) or sent[what]
        if event.kind == "message_sent":
            mail.append(Mail(message, event.step))
            sent[what].append(mail[-1])
        elif event.kind == "message_received" and sent[what]:
            sent[what][0].received = event.step
            received[message.recipient][what].append(sent[what].popleft())
        elif event.kind == "message_dead" and unread:
            unread.popleft().dead = True
        elif event.kind == "message_dead":  # refused: it was never delivered
            mail.append(Mail(message, event.step, dead=True))
    return tuple(mail)


def ticks(events: Sequence[Any], steps: int) -> tuple[tuple[int, str], ...]:
    """Return a few (step, seconds since the first event), where time has gone on."""
    found = [(0, 0.0)]
    for event in events:
        time = event.time - events[0].time
        if time > found[-1][1] and event.step >= found[-1][0] + steps / 8:
            found.append((event.step, time))
    return tuple((step, f"{time:.1f}".removesuffix(".0")) for step, time in found[1:])


def strip(lane: Lane, steps: int) -> str:
    """Return a lane in letters; of the steps that share a column, the rarest kind is shown."""
    columns = min(steps, STRIP)
    cells = [" "] * columns
    spans = [(c.start, c.end, LETTERS[c.kind]) for group in lane.groups for c in group]
    for start, end, status in lane.lives:
        spans += [(start, end, "·"), (end, end, "!" if status else "·")]
    for start, end, letter in sorted(spans, key=lambda span: "·MTwz!".index(span[2])):
        for column in range(start * columns // steps, end * columns // steps + 1):
            cells[column] = letter
    return "".join(cells)


def ruler(steps: int) -> str:
    """Return step numbers, each above the column of its step."""
    columns, text = min(steps, STRIP), ""
    for step in range(0, steps, 10 * max(1, -(-steps // STRIP))):
        text = text.ljust(step * columns // steps) + str(step)
    return text


def mail_lines(mail: Iterable[Mail]) -> list[str]:
    """Return a line per message, whoever it went to: "  8  lead → helper1, helper2 ×"."""
    lines = []
    numbered = [(m.message.sender, m.message.content, m.sent - i, m) for i, m in enumerate(mail)]
    for (sender, *_), run in itertools.groupby(numbered, key=lambda each: each[:3]):
        group = [letter for *_, letter in run]  # sent step by step: sent - i is the same
        to = ", ".join(one_line(each.message.recipient, 20) + " ×" * each.dead for each in group)
        if len(group) > 3:
            dead = sum(each.dead for each in group)
            to = f"{len(group)} agents" + f", × {dead}" * bool(dead)
        lines.append(f"{group[0].sent:>5}  {one_line(sender, 20)} → {to}")
    return lines


def shorten(lines: list[str], limit: int, what: str) -> list[str]:
    """Return at most `limit` lines, the last one saying how many were left out."""
    more = len(lines) - limit + 1
    return [*lines[: limit - 1], f"… and {more} more {what}"] if more > 1 else lines


def text_form(head: list[str], lanes: Sequence[Lane], mail: Sequence[Mail], steps: int) -> str:
    """Return the text form: the head, what the letters mean, lanes under a ruler, messages."""
    names = [one_line(lane.name, 20) for lane in lanes]
    margin = max(map(len, [*names, "step"])) + 1
    head = [*head, KEY, "step".ljust(margin) + ruler(steps)]
    rows = []
    for name, lane in zip(names, lanes, strict=True):
        end = one_line(lane.status, 12) + (" (cut)" if lane.cut else "")
        rows.append(f"{name:<{margin}}{strip(lane, steps)} {end}")
    rows = shorten(rows, LINES - len(head) - 4, "agents")
    rows += shorten(mail_lines(mail), LINES - len(head) - len(rows), "messages")
    return "\n".join(one_line(line.rstrip(), COLUMNS) for line in head + rows)

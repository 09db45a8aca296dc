"""Reads a run's event log into lanes, calls and mail, and writes them as lines of text."""

import itertools
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

LINES, COLUMNS, STRIP = 25, 100, 60  # the text form: at most so many; STRIP for the steps
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
    row: int = 0  # calls that run side by side share the lane's height
    rows: int = 1


@dataclass
class Mail:
    """A message: when it was sent, when received (None: never), whether it was read or died."""

    sender: str
    recipient: str
    content: str
    sent: int
    received: int | None = None
    read: bool = False
    dead: bool = False


@dataclass
class Lane:
    """An agent: from and to which steps it lived (twice if its name was used again), its calls."""

    name: str
    lives: list[tuple[int, int]] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    open: dict[str, Call] = field(default_factory=dict)

    @property
    def status(self) -> str:
        running = ["running"] * (len(self.lives) - len(self.statuses))
        return ", ".join(self.statuses + running)

    @property
    def cut(self) -> str:
        kind = next((call.kind for call in self.calls if call.cut), None)
        return f"{kind if kind in KINDS.values() else 'call'} cut off" if kind else ""

    def begin(self, key: str, kind: str, name: str, step: int) -> None:
        taken = {call.row for call in self.open.values()}
        row = min(set(range(len(taken) + 1)) - taken)
        self.open[key] = call = Call(kind, name, step, step, row=row)
        self.calls.append(call)
        rows = max(row + 1, *(other.rows for other in self.open.values()))
        for other in self.open.values():
            other.rows = rows

    def finish(self, key: str, step: int) -> None:
        if call := self.open.pop(key, None):
            call.end = step

    def close(self, step: int, status: str | None = None) -> None:
        """End the agent, or (no status) show it up to the last step of a log that goes on."""
        for call in self.open.values():
            call.end, call.cut = step, status is not None
        self.open.clear()
        self.lives[-1] = (self.lives[-1][0], step)
        if status is not None:
            self.statuses.append(status)


def clean(value: object, limit: int) -> str:
    """Return printable text of at most `limit` columns (wide characters take two), cut with …"""
    text = "".join(c if c.isprintable() else " " for c in str(value))
    sizes = [1 + (unicodedata.east_asian_width(c) in "WF") for c in text]
    if sum(sizes) <= limit:
        return text
    return text[: sum(size < limit for size in itertools.accumulate(sizes))] + "…"


def read_agent(lanes: dict[str, Lane], event: Any) -> None:
    """Enter what an event says of an agent's own doings into its lane."""
    if event.kind == "agent_started":
        lanes.setdefault(event.agent, Lane(event.agent)).lives.append((event.step, event.step))
    lane, data, step = lanes.get(event.agent), event.data, event.step
    if lane is None:
        return
    if event.kind == "agent_ended" and len(lane.statuses) < len(lane.lives):
        lane.close(step, str(data["status"]))
    elif event.kind == "model_call":
        lane.begin("model", "model", "model", step)
    elif event.kind == "model_reply":
        lane.finish("model", step)
    elif event.kind == "tool_call":
        tool = str(data["tool"])
        lane.begin(f"tool {data['id']}", KINDS.get(tool, "tool"), tool, step)
    elif event.kind == "tool_result":
        lane.finish(f"tool {data['id']}", step)


def read_mail(mail: list[Mail], event: Any) -> None:
    """Enter what an event says of a message. Equal ones arrive, and die, in order."""
    if event.kind == "model_reply":  # the recipient's model has answered: what it got is read
        for letter in mail:
            letter.read |= letter.recipient == event.agent and letter.received is not None
    if event.kind not in ("message_sent", "message_received", "message_dead"):
        return
    message = event.data["message"]
    new = Mail(message.sender, message.recipient, message.content, event.step)
    what = (new.sender, new.recipient, new.content)
    same = [m for m in mail if (m.sender, m.recipient, m.content) == what and not m.dead]
    waiting = [letter for letter in same if letter.received is None]
    unread = [letter for letter in same if not letter.read]
    if event.kind == "message_sent":
        mail.append(new)
    elif event.kind == "message_received" and waiting:
        waiting[0].received = event.step
    elif event.kind == "message_dead" and unread:
        unread[0].dead = True
    elif event.kind == "message_dead":  # refused: it was never delivered
        new.dead = True
        mail.append(new)


def read(events: Iterable[Any]) -> tuple[tuple[Lane, ...], tuple[Mail, ...]]:
    """Return the lanes, in the order in which agents started, and the mail of a log."""
    lanes: dict[str, Lane] = {}
    mail: list[Mail] = []
    last = 0
    for event in events:
        read_agent(lanes, event)
        read_mail(mail, event)
        last = event.step
    for lane in lanes.values():
        if len(lane.statuses) < len(lane.lives):
            lane.close(last)
    return tuple(lanes.values()), tuple(mail)


def ticks(events: Sequence[Any], steps: int) -> tuple[tuple[int, str], ...]:
    """Return a few (step, seconds since the first event), where time went on."""
    found: list[tuple[int, str]] = []
    for before, event in itertools.pairwise(events):
        if event.time > before.time and (not found or event.step >= found[-1][0] + steps / 8):
            found.append((event.step, f"{event.time - events[0].time:.1f}".removesuffix(".0")))
    return tuple(found)


def strip(lane: Lane, steps: int) -> str:
    """Return a lane in letters; of the steps that share a column, the rarest kind is shown."""
    columns = min(steps, STRIP)
    cells = [" "] * columns
    spans = [(start, end, "·") for start, end in lane.lives]
    spans += [
        (c.start, c.end, LETTERS[c.kind]) for kind in LETTERS for c in lane.calls if c.kind == kind
    ]
    spans += [(end, end, "!") for (_, end), _ in zip(lane.lives, lane.statuses, strict=False)]
    for start, end, letter in spans:
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
    groups: list[list[Mail]] = []
    for letter in mail:
        last = groups[-1][-1] if groups else None
        same = last and (last.sender, last.content) == (letter.sender, letter.content)
        if last and same and letter.sent == last.sent + 1:
            groups[-1].append(letter)
        else:
            groups.append([letter])
    lines = []
    for group in groups:
        to = ", ".join(clean(each.recipient, 20) + " ×" * each.dead for each in group)
        if len(group) > 3:
            dead = sum(each.dead for each in group)
            to = f"{len(group)} agents" + f", × {dead}" * bool(dead)
        lines.append(f"{group[0].sent:>5}  {clean(group[0].sender, 20)} → {to}")
    return lines


def shorten(lines: list[str], limit: int, what: str) -> list[str]:
    """Return at most `limit` lines, the last one saying how many were left out."""
    if len(lines) <= limit:
        return lines
    return [*lines[: limit - 1], f"… and {len(lines) - limit + 1} more {what}"]


def text_form(head: list[str], lanes: Sequence[Lane], mail: Sequence[Mail], steps: int) -> str:
    """Return the text form: the head, what the letters mean, lanes under a ruler, messages."""
    names = [clean(lane.name, 20) for lane in lanes]
    margin = max(map(len, [*names, "step"])) + 1
    head = [*head, KEY, "step".ljust(margin) + ruler(steps)]
    rows = []
    for name, lane in zip(names, lanes, strict=True):
        end = clean(lane.status, 12) + (" (cut)" if lane.cut else "")
        rows.append(f"{name:<{margin}}{strip(lane, steps)} {end}")
    rows = shorten(rows, LINES - len(head) - 4, "agents")
    rows += shorten(mail_lines(mail), LINES - len(head) - len(rows), "messages")
    return "\n".join(clean(line.rstrip(), COLUMNS) for line in head + rows)

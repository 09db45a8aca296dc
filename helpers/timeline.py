"""Draws a run from its event log: one lane per agent, as a picture and as text."""

import itertools
import math
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape, quoteattr

COLOURS = {  # one per role, in all lessons, by how the agent's name begins
    "lead": "#1f5fa8",
    "orchestrator": "#1f5fa8",
    "helper": "#b3560a",
    "researcher": "#1d7a4f",
    "drafter": "#7a3fa0",
    "compliance": "#b02a4c",
}
INK, QUIET, PAPER, OTHER = "#24292f", "#69727d", "#fbfaf6", "#4d5661"
KINDS = {"wait_for_message": "wait", "sleep": "sleep"}  # tools that get a look of their own
LETTERS = {"model": "M", "tool": "T", "wait": "w", "sleep": "z"}
DASHES = {"wait": "5 3", "sleep": "1.5 2.5"}
KEY = "M model call  T tool call  w waiting  z sleeping  · between  ! end  × message never read"
LINES, COLUMNS, STRIP = 25, 100, 60  # the text form: at most so many; STRIP columns for the steps
WIDTH, TOP, CHAR = 900, 52, 6.7  # the picture, in pixels; CHAR: one character of a name


@dataclass
class Call:
    """A model or tool call, from its first to its last step; `cut` when no result came."""

    kind: str
    name: str
    start: int
    end: int | None = None
    cut: bool = False
    row: int = 0
    rows: int = 1


@dataclass
class Mail:
    """A message: when it was sent, when received (None: never), and whether it died unread."""

    sender: str
    recipient: str
    content: str
    sent: int
    received: int | None = None
    read: bool = False
    dead: bool = False


@dataclass
class Lane:
    """An agent: the steps at which it lived (twice if its name was used again), and its calls."""

    name: str
    lives: list[list[int]] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    open: dict[str, Call] = field(default_factory=dict)

    @property
    def status(self) -> str:
        running = ["running"] * (len(self.lives) - len(self.statuses))
        return clean(", ".join(self.statuses + running), 20)

    @property
    def cut(self) -> str:
        return "call cut off" if any(call.cut for call in self.calls) else ""

    def begin(self, key: str, kind: str, name: str, step: int) -> None:
        """Open a call; calls that run side by side share the lane's height in rows."""
        taken = [call.row for call in self.open.values()]
        row = min(set(range(len(taken) + 1)) - set(taken))
        self.open[key] = call = Call(kind, name, step, row=row)
        self.calls.append(call)
        for other in self.open.values():
            other.rows = max(other.rows, *(each.row + 1 for each in self.open.values()))

    def finish(self, key: str, step: int) -> None:
        if call := self.open.pop(key, None):
            call.end = step

    def close(self, step: int, cut: bool) -> None:
        """End what is still open, at the agent's end or at the last step of a run that goes on."""
        for call in self.open.values():
            call.end, call.cut = step, cut
        self.open.clear()


def clean(value: object, limit: int) -> str:
    """Return printable text of at most `limit` columns (wide characters take two), cut with …"""
    text = "".join(c if c.isprintable() else " " for c in str(value))
    sizes = [1 + (unicodedata.east_asian_width(c) in "WF") for c in text]
    if sum(sizes) <= limit:
        return text
    return text[: sum(size < limit for size in itertools.accumulate(sizes))] + "…"


def read_agent(lanes: dict[str, Lane], event: Any) -> None:
    """Enter an event of an agent's own doings into its lane."""
    lane, data, step = lanes.get(event.agent), event.data, event.step
    if event.kind == "agent_started":
        lanes.setdefault(event.agent, Lane(event.agent)).lives.append([step, step])
    elif lane is None:
        return
    elif event.kind == "agent_ended":
        lane.close(step, cut=True)
        lane.lives[-1][1] = step
        lane.statuses.append(str(data["status"]))
    elif event.kind == "model_call":
        lane.begin("", "model", "model", step)
    elif event.kind == "tool_call":
        tool = str(data["tool"])
        lane.begin(f"tool {data['id']}", KINDS.get(tool, "tool"), tool, step)
    elif event.kind == "model_reply":
        lane.finish("", step)
    elif event.kind == "tool_result":
        lane.finish(f"tool {data['id']}", step)


def read_mail(mail: list[Mail], event: Any) -> None:
    """Enter what an event says of a message; equal ones arrive in order, the latest die unread."""
    if event.kind == "model_reply":  # the recipient's model has answered: its mail was read
        for m in mail:
            m.read |= m.recipient == event.agent and m.received is not None
    if not event.kind.startswith("message_"):
        return
    message, step = event.data["message"], event.step
    what = (message.sender, message.recipient, message.content)
    same = [m for m in mail if (m.sender, m.recipient, m.content) == what and not m.dead]
    if event.kind == "message_sent":
        mail.append(Mail(*what, sent=step))
    elif event.kind == "message_received":
        if waiting := [m for m in same if m.received is None]:
            waiting[0].received = step
    elif event.kind == "message_dead":
        if unread := [m for m in same if not m.read]:
            unread[-1].dead = True
        else:  # refused: it was never delivered
            mail.append(Mail(*what, sent=step, dead=True))


def tag(name: str, text: str = "", **attributes: object) -> str:
    """Return one SVG element, escaped; numbers are rounded, `_` in a name stands for `-`."""
    values = {
        key.rstrip("_").replace("_", "-"): f"{value:.1f}" if isinstance(value, float) else value
        for key, value in attributes.items()
    }
    inside = "".join(f" {key}={quoteattr(str(value))}" for key, value in values.items())
    return f"<{name}{inside}>{escape(text)}</{name}>"

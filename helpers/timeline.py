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


def label(x: float, y: float, text: str, colour: str = INK, **more: object) -> str:
    """Return a text of the picture, with a paper-coloured edge that keeps lines off it."""
    return tag("text", text, x=x, y=y, fill=colour, stroke=PAPER, stroke_width=3,
               paint_order="stroke", **more)


def stroke(path: str, colour: str, width: float = 1.3, **more: object) -> str:
    return tag("path", d=path, stroke=colour, stroke_width=width, fill="none", **more)


def arrow(x1: float, y1: float, x2: float, y2: float, colour: str, dead: bool) -> str:
    """Return a line with a dot at its start and, at its end, a head or the × of dead mail."""
    dot = tag("circle", cx=x1, cy=y1, r=2, fill=colour)
    line = stroke(f"M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}", colour)
    if dead:
        cross = f"M{x2 - 3:.1f} {y2 - 3:.1f}l6 6m0 -6l-6 6"
        return dot + line + stroke(cross, PAPER, 4.0) + stroke(cross, INK, 1.8)
    angle = math.atan2(y2 - y1, x2 - x1)
    ends = [(x2 - 7 * math.cos(angle + a), y2 - 7 * math.sin(angle + a)) for a in (0.4, -0.4)]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in [(x2, y2), *ends])
    return dot + line + tag("polygon", points=points, fill=colour)


def block(x: float, y: float, width: float, height: float, kind: str, colour: str) -> str:
    """Return the box of a call: filled for a model call, outlined for a tool, dashed for a wait."""
    look: dict[str, object] = {"stroke_dasharray": DASHES[kind]} if kind in DASHES else {}
    fill = colour if kind == "model" else PAPER
    return tag("rect", x=x, y=y, width=width, height=height, rx=2, fill=fill, stroke=colour, **look)


@dataclass(frozen=True, repr=False)
class Timeline:
    """A run as lanes over the steps of its log: an SVG in a notebook, else text."""

    lanes: tuple[Lane, ...]
    mail: tuple[Mail, ...]
    source: str
    first: int
    last: int
    ticks: tuple[tuple[int, str], ...] = ()
    unit: str = ""

    def __repr__(self) -> str:
        return "\n".join(clean(line.rstrip(), COLUMNS) for line in text_lines(self))

    def _repr_svg_(self) -> str:
        return Picture(self).svg()

    @property
    def summary(self) -> str:
        dead = sum(m.dead for m in self.mail)
        sizes = f"{len(self.lanes)} agents, {self.last - self.first + 1} steps"
        return f"{sizes}, {len(self.mail)} messages" + (f", {dead} never read" if dead else "")


class Picture:
    """Lays a timeline out: x for a step, y for a lane."""

    def __init__(self, timeline: Timeline):
        self.line = timeline
        names = [clean(lane.name, 20) for lane in timeline.lanes]
        self.left = 28 + CHAR * max(map(len, [*names, "four"]))
        right = 24 + CHAR * max(len(word) for lane in timeline.lanes for word in ("call cut off", lane.status))
        self.step = (WIDTH - self.left - right) / (timeline.last - timeline.first + 1)
        self.pitch = next(p for n, p in ((5, 48), (14, 36), (10**9, 28)) if len(names) <= n)
        self.bottom = TOP + self.pitch * len(names)
        self.middle = {n.name: TOP + self.pitch * (i + 0.5) for i, n in enumerate(timeline.lanes)}
        self.half = self.pitch * 0.23

    def x(self, step: int) -> float:
        return self.left + (step - self.line.first + 0.5) * self.step

    def svg(self) -> str:
        """Return the whole picture, on paper of its own: it looks the same in both themes."""
        height = self.bottom + (78 if self.line.ticks else 62)
        box = tag("rect", x=0.5, y=0.5, width=WIDTH - 1, height=height - 1, rx=8, fill=PAPER, stroke="#c8c5bb")
        body = [box, self.head(), *map(self.lane, self.line.lanes), *map(self.message, self.line.mail)]
        body += [self.axis(), self.legend(height - 16)]
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}"'
            f' role="img" style="max-width:100%;height:auto" font-family="sans-serif" font-size="12">'
            + tag("title", f"Timeline of a run: {self.line.summary}")
            + "\n".join(body)
            + "</svg>"
        )

    def head(self) -> str:
        source = label(16, 25, f"replies: {self.line.source}", font_weight="bold", font_size=13)
        return source + label(WIDTH - 16, 25, self.line.summary, QUIET, text_anchor="end")

    def lane(self, lane: Lane) -> str:
        """Return one agent's lane: name, life line, calls, end and final status."""
        y, colour = self.middle[lane.name], colour_of(lane.name)
        mono: dict[str, object] = {"font_family": MONO, "font_size": 11}
        parts = [label(16, y + 4, clean(lane.name, 20), colour, font_weight="bold", **mono)]
        for start, end in lane.lives:
            parts.append(stroke(f"M{self.x(start):.1f} {y:.1f}H{self.x(end):.1f}", colour))
        parts += [self.call(call, y, colour) for call in lane.calls]
        ends = [end for _, end in lane.lives][: len(lane.statuses)]
        for end in ends:
            parts.append(stroke(f"M{self.x(end):.1f} {y - self.half - 3:.1f}v{2 * self.half + 6:.1f}", INK, 3.0))
        x, up = self.x(lane.lives[-1][1]) + 7, 3 if lane.cut else -4
        parts.append(label(x, y - up, lane.status, **mono))
        if lane.cut:
            parts.append(label(x, y + 9, lane.cut, QUIET, **mono))
        return "".join(parts)

    def call(self, call: Call, y: float, colour: str) -> str:
        """Return a call's box, with its name or its letter where there is room."""
        height = 2 * self.half / call.rows
        top = y - self.half + call.row * height
        x, end = self.x(call.start) - self.step * 0.45, self.x(call.end or call.start)
        width = max(end + (0 if call.cut else self.step * 0.45) - x, 1.5)
        parts = [block(x, top, width, height, call.kind, colour)]
        name = clean(WORDS.get(call.kind, call.name), 30)
        word = next((w for w in (name, LETTERS[call.kind]) if 8 + 6.2 * len(w) <= width + 6 * (len(w) == 1)), "")
        ...
        return "".join(parts)

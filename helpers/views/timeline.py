"""Draws a run from its event log: one lane per agent, as a picture and as text."""

import math
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from ..trace import one_line
from .lanes import LETTERS, Call, Lane, Mail, read_lanes, read_mail, text_form, ticks

COLOURS = {  # by role, the same in all lessons: how an agent's name begins
    "#1f5fa8": ("lead", "orchestrator"),
    "#b3560a": ("helper",),
    "#1d7a4f": ("researcher",),
    "#7a3fa0": ("drafter",),
    "#b02a4c": ("compliance",),
}
INK, QUIET, PAPER, OTHER = "#24292f", "#69727d", "#fbfaf6", "#4d5661"
MONO: dict[str, Any] = {"font_family": "monospace", "font_size": 11}
SMALL: dict[str, Any] = {"fill": QUIET, "font_size": 11}
HEAD = '<svg xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="12"'
DASHES = {"wait": "5 3", "sleep": "1.5 2.5"}
WIDTH, TOP, CHAR = 840, 44, 6.7  # the picture in pixels; CHAR is one character of a name
GRID, APART = 3, 12  # in a dense picture: pixels between columns, and between arrows


@dataclass(frozen=True, repr=False)
class Timeline:
    """A run as lanes over the steps of its log: a picture where that can be shown, else text."""

    lanes: tuple[Lane, ...]
    mail: tuple[Mail, ...]
    source: str
    steps: int
    ticks: tuple[tuple[int, str], ...] = ()  # (step, seconds) to write under the axis
    unit: str = "seconds"

    def __repr__(self) -> str:
        times = ", ".join(f"{time} at step {step}" for step, time in self.ticks)
        head = [f"replies: {self.source} ({self.sizes})"]
        head += [f"{self.unit}: {times}"] if times else []
        return text_form(head, self.lanes, self.mail, self.steps)

    def _repr_svg_(self) -> str:
        return Picture(self).svg()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """Return the picture also as an image: a notebook that isn't trusted shows no bare SVG."""
        svg = self._repr_svg_()
        data = f"data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}"
        image = f'<img alt={quoteattr(self.alt)} src="{data}" style="max-width:100%">'
        return {"text/html": image, "image/svg+xml": svg, "text/plain": repr(self)}

    @property
    def alt(self) -> str:
        """The run in a sentence, for those who can't see the picture."""
        ends = [f"{one_line(lane.name, 20)} {lane.end}" for lane in self.lanes]
        return one_line(f"Timeline of a run: {self.sizes}; {', '.join(ends)}.", 300)

    @property
    def sizes(self) -> str:
        dead = sum(letter.dead for letter in self.mail)
        mail = f"{len(self.mail)} messages" + (f", {dead} never read" if dead else "")
        return f"{len(self.lanes)} agents, {self.steps} steps, {mail}"


def timeline(
    events: Iterable[Any], source: str, *, seconds: bool = False, virtual: bool = False
) -> Timeline:
    """Return the timeline of a log; `source` says where the replies come from ("live", …).

    The x axis counts steps of the log. `seconds` adds a few times under it, in virtual seconds if
    `virtual`. The log is read once: later events need a new timeline.
    """
    events = list(events)
    steps = max((event.step for event in events), default=0) + 1
    times = ticks(events, steps) if seconds else ()
    unit = ("virtual seconds" if virtual else "seconds") if times else ""
    return Timeline(read_lanes(events), read_mail(events), one_line(source, 36), steps, times, unit)


def colour_of(name: str) -> str:
    return next((c for c, roles in COLOURS.items() if name.startswith(roles)), OTHER)


def tag(name: str, text: str = "", /, **attributes: Any) -> str:
    """Return one escaped SVG element; `_` in an attribute's name stands for `-`."""
    inside = "".join(
        f" {key.replace('_', '-')}={quoteattr(f'{v:.1f}' if isinstance(v, float) else str(v))}"
        for key, v in attributes.items()
    )
    return f"<{name}{inside}>{escape(text)}</{name}>"


def word(x: float, y: float, text: str, **more: Any) -> str:
    """Return a text with an edge in the paper's colour, which keeps lines off it."""
    look = {"fill": INK, "stroke": PAPER, "stroke_width": 3, "paint_order": "stroke", **more}
    return tag("text", text, x=float(x), y=float(y), **look)


def stroke(path: str, colour: str, width: float = 1.3, **more: Any) -> str:
    return tag("path", d=path, stroke=colour, stroke_width=width, fill="none", **more)


def crosses(points: Iterable[tuple[float, float]]) -> str:
    path = "".join(f"M{x - 3:.1f} {y - 3:.1f}l6 6m0 -6l-6 6" for x, y in points)
    return stroke(path, PAPER, 4.0) + stroke(path, INK, 1.8)


def arrow(x1: float, y1: float, x2: float, y2: float, colour: str, dead: bool) -> str:
    """Return a dot, a line and, at its end, a head or the × of a message that nobody read."""
    line = stroke(f"M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}", colour)
    line += tag("circle", cx=x1, cy=y1, r=2, fill=colour)
    if dead:
        return line + crosses([(x2, y2)])
    angle = math.atan2(y2 - y1, x2 - x1)
    ends = [(x2 - 7 * math.cos(angle + a), y2 - 7 * math.sin(angle + a)) for a in (0.4, -0.4)]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in [(x2, y2), *ends])
    return line + tag("polygon", points=points, fill=colour)


def squares(x1: float, y1: float, x2: float, y2: float) -> set[tuple[int, int]]:
    """Return where a line passes (50 places at most), on a grid of squares APART wide."""
    count = min(50, 1 + int(max(abs(x2 - x1), abs(y2 - y1)) / APART))
    x, y = (x2 - x1) / count, (y2 - y1) / count
    return {(int((x1 + x * i) / APART), int((y1 + y * i) / APART)) for i in range(count + 1)}


def box(x: float, y: float, width: float, height: float, kind: str, colour: str) -> str:
    """Return a call: tinted for the model, an outline for a tool, dashed or dotted for a pause."""
    size = {"x": x, "y": y, "width": width, "height": height, "rx": min(2.0, width / 4)}
    line = {"stroke": colour, "stroke_dasharray": DASHES.get(kind, "none")}
    paper = tag("rect", **size, fill=PAPER)
    return paper + tag("rect", **size, **line, fill=colour, fill_opacity=0.3 * (kind == "model"))


class Picture:
    """Lays a timeline out as SVG: `x` of a step, `middle` of a lane."""

    def __init__(self, line: Timeline):
        self.line, count = line, len(line.lanes)
        ends = [
            "",
            *(words for lane in line.lanes for words in (lane.end, lane.cut)),
        ]
        self.left = 26 + CHAR * max([4, *(len(one_line(lane.name, 20)) for lane in line.lanes)])
        self.step = (WIDTH - self.left - 26 - CHAR * max(map(len, ends))) / line.steps
        self.dense = self.step < 0.5  # more than two steps share a pixel
        self.pitch = 48 if count <= 5 else 36 if count <= 14 else 28
        self.half = self.pitch * 0.28
        self.bottom = TOP + self.pitch * count
        self.height = self.bottom + 62 + 18 * (bool(line.ticks) + self.dense)
        self.middle = {lane.name: TOP + self.pitch * (i + 0.5) for i, lane in enumerate(line.lanes)}
        self.labels: list[str] = []

    def x(self, step: int) -> float:
        x = self.left + (step + 0.5) * self.step
        return x - x % GRID if self.dense else x

    def svg(self) -> str:
        """Return the picture on paper of its own, so that it looks the same in both themes."""
        parts = [
            f'{HEAD} style="max-width:100%" width="{WIDTH}" viewBox="0 0 {WIDTH} {self.height}">',
            tag("title", f"Timeline of a run: {self.line.sizes}"),
            tag("rect", width=WIDTH, height=self.height, rx=8, fill=PAPER),
            word(16, 26, f"replies: {self.line.source}", font_weight="bold", font_size=13),
            word(WIDTH - 16, 26, self.line.sizes, fill=QUIET, text_anchor="end"),
            self.axis(),
            *(self.lane(lane) for lane in self.line.lanes),
            *self.arrows(),
            *self.labels,
            *(self.ending(lane) for lane in self.line.lanes),
            self.legend(self.height - 16),
            "</svg>",
        ]
        return "\n".join(parts)

    def axis(self) -> str:
        """Return the numbers of the steps and, when asked for, a few times in seconds."""
        y = self.bottom + 14
        parts = [word(16, y, "step", **SMALL)]
        for step in range(0, self.line.steps, 10 * max(1, round(self.line.steps / 120))):
            parts.append(stroke(f"M{self.x(step):.1f} {TOP}V{self.bottom}", "#e4e1d8", 1.0))
            parts.append(word(self.x(step), y, str(step), text_anchor="middle", **SMALL))
        for step, time in self.line.ticks:
            parts.append(word(self.x(step), y + 17, f"{time} s", text_anchor="middle", **SMALL))
        return "".join([*parts, word(16, y + 17, self.line.unit, **SMALL)])

    def lane(self, lane: Lane) -> str:
        """Return an agent's name, life and calls; in a dense picture work is one band."""
        y, colour = self.middle[lane.name], colour_of(lane.name)
        parts = [word(16, y + 4, one_line(lane.name, 20), fill=colour, font_weight="bold", **MONO)]
        lives = (f"M{self.x(start):.1f} {y:.1f}H{self.x(end):.1f}" for start, end, _ in lane.lives)
        parts.append(stroke("".join(dict.fromkeys(lives)), colour))
        if self.dense:
            work = [c for group in lane.groups for c in group if c.kind in ("model", "tool")]
            band = (f"M{self.x(c.start):.0f} {y:.1f}H{self.x(c.end) + GRID:.0f}" for c in work)
            parts.append(stroke("".join(dict.fromkeys(band)), colour, 2 * self.half, opacity=0.5))
        for group in () if self.dense else lane.groups:
            height = 2 * self.half / len(group)
            for row, call in enumerate(group):
                parts.append(self.call(call, y - self.half + row * height, height, colour))
        return "".join(parts)

    def call(self, call: Call, top: float, height: float, colour: str) -> str:
        """Return the box of a call; add its name, or its letter, to the labels if it fits."""
        x = self.x(call.start) - 0.45 * self.step
        width = self.right(call) - x
        part = box(x, top, width, height, call.kind, colour)
        if call.cut:  # a torn edge
            tear = f"M{x + width:.1f} {top:.1f}" + f"l-4 {height / 4:.1f}l4 {height / 4:.1f}" * 2
            part += stroke(tear, PAPER, 5.0) + stroke(tear, colour)
        name = {"wait": "waiting", "sleep": "sleeping"}.get(call.kind, one_line(call.name, 30))
        text = name if 6.4 * len(name) + 6 < width else LETTERS[call.kind]
        size = min(10.0, height - 1)
        look = {"stroke_width": 2, "font_size": size, "text_anchor": "middle"}
        label = word(x + width / 2, top + height / 2 + 0.35 * size, text, **look)
        self.labels.append(label if width >= 9 and height >= 8 else "")
        return part

    def right(self, call: Call) -> float:
        return self.x(call.end) + (0 if call.cut else 0.45 * self.step)

    def ending(self, lane: Lane) -> str:
        """Return where an agent ended, how, and whether a call was cut off by it."""
        boxes = [self.right(call) for group in lane.groups for call in group]
        y, x = self.middle[lane.name], max([self.x(lane.lives[-1][1]), *boxes]) + 7
        bar = f"{y - self.half - 2:.1f}v{2 * self.half + 4:.1f}"
        ends = [f"M{self.x(end):.1f} {bar}" for _, end, status in lane.lives if status]
        parts = [stroke("".join(dict.fromkeys(ends)), INK, 3.0)] if ends else []
        parts.append(word(x, y - 2 if lane.cut else y + 4, lane.end, **MONO))
        return "".join([*parts, word(x, y + 11, lane.cut, **{**MONO, **SMALL})])

    def arrows(self) -> list[str]:
        """Return the messages; in a dense picture all crosses, but no arrow along others."""
        parts: list[str] = []
        taken: set[tuple[int, int]] = set()
        dead: dict[tuple[int, float], tuple[float, float]] = {}
        for letter in self.line.mail:
            x1, y1, x2, y2, colour = self.route(letter)
            way = squares(x1, y1, x2, y2)
            if self.dense and letter.dead:
                dead[int(x2 / APART), y2] = (x2, y2)
            elif not self.dense or 2 * len(way & taken) < len(way):
                parts.append(arrow(x1, y1, x2, y2, colour, letter.dead))
                taken |= way
        if self.dense:
            note = f"{len(parts)} of {len(self.line.mail)} messages are drawn; a band is many calls"
            parts += [crosses(dead.values()), word(16, self.height - 38, note, **SMALL)]
        return parts

    def route(self, letter: Mail) -> tuple[float, float, float, float, str]:
        """Return a message's way; it is short when it never got there or comes from no lane."""
        sender, recipient = letter.message.sender, letter.message.recipient
        x1, x2 = self.x(letter.sent), self.x(letter.received or letter.sent)
        if sender not in self.middle:
            top = self.middle.get(recipient, TOP + self.half) - self.half
            return x2, top - 11, x2, top, INK
        start, end = self.middle[sender], self.middle.get(recipient, self.bottom)
        down = 1 if end > start else -1
        y1, y2 = start + down * self.half, end - down * self.half
        reached = recipient in self.middle and letter.received is not None
        return x1, y1, x2, y2 if reached else y1 + 9 * down, colour_of(sender)

    def legend(self, y: float) -> str:
        """Return what each sign means, in words."""
        calls = ("model (M)", "tool (T)", "waiting (w)", "sleeping (z)")
        parts = [word(446, y, "message"), word(534, y, "never read"), word(742, y, "end, status")]
        for i, (kind, text) in enumerate(zip(LETTERS, calls, strict=True)):
            x = 16.0 + 100 * i
            parts += [box(x, y - 10, 16.0, 12.0, kind, INK), word(x + 22, y, text)]
        parts += [arrow(x, y - 4, x + 15, y - 4, INK, x > 424) for x in (424.0, 510.0)]
        parts += [arrow(612, y - 11, 612, y + 1, INK, False), word(622, y, "notice of the hub")]
        return "".join([*parts, stroke(f"M734 {y - 11:.1f}v14", INK, 3.0)])

"""What the tests of the timeline share: small logs, and the shapes found in a picture."""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from typing import Any
from xml.etree import ElementTree

from helpers.hub import Event, Hub, Message
from helpers.replies.scripted import Blocks, scripted
from helpers.team import Member, run_team
from helpers.views.timeline import Timeline, timeline

SVG = "{http://www.w3.org/2000/svg}"
Row = tuple[str, str, dict[str, Any]]
Point = tuple[float, float]
LETTER = Message("lead", "helper1", "Hi.")
STARTED: list[Row] = [("agent_started", "lead", {}), ("agent_started", "helper1", {})]
SENT: Row = ("message_sent", "lead", {"message": LETTER})
RECEIVED: Row = ("message_received", "helper1", {"message": LETTER})
DEAD: Row = ("message_dead", "helper1", {"message": LETTER, "reason": "ended"})
REPLY: Row = ("model_reply", "helper1", {})


def log(*rows: Row) -> list[Event]:
    return [Event(i, i / 2, kind, agent, data) for i, (kind, agent, data) in enumerate(rows)]


def call(agent: str, tool: str, key: str = "a") -> Row:
    return ("tool_call", agent, {"id": key, "tool": tool})


def result(agent: str, key: str = "a") -> Row:
    return ("tool_result", agent, {"id": key})


def ended(agent: str, status: str = "done") -> Row:
    return ("agent_ended", agent, {"status": status, "reason": ""})


def team_run(size: int) -> Timeline:
    """A lead that greets everyone and is done; helpers answer it and wait."""
    names = ["lead", *(f"helper{i}" for i in range(1, size))]

    def script(agent: str, turn: int, request: dict[str, Any]) -> str | Blocks:
        others = names[1:] if agent == "lead" else ["lead"]
        if turn == 1:
            return [{"send_message": {"recipient_ids": others, "content": "Hello."}}]
        return "Bye." if agent == "lead" and turn == 4 else [{"wait_for_message": {}}]

    async def run() -> Timeline:
        async with scripted(script) as session:
            hub = Hub(session.clock, show=None)
            members = [Member(name, "Say hello.") for name in names]
            await run_team(session.client, hub, members, model=session.model)
        return timeline(hub.log.events, session.source)

    return asyncio.run(run())


def long_log(agents: int, size: int) -> list[Event]:
    """A log of so many steps: turns of all agents side by side, messages, some never read."""
    names = ["lead", *(f"helper{i}" for i in range(1, agents))]

    def rows() -> Iterator[Row]:
        yield from (("agent_started", name, {}) for name in names)
        for turn in count():
            yield from (("model_call", name, {}) for name in names)
            yield from (("model_reply", name, {}) for name in names)
            for i, name in enumerate(names):
                other = names[(i + 1 + turn % (agents - 1)) % agents]
                letter = {"message": Message(name, other, f"Number {turn % 7}.")}
                yield call(name, "send_message")
                yield ("message_sent", name, letter)
                yield result(name)
                yield call(name, "wait_for_message")
                yield ("message_dead" if turn % 50 == i else "message_received", other, letter)
            yield from (result(name) for name in names)

    return log(*islice(rows(), size))


def shapes(picture: Timeline, *names: str) -> list[ElementTree.Element]:
    """Return the elements of these names, in the order in which they are painted."""
    root = ElementTree.fromstring(picture._repr_svg_())
    return [each for each in root if each.tag.removeprefix(SVG) in names]


def words(picture: Timeline) -> list[str]:
    return [element.text or "" for element in shapes(picture, "text")]


def number(element: ElementTree.Element, name: str) -> float:
    return float(element.get(name, "0"))


def path_points(path: str) -> list[Point]:
    """Return the corners of a path that uses M, L, H, V, m, l, h and v."""
    found: list[Point] = []
    x = y = 0.0
    for letter, text in re.findall(r"([A-Za-z])([^A-Za-z]*)", path):
        values = list(map(float, text.split()))
        while values:
            fresh_x = x if letter in "Vv" else values.pop(0) + (x if letter.islower() else 0)
            fresh_y = y if letter in "Hh" else values.pop(0) + (y if letter.islower() else 0)
            x, y = fresh_x, fresh_y
            found.append((x, y))
    return found


def text_box(element: ElementTree.Element) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of a text, with room for a wide font."""
    size = float(element.get("font-size", "12"))
    mono = element.get("font-family") == "monospace"
    em = 0.61 if mono else 0.65 if element.get("font-weight") else 0.58
    width = em * size * len(element.text or "")
    before = {"middle": 0.5, "end": 1.0}.get(element.get("text-anchor", ""), 0.0)
    left, y = number(element, "x") - before * width, number(element, "y")
    return left, y - 0.8 * size, left + width, y + 0.2 * size


def points(element: ElementTree.Element) -> list[Point]:
    """Return the corners of what an element paints, its line's width left out."""
    x, y, r = number(element, "x"), number(element, "y"), number(element, "r")
    match element.tag.removeprefix(SVG):
        case "path":
            return path_points(element.get("d", ""))
        case "polygon":
            pairs = [pair.split(",") for pair in element.get("points", "").split()]
            return [(float(a), float(b)) for a, b in pairs]
        case "circle":
            cx, cy = number(element, "cx"), number(element, "cy")
            return [(cx - r, cy - r), (cx + r, cy + r)]
        case "rect":
            return [(x, y), (x + number(element, "width"), y + number(element, "height"))]
        case "text":
            left, top, right, bottom = text_box(element)
            return [(left, top), (right, bottom)]
    return []


@dataclass(frozen=True)
class Arrow:
    """A message as it was drawn: its line, and the corners of its head or of its cross."""

    start: Point
    end: Point
    dot: Point
    colour: str
    head: list[Point]
    cross: list[Point]


def arrows(picture: Timeline) -> list[Arrow]:
    """Return the arrows of the messages, in the order of the log; those of the legend are last."""
    found = []
    drawn = shapes(picture, "path", "circle", "polygon")
    for line, dot, tip in zip(drawn, drawn[1:], drawn[2:], strict=False):
        if dot.tag == SVG + "circle":
            start, end = points(line)
            centre = (number(dot, "cx"), number(dot, "cy"))
            head = points(tip) if tip.tag == SVG + "polygon" else []
            cross = [] if head else points(tip)
            found.append(Arrow(start, end, centre, line.get("stroke", ""), head, cross))
    return found[:-3]


def boxes(picture: Timeline) -> list[ElementTree.Element]:
    """Return the boxes of calls, without the paper below them and without the legend."""
    return [each for each in shapes(picture, "rect") if each.get("stroke")][:-4]

"""The timeline of a run: what is drawn, that it is safe to show, and that it stays in its box."""

import asyncio
import re
from typing import Any
from xml.etree import ElementTree

import pytest

from helpers.hub import Event, Hub, Message
from helpers.replies.scripted import Blocks, scripted
from helpers.team import Member, run_team
from helpers.views.timeline import Picture, Timeline, timeline

SVG = "{http://www.w3.org/2000/svg}"


def log(*rows: tuple[str, str, dict[str, Any]]) -> list[Event]:
    return [Event(i, i / 2, kind, agent, data) for i, (kind, agent, data) in enumerate(rows)]


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


def elements(picture: Timeline, name: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(picture._repr_svg_()).iter(SVG + name))


def words(picture: Timeline) -> list[str]:
    return [element.text or "" for element in elements(picture, "text")]


LETTER = Message("lead", "helper1", "Hi.")
Row = tuple[str, str, dict[str, Any]]
STARTED: list[Row] = [("agent_started", "lead", {}), ("agent_started", "helper1", {})]
SENT = ("message_sent", "lead", {"message": LETTER})
RECEIVED = ("message_received", "helper1", {"message": LETTER})
DEAD = ("message_dead", "helper1", {"message": LETTER, "reason": "ended"})
REPLY: Row = ("model_reply", "helper1", {})


@pytest.mark.parametrize("size", [3, 12, 30])
def test_every_agent_has_a_lane_and_nothing_leaves_the_picture(size: int) -> None:
    picture = team_run(size)
    root = ElementTree.fromstring(picture._repr_svg_())
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    assert [lane.name for lane in picture.lanes] == [
        "lead",
        *(f"helper{i}" for i in range(1, size)),
    ]
    assert all(lane.name in words(picture) for lane in picture.lanes)
    for each in root.iter():
        x, y = (float(each.get(k, each.get("c" + k, "0"))) for k in "xy")
        long = 6.7 * len(each.text or "") if each.get("font-family") == "monospace" else 0
        assert 0 <= x <= width - float(each.get("width", "0") if each is not root else "0") - long
        assert 0 <= y <= height - float(each.get("height", "0"))
        for start in re.findall(r"[ML]([\d.]+) ([\d.]+)", each.get("d", "")):
            assert 0 <= float(start[0]) <= width
            assert 0 <= float(start[1]) <= height


@pytest.mark.parametrize("size", [3, 12, 30])
def test_the_text_form_stays_small_and_names_the_source(size: int) -> None:
    picture = team_run(size)
    lines = repr(picture).splitlines()
    assert lines[0].startswith("replies: scripted agents, no model")
    assert "replies: scripted agents, no model" in words(picture)
    assert len(lines) <= 25
    assert max(map(len, lines)) <= 100


def test_two_runs_of_one_script_look_the_same() -> None:
    first, second = team_run(3), team_run(3)
    assert first._repr_svg_() == second._repr_svg_()
    assert repr(first) == repr(second)


def test_every_message_is_an_arrow() -> None:
    picture = team_run(3)
    received = [m for m in picture.mail if not m.dead]
    legend = 2
    assert len(elements(picture, "polygon")) == len(received) + legend
    assert len(elements(picture, "circle")) == len(picture.mail) + legend + 1


def test_a_message_ends_where_its_recipient_got_it() -> None:
    picture = timeline(log(*STARTED, SENT, SENT, RECEIVED, REPLY, RECEIVED), "live")
    assert [(m.sent, m.received) for m in picture.mail] == [(2, 4), (3, 6)]


def test_of_equal_messages_only_the_unread_one_dies() -> None:
    picture = timeline(log(*STARTED, SENT, RECEIVED, REPLY, SENT, DEAD, DEAD), "live")
    assert [(m.sent, m.dead) for m in picture.mail] == [(2, False), (5, True), (7, True)]
    assert repr(picture).count("helper1 ×") == 2
    assert "2 never read" in repr(picture)


def test_a_call_without_result_runs_to_the_end_of_its_agent_and_is_marked() -> None:
    call = ("tool_call", "helper1", {"id": "a", "tool": "sleep"})
    end = ("agent_ended", "helper1", {"status": "killed", "reason": ""})
    picture = timeline(log(*STARTED, call, SENT, end), "live")
    (sleep,) = picture.lanes[1].calls
    assert (sleep.kind, sleep.start, sleep.end, sleep.cut) == ("sleep", 2, 4, True)
    assert {"killed", "sleep cut off", "sleeping"} <= set(words(picture))
    assert "killed (cut)" in repr(picture)


def test_calls_side_by_side_share_the_lane() -> None:
    calls = [("tool_call", "lead", {"id": name, "tool": name}) for name in ("sleep", "look")]
    results = [("tool_result", "lead", {"id": name}) for name in ("look", "sleep")]
    lane = timeline(log(*STARTED, *calls, *results), "live").lanes[0]
    assert [(c.start, c.end, c.row, c.rows) for c in lane.calls] == [(2, 5, 0, 2), (3, 4, 1, 2)]


def test_names_and_statuses_are_escaped_cut_and_printable() -> None:
    name, status = "<script>&\x1b[31m" + "x" * 50, "\u202e<b>\x00" + "y" * 50
    rows = log(("agent_started", name, {}), ("agent_ended", name, {"status": status}))
    picture = timeline(rows, "<i>\n" + "z" * 80)
    shown = [*words(picture), *repr(picture).splitlines()]
    assert all(text.isprintable() for text in shown)
    assert any(
        text.startswith("<script>& [31mxx") and text.endswith("…") for text in words(picture)
    )
    assert "<script>" not in picture._repr_svg_()


def test_seconds_are_shown_when_asked_for_and_called_virtual_when_they_are() -> None:
    rows = log(*STARTED, SENT, RECEIVED)
    assert "second" not in repr(timeline(rows, "live")) + timeline(rows, "live")._repr_svg_()
    picture = timeline(rows, "authored", seconds=True, virtual=True)
    assert "virtual seconds" in words(picture)
    assert "virtual seconds: 0.5 at step 1" in repr(picture)


def test_an_empty_log_and_strangers_can_be_drawn() -> None:
    human = Message("human", "nobody", "Hi.")
    rows = log(("message_dead", "nobody", {"message": human, "reason": "unknown name"}))
    for events in ([], rows):
        assert "replies: live" in words(timeline(events, "live"))
        assert repr(timeline(events, "live")).startswith("replies: live (0 agents")


def ends_of_arrows(picture: Timeline) -> list[tuple[float, ...]]:
    """Return (x1, y1, x2, y2) of each message, in the order of the log."""
    paths = [element.get("d", "") for element in elements(picture, "path")]
    found = [re.fullmatch(r"M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)", path) for path in paths]
    return [tuple(map(float, match.groups())) for match in found if match]


def test_an_arrow_goes_from_the_sender_s_lane_at_sending_to_the_reader_s_at_reading() -> None:
    answer = Message("helper1", "lead", "Hello.")
    sent = ("message_sent", "helper1", {"message": answer})
    received = ("message_received", "lead", {"message": answer})
    picture = timeline(log(*STARTED, SENT, RECEIVED, sent, received, REPLY), "live")
    down, up = ends_of_arrows(picture)[:2]  # those of the legend follow
    layout = Picture(picture)
    lanes = layout.middle
    assert down[0] == pytest.approx(layout.x(2), abs=0.1)
    assert down[2] == pytest.approx(layout.x(3), abs=0.1)
    assert up[0] == pytest.approx(layout.x(4), abs=0.1)
    assert lanes["lead"] <= down[1] < down[3] <= lanes["helper1"]
    assert lanes["lead"] <= up[3] < up[1] <= lanes["helper1"]


@pytest.mark.parametrize(("ends", "crosses"), [([RECEIVED, REPLY], 0), ([DEAD], 2)])
def test_only_a_message_that_nobody_read_ends_in_a_cross(ends: list[Row], crosses: int) -> None:
    picture = timeline(log(*STARTED, SENT, *ends), "live")
    paths = [element.get("d", "") for element in elements(picture, "path")]
    drawn = [path for path in paths if path.endswith("l6 6m0 -6l-6 6")]
    legend = 2  # the cross in the key, with its paper below
    assert len(drawn) - legend == crosses


def test_the_seconds_of_the_axis_begin_with_the_run() -> None:
    events = [Event(e.step, e.time + 100, e.kind, e.agent, e.data) for e in log(*STARTED, SENT)]
    picture = timeline(events, "live", seconds=True)
    assert "0.5" in repr(picture)
    assert "100" not in repr(picture)

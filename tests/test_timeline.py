"""The timeline of a run: how it reads a log, its text form, and the forms a notebook is given."""

import sys
from base64 import b64decode
from collections.abc import Callable
from functools import partial
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest
from IPython.core.formatters import DisplayFormatter

from helpers.hub import Event, Message
from helpers.views.timeline import Timeline, timeline
from tests.pictures import (
    DEAD,
    RECEIVED,
    REPLY,
    SENT,
    STARTED,
    Row,
    call,
    ended,
    log,
    long_log,
    result,
    team_run,
    words,
)


def fates(picture: Timeline) -> list[tuple[int, int | None, bool]]:
    return [(letter.sent, letter.received, letter.dead) for letter in picture.mail]


def test_the_first_of_equal_messages_is_the_first_to_arrive_or_to_die() -> None:
    picture = timeline(log(*STARTED, SENT, SENT, RECEIVED, REPLY, RECEIVED), "live")
    assert fates(picture) == [(2, 4, False), (3, 6, False)]
    assert fates(timeline(log(*STARTED, SENT, SENT, DEAD), "live")) == [
        (2, None, True),
        (3, None, False),
    ]


def test_of_equal_messages_only_the_unread_one_dies() -> None:
    picture = timeline(log(*STARTED, SENT, RECEIVED, REPLY, SENT, DEAD, DEAD), "live")
    assert fates(picture) == [(2, 3, False), (5, None, True), (7, None, True)]
    assert repr(picture).count("helper1 ×") == 2
    assert "2 never read" in repr(picture)


def test_a_message_that_was_received_dies_when_no_answer_of_the_model_follows() -> None:
    others: Row = ("model_reply", "lead", {})  # that of another agent is none
    picture = timeline(log(*STARTED, SENT, SENT, RECEIVED, others, DEAD, DEAD), "live")
    assert fates(picture) == [(2, 4, True), (3, None, True)]


def test_messages_are_told_apart_by_sender_recipient_and_content() -> None:
    letters = [Message("lead", "helper1", "a"), Message("lead", "helper1", "b")]
    letters += [Message("helper1", "lead", "a"), Message("helper2", "helper1", "a")]
    sent = [("message_sent", m.sender, {"message": m}) for m in letters]
    equal = [Message(m.sender, m.recipient, m.content) for m in reversed(letters)]
    received = [("message_received", m.recipient, {"message": m}) for m in equal]
    assert fates(timeline(log(*STARTED, *sent, *received), "live")) == [
        (2, 9, False),
        (3, 8, False),
        (4, 7, False),
        (5, 6, False),
    ]


def test_a_call_lasts_to_its_result_or_to_the_end_of_its_agent() -> None:
    rows = [call("lead", "look"), call("helper1", "sleep"), result("lead"), SENT]
    lead, helper = timeline(log(*STARTED, *rows, ended("helper1", "killed")), "live").lanes
    assert [(c.kind, c.start, c.end, c.cut) for (c,) in lead.groups] == [("tool", 2, 4, False)]
    assert [(c.kind, c.start, c.end, c.cut) for (c,) in helper.groups] == [("sleep", 3, 6, True)]
    assert (lead.lives, helper.lives) == ([(0, 6, "")], [(1, 6, "killed")])


def test_calls_that_overlap_are_one_group() -> None:
    rows = [call("lead", "sleep", "a"), call("lead", "look", "b"), result("lead", "b")]
    rows += [call("lead", "look", "c"), result("lead", "a"), result("lead", "c")]
    rows += [call("lead", "look", "d"), result("lead", "d")]
    lane = timeline(log(*STARTED, *rows), "live").lanes[0]
    spans = [[(c.start, c.end) for c in group] for group in lane.groups]
    assert spans == [[(2, 6), (3, 4), (5, 7)], [(8, 9)]]


def test_a_call_still_open_at_the_end_of_the_log_is_not_cut_off() -> None:
    lane = timeline(log(*STARTED, call("lead", "look"), SENT), "live").lanes[0]
    assert [(c.start, c.end, c.cut) for (c,) in lane.groups] == [(2, 3, False)]
    assert lane.cut == ""


def test_a_name_used_again_begins_anew() -> None:
    again: Row = ("agent_started", "lead", {})
    rows = [call("lead", "look", "a"), ended("lead", "killed"), again]
    rows += [call("lead", "look", "b"), result("lead", "a"), result("lead", "b")]
    lane = timeline(log(*STARTED, *rows), "live").lanes[0]
    assert lane.lives == [(0, 3, "killed"), (4, 7, "")]
    assert [(c.start, c.end, c.cut) for (c,) in lane.groups] == [(2, 3, True), (5, 7, False)]
    assert lane.status == "killed, running"


def test_a_log_that_is_torn_can_be_read() -> None:
    strays = [RECEIVED, REPLY, call("nobody", "look"), ended("nobody")]
    strays += [call("lead", "look", "a"), result("lead", "x")]
    picture = timeline(log(*STARTED, *strays, ended("lead"), ended("lead", "again")), "live")
    assert [lane.status for lane in picture.lanes] == ["done", "running"]
    assert picture.mail == ()
    assert [(c.start, c.end, c.cut) for (c,) in picture.lanes[0].groups] == [(6, 8, True)]


@pytest.mark.parametrize("size", [3, 12, 30])
def test_the_text_form_stays_small_and_names_the_source(size: int) -> None:
    picture = team_run(size)
    lines = repr(picture).splitlines()
    assert lines[0].startswith("replies: scripted agents, no model")
    assert "replies: scripted agents, no model" in words(picture)
    assert len(lines) <= 25
    assert max(map(len, lines)) <= 100


def test_the_text_form_shows_lanes_and_who_wrote_to_whom() -> None:
    letters = [Message("lead", name, "Hi.") for name in ("helper1", "helper2")]
    sent = [("message_sent", "lead", {"message": letter}) for letter in letters]
    dead = ("message_dead", "helper2", {"message": letters[1], "reason": "ended"})
    rows = [("agent_started", "helper2", {}), call("lead", "look"), *sent, result("lead")]
    rows += [("model_call", "helper1", {}), ended("lead"), dead, ended("helper1", "killed")]
    assert repr(timeline(log(*STARTED, *rows), "live")).splitlines() == [
        "replies: live (3 agents, 11 steps, 2 messages, 1 never read)",
        "M model call  T tool call  w waiting  z sleeping  · between calls  ! end  × never read",
        "step    0         10",
        "lead    ···TTTT·!   done",
        "helper1  ······MMM! killed (cut)",
        "helper2   ········· running",
        "    4  lead → helper1, helper2 ×",
    ]


def test_messages_share_a_line_when_they_were_sent_one_right_after_the_other() -> None:
    lines = repr(timeline(log(*STARTED, SENT, SENT, RECEIVED, SENT), "live")).splitlines()
    assert lines[-2:] == ["    2  lead → helper1, helper1", "    5  lead → helper1"]
    letters = [{"message": Message("lead", f"helper{i}", "Hi."), "reason": ""} for i in range(5)]
    sent = [("message_sent", "lead", letter) for letter in letters]
    many = timeline(log(*STARTED, *sent, ("message_dead", "helper2", letters[2])), "live")
    assert repr(many).splitlines()[-1] == "    2  lead → 5 agents, × 1"


def test_names_and_statuses_are_escaped_cut_and_printable() -> None:
    name, status = "<script>&\x1b[31m" + "x" * 50, "\u202e<b>\x00" + "y" * 50
    picture = timeline(log(("agent_started", name, {}), ended(name, status)), "<i>\n" + "z" * 80)
    shown = [*words(picture), *repr(picture).splitlines(), picture.alt]
    assert all(text.isprintable() for text in shown)
    assert any(text.startswith("<script>& [31mxx") and text.endswith("…") for text in shown)
    assert "<script>" not in picture._repr_svg_()
    assert "<script>" not in picture._repr_mimebundle_()["text/html"]


def test_seconds_are_shown_when_asked_for_and_called_virtual_when_they_are() -> None:
    rows = log(*STARTED, SENT, RECEIVED)
    assert "second" not in repr(timeline(rows, "live")) + timeline(rows, "live")._repr_svg_()
    picture = timeline(rows, "authored", seconds=True, virtual=True)
    assert "virtual seconds" in words(picture)
    assert "virtual seconds: 0.5 at step 1" in repr(picture)


def test_the_seconds_of_the_axis_begin_with_the_run() -> None:
    events = [Event(e.step, e.time + 100, e.kind, e.agent, e.data) for e in log(*STARTED, SENT)]
    picture = timeline(events, "live", seconds=True)
    assert "0.5" in repr(picture)
    assert "100" not in repr(picture)


def test_seconds_stand_apart_and_an_early_pause_is_not_forgotten() -> None:
    rows = log(*STARTED, *[SENT] * 38)
    early = [Event(e.step, min(e.step, 3) * 2.0, e.kind, e.agent, e.data) for e in rows]
    assert timeline(early, "live", seconds=True).ticks == ((5, "6"),)
    always = timeline(rows, "live", seconds=True).ticks
    assert always == tuple((step, f"{step / 2:g}") for step in range(5, 40, 5))


def test_a_run_without_time_says_nothing_of_seconds() -> None:
    events = [Event(e.step, 7.0, e.kind, e.agent, e.data) for e in log(*STARTED, SENT)]
    picture = timeline(events, "live", seconds=True)
    assert "second" not in repr(picture) + picture._repr_svg_()


def test_an_empty_log_and_strangers_can_be_drawn() -> None:
    human = Message("human", "nobody", "Hi.")
    rows = log(("message_dead", "nobody", {"message": human, "reason": "unknown name"}))
    for events in ([], rows):
        assert "replies: live" in words(timeline(events, "live"))
        assert repr(timeline(events, "live")).startswith("replies: live (0 agents")


class Tags(HTMLParser):
    """The tags of a piece of HTML, with their attributes as a browser reads them."""

    def __init__(self, html: str):
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_a_notebook_is_given_an_image_an_svg_and_a_text() -> None:
    picture = team_run(3)
    formatter: Any = DisplayFormatter()
    bundle, _ = formatter.format(picture)
    assert set(bundle) == {"text/html", "image/svg+xml", "text/plain"}
    assert bundle["image/svg+xml"] == picture._repr_svg_()
    assert bundle["text/plain"] == repr(picture)
    ((tag, attributes),) = Tags(bundle["text/html"]).found
    kind, data = str(attributes.pop("src")).split(",")
    assert (tag, kind) == ("img", "data:image/svg+xml;base64")
    assert b64decode(data).decode() == picture._repr_svg_()
    assert attributes == {"alt": picture.alt, "style": "max-width:100%"}


def test_an_image_of_the_picture_is_not_moved_out_of_its_frame() -> None:
    root = ElementTree.fromstring(team_run(3)._repr_svg_())
    assert root.get("style") == "max-width:100%"  # a margin would cut the image
    assert root.attrib["viewBox"].startswith(f"0 0 {root.attrib['width']} ")


def test_the_alt_text_says_how_each_agent_ended_and_what_was_not_read() -> None:
    rows = [SENT, DEAD, ended("helper1", 'a "b" & <c>')]
    picture = timeline(log(*STARTED, *rows), "live")
    sizes = "2 agents, 5 steps, 1 messages, 1 never read"
    assert picture.alt == f'Timeline of a run: {sizes}; lead running, helper1 a "b" & <c>.'
    ((_, attributes),) = Tags(picture._repr_mimebundle_()["text/html"]).found
    assert attributes["alt"] == picture.alt
    assert len(team_run(30).alt) <= 300


@pytest.mark.parametrize("size", [3, 12])
def test_two_runs_of_one_script_look_the_same(size: int) -> None:
    assert team_run(size)._repr_mimebundle_() == team_run(size)._repr_mimebundle_()


def work(action: Callable[[], Any]) -> int:
    """Return how many lines of Python an action takes, each round of a loop counted."""
    lines = 0

    def trace(*_: object) -> Any:
        nonlocal lines
        lines += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(before)
    return lines


def equal_messages(size: int) -> list[Event]:
    """All sent, then all received, then all dead, and a few more that were never sent."""
    part = size // 4
    return log(*STARTED, *[SENT] * part, *[RECEIVED] * part, *[DEAD] * 2 * part)


def different_messages(size: int) -> list[Event]:
    rows: list[Row] = []
    for number in range(size // 3):
        letter = {"message": Message("lead", "helper1", str(number))}
        rows += [("message_sent", "lead", letter), ("message_received", "helper1", letter), REPLY]
    return log(*STARTED, *rows)


def open_calls(size: int) -> list[Event]:
    keys = list(map(str, range(size // 2)))
    calls = [call("lead", "look", key) for key in keys]
    return log(*STARTED, *calls, *[result("lead", key) for key in keys])


def many_agents(size: int) -> list[Event]:
    """Messages from the first to the last lane: long arrows, the more agents the longer."""
    names = [f"helper{number}" for number in range(size // 4)]
    rows: list[Row] = [("agent_started", name, {}) for name in names]
    for number in range(3 * size // 8):
        letter = {"message": Message(names[0], names[-1], str(number))}
        rows += [("message_sent", names[0], letter), ("message_received", names[-1], letter)]
    return log(*rows)


def lives(size: int) -> list[Event]:
    return log(*[("agent_started", "lead", {}), ended("lead")] * (size // 2))


@pytest.mark.parametrize(
    "events",
    [partial(long_log, 5), equal_messages, different_messages, open_calls, many_agents, lives],
    ids=["turns", "equal", "different", "open calls", "many agents", "lives"],
)
def test_twice_the_events_are_at_most_twice_the_work(
    events: Callable[[int], list[Event]],
) -> None:
    def work_of(size: int) -> int:
        log = events(size)

        def draw() -> None:
            picture = timeline(log, "live", seconds=True)
            picture._repr_svg_()
            repr(picture)

        return work(draw)

    assert work_of(4000) < 2.2 * work_of(2000)

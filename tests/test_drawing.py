"""The timeline as a picture: each shape where the log says, and nothing out of its box."""

from collections.abc import Callable
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from helpers.hub import Event, Message
from helpers.views.timeline import Picture, Timeline, timeline
from tests.pictures import (
    DEAD,
    LETTER,
    RECEIVED,
    REPLY,
    SENT,
    STARTED,
    SVG,
    Point,
    Row,
    arrows,
    boxes,
    call,
    ended,
    log,
    long_log,
    number,
    path_points,
    points,
    result,
    shapes,
    team_run,
    text_box,
    words,
)

INK, PAPER = "#24292f", "#fbfaf6"
THIRD: Row = ("agent_started", "helper2", {})


def draw(*rows: Row) -> Timeline:
    return timeline(log(*rows), "live")


def labels(picture: Timeline) -> list[ElementTree.Element]:
    """Return the texts inside the boxes of calls."""
    return [each for each in shapes(picture, "text") if each.get("stroke-width") == "2"]


def bars(picture: Timeline) -> list[list[Point]]:
    """Return the ends of agents, those of a lane in one; the legend's is the last."""
    found = [each for each in shapes(picture, "path") if each.get("stroke-width") == "3.0"]
    return [points(each) for each in found]


def long_names() -> Timeline:
    names = ["M" * 30, "helper_" + "w" * 30]
    rows: list[Row] = [("agent_started", name, {}) for name in names]
    rows += [call(names[0], "sleep"), *[call(names[1], "W" * 40, str(i)) for i in range(9)]]
    return draw(*rows, ended(names[0], "W" * 30), ended(names[1], "x" * 19))


def strangers() -> Timeline:
    """Messages from and to names without a lane, at the first and at the last lane."""
    letters = [Message("hub", "lead", "a"), Message("human", "nobody", "b")]
    letters += [Message("lead", "nobody", "c"), Message("helper1", "nobody", "d")]
    return draw(*STARTED, *(("message_dead", m.recipient, {"message": m}) for m in letters))


def twice() -> Timeline:
    """A name that was used again, with a gap between its lives."""
    again: Row = ("agent_started", "helper1", {})
    return draw(*STARTED, ended("helper1", "killed"), SENT, SENT, again, SENT)


def held() -> Timeline:
    """Two agents whose calls go on at the end of the log."""
    names = ["lead", "helper1"]
    rows: list[Row] = [("agent_started", name, {}) for name in names]
    return draw(*rows, *(call(name, "send_message") for name in names))


def slow_clock(agents: int, size: int) -> Timeline:
    return timeline(long_log(agents, size), "w" * 80, seconds=True, virtual=True)


RUNS: dict[str, Callable[[], Timeline]] = {
    "3 agents": lambda: team_run(3),
    "12 agents": lambda: team_run(12),
    "30 agents": lambda: team_run(30),
    "long names": long_names,
    "strangers": strangers,
    "a name used twice": twice,
    "held at calls": held,
    "nothing": lambda: draw(),
    "seconds": lambda: slow_clock(3, 200),
    "many steps": lambda: slow_clock(20, 20_000),
}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_nothing_leaves_the_picture(run: Callable[[], Timeline]) -> None:
    picture = run()
    paper = shapes(picture, "rect")[0]
    for each in shapes(picture, "rect", "circle", "path", "polygon", "text"):
        for x, y in points(each):
            assert 0 <= x <= number(paper, "width"), each.attrib
            assert 0 <= y <= number(paper, "height"), each.attrib


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_no_text_lies_on_another(run: Callable[[], Timeline]) -> None:
    picture = run()
    within = {each.text for each in labels(picture)}  # these have a test of their own
    texts = [each for each in shapes(picture, "text") if each.text and each.text not in within]
    for i, one in enumerate(texts):
        left, top, right, bottom = text_box(one)
        for other in texts[i + 1 :]:
            x1, y1, x2, y2 = text_box(other)
            apart = right <= x1 or x2 <= left or bottom <= y1 or y2 <= top
            assert apart, (one.text, other.text)


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_no_status_lies_on_a_box(run: Callable[[], Timeline]) -> None:
    picture = run()
    mono = [each for each in shapes(picture, "text") if each.get("font-family") == "monospace"]
    drawn = boxes(picture)
    for status in (each for each in mono if not each.get("font-weight") and each.text):
        left, y = number(status, "x"), number(status, "y")
        beside = [box for box in drawn if 0 < y - number(box, "y") < number(box, "height")]
        assert all(number(box, "x") + number(box, "width") < left for box in beside)


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_the_rows_below_the_lanes_have_room_between(run: Callable[[], Timeline]) -> None:
    picture = run()
    heights = [number(each, "y") for each in shapes(picture, "text") if each.text]
    rows = sorted({y for y in heights if y > Picture(picture).bottom})
    assert all(below - above > 16 for above, below in pairwise(rows))


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_names_stand_before_their_lane_and_statuses_behind_its_end(
    run: Callable[[], Timeline],
) -> None:
    picture = run()
    layout = Picture(picture)
    mono = [each for each in shapes(picture, "text") if each.get("font-family") == "monospace"]
    names = [each for each in mono if each.get("font-weight")]
    statuses = [each for each in mono if not each.get("font-weight")]
    assert len(names) * 2 == len(statuses) == len(picture.lanes) * 2
    for i, (name, lane) in enumerate(zip(names, picture.lanes, strict=True)):
        assert text_box(name)[2] <= layout.x(0)
        assert abs(number(name, "y") - layout.middle[lane.name]) < 6
        for status in statuses[2 * i : 2 * i + 2]:
            assert number(status, "x") > layout.x(lane.lives[-1][1]) + 3
            assert abs(number(status, "y") - layout.middle[lane.name]) < 14


def test_lanes_lie_in_the_order_of_starting_with_room_between() -> None:
    for size in (2, 8, 20):
        layout = Picture(team_run(size))
        lanes = list(layout.middle.items())
        assert [name for name, _ in lanes] == ["lead", *(f"helper{i}" for i in range(1, size))]
        assert all(b - a > 2 * layout.half + 8 for (_, a), (_, b) in pairwise(lanes))


def test_a_message_goes_from_lane_to_lane_from_sending_to_receiving() -> None:
    letter = {"message": Message("helper2", "lead", "Hello.")}
    sent, received = ("message_sent", "helper2", letter), ("message_received", "lead", letter)
    picture = draw(*STARTED, THIRD, SENT, sent, RECEIVED, received, REPLY)
    layout = Picture(picture)
    lead, helper1, helper2 = layout.middle.values()
    down, up = arrows(picture)
    assert down.start == pytest.approx((layout.x(3), lead + layout.half), abs=0.1)
    assert down.end == pytest.approx((layout.x(5), helper1 - layout.half), abs=0.1)
    assert up.start == pytest.approx((layout.x(4), helper2 - layout.half), abs=0.1)
    assert up.end == pytest.approx((layout.x(6), lead + layout.half), abs=0.1)
    assert (down.colour, up.colour) == ("#1f5fa8", "#b3560a")


@pytest.mark.parametrize("run", [RUNS["3 agents"], RUNS["12 agents"]])
def test_each_arrow_begins_with_a_dot_and_ends_in_a_head_that_points_on(
    run: Callable[[], Timeline],
) -> None:
    picture = run()
    drawn = arrows(picture)
    assert len(drawn) == len(picture.mail)
    for each, letter in zip(drawn, picture.mail, strict=True):
        (x1, y1), (x2, y2) = each.start, each.end
        assert each.dot == pytest.approx(each.start, abs=0.1)
        assert bool(each.cross) is letter.dead
        if letter.dead:
            continue
        tip, *barbs = each.head
        assert tip == pytest.approx(each.end, abs=0.1)
        length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
        for x, y in barbs:
            back = ((x2 - x) * (x2 - x1) + (y2 - y) * (y2 - y1)) / length
            side = ((x2 - x) * (y2 - y1) - (y2 - y) * (x2 - x1)) / length
            assert back == pytest.approx(6.4, abs=0.2)
            assert abs(side) == pytest.approx(2.7, abs=0.2)
        middle = [sum(values) / 2 for values in zip(*barbs, strict=True)]
        assert ((middle[0] - x2) ** 2 + (middle[1] - y2) ** 2) ** 0.5 == pytest.approx(6.4, abs=0.2)


@pytest.mark.parametrize(("ends", "dead"), [([RECEIVED, REPLY], 0), ([RECEIVED, DEAD], 1)])
def test_only_a_message_that_nobody_read_ends_in_a_cross(ends: list[Row], dead: int) -> None:
    (drawn,) = arrows(draw(*STARTED, SENT, *ends))
    assert bool(drawn.cross) == bool(dead)
    assert bool(drawn.head) != bool(dead)
    if dead:
        xs, ys = zip(*drawn.cross, strict=True)
        assert ((min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2) == pytest.approx(drawn.end)
        assert (max(xs) - min(xs), max(ys) - min(ys)) == pytest.approx((6, 6))


def test_a_cross_has_two_strokes_and_paper_below() -> None:
    picture = draw(*STARTED, SENT, DEAD)
    paths = [each for each in shapes(picture, "path") if "l6 6" in each.get("d", "")]
    below, above = paths[:2]
    assert below.get("d") == above.get("d")
    assert (below.get("stroke"), above.get("stroke")) == (PAPER, INK)
    assert number(below, "stroke-width") > number(above, "stroke-width")
    a, b, c, d = path_points(above.get("d", ""))
    assert (b[0] - a[0], b[1] - a[1]) == pytest.approx((6, 6))
    assert (d[0] - c[0], d[1] - c[1]) == pytest.approx((-6, 6))


def test_a_message_that_nobody_received_stays_with_its_sender() -> None:
    letter = {"message": Message("helper1", "lead", "x"), "reason": "ended"}
    picture = draw(*STARTED, SENT, DEAD, ("message_dead", "lead", letter))
    layout = Picture(picture)
    lead, helper1 = layout.middle.values()
    down, up = arrows(picture)
    assert down.start == pytest.approx((layout.x(2), lead + layout.half), abs=0.1)
    assert down.end == pytest.approx((layout.x(2), lead + layout.half + 9), abs=0.1)
    assert up.start == pytest.approx((layout.x(4), helper1 - layout.half), abs=0.1)
    assert up.end == pytest.approx((layout.x(4), helper1 - layout.half - 9), abs=0.1)


def test_a_notice_of_the_hub_falls_on_the_lane_from_above_where_it_was_received() -> None:
    letter = {"message": Message("hub", "helper1", "x")}
    sent, received = ("message_sent", "hub", letter), ("message_received", "helper1", letter)
    picture = draw(*STARTED, sent, SENT, received, REPLY)
    notice = arrows(picture)[0]
    layout = Picture(picture)
    top = layout.middle["helper1"] - layout.half
    assert notice.start == pytest.approx((layout.x(4), top - 11), abs=0.1)
    assert notice.end == pytest.approx((layout.x(4), top), abs=0.1)
    assert notice.colour == INK
    assert max(y for _, y in notice.head) == pytest.approx(top, abs=0.1)


def test_messages_of_strangers_have_an_arrow_each() -> None:
    notice, between, down, below = arrows(strangers())
    assert notice.end != between.end
    assert between.start[1] < between.end[1] < notice.end[1]
    assert down.end[1] > down.start[1]
    assert below.end[1] > below.start[1]


def test_a_call_is_a_box_from_its_first_to_its_last_step() -> None:
    picture = draw(*STARTED, call("helper1", "look"), SENT, SENT, result("helper1"), SENT)
    (box,) = boxes(picture)
    layout = Picture(picture)
    middle, half = layout.middle["helper1"], layout.half
    (left, top), (right, bottom) = points(box)
    assert layout.x(1) < left < layout.x(2) < layout.x(5) < right < layout.x(6)
    assert (left + right) / 2 == pytest.approx((layout.x(2) + layout.x(5)) / 2, abs=0.1)
    assert (top, bottom) == pytest.approx((middle - half, middle + half), abs=0.1)
    paper = shapes(picture, "rect")[1]
    assert points(paper) == points(box)
    assert (paper.get("fill"), box.get("stroke")) == (PAPER, "#b3560a")


def test_each_kind_of_call_has_a_look_which_the_legend_shows_too() -> None:
    rows: list[Row] = [("model_call", "lead", {}), ("model_reply", "lead", {})]
    for tool in ("look", "wait_for_message", "sleep"):
        rows += [call("lead", tool), result("lead")]
    picture = draw(*STARTED, *rows)
    legend = [each for each in shapes(picture, "rect") if each.get("stroke")][-4:]
    looks = [("0.3", "none"), ("0.0", "none"), ("0.0", "5 3"), ("0.0", "1.5 2.5")]
    for drawn in (boxes(picture), legend):
        found = [(each.get("fill-opacity"), each.get("stroke-dasharray")) for each in drawn]
        assert found == looks
    assert [each.text for each in labels(picture)] == ["model", "look", "waiting", "sleeping"]


def test_a_call_that_was_cut_off_ends_torn_at_the_end_of_its_agent() -> None:
    picture = draw(*STARTED, call("helper1", "sleep"), SENT, ended("helper1", "killed"), SENT)
    (box,) = boxes(picture)
    layout = Picture(picture)
    (_, top), (right, bottom) = points(box)
    assert right == pytest.approx(layout.x(4), abs=0.1)
    tears = [points(each) for each in shapes(picture, "path") if "l-4" in each.get("d", "")]
    assert len(tears) == 2
    for tear in tears:
        xs, ys = zip(*tear, strict=True)
        assert xs == pytest.approx((right, right - 4, right, right - 4, right), abs=0.1)
        assert (ys[0], ys[-1]) == pytest.approx((top, bottom), abs=0.1)
    assert {"killed", "sleep cut off", "sleeping"} <= set(words(picture))
    assert "killed (cut)" in repr(picture)


def test_an_end_is_a_bar_across_the_lane() -> None:
    picture = draw(*STARTED, SENT, ended("helper1"), SENT)
    layout = Picture(picture)
    ((x1, top), (x2, bottom)), _ = bars(picture)
    assert (x1, x2) == pytest.approx((layout.x(3), layout.x(3)), abs=0.1)
    assert top < layout.middle["helper1"] - layout.half
    assert bottom > layout.middle["helper1"] + layout.half


def test_calls_side_by_side_share_the_height_of_the_lane() -> None:
    calls = [call("lead", tool, tool) for tool in ("sleep", "look", "read")]
    results = [result("lead", tool) for tool in ("look", "read", "sleep")]
    picture = draw(*STARTED, *calls, *results, call("lead", "look"), result("lead"))
    layout = Picture(picture)
    edges = [(top, bottom) for (_, top), (_, bottom) in map(points, boxes(picture))]
    third, top = 2 * layout.half / 3, layout.middle["lead"] - layout.half
    expected = [(top + third * row, top + third * (row + 1)) for row in range(3)]
    for found, wanted in zip(edges, [*expected, (top, top + 3 * third)], strict=True):
        assert found == pytest.approx(wanted, abs=0.2)


def test_a_name_used_twice_has_one_lane_with_two_lives() -> None:
    picture = twice()
    layout = Picture(picture)
    lines = [each for each in shapes(picture, "path") if "H" in each.get("d", "")]
    lives = points(lines[1])
    expected = [layout.x(1), layout.x(2), layout.x(5), layout.x(6)]
    assert len(lines) == len(picture.lanes) == 2
    assert [x for x, _ in lives] == pytest.approx(expected, abs=0.1)
    assert {y for _, y in lives} == {layout.middle["helper1"]}
    assert "killed, running" in words(picture)
    assert bars(picture)[0][0][0] == pytest.approx(layout.x(2), abs=0.1)


@pytest.mark.parametrize("run", [*list(RUNS.values())[:4], lambda: timeline(long_log(3, 900), "a")])
def test_labels_lie_in_the_middle_of_their_boxes(run: Callable[[], Timeline]) -> None:
    picture = run()
    places = [(*a, *b) for a, b in map(points, boxes(picture))]
    assert labels(picture)
    for label in labels(picture):
        x, y = number(label, "x"), number(label, "y")
        around = [
            (left, top, right, bottom)
            for left, top, right, bottom in places
            if left < x < right and top < y < bottom and abs((left + right) / 2 - x) < 0.11
        ]
        assert len(around) == 1
        left, top, right, bottom = around[0]
        x1, y1, x2, y2 = text_box(label)
        assert left < x1 < x < x2 < right
        assert top <= y1 < y2 <= bottom
        assert number(label, "font-size") <= 10


def test_a_label_is_the_name_where_there_is_room_or_else_a_letter() -> None:
    found = set()
    for between in range(2, 60, 2):
        rows = [call("lead", "look_around"), *[SENT] * between, result("lead")]
        picture = draw(*STARTED, *rows, *[SENT] * (200 - between))
        (label,), (box,) = labels(picture), boxes(picture)
        found.add(label.text)
        needed = 10 * 0.58 * len("look_around")
        if label.text == "look_around":
            assert needed < number(box, "width")
        else:
            assert label.text == "T"
            assert number(box, "width") < needed + 20
    assert found == {"T", "look_around"}


def test_a_box_without_room_for_a_letter_has_no_label() -> None:
    picture = draw(*STARTED, call("lead", "look"), result("lead"), *[SENT] * 300)
    assert len(boxes(picture)) == 1
    assert labels(picture) == []
    low = [call("lead", "look", str(i)) for i in range(4)]
    picture = draw(*STARTED, *low, *[result("lead", str(i)) for i in range(4)])
    assert len(boxes(picture)) == 4
    assert labels(picture) == []


def test_labels_lie_above_arrows_and_arrows_above_boxes() -> None:
    picture = team_run(3)
    painted = shapes(picture, "rect", "polygon", "text")
    last_box = max(i for i, each in enumerate(painted[:-20]) if each.tag == SVG + "rect")
    heads = [i for i, each in enumerate(painted) if each.tag == SVG + "polygon"][:-2]
    texts = [i for i, each in enumerate(painted) if each.get("stroke-width") == "2"]
    assert last_box < min(heads) <= max(heads) < min(texts)


def test_each_role_has_its_colour() -> None:
    names = ["lead", "orchestrator", "helper7", "researcher", "drafter", "compliance", "someone"]
    picture = draw(*(("agent_started", name, {}) for name in names))
    shown = {each.text: each.get("fill") for each in shapes(picture, "text")}
    colours = ["#1f5fa8", "#1f5fa8", "#b3560a", "#1d7a4f", "#7a3fa0", "#b02a4c", "#4d5661"]
    assert [shown[name] for name in names] == colours


@pytest.mark.parametrize(("size", "fewest"), [(30, 3), (150, 10), (700, 10), (30_000, 10)])
def test_the_axis_counts_steps_with_room_between_its_numbers(size: int, fewest: int) -> None:
    picture = draw(*STARTED, *[SENT] * (size - 2))
    layout = Picture(picture)
    numbers = [each for each in shapes(picture, "text") if (each.text or "").isdigit()]
    steps = [int(each.text or "") for each in numbers]
    assert len({b - a for a, b in pairwise(steps)}) == 1
    assert fewest <= len(steps) <= 18
    for each, step in zip(numbers, steps, strict=True):
        assert number(each, "x") == pytest.approx(layout.x(step), abs=0.1)
        assert each.get("text-anchor") == "middle"
    for one, next_one in pairwise(numbers):
        assert text_box(one)[2] < text_box(next_one)[0]


def test_the_seconds_stand_below_their_steps() -> None:
    picture = slow_clock(3, 200)
    layout = Picture(picture)
    shown = {each.text: each for each in shapes(picture, "text")}
    assert len(picture.ticks) > 5
    for step, time in picture.ticks:
        assert number(shown[f"{time} s"], "x") == pytest.approx(layout.x(step), abs=0.1)
        assert number(shown[f"{time} s"], "y") > number(shown["step"], "y") + 10


def test_in_many_steps_work_is_a_band_and_waiting_is_none() -> None:
    turn: list[Row] = [("model_call", "lead", {}), ("model_reply", "lead", {})]
    pause = [call("lead", "wait_for_message"), *[SENT] * 798, result("lead")]
    long_call = [call("lead", "look"), *[SENT] * 798, result("lead")]
    picture = draw(*STARTED, *turn * 400, *pause, *turn * 400, *pause, *long_call, *pause)
    layout = Picture(picture)
    lead, helper1 = [each for each in shapes(picture, "path") if each.get("opacity")]
    corners = points(lead)
    spans = [(a, b) for (a, _), (b, _) in zip(corners[::2], corners[1::2], strict=True)]
    worked = [*range(2, 802), *range(1602, 2402), *range(3202, 4002)]
    waited = [*range(830, 1570), *range(2430, 3170), *range(4030, 4790)]
    assert all(any(a <= layout.x(step) < b for a, b in spans) for step in worked)
    assert not any(a <= layout.x(step) < b for step in waited for a, b in spans)
    assert number(lead, "stroke-width") == pytest.approx(2 * layout.half, abs=0.1)
    assert {y for _, y in corners} == {layout.middle["lead"]}
    assert (points(helper1), boxes(picture)) == ([], [])


def test_in_many_steps_every_message_never_read_still_has_its_cross() -> None:
    unread: Row = ("message_dead", "helper1", {"message": LETTER, "reason": "ended"})
    row = draw(*STARTED, *[unread] * 3000)
    for picture in (row, timeline(long_log(20, 20_000), "live")):
        layout = Picture(picture)
        crosses = next(each for each in shapes(picture, "path") if "l6 6" in each.get("d", ""))
        drawn = [(x + 3, y + 3) for x, y in points(crosses)[::4]]
        dead = [layout.route(letter) for letter in picture.mail if letter.dead]
        assert 20 < len(drawn) <= len(dead)
        assert len(drawn) < 200
        for _, _, x, y, _ in dead:
            assert any(abs(a - x) <= 12 and abs(b - y) < 0.1 for a, b in drawn)


def test_in_many_steps_an_arrow_along_another_is_left_out_and_one_across_it_is_not() -> None:
    def letter(sender: str, recipient: str, step: int) -> tuple[Row, Row]:
        message = {"message": Message(sender, recipient, str(step))}
        return ("message_sent", sender, message), ("message_received", recipient, message)

    empty: Row = ("note", "lead", {})
    rows = [*STARTED, THIRD, *[empty] * 3000]
    for sender, recipient, sent, received in [
        ("lead", "helper2", 500, 501),
        ("lead", "helper2", 502, 540),  # a square further at the end
        ("helper2", "lead", 400, 700),  # across both
        ("lead", "helper1", 503, 504),  # on the first, but not so far
    ]:
        rows[sent], rows[received] = letter(sender, recipient, sent)
    picture = draw(*rows)
    layout = Picture(picture)
    across, first = arrows(picture)
    assert (across.start[0], across.end[0]) == pytest.approx((layout.x(400), layout.x(700)))
    assert (first.start[0], first.end[0]) == pytest.approx((layout.x(500), layout.x(501)))
    assert "2 of 4 messages are drawn; a band is many calls" in words(picture)


def test_in_many_steps_the_arrows_drawn_are_messages_and_spread_over_the_picture() -> None:
    picture = timeline(long_log(20, 20_000), "live")
    layout = Picture(picture)
    drawn = [(each.start, each.end) for each in arrows(picture)]
    routes = [layout.route(letter)[:4] for letter in picture.mail if not letter.dead]
    assert 100 < len(drawn) < 1000 < len(routes)
    ends = {tuple(round(value, 1) for value in route) for route in routes}
    assert {(*start, *end) for start, end in drawn} <= ends
    for x1, y1, x2, y2 in routes[::17]:
        x, y = (x1 + x2) / 2, (y1 + y2) / 2
        near = [a for (a, b), (c, d) in drawn if min(b, d) - 30 <= y <= max(b, d) + 30]
        assert any(abs(a - x) < 40 for a in near)


def busy_lives(agents: int, size: int) -> list[Event]:
    """A log of names that are used again and again."""
    names = [f"helper{i}" for i in range(agents)]
    starts: list[Row] = [("agent_started", name, {}) for name in names]
    return log(*(starts + [ended(name) for name in names]) * (size // (2 * agents)))


@pytest.mark.parametrize("events", [long_log, busy_lives])
def test_a_picture_grows_with_what_can_be_seen(
    events: Callable[[int, int], list[Event]],
) -> None:
    sizes = [len(timeline(events(20, n), "live")._repr_svg_()) for n in (1200, 25_000, 50_000)]
    assert max(sizes) < 300_000
    assert sizes[2] < 1.2 * sizes[1]

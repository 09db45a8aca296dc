"""The file of a recording: any text survives it, and a broken file is named with its line."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.replies.comparing import describe, differences, digest, excerpts
from helpers.replies.recording import (
    FOLDER,
    Answered,
    ClockStep,
    Exchange,
    Recording,
    RecordingError,
    Step,
    answer,
    load,
    save,
    speaker,
)

AUTHORED = """\
source: authored
about: made by a test
model: test-model
steps:
- agent: lead
  reply:
  - text: Let me look.
  - read: {page: 2}
- agent: lead
  reply: Done.
...
"""

TRICKY = """
no on off yes y n true null ~ - ? : # & * ! | > % @ ` = << 1 -0 0o7 0x1f 1_000 1e3 1.5e10 1.5e+10
.5 1:30 2026-11-21 2026-11-21T10:00:00Z .inf .nan --- ... [a] {a} 'a' "a" !!int
"""
ODD = "\n\n \t\r:#-'\"\x85\u2028\u2029\ufeff\x00😀"
awkward = st.text(st.characters(codec="utf-8") | st.sampled_from(ODD), max_size=12)
texts = st.sampled_from(TRICKY.split()) | awkward
values = st.none() | st.booleans() | st.integers() | st.floats(-1e300, 1e300) | texts
arguments = st.dictionaries(texts, values | st.lists(values, max_size=2), max_size=2)
blocks = st.builds(lambda text: {"text": text}, texts) | st.builds(
    lambda name, value: {name: value}, texts.filter(lambda name: name != "text"), arguments
)
blocks |= st.builds(lambda text: {"type": "thinking", "thinking": text}, texts)
exchanges = st.builds(
    Exchange,
    agent=texts,
    turn=st.just(0),
    reply=st.none() | st.lists(blocks, max_size=2),
    stop_reason=st.none() | texts,
    sent=st.none() | arguments,
    at=st.none() | st.floats(0, 1e6),
)
failures = st.builds(Exchange, agent=texts, failed=st.fixed_dictionaries({"body": values}))
answers = st.builds(
    Answered, texts, values, values, st.none() | st.sampled_from(["cancelled", "inner"])
)
clocks = st.builds(ClockStep, st.floats(0, 1e6))
steps = st.lists(exchanges | failures | answers | clocks, max_size=2)


def plain(step: Step) -> Any:
    if not isinstance(step, Exchange):
        return step
    stop_reason = None if step.reply is None else step.stop_reason
    return step.agent, step.reply, stop_reason, step.sent, step.at, step.failed


def write(folder: Path, text: str) -> Path:
    path = folder / "team.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(source=texts, about=texts, model=texts, steps=steps)
def test_what_is_saved_is_loaded_and_saved_again_as_the_same_bytes(
    tmp_path: Path, source: str, about: str, model: str, steps: list[Step]
) -> None:
    path = tmp_path / "any.yaml"
    save(Recording(path, source, about, model, steps))
    loaded = load(path)
    assert (loaded.source, loaded.about, loaded.model) == (source, about, model)
    assert [plain(step) for step in loaded.steps] == [plain(step) for step in steps]
    save(loaded)  # as the first time, with the turns counted
    before = path.read_bytes()
    save(load(path))
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "text", ["no", "on", "2026-11-21", "12:30:00", "1_000", "1e3", "1.5e10", "0x1f", "a ", " a\nb "]
)
def test_a_text_that_looks_like_something_else_stays_text(tmp_path: Path, text: str) -> None:
    path = tmp_path / "any.yaml"
    save(
        Recording(path, text, text, text, [Exchange("lead", 1, [{"text": text}], sent={"a": text})])
    )
    loaded = load(path)
    (step,) = loaded.steps
    assert isinstance(step, Exchange)
    assert (loaded.about, step.reply, step.sent) == (text, [{"text": text}], {"a": text})


@pytest.mark.parametrize("text", ["a\x85b", "a\n\x85b", "\x85", "a\u2028b", "a\n\u2029 b", "\r\n"])
def test_an_unusual_end_of_a_line_stays_what_it_is(tmp_path: Path, text: str) -> None:
    path = tmp_path / "any.yaml"
    save(Recording(path, "s", "a", "m", [Exchange("lead", 1, [{"text": text}], sent={text: text})]))
    (step,) = load(path).steps
    assert isinstance(step, Exchange)
    assert (step.reply, step.sent) == ([{"text": text}], {text: text})


@pytest.mark.parametrize("text", ["no", "on", "yes", "off", "2026-11-21", "12:30:00", "1_000"])
def test_a_text_written_by_hand_without_quotes_stays_text(tmp_path: Path, text: str) -> None:
    loaded = load(write(tmp_path, AUTHORED.replace("Done.", text).replace("2}", text + "}")))
    first, last = loaded.steps
    assert isinstance(first, Exchange)
    assert isinstance(last, Exchange)
    assert first.reply == [{"text": "Let me look."}, {"read": {"page": text}}]
    assert last.reply == [{"text": text}]


def test_a_text_of_several_lines_is_written_as_a_block(tmp_path: Path) -> None:
    path = tmp_path / "any.yaml"
    save(Recording(path, "s", "a", "m", [Exchange("lead", 1, [{"text": "One.\nTwo: é 😀"}])]))
    assert "reply: |-\n    One.\n    Two: é 😀\n" in path.read_text(encoding="utf-8")


def test_saving_replaces_the_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = write(tmp_path, AUTHORED)
    save(load(path))
    save(load(path))
    assert list(tmp_path.iterdir()) == [path]
    assert load(path).model == "test-model"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_shipped_recording_is_saved_as_the_same_bytes_and_says_who_wrote_it(
    path: Path, tmp_path: Path
) -> None:
    recording = load(path)
    assert recording.source in ("authored", "recorded")
    recording.path = tmp_path / path.name
    save(recording)
    assert recording.path.read_bytes() == path.read_bytes()
    assert all(s.sent is not None for s in recording.steps if isinstance(s, Exchange))


def broken(folder: Path, text: str) -> str:
    """Return the message of the error that this text gives."""
    with pytest.raises(RecordingError) as caught:
        load(write(folder, text))
    assert "team.yaml" in str(caught.value)
    return str(caught.value)


def test_a_missing_recording_is_answered_with_the_names_of_the_others(tmp_path: Path) -> None:
    write(tmp_path, AUTHORED)
    with pytest.raises(RecordingError, match=r"no recording tem\.yaml; the recordings are: team"):
        load(tmp_path / "tem.yaml")


def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    for end in range(len(AUTHORED) - 1):
        broken(tmp_path, AUTHORED[:end])
    assert "cut off" in broken(tmp_path, AUTHORED.removesuffix("...\n"))


def test_unreadable_yaml_is_named_with_its_line(tmp_path: Path) -> None:
    assert broken(tmp_path, AUTHORED.replace("about: made", "about: a: ")).startswith("team.yaml:2")


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "team.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecordingError, match=r"team\.yaml:1: .*utf-8"):
        load(tmp_path / "team.yaml")


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("source: authored\n", "", 1),
        ("steps:", "stages:", 1),
        ("model: test-model", "model: 3", 3),
        ("- agent: lead\n  reply: Done.", "- reply: Done.", 9),
        ("- agent: lead\n  reply: Done.", "- agent: 3\n  reply: Done.", 9),
        ("- agent: lead\n  reply: Done.", "- Done.", 9),
        ("  reply: Done.", "  replay: Done.", 9),
        ("  reply: Done.", "  turn: 2", 9),
        ("  reply: Done.", "  reply: Done.\n  cancelled: true", 11),
        ("  reply: Done.", "  reply: 3", 10),
        ("  reply: Done.", "  reply:", 9),
        ("  reply: Done.", "  reply: [Done.]", 9),
        ("  reply: Done.", "  reply: [{text: a, read: {}}]", 9),
        ("  reply: Done.", "  reply: [{text: 3}]", 9),
        ("  reply: Done.", "  reply: [{read: page 2}]", 9),
        ("  reply: Done.", "  reply: Done.\n  sent: hello", 11),
        ("  reply: Done.", "  reply: Done.\n  usage: 3", 11),
        ("  reply: Done.", "  reply: Done.\n  usage: {input_tokens: -1}", 11),
        ("- agent: lead\n  reply: Done.", "- clock: soon", 9),
        ("- agent: lead\n  reply: Done.", "- clock:", 9),
        ("- agent: lead\n  reply: Done.", "- clock: inf", 9),
    ],
)
def test_a_mistake_in_a_step_is_named_with_its_line(
    tmp_path: Path, old: str, new: str, line: int
) -> None:
    assert old in AUTHORED
    assert broken(tmp_path, AUTHORED.replace(old, new)).startswith(f"team.yaml:{line}")


def test_turns_are_counted_per_agent_whatever_the_file_says(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, AUTHORED.replace("  reply: Done.", "  turn: 7\n  reply: Done.")))
    assert [step.key for step in loaded.steps if isinstance(step, Exchange)] == [
        ("lead", 1),
        ("lead", 2),
    ]


def test_a_field_is_found_by_its_line(tmp_path: Path) -> None:
    text = AUTHORED.replace(
        "Done.\n", "Done.\n  sent:\n    system: You.\n    messages:\n    - a\n    - b\n"
    )
    recording = load(write(tmp_path, text))
    step = recording.steps[1]
    assert isinstance(step, Exchange)
    assert recording.place(step) == "team.yaml:9"
    assert recording.place(step, "sent") == "team.yaml:11"
    assert recording.place(step, "sent", "system") == "team.yaml:12"
    assert recording.place(step, "sent", "messages", 1) == "team.yaml:15"
    assert recording.place(step, "sent", "tools", "read") == "team.yaml:11"


def said(*ids: str) -> dict[str, Any]:
    """A turn with these calls."""
    return {"role": "assistant", "content": [{"type": "tool_use", "id": i} for i in ids]}


def test_a_request_is_described_by_what_is_new() -> None:
    result = {"type": "tool_result", "tool_use_id": "t1", "content": "a"}
    with_mail = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    failed = {**result, "tool_use_id": "t2", "is_error": True, "content": with_mail}
    body: dict[str, Any] = {
        "system": "You are lead.",
        "tools": [{"name": "read", "input_schema": {}}],
        "messages": [{"role": "user", "content": [result, failed]}],
    }
    described = describe(body, [said("t1", "t2")])
    assert list(described) == ["system", "tools", "messages"]
    assert described["tools"] == {"read": digest({"input_schema": {}, "name": "read"})}
    assert described["messages"] == [
        {"user": [{"result": "a"}, {"result": ["a", "b"], "error": True}]}
    ]
    assert describe(body, [said("t2", "t1")])["messages"] == [{"user": [result, failed]}]


def test_replies_become_responses_with_estimated_usage() -> None:
    exchange = Exchange("lead", 2, [{"text": "Hm."}, {"read": {"page": 2}}])
    response = answer(exchange, {"model": "m"})
    assert response["stop_reason"] == "tool_use"
    assert response["content"][1]["id"] == "toolu_lead_2_2"
    assert response["usage"]["output_tokens"] > 0
    plain_text = answer(Exchange("lead", 1, [{"text": "Hm."}]), {"model": "m"})
    assert plain_text["stop_reason"] == "end_turn"


def test_the_speaker_is_named_by_its_system_prompt() -> None:
    assert speaker({"system": "You are helper1, one of 3."}) == "helper1"
    assert speaker({"system": "Answer briefly."}) is None
    assert speaker({}) is None


nested = st.recursive(values, lambda inner: st.lists(inner) | st.dictionaries(texts, inner))


@given(nested, nested)
def test_differences_are_found_exactly_when_values_differ(a: Any, b: Any) -> None:
    assert differences(a, a) == []
    assert bool(differences({"x": [a]}, {"x": [b]})) == (
        json.dumps(a, sort_keys=True) != json.dumps(b, sort_keys=True)
    )


@pytest.mark.parametrize(
    ("a", "b"), [([1], [1, 2]), ([1], [1, None]), ({"a": None}, {}), (True, 1), ("1", 1), (0, None)]
)
def test_what_only_looks_alike_differs(a: Any, b: Any) -> None:
    assert differences(a, b)
    assert differences(b, a)


@given(st.text("abc ", max_size=300), st.text("abc ", max_size=300), st.text("abc ", max_size=300))
def test_excerpts_show_where_two_texts_part(start: str, a: str, b: str) -> None:
    recorded, sent = excerpts(start + a, start + b)
    assert (recorded == sent) == (a == b)


def test_excerpts_show_what_was_added_to_a_long_text() -> None:
    recorded, sent = excerpts("x" * 500, "x" * 500 + " and more")
    assert "and more" in sent
    assert "and more" not in recorded


def test_a_lost_colon_is_told_in_one_line_without_the_parsers_own_error(tmp_path: Path) -> None:
    with pytest.raises(RecordingError) as caught:
        load(write(tmp_path, AUTHORED.replace("about: made", "about made")))
    assert str(caught.value) == "team.yaml:3: could not find expected ':'"
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("model: test-model", "model: a\nmodel: b", 4),
        ("reply: Done.", "reply: Done.\n  reply: Well done.", 11),
        ("{page: 2}", "{page: 2, page: 3}", 8),
    ],
)
def test_a_key_that_stands_twice_is_refused_with_its_line(
    tmp_path: Path, old: str, new: str, line: int
) -> None:
    message = broken(tmp_path, AUTHORED.replace(old, new))
    assert message.startswith(f"team.yaml:{line}: ")
    assert "twice" in message


VALUES = [
    "!!int x",
    "!!bool x",
    "!!float x",
    "!!binary aGVsbG8=",
    "!!set {a}",
    "!odd 1",
    "9" * 5_000,
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value[:9])
def test_a_value_of_no_type_that_json_has_is_refused_with_its_line(
    tmp_path: Path, value: str
) -> None:
    message = broken(tmp_path, AUTHORED.replace("page: 2", f"page: {value}"))
    assert message.startswith("team.yaml:8: ")


def test_no_way_to_break_a_file_gives_another_error_or_a_long_one(tmp_path: Path) -> None:
    odd = [
        "",
        "[" * 3_000,
        "- a",
        "? [a]\n: b",
        "&a [*a]",
        "\x01",
        "{" * 50,
        "a: b\n--- \nc: d",
        "%x",
    ]
    for text in odd:
        for whole in (f"{text}\n...\n", AUTHORED.replace("page: 2", f"page: {text}")):
            if whole != AUTHORED.replace("page: 2", "page: "):
                assert len(broken(tmp_path, whole)) < 300


def test_a_tag_that_would_run_code_is_refused(tmp_path: Path) -> None:
    assert "team.yaml" in broken(tmp_path, AUTHORED.replace("authored", "!!python/name:os.getcwd"))

"""The checks of the exercises tell right answers from wrong ones, and say what is wrong."""

import asyncio
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from helpers.lessons import exercises

from .answers import lesson_00
from .conftest import EXTRA

NAMES = sorted(path.stem for path in (Path(__file__).parent / "answers").glob("lesson_*.py"))
LESSONS = [import_module(f"tests.answers.{name}") for name in NAMES if EXTRA or name != "lesson_09"]
RIGHT: list[tuple[str, Any]] = [case for lesson in LESSONS for case in lesson.RIGHT]
WRONG: list[tuple[str, Any, str]] = [case for lesson in LESSONS for case in lesson.WRONG]


def label(name: str, answer: Any, *words: str) -> str:
    return "-".join((name, getattr(answer, "__name__", type(answer).__name__), *words))


def verdict(capsys: pytest.CaptureFixture[str], name: str, answer: Any) -> str:
    asyncio.run(exercises.check(name, answer))
    return capsys.readouterr().out.removesuffix("\n")


def test_every_exercise_has_right_and_wrong_answers() -> None:
    assert {name for name, _ in RIGHT} == set(exercises.checks())
    assert {name for name, _, _ in WRONG} == set(exercises.checks())


@pytest.mark.parametrize("name", ["1.1", "03.9", ""])
def test_an_unknown_exercise_is_an_error_that_lists_the_known_ones(name: str) -> None:
    with pytest.raises(ValueError, match=f"no exercise '{name}'; there are 00.1, 01.1"):
        asyncio.run(exercises.check(name, 1))


def test_an_answer_that_does_not_come_back_is_told_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def forever(hub: Any, name: str, senders: list[str]) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(exercises, "SECONDS", 0.01)
    assert "did not come back within" in verdict(capsys, "01.2", forever)


@pytest.mark.parametrize("name", exercises.checks())
@pytest.mark.parametrize("nothing", [None, ...], ids=repr)
def test_nothing_is_not_yet(capsys: pytest.CaptureFixture[str], name: str, nothing: Any) -> None:
    assert verdict(capsys, name, nothing) == f"{name}: not yet"


@pytest.mark.parametrize(("name", "answer", "words"), WRONG, ids=[label(*case) for case in WRONG])
def test_a_wrong_answer_hears_what_is_wrong(
    capsys: pytest.CaptureFixture[str], name: str, answer: Any, words: str
) -> None:
    start, said = f"{name}: not yet: ", verdict(capsys, name, answer)
    assert said.startswith(start)
    assert words in said.removeprefix(start)


@pytest.mark.parametrize(("name", "answer", "words"), lesson_00.WRONG)
def test_lesson_00_says_these_words_only(
    capsys: pytest.CaptureFixture[str], name: str, answer: Any, words: str
) -> None:
    assert verdict(capsys, name, answer) == f"{name}: not yet: {words}"


@pytest.mark.parametrize(("name", "answer"), RIGHT, ids=[label(*case) for case in RIGHT])
def test_a_right_answer_is_right(
    capsys: pytest.CaptureFixture[str], name: str, answer: Any
) -> None:
    assert verdict(capsys, name, answer) == f"{name}: right"

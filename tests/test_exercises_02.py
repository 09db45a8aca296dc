"""The checks of notebook 02 tell right answers from wrong ones, and say what is wrong."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, Field

from helpers.agent import Go, Hook, Step
from helpers.exercises import check
from helpers.tools import Arguments, NoArguments, Tool

Diary = list[tuple[str, str]]


def verdict(capsys: pytest.CaptureFixture[str], name: str, answer: Any) -> str:
    asyncio.run(check(name, answer))
    return capsys.readouterr().out.strip()


class Table(Arguments):
    people: int = Field(ge=1, le=12)


class AnyTable(Arguments):
    people: int


class LooseTable(BaseModel):
    people: int = Field(ge=1, le=12)


class SmallTable(Arguments):
    people: int = Field(ge=1, le=8)


async def book(arguments: Table) -> str:
    return f"booked for {arguments.people}"


async def book_silently(arguments: Table) -> str:
    return "booked"


def table(arguments: Any = Table, handler: Any = book, acts: bool = True) -> Tool:
    return Tool("book_table", "Book a table.", arguments, handler, acts=acts)


def diary_hook(diary: Diary) -> Hook:
    async def hook(step: Step, go: Go) -> Any:
        diary.append((step.kind, step.name))
        return await go()

    return hook


def swallowing(diary: Diary) -> Hook:
    async def hook(step: Step, go: Go) -> Any:
        diary.append((step.kind, step.name))
        await go()

    return hook


def not_noting(diary: Diary) -> Hook:
    async def hook(step: Step, go: Go) -> Any:
        return await go()

    return hook


def noting_names(diary: Diary) -> Hook:
    async def hook(step: Step, go: Go) -> Any:
        diary.append((step.agent, step.kind))
        return await go()

    return hook


def no_hook_at_all(diary: Diary) -> None:
    return None


@pytest.mark.parametrize("name", ["02.1", "02.2", "02.3"])
@pytest.mark.parametrize("nothing", [None, ...])
def test_nothing_yet(capsys: pytest.CaptureFixture[str], name: str, nothing: Any) -> None:
    assert verdict(capsys, name, nothing) == f"{name}: not yet"


@pytest.mark.parametrize(
    ("name", "answer", "words"),
    [
        ("02.1", [1, 1], "the mail has to be somewhere"),
        ("02.1", [1, 4], "comes as one text"),
        ("02.1", [2, 1], "the last result, not the first"),
        ("02.1", [2, 2], "delivered once"),
        ("02.1", (5, 7), "count again"),
        ("02.1", 2, "a list of two numbers"),
        ("02.2", book, "answer with a Tool"),
        ("02.2", Tool("table", "Book.", Table, book), "should be called book_table, not table"),
        ("02.2", table(NoArguments), "it refused 1 people: bad arguments"),
        ("02.2", table(SmallTable), "it refused 12 people"),
        ("02.2", table(handler=book_silently), "does not hold the number: booked"),
        ("02.2", table(AnyTable), "it took a table for 0"),
        ("02.2", table(LooseTable), "an argument that it does not know"),
        ("02.2", table(acts=False), "acts=True"),
        ("02.3", "a diary", "answer with the function diary_hook"),
        ("02.3", no_hook_at_all, "should return a hook"),
        ("02.3", swallowing, "return await go()"),
        ("02.3", not_noting, "and it is []"),
        ("02.3", noting_names, "('helper1', 'model_call')"),
        ("02.3", diary_hook([]), "TypeError"),
    ],
)
def test_a_wrong_answer(
    capsys: pytest.CaptureFixture[str], name: str, answer: Any, words: str
) -> None:
    out = verdict(capsys, name, answer)
    assert out.startswith(f"{name}: not yet: ")
    assert words in out


@pytest.mark.parametrize(
    ("name", "answer"), [("02.1", [1, 2]), ("02.1", (1, 2)), ("02.2", table())]
)
def test_a_right_answer(capsys: pytest.CaptureFixture[str], name: str, answer: Any) -> None:
    assert verdict(capsys, name, answer) == f"{name}: right"


def test_a_right_hook(capsys: pytest.CaptureFixture[str]) -> None:
    answer: Callable[[Diary], Hook] = diary_hook
    assert verdict(capsys, "02.3", answer) == "02.3: right"

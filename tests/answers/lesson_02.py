"""Answers to the exercises of notebook 02, right and wrong ones."""

from typing import Any

from pydantic import BaseModel, Field

from helpers.hooks import Go, Hook, Step
from helpers.tools import Arguments, NoArguments, Tool

Diary = list[tuple[str, str]]


class Table(Arguments):
    people: int = Field(ge=1, le=12)


class AnyTable(Arguments):
    people: int


class BetweenTable(Arguments):
    people: int = Field(gt=0, lt=13)


class LooseTable(BaseModel):
    people: int = Field(ge=1, le=12)


class SmallTable(Arguments):
    people: int = Field(ge=1, le=8)


async def book(arguments: Table) -> str:
    return f"booked for {arguments.people}"


def book_at_once(arguments: Table) -> str:
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


def noting_late(diary: Diary) -> Hook:
    async def hook(step: Step, go: Go) -> Any:
        result = await go()
        diary.append((step.kind, step.name))
        return result

    return hook


def going_twice(diary: Diary) -> Hook:
    async def hook(step: Step, go: Go) -> Any:
        diary.append((step.kind, step.name))
        await go()
        return await go()

    return hook


def not_going(diary: Diary) -> Hook:
    async def hook(step: Step, go: Go) -> Any:
        diary.append((step.kind, step.name))
        return "done"

    return hook


def not_awaited(diary: Diary) -> Hook:
    async def hook(step: Step, go: Go) -> Any:
        diary.append((step.kind, step.name))
        return go()

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


RIGHT: list[tuple[str, Any]] = [
    ("02.1", [1, 2]),
    ("02.1", (1, 2)),
    ("02.2", table()),
    ("02.2", table(BetweenTable)),
    ("02.2", table(handler=book_at_once)),
    ("02.3", diary_hook),
]


async def async_diary(diary: Diary) -> Hook:
    return diary_hook(diary)


async def book_within_limits(arguments: AnyTable) -> str:
    if not 1 <= arguments.people <= 12:
        raise ValueError("from 1 to 12")
    return f"booked for {arguments.people}"


WRONG: list[tuple[str, Any, str]] = [
    ("02.2", table(AnyTable, book_within_limits), "the model isn't told"),
    ("02.3", async_diary, "not `async def`"),
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
    ("02.3", "a diary", "answer with diary_hook itself"),
    ("02.3", no_hook_at_all, "should return a hook"),
    ("02.3", swallowing, "return await go()"),
    ("02.3", not_noting, "append before"),
    ("02.3", noting_late, "append before"),
    ("02.3", going_twice, "go() ran 2 times"),
    ("02.3", not_going, "go() ran 0 times"),
    ("02.3", noting_names, "('helper1', 'model_call')"),
    ("02.3", diary_hook([]), "answer with diary_hook itself"),
    ("02.3", not_awaited, "never ran"),
    ("02.2", Tool("book_table", " ", Table, book, acts=True), "description is empty"),
]

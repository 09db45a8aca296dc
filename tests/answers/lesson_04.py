"""Answers to the exercises of notebook 04, right and wrong ones."""

from typing import Any

from pydantic import BaseModel, Field

from helpers.hub import Hub
from helpers.spawn import helper_tools
from helpers.tools import Arguments, Tool, messaging_tools


class WordCount(Arguments):
    text: str = Field(max_length=200)


class Unbounded(Arguments):
    text: str


class Tight(Arguments):
    text: str = Field(max_length=20)


class OnlyTold(Arguments):
    text: str = Field(json_schema_extra={"maxLength": 200})


class OtherName(Arguments):
    words: str = Field(max_length=200)


class Mistyped(Arguments):
    text: str = Field(le=200)


class Unchecked(BaseModel):
    text: str = Field(max_length=200)


async def count_words(arguments: WordCount) -> int:
    return len(arguments.text.split())


async def count_letters(arguments: WordCount) -> int:
    return len(arguments.text)


async def fail(arguments: WordCount) -> int:
    raise RuntimeError("broken")


def tool(arguments: Any = WordCount, handler: Any = count_words) -> Tool:
    return Tool("word_count", "Count the words of a text.", arguments, handler)


def solution(hub: Hub, name: str) -> list[Tool]:
    return [tool(), *messaging_tools(hub, name)]


def can_sleep(hub: Hub, name: str) -> list[Tool]:
    return [tool(), *helper_tools(hub, name)]


def one_name_for_all(hub: Hub, name: str) -> list[Tool]:
    return [tool(), *messaging_tools(hub, "helper1")]


def hub_of_its_own(hub: Hub, name: str) -> list[Tool]:
    own = Hub(show=None)
    own.register("lead")
    return [tool(), *messaging_tools(own, name)]


def packed(hub: Hub, name: str) -> list[Any]:
    return [tool(), messaging_tools(hub, name)]


def unsolved(hub: Hub, name: str) -> list[Any]:
    return [..., *messaging_tools(hub, name)]


def no_mail(hub: Hub, name: str) -> list[Tool]:
    return [tool()]


def no_count(hub: Hub, name: str) -> list[Tool]:
    return messaging_tools(hub, name)


def broken_count(hub: Hub, name: str) -> list[Tool]:
    return [tool(handler=fail), *messaging_tools(hub, name)]


def undecided(hub: Hub, name: str) -> Any:
    return ...


RIGHT: list[tuple[str, Any]] = [("04.1", 7), ("04.2", tool()), ("04.3", solution)]


async def count_up_to_the_limit(arguments: Unbounded) -> int:
    if len(arguments.text) > 200:
        raise ValueError("at most 200 characters")
    return len(arguments.text.split())


async def async_tools(hub: Hub, name: str) -> list[Tool]:
    return solution(hub, name)


WRONG: list[tuple[str, Any, str]] = [
    ("04.2", tool(Unbounded, count_up_to_the_limit), "the model isn't told"),
    ("04.3", async_tools, "not `async def`"),
    ("04.1", "seven", "a number"),
    ("04.1", True, "a number"),
    ("04.1", 9, "at the same time"),
    ("04.1", 4, "first round only"),
    ("04.1", 5, "add up the rounds"),
    ("04.2", count_words, "a Tool"),
    ("04.2", Tool("count", "Count.", WordCount, count_words), "'count'"),
    ("04.2", tool(OtherName), "with an error"),
    ("04.2", tool(handler=fail), "broken"),
    ("04.2", tool(handler=count_letters), "has 3 words"),
    ("04.2", tool(Tight), "should be allowed"),
    ("04.2", tool(Unbounded), "not checked"),
    ("04.2", tool(OnlyTold), "not checked"),
    ("04.2", tool(Mistyped), "max_length"),
    ("04.2", tool(Unchecked), "an argument that it does not know"),
    ("04.3", hub_of_its_own, "did not reach the hub"),
    ("04.3", undecided, "a list of tools"),
    ("04.3", can_sleep, "still sleep"),
    ("04.3", no_mail, "no send_message"),
    ("04.3", no_count, "no word_count"),
    ("04.3", broken_count, "word_count failed"),
    ("04.3", one_name_for_all, "came in from"),
    ("04.3", packed, "unpack a list"),
    ("04.3", unsolved, "solve 04.2 first"),
]

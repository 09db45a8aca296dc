"""Answers to the exercises of notebook 05, right and wrong ones."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from helpers.billing.roles import ROLES, ComplianceVerdict
from helpers.delegation import Role
from helpers.tools import Arguments, NoArguments, Tool

TONE = Role("checks the tone", "You review the tone of letters.", ("Read", "Glob"), "haiku")
RESEARCHER = ROLES["researcher"]
READING = ("Read", "Glob", "Grep")


class HandOver(Arguments):
    reason: str


def roles(**changes: Any) -> dict[str, Role]:
    return {**ROLES, "tone_reviewer": replace(TONE, **changes)}


def hand_over(
    name: str = "hand_over",
    arguments: type[Arguments] = HandOver,
    said: str = "A person will take over.",
    acts: bool = True,
    keeps: bool = True,
) -> Callable[[list[str]], Tool]:
    """Return an answer to 05.3, right unless told otherwise."""

    def factory(waiting: list[str]) -> Tool:
        async def handler(given: Any) -> str:
            if keeps:
                waiting.append(getattr(given, "reason", ""))
            return said

        return Tool(name, "Hand the case over to a person.", arguments, handler, acts=acts)

    return factory


def undecided(waiting: list[str]) -> Any:
    return ...


RIGHT: list[tuple[str, Any]] = [
    ("05.1", roles()),
    ("05.2", replace(RESEARCHER, tools=READING)),
    ("05.3", hand_over()),
]

WRONG: list[tuple[str, Any, str]] = [
    ("05.1", TONE, "a dict of roles"),
    ("05.1", {"tone_reviewer": TONE}, "researcher should be there"),
    ("05.1", {**roles(), "drafter": TONE}, "drafter should be there, unchanged"),
    ("05.1", dict(ROLES), "no tone_reviewer"),
    ("05.1", {**ROLES, "tone_reviewer": "Be kind."}, "should be a Role"),
    ("05.1", roles(tools=("Read", "issue_refund")), "it has issue_refund"),
    ("05.1", roles(prompt=" "), "is empty"),
    ("05.1", roles(description=""), "is empty"),
    ("05.1", roles(form=ComplianceVerdict), "is to be text"),
    ("05.1", roles(model="claude-haiku-5-5"), "there is no model"),
    ("05.2", {}, "one Role"),
    ("05.2", {**ROLES, "researcher": replace(RESEARCHER, tools=READING)}, "one Role"),
    ("05.2", replace(RESEARCHER, prompt="Do not ask the gateway."), "still has the gateway"),
    ("05.2", replace(RESEARCHER, tools=()), "still have Read, Glob, Grep"),
    ("05.2", replace(RESEARCHER, tools=READING, model="opus"), "only the tools"),
    ("05.3", "a tool", "does not return a tool"),
    ("05.3", undecided, "does not return a tool"),
    ("05.3", lambda waiting: "a tool", "should return a Tool"),
    ("05.3", hand_over(name="hand_off"), "'hand_off'"),
    ("05.3", hand_over(arguments=NoArguments), "with an error"),
    ("05.3", hand_over(keeps=False), "the list is []"),
    ("05.3", hand_over(said=""), "hears nothing"),
    ("05.3", hand_over(acts=False), "not marked"),
]

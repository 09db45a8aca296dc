"""Answers to the exercises of notebook 07, right and wrong ones."""

from collections.abc import Callable
from typing import Any

from helpers.hooks import Go, Hook, Step
from helpers.hub import Event
from helpers.run import Run
from helpers.tools import Arguments, Tool

Condition = Callable[[Event], bool]


def before_refund(event: Event) -> bool:
    return event.kind == "tool_call" and event.data["tool"] == "issue_refund"


def after_refund(event: Event) -> bool:
    return event.data.get("tool") == "issue_refund"


def any_tool(event: Event) -> bool:
    return event.kind == "tool_call"


def any_call(event: Event) -> bool:
    return event.kind in ("tool_call", "model_call") and event.data.get("tool") != "Task"


def never(event: Event) -> bool:
    return False


def waited(name: str, times: int) -> Condition:
    count = 0

    def condition(event: Event) -> bool:
        nonlocal count
        mine = event.agent == name and event.data.get("tool") == "wait_for_message"
        count += mine and event.kind == "tool_result"
        return mine and event.kind == "tool_result" and count >= times

    return condition


def counts_all(name: str, times: int) -> Condition:
    seen: list[Event] = []

    def condition(event: Event) -> bool:
        seen.append(event)
        return len([e for e in seen if e.data["tool"] == "wait_for_message"]) > times

    return condition


def too_late(name: str, times: int) -> Condition:
    return never


def not_a_function(name: str, times: int) -> bool:
    return True


class AskHuman(Arguments):
    question: str


def tool_of(run: Run, choices: list[str], what: str = "reason", name: str = "ask_human") -> Tool:
    async def ask(arguments: AskHuman) -> Any:
        return getattr(await run.ask(arguments.question, choices), what)

    return Tool(name, "Ask the person who watches.", AskHuman, ask)


def ask_human(run: Run) -> Tool:
    return tool_of(run, ["Answer"])


def yes_or_no(run: Run) -> Tool:
    return tool_of(run, ["Approve", "Deny"])


def gives_the_choice(run: Run) -> Tool:
    return tool_of(run, ["Answer"], "choice")


def other_name(run: Run) -> Tool:
    return tool_of(run, ["Answer"], name="ask")


def forgets_await(run: Run) -> Tool:
    async def ask(arguments: AskHuman) -> Any:
        return run.ask(arguments.question, ["Answer"]).reason  # type: ignore[attr-defined]

    return Tool("ask_human", "Ask the person who watches.", AskHuman, ask)


def but(free: set[str], run: Run) -> Hook:
    async def hook(step: Step, go: Go) -> Any:
        return await (go() if step.agent in free else run.hook(step, go))

    return hook


def leaky(run: Run) -> Hook:
    return but({"helper2"}, run)


def held(run: Run) -> Hook:
    return but(set(), run)


def free(run: Run) -> Hook:
    return but({"lead", "helper1", "helper2"}, run)


def dots(run: Run) -> Hook:
    async def hook(step: Step, go: Go) -> Any:
        return ...

    return hook


RIGHT: list[tuple[str, Any]] = [
    ("07.1", before_refund),
    ("07.2", waited),
    ("07.3", ask_human),
    ("07.4", leaky),
]
WRONG: list[tuple[str, Any, str]] = [
    ("07.1", lambda event: ..., "dots"),
    ("07.1", never, "true at the call"),
    ("07.1", after_refund, "too late"),
    ("07.1", any_tool, "no other tool"),
    ("07.1", any_call, "no tool call"),
    ("07.2", counts_all, "too early"),
    ("07.2", too_late, "waited 1 times"),
    ("07.2", not_a_function, "function of one event"),
    ("07.3", lambda run: None, "name ask_human"),
    ("07.3", other_name, "name ask_human"),
    ("07.3", yes_or_no, "the choice Answer"),
    ("07.3", gives_the_choice, "read the answer"),
    ("07.3", forgets_await, "ask(…) was called and never awaited"),
    ("07.4", held, "all three are held"),
    ("07.4", free, "without a gate: lead, helper1, helper2"),
    ("07.4", dots, "returns what it awaits"),
]

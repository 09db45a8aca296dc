"""Checks of the exercises in notebook 02, an agent with a mailbox."""

import inspect
from typing import Any

from ..agent import run_agent
from ..hooks import Hook
from ..hub import Hub
from ..replies.scripted import Blocks, scripted
from ..tools import NoArguments, Tool, ToolCall, call_tool
from .exercises import PLAIN, Check


async def check_blocks(answer: Any) -> str | None:
    """02.1: mail is one text, in the last tool result."""
    if not isinstance(answer, list | tuple) or len(answer) != 2:
        return "answer with a list of two numbers, one for each tool result"
    hints = {
        (1, 1): "the mail has to be somewhere: one of the results has more than its own text",
        (1, 4): "all mail of a turn comes as one text, however many messages it holds",
        (2, 1): "the mail is inside the last result, not the first",
        (2, 2): "mail is delivered once, not with every result",
    }
    if tuple(answer) == (1, 2):
        return None
    return hints.get(tuple(answer), "count again: one text per result, then the mail")


async def check_tool(answer: Any) -> str | None:
    """02.2: a tool whose limits hold, and which says that it acts."""
    if not all(hasattr(answer, field) for field in ("name", "arguments", "handler", "acts")):
        return "answer with a Tool: Tool(name, description, arguments, handler)"
    if answer.name != "book_table":
        return f"the tool should be called book_table, not {answer.name}"
    if not answer.description.strip():
        return "its description is empty; that is all the model knows of it"
    for people in (1, 12):
        error, text = await _call(answer, {"people": people})
        if error:
            return f"it refused {people} people: {text}"
        if str(people) not in text:
            return f"its result for {people} people does not hold the number: {text}"
    for people in (0, 13):
        error, _ = await _call(answer, {"people": people})
        if not error:
            return f"it took a table for {people}; Field(ge=…, le=…) sets limits"
    told: Any = answer.param()["input_schema"]["properties"]
    lowest = told["people"].get("minimum", told["people"].get("exclusiveMinimum", -1) + 1)
    highest = told["people"].get("maximum", told["people"].get("exclusiveMaximum", 14) - 1)
    if (lowest, highest) != (1, 12):
        return "the limits are kept, but the model isn't told: put them into the arguments"
    if not (await _call(answer, {"people": 2, "smoking": True}))[0]:
        return "it took an argument that it does not know; is Arguments the base of its arguments?"
    return None if answer.acts else "booking changes the world: say so with acts=True"


async def look_once(hook: Hook) -> str:
    """Run an agent that calls one tool, past this hook; return the model's name."""

    async def look(_: NoArguments) -> str:
        return "seen"

    def script(agent: str, turn: int, request: dict[str, Any]) -> str | Blocks:
        return [{"look": {}}] if turn == 1 else "Done."

    async with scripted(script) as session:
        hub = Hub(session.clock, show=None)
        hub.register("helper1")
        tools = [Tool("look", "Look.", NoArguments, look)]
        own: dict[str, Any] = {
            "model": session.model,
            "system": "You are helper1.",
            "task": "Look.",
        }
        await run_agent(session.client, hub, "helper1", tools=tools, hook=hook, **own)
        return session.model


def watched(hook: Hook, diary: list[tuple[str, str]]) -> Hook:
    """Return the hook, raising ValueError as soon as it does something wrong with a step."""

    async def spied(step: Any, go: Any) -> Any:
        noted, runs = len(diary), 0

        async def counted() -> Any:
            nonlocal runs
            runs += 1
            if len(diary) == noted:
                raise ValueError(
                    "append before you let the step go: one that fails would be missing"
                )
            return await go()

        given = await hook(step, counted)
        if inspect.iscoroutine(given):
            given.close()
            raise ValueError("the hook gives back a call that never ran: `return await go()`")
        if given is None:
            raise ValueError("the hook gives back nothing: `return await go()`")
        if runs != 1:
            raise ValueError(f"go() ran {runs} times for one step; each time is paid for")
        return given

    return spied


async def check_hook(answer: Any) -> str | None:
    """02.3: a hook that notes each step and lets it go."""
    if not callable(answer) or len(inspect.signature(answer).parameters) != 1:
        return "answer with diary_hook itself: it takes the list and returns a hook, defined inside"
    if inspect.iscoroutinefunction(answer):
        return PLAIN
    diary: list[tuple[str, str]] = []
    hook = answer(diary)
    if not callable(hook):
        return "diary_hook should return a hook, an async function of step and go"
    try:
        model = await look_once(watched(hook, diary))
    except ValueError as error:
        return str(error)
    steps = [("model_call", model), ("tool_call", "look"), ("model_call", model)]
    return None if diary == steps else f"the diary should be {steps}, and it is {diary}"


async def _call(tool: Any, given: dict[str, Any]) -> tuple[bool, str]:
    """Return whether a call was answered with an error, and the text of the answer."""
    result: Any = await call_tool({tool.name: tool}, ToolCall("toolu_1", tool.name, given))
    return result.get("is_error", False), result["content"]


CHECKS: dict[str, Check] = {"02.1": check_blocks, "02.2": check_tool, "02.3": check_hook}

"""Checks of notebook 04, subagents on demand."""

import inspect
from typing import Any

from ..hub import Hub
from ..replies.scripted import Answer, scripted
from ..spawn import run_lead
from ..tools import ToolCall, call_tool
from .exercises import PLAIN, Check

LIMIT = 200


async def check_seconds(answer: Any) -> str | None:
    if not isinstance(answer, (int, float)) or isinstance(answer, bool):
        return "it should be a number of seconds"
    if answer == 9:
        return "9 is the sum, but the first two helpers sleep at the same time"
    if answer == 4:
        return "4 is the first round only; the third helper starts when that is over"
    return None if answer == 7 else "add up the rounds; a round takes as long as its slowest"


async def check_tool(answer: Any) -> str | None:
    if not all(hasattr(answer, part) for part in ("name", "arguments", "handler")):
        return "it should be a Tool"
    if answer.name != "word_count":
        return f"the tool is called {answer.name!r}, not 'word_count'"
    for text in ("one two  three", "word", ""):
        try:
            result: Any = await call_tool({answer.name: answer}, call(text))
        except TypeError as error:
            return f"{error}; the limit of a text is max_length"
        said, count = result["content"], str(len(text.split()))
        if result.get("is_error"):
            return f"it answers {text!r} with an error: {said}"
        if count not in said:
            return f"{text!r} has {count} words, but the tool says {said!r}"
    if (await call_tool({answer.name: answer}, call("a" * LIMIT))).get("is_error"):
        return f"a text of {LIMIT} characters should be allowed"
    if not (await call_tool({answer.name: answer}, call("a" * (LIMIT + 1)))).get("is_error"):
        return f"it takes a text of {LIMIT + 1} characters: the limit is not checked"
    if f"'maxLength': {LIMIT}" not in str(answer.param()["input_schema"]):
        return "the limit is kept, but the model isn't told: put it into the arguments"
    if not (await call_tool({answer.name: answer}, call("word", loud=True))).get("is_error"):
        return "it took an argument that it does not know; is Arguments the base of its arguments?"
    return None


def call(text: str, **more: object) -> ToolCall:
    return ToolCall("toolu_1", "word_count", {"text": text, **more})


def helped(agent: str, turn: int, request: dict[str, Any]) -> Answer:
    """The lead starts one helper and waits; the helper counts the words of a text."""
    if agent == "lead":
        start = {"create_subagents": {"base_instruction": "Count."}}
        return [start] if turn == 1 else [{"wait_for_message": {}}] if turn == 2 else "Thanks."
    return [{"word_count": {"text": "one two three"}}] if turn == 1 else "Three."


async def check_tools_of(answer: Any) -> str | None:
    if inspect.iscoroutinefunction(answer):
        return PLAIN
    hub = Hub(show=None)
    for name in ("lead", "helper7"):
        hub.register(name)
    tools = answer(hub, "helper7")
    if isinstance(tools, list) and any(tool is ... or isinstance(tool, list) for tool in tools):
        return "one of the tools is ... or a list: solve 04.2 first, and unpack a list with *"
    if not isinstance(tools, list) or not all(hasattr(tool, "name") for tool in tools):
        return "it should return a list of tools"
    names = {tool.name for tool in tools}
    for name in ("word_count", "send_message", "wait_for_message"):
        if name not in names:
            return f"a helper has no {name}"
    if "sleep" in names:
        return "a helper can still sleep"
    note = {"recipient_ids": ["lead"], "content": "Done."}
    await call_tool({tool.name: tool for tool in tools}, ToolCall("toolu_1", "send_message", note))
    senders = [message.sender for message in hub.boxes["lead"].inbox]
    if senders != ["helper7"]:
        if not senders:
            return "a message of helper7 did not reach the hub that was given: use it"
        return f"a message of helper7 came in from {senders}: the name is given, use it"
    async with scripted(helped) as session:
        hub = Hub(session.clock, show=None)
        await run_lead(session.client, hub, "Count.", model=session.model, tools_of=answer)
    results = [e.data for e in hub.log.events if e.kind == "tool_result"]
    counted = next(data for data in results if data["tool"] == "word_count")
    return f"word_count failed: {counted['text']}" if counted["error"] else None


CHECKS: dict[str, Check] = {
    "04.1": check_seconds,
    "04.2": check_tool,
    "04.3": check_tools_of,
}

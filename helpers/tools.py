"""Tools that carry their own handler, and the two that every agent has. Notebook 02 builds them."""

import asyncio
import functools
import inspect
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from anthropic import AnthropicError, APIError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import to_jsonable_python

from .hub import Hub, Message, wait_for_mail
from .trace import describe

MAX_RESULT = 50_000  # characters of a tool's text; each later turn carries them
Block = dict[str, Any]  # a part of a message, as the API takes it


class Arguments(BaseModel):
    """Base of every tool's arguments: nothing missing, nothing extra, no silent conversion."""

    model_config = ConfigDict(extra="forbid", strict=True)


class SendMessage(Arguments):
    recipient_ids: list[str] = Field(min_length=1, max_length=100)
    content: str = Field(max_length=20_000)


class NoArguments(Arguments):
    pass


@functools.cache
def input_schema(arguments: type[Arguments]) -> dict[str, Any]:
    return arguments.model_json_schema()


@dataclass(frozen=True)
class Tool:
    """What the model sees and the code that runs it: Tool("sleep", "Sleep.", Sleep, handler)."""

    name: str
    description: str
    arguments: type[Arguments]
    handler: Callable[[Any], object]  # async or plain
    acts: bool = False  # changes the world: not run in an agent's last turn
    waits: bool = False  # blocks on others: run after the other calls of its turn

    def param(self) -> Block:
        """Return the tool as the Messages API takes it."""
        about = {"name": self.name, "description": self.description}
        return about | {"input_schema": input_schema(self.arguments)}


@dataclass(frozen=True)
class ToolCall:
    """One tool call of a reply: ToolCall("toolu_1", "sleep", {"seconds": 2})."""

    id: str
    name: str
    input: Any


class ProgramError(AnthropicError):
    """A mistake in the program, for the person: no agent is told, the cell is."""


def is_program_error(error: BaseException) -> bool:
    """Return whether an error is the person's: any of the SDK's that did not come from the API."""
    return isinstance(error, AnthropicError) and not isinstance(error, APIError)


TAG = re.compile(r"<\s*/?\s*agent-message")
LOOKALIKES = str.maketrans("‹〈⟨‐‑‒–—−аеѕтмпɡ", "<<<------aestmng")


def neutralise(text: str) -> str:
    """Return the text as valid UTF-8, each agent-message tag in it broken, look-alikes too."""
    text = text.encode("utf-8", "replace").decode()  # half a character can't be sent
    if not re.search("[<＜﹤‹〈⟨]", text):
        return text
    plain, places = "", []
    for place, character in enumerate(text):
        if unicodedata.category(character) != "Cf":  # what nobody sees
            seen = unicodedata.normalize("NFKC", character).translate(LOOKALIKES).lower()
            plain += seen
            places += [place] * len(seen)
    starts = [places[tag.start()] for tag in TAG.finditer(plain)]
    for place in reversed(starts):
        text = f"{text[:place]}&lt;{text[place + 1 :]}"
    return text


def render(mail: Iterable[Message]) -> str:
    """Return mail as the model reads it: one tagged block per message."""
    blocks = [
        f'<agent-message from="{message.sender}">\n{neutralise(message.content)}\n</agent-message>'
        for message in mail
    ]
    return "\n".join(["Messages that came in meanwhile:", *blocks])


def as_text(result: object) -> str:
    """Return a result as text of bounded length, no agent-message tag left. TypeError: bytes."""
    if isinstance(result, bytes | bytearray):
        raise TypeError("a result can't be bytes: return text, or blocks such as an image")
    if not isinstance(result, str):
        jsonable = functools.partial(to_jsonable_python, fallback=str)
        text = json.dumps(result, ensure_ascii=False, allow_nan=False, default=jsonable)
        result = "" if result is None else text
    if len(result) > MAX_RESULT:
        result = f"{result[:MAX_RESULT]}… (cut, {len(result):,} characters in all)"
    return neutralise(result) if result.strip() else "(empty)"


def is_block(part: object) -> bool:
    """Tell whether the API takes this in a result; a row of data may have a type too."""
    if not isinstance(part, dict):
        return False
    if part.get("type") == "text":
        return isinstance(part.get("text"), str)
    return part.get("type") in ("image", "document") and isinstance(part.get("source"), dict)


def tool_result(call: ToolCall, result: object, is_error: bool = False) -> Block:
    """Return the block that answers a call: content blocks as they are, all else as text."""
    content: str | list[Block] = ""
    if isinstance(result, list) and result and all(map(is_block, result)):
        content = [b | {"text": as_text(b["text"])} if "text" in b else b for b in result]
    answer = {"type": "tool_result", "tool_use_id": call.id, "is_error": is_error}
    return answer | {"content": content or as_text(result)}


def explain(error: ValidationError) -> str:
    """Return what is wrong with a call's arguments, one problem per field."""
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'arguments'}: {problem['msg']}"
        for problem in error.errors(include_url=False)
    )


def by_name(tools: Iterable[Tool]) -> dict[str, Tool]:
    """Return tools by their names. ValueError: a name is used twice."""
    found: dict[str, Tool] = {}
    for tool in tools:
        if found.setdefault(tool.name, tool) is not tool:
            raise ValueError(f"two tools are called {tool.name!r}")
    return found


async def call_tool(tools: Mapping[str, Tool], call: ToolCall) -> Block:
    """Run one call; return its result block, an error if it failed. ProgramError: our own bug."""
    tool = tools.get(call.name)
    if tool is None:
        names = ", ".join(tools) or "none"
        return tool_result(call, f"unknown tool {call.name or '(empty)'}; you have: {names}", True)
    try:
        arguments = tool.arguments.model_validate(call.input)
    except ValidationError as error:
        return tool_result(call, f"bad arguments: {explain(error)}", True)
    try:
        result = tool.handler(arguments)
        return tool_result(call, await result if inspect.isawaitable(result) else result)
    except (Exception, SystemExit, GeneratorExit, asyncio.CancelledError) as error:
        task = asyncio.current_task()
        stopped = isinstance(error, asyncio.CancelledError) and task and task.cancelling()
        if stopped or is_program_error(error):
            raise
        cancelled = isinstance(error, asyncio.CancelledError)
        why = "what the tool waited for was cancelled" if cancelled else describe(error)
        return tool_result(call, why, True)


def messaging_tools(hub: Hub, name: str, deadline: float = 60.0) -> list[Tool]:
    """Return the two tools that put an agent on the hub."""

    async def send_message(arguments: SendMessage) -> str:
        fates = hub.post(name, arguments.recipient_ids, arguments.content)
        delivered = [r for r, fate in fates.items() if fate == "delivered"]
        failed = [f"{r} ({fate})" for r, fate in fates.items() if fate != "delivered"]
        return f"delivered to {delivered}" + (f"; not to {', '.join(failed)}" if failed else "")

    async def wait_for_message(arguments: NoArguments) -> str:
        return f"woke: {await wait_for_mail(hub, name, deadline)}"

    return [
        Tool(
            "send_message",
            "Send a message to one or more other agents, by name. They get it with their next tool "
            "result. They do not see what else you write; whoever started you gets your last text.",
            SendMessage,
            send_message,
        ),
        Tool(
            "wait_for_message",
            "Wait until a message for you comes in. Messages also arrive by themselves with the "
            "result of any other tool, so wait only when nothing else is left to do.",
            NoArguments,
            wait_for_message,
            waits=True,
        ),
    ]

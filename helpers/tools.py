"""Tools that carry their own handler, and the two that every agent has. Notebook 02 builds them."""

import asyncio
import functools
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from anthropic import AnthropicError, APIError
from anthropic.types import ToolParam, ToolResultBlockParam
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .hub import Hub, Message, wait_for_mail


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
    handler: Callable[[Any], Awaitable[object]]
    acts: bool = False  # changes the world: not run in an agent's last turn
    waits: bool = False  # blocks on others: run after the other calls of its turn

    def param(self) -> ToolParam:
        """Return the tool as the Messages API takes it."""
        schema = input_schema(self.arguments)
        return ToolParam(name=self.name, description=self.description, input_schema=schema)


@dataclass(frozen=True)
class ToolCall:
    """One tool call of a reply: ToolCall("toolu_1", "sleep", {"seconds": 2})."""

    id: str
    name: str
    input: Any


class ProgramError(AnthropicError):
    """A mistake in the program, for the person: `call_tool` lets it through to the cell."""


def is_program_error(error: BaseException) -> bool:
    """Return whether an error is the person's: any of the SDK's that did not come from the API."""
    return isinstance(error, AnthropicError) and not isinstance(error, APIError)


def encodable(value: Any) -> Any:
    """Return data with each text in it made valid UTF-8: half a character can't be sent again."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {encodable(key): encodable(part) for key, part in value.items()}
    return [encodable(part) for part in value] if isinstance(value, list) else value


def neutralise(text: str) -> str:
    """Return the text as valid UTF-8, every agent-message tag in it made harmless."""
    text = text.encode("utf-8", "replace").decode()  # half a character can't be sent
    return re.sub(r"<(?=\s*/?\s*agent-message)", "&lt;", text, flags=re.IGNORECASE)


def render(mail: Iterable[Message]) -> str:
    """Return mail as the model reads it: one tagged block per message."""
    blocks = [
        f'<agent-message from="{message.sender}">\n{neutralise(message.content)}\n</agent-message>'
        for message in mail
    ]
    return "\n".join(["Messages that came in meanwhile:", *blocks])


def as_text(result: object) -> str:
    """Return what a handler gave back as text, with no agent-message tag left in it."""
    text = result if isinstance(result, str) else json.dumps(result, default=str)
    return neutralise(text) if text.strip() else "(empty)"


def tool_result(call: ToolCall, text: str, is_error: bool = False) -> ToolResultBlockParam:
    """Return the block that answers a call."""
    block = ToolResultBlockParam(type="tool_result", tool_use_id=call.id, content=text)
    if is_error:
        block["is_error"] = True
    return block


def explain(error: ValidationError) -> str:
    """Return what is wrong with a call's arguments, one problem per field."""
    problems = (
        f"{'.'.join(map(str, problem['loc'])) or 'arguments'}: {problem['msg']}"
        for problem in error.errors(include_url=False)
    )
    return "; ".join(problems)


def by_name(tools: Iterable[Tool]) -> dict[str, Tool]:
    """Return tools by their names. ValueError: a name is used twice."""
    found: dict[str, Tool] = {}
    for tool in tools:
        if tool.name in found:
            raise ValueError(f"two tools are called {tool.name!r}")
        found[tool.name] = tool
    return found


async def call_tool(tools: Mapping[str, Tool], call: ToolCall) -> ToolResultBlockParam:
    """Run one call; return its result block, an error if it failed. ProgramError: our own bug."""
    tool = tools.get(call.name)
    if tool is None:
        names = ", ".join(tools) or "none"
        return tool_result(call, f"unknown tool {as_text(call.name)}; you have: {names}", True)
    try:
        arguments = tool.arguments.model_validate(call.input)
    except ValidationError as error:
        return tool_result(call, as_text(f"bad arguments: {explain(error)}"), True)
    try:
        return tool_result(call, as_text(await tool.handler(arguments)))
    except asyncio.CancelledError:
        if cast(asyncio.Task[Any], asyncio.current_task()).cancelling():
            raise  # somebody stops the agent
        return tool_result(call, "CancelledError: what the tool waited for was cancelled", True)
    except Exception as error:
        if is_program_error(error):
            raise  # a mistake in the program is for the person, not for the model
        return tool_result(call, as_text(f"{type(error).__name__}: {error}"), True)


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

"""Answers to the exercises of notebook 09, right and wrong ones."""

from typing import Any

from pydantic import Field

from helpers.doors import mcp_server, mcp_tools
from helpers.tools import Arguments, Tool

HONEST = {"amount": "49.99", "reason": "twice", "customer_id": "cust_12345"}


class Text(Arguments):
    text: str = Field(max_length=20)


class AnyText(Arguments):
    text: str


async def shout(arguments: Any) -> str:
    return str(arguments.text).upper()


async def whisper(arguments: Any) -> str:
    return str(arguments.text)


def shout_server() -> Any:
    return mcp_server("shout", [Tool("shout", "Shout.", Text, shout)])


async def reading(client: Any, clock: Any) -> Any:
    tools = (await client.list_tools()).tools
    names = [tool.name for tool in tools if tool.annotations.read_only_hint]
    return await mcp_tools(client, clock, only=names)


async def everything(client: Any, clock: Any) -> Any:
    return await mcp_tools(client, clock)


async def names_only(client: Any, clock: Any) -> Any:
    return ...


RIGHT: list[tuple[str, Any]] = [
    ("09.1", reading),
    ("09.2", HONEST | {"amount": "499.90"}),
    ("09.2", HONEST | {"customer_id": "cust_66152"}),
    ("09.3", shout_server),
]
WRONG: list[tuple[str, Any, str]] = [
    ("09.1", names_only, "a list of tools"),
    ("09.1", everything, "water acts"),
    ("09.2", HONEST, "the honest call"),
    ("09.2", HONEST | {"amount": 5}, "the schema already refuses"),
    ("09.3", lambda: ..., "a server"),
    ("09.3", lambda: mcp_server("x", [Tool("cry", "Cry.", Text, shout)]), "one tool, shout"),
    (
        "09.3",
        lambda: mcp_server("x", [Tool("shout", "Shout.", Text, whisper)]),
        "give HELLO",
    ),
    ("09.3", lambda: mcp_server("x", [Tool("shout", "Shout.", AnyText, shout)]), "not checked"),
]

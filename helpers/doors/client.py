"""Tools of any MCP server for an agent; its answers come through the clock's door."""

import asyncio
import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from mcp import Client, StdioServerParameters, types
from mcp.client.stdio import stdio_client
from pydantic import ConfigDict, model_validator
from referencing import Registry

from ..hub import Clock
from ..tools import Arguments, Tool
from ..trace import describe

IMAGES = ("image/gif", "image/jpeg", "image/png", "image/webp")  # what the API takes
DOCUMENTS = ("application/pdf",)
MAX_DATA = 5_000_000  # characters of base64: the API refuses larger images


@asynccontextmanager
async def program(name: str, *arguments: str) -> AsyncIterator[Any]:
    """Start a server as a child process, for one `Client`; what it logs is dropped.

    ValueError: there is no such program beside this Python or on the PATH.
    """
    beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = shutil.which(name, path=beside)
    if not found:
        raise ValueError(f"there is no program {name}: is it installed?")
    command = StdioServerParameters(command=found, args=[*arguments])
    async with stdio_client(command, errlog=subprocess.DEVNULL) as streams:
        yield streams


def json_arguments(schema: dict[str, Any]) -> type[Arguments]:
    """Return an arguments class of a JSON schema: the model sees it, and it checks each call."""
    checker = Draft202012Validator(schema, registry=Registry())  # a "$ref" fetches nothing

    class JsonArguments(Arguments):
        model_config = ConfigDict(extra="allow")

        @model_validator(mode="before")
        @classmethod
        def fits(cls, data: Any) -> Any:
            try:
                errors = sorted(checker.iter_errors(data), key=str)
            except Exception as error:  # the server's mistake, whatever the library raises
                raise ValueError(f"the server's schema is broken: {describe(error)}") from error
            if errors:
                raise ValueError("; ".join(f"{e.json_path}: {e.message}" for e in errors[:3]))
            return data

        @classmethod
        def model_json_schema(cls, *_: Any, **__: Any) -> dict[str, Any]:
            return schema

    return JsonArguments


def as_block(part: Any) -> dict[str, Any]:
    """Return a part of a server's answer as a content block; what a model can't read is named."""
    if part.type == "resource_link":
        return {"type": "text", "text": f"({part.name}: {part.uri})"}
    inside = getattr(part, "resource", part)
    if isinstance(getattr(inside, "text", None), str):
        return {"type": "text", "text": inside.text}
    data = inside.blob if part.type == "resource" else inside.data
    size, media = len(base64.b64decode(data, validate=True)), inside.mime_type
    if media not in IMAGES + DOCUMENTS or not 0 < len(data) <= MAX_DATA:
        return {"type": "text", "text": f"({media}, {size:,} bytes, not shown)"}
    source = {"type": "base64", "media_type": media, "data": data}
    return {"type": "image" if media in IMAGES else "document", "source": source}


def answer_of(result: types.CallToolResult) -> dict[str, Any]:
    """Return a server's answer in JSON's types: {"error": False, "blocks": [{"type": …}]}."""
    blocks = [as_block(part) for part in result.content]
    if not blocks and result.structured_content is not None:
        text = json.dumps(result.structured_content, ensure_ascii=False)
        blocks = [{"type": "text", "text": text}]
    return {"error": bool(result.is_error), "blocks": blocks}


async def all_tools(client: Client | None, whom: str, seconds: float) -> list[Any]:
    """Return what a server says of its tools, page by page. TimeoutError: it comes to no end."""
    assert client, "a recording has the list"
    try:
        async with asyncio.timeout(seconds):
            page = await client.list_tools()
            found = [*page.tools]
            while page.next_cursor:
                page = await client.list_tools(cursor=page.next_cursor)
                found += page.tools
    except TimeoutError:
        late = f"{whom} did not list its tools within {seconds:g} s: is it a server, and alive?"
        raise TimeoutError(late) from None
    return [tool.model_dump(mode="json", exclude_none=True) for tool in found]


async def mcp_tools(
    client: Client | None,
    clock: Clock,
    *,
    prefix: str = "",
    only: Sequence[str] | None = None,
    acts: Sequence[str] = (),
    seconds: float = 30.0,
) -> list[Tool]:
    """Return the tools of a connected server, or of a recording, which needs no client.

    Their names are PREFIX__NAME, as the API takes names. `only` picks some and `acts` marks those
    that change the world; a call, and the list, may take so many seconds. A server that fails, is
    late or is gone is an error result. ValueError: it has no tool of a name in `only` or `acts`.
    """
    whom = f"mcp {prefix}".strip()
    listed = await clock.ask(whom, "tools", partial(all_tools, client, whom, seconds))
    theirs = [types.Tool.model_validate(tool) for tool in listed]
    names = [tool.name for tool in theirs]
    if unknown := [name for name in (*(only or ()), *acts) if name not in names]:
        raise ValueError(f"{whom} has no tool {unknown[0]}; it has: {', '.join(names)}")
    own = f"{prefix}__" if prefix else ""
    return [
        Tool(
            re.sub(r"[^a-zA-Z0-9_-]", "_", own + tool.name)[:64],
            tool.description or tool.name,
            json_arguments(tool.input_schema),
            calling(client, clock, whom, tool.name, seconds),
            acts=tool.name in acts,
        )
        for tool in theirs
        if only is None or tool.name in only
    ]


def calling(client: Client | None, clock: Clock, whom: str, name: str, seconds: float) -> Any:
    """Return the handler that calls a tool of the server through the clock's door."""

    async def handler(arguments: Arguments) -> str | list[dict[str, Any]]:
        given = dict(arguments.model_extra or {})

        async def go() -> dict[str, Any]:
            assert client, "a recording has the answer"
            try:
                result = await client.call_tool(name, given, read_timeout_seconds=seconds)
                return answer_of(result)
            except Exception as error:  # late, gone, or not of the protocol
                return {"error": True, "blocks": [{"type": "text", "text": describe(error)}]}

        answer = await clock.ask(whom, {name: given}, go)
        texts = [block.get("text") for block in answer["blocks"]]
        if answer["error"]:
            raise RuntimeError("\n".join(filter(None, texts)) or "the server gave no reason")
        return answer["blocks"] if None in texts else "\n".join(texts)

    return handler

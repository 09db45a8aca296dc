"""Scripted agents, no model: a reply is a function of (agent, turn, request), below the SDK."""

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anthropic
import httpx2

from .client import Session, stoppable
from .hub import Clock
from .recording import Exchange, answer, speaker
from .replay import MODEL_INFO
from .stepping import VirtualClock, run_clock

MODEL = "scripted"


@dataclass(frozen=True)
class Reply:
    """A reply that states more than its blocks: Reply([{"text": "No."}], "refusal")."""

    blocks: list[dict[str, Any]] = field(default_factory=list)
    stop_reason: str | None = None
    usage: dict[str, int] | None = None


@dataclass(frozen=True)
class Failure:
    """An error of the API: Failure(529, "overloaded_error", {"retry-after": "0"})."""

    status: int
    kind: str = "api_error"
    headers: dict[str, str] = field(default_factory=dict)


Blocks = list[dict[str, Any]]
Answer = str | Blocks | Reply | Failure | Exception
Script = Callable[[str, int, dict[str, Any]], Answer | Awaitable[Answer]]


class ScriptedTransport(httpx2.AsyncBaseTransport):
    """Stands where the network would be. A script's exception is raised as the network's own."""

    def __init__(self, script: Script) -> None:
        self._script = script

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET":
            return httpx2.Response(200, json=MODEL_INFO)
        body = json.loads(await request.aread())
        agent = speaker(body) or "agent"
        turn = 1 + sum(message["role"] == "assistant" for message in body["messages"])
        reply = self._script(agent, turn, body)
        if inspect.isawaitable(reply):
            reply = await reply
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, Failure):
            error = {"type": "error", "error": {"type": reply.kind, "message": reply.kind}}
            return httpx2.Response(reply.status, json=error, headers=reply.headers)
        if isinstance(reply, str):
            reply = [{"text": reply}]
        if isinstance(reply, list):
            reply = Reply(reply)
        exchange = Exchange(agent, turn, reply.blocks, reply.stop_reason, reply.usage)
        return httpx2.Response(200, json=answer(exchange, body))


@asynccontextmanager
async def scripted(
    script: Script, *, virtual: bool = True, max_retries: int = 0
) -> AsyncIterator[Session]:
    """Open a session whose replies come from a script; with `virtual`, no wait takes real time.

    A script returns a text, a list of blocks in the words of a recording (`{"text": …}`,
    `{"tool": {…}}`), a Reply, a Failure or an exception; it may be async.
    """
    http_client = httpx2.AsyncClient(transport=ScriptedTransport(script), trust_env=False)
    client = anthropic.AsyncAnthropic(
        api_key="scripted",
        base_url="http://scripted.invalid",
        max_retries=max_retries,
        http_client=http_client,
    )
    await client.models.retrieve(MODEL)  # the SDK looks up its platform in a thread: get it over
    clock = VirtualClock() if virtual else Clock()
    driver = asyncio.create_task(run_clock(clock)) if isinstance(clock, VirtualClock) else None
    try:
        async with stoppable():
            yield Session(client, clock, MODEL, "scripted", "scripted agents, no model")
    finally:
        if driver:
            driver.cancel()
            await asyncio.gather(driver, return_exceptions=True)
        await client.close()

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

from ..hub import Clock
from ..tools import ProgramError
from ..trace import one_line
from .client import Session, client_over, stoppable
from .recording import MODEL_INFO, Exchange, answer, speaker
from .stepping import VirtualClock, run_clock

MODEL = "scripted"


@dataclass(frozen=True)
class Canned:
    """A reply that states more than its blocks: Canned([{"text": "No."}], "refusal")."""

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
Answer = str | Blocks | Canned | Failure | Exception
Script = Callable[[str, int, dict[str, Any]], Answer | Awaitable[Answer]]


FORMS = (
    "It can be a text, blocks such as {'text': …} or {'tool': {…}}, a Canned reply, or a Failure."
)


def _is_reply(reply: object) -> bool:
    blocks = reply.blocks if isinstance(reply, Canned) else None
    return blocks is not None and all(isinstance(b, dict) and len(b) == 1 for b in blocks)


class ScriptedTransport(httpx2.AsyncBaseTransport):
    """Stands where the network would be. An exception that is returned is the network's own."""

    def __init__(self, script: Script) -> None:
        self._script = script

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET":
            return httpx2.Response(200, json=MODEL_INFO)
        body = json.loads(await request.aread())
        agent = speaker(body) or "agent"
        turn = 1 + sum(message["role"] == "assistant" for message in body["messages"])
        reply = await self._reply(agent, turn, body)
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, Failure):
            error = {"type": "error", "error": {"type": reply.kind, "message": reply.kind}}
            return httpx2.Response(reply.status, json=error, headers=reply.headers)
        exchange = Exchange(agent, turn, reply.blocks, reply.stop_reason, reply.usage)
        content = json.dumps(answer(exchange, body))  # plain ASCII, whatever the script holds
        return httpx2.Response(200, content=content, headers={"content-type": "application/json"})

    async def _reply(self, agent: str, turn: int, body: Any) -> Canned | Failure | Exception:
        """Return what the script says. ProgramError: the script itself is wrong."""
        try:
            reply = self._script(agent, turn, body)
            reply = await reply if inspect.isawaitable(reply) else reply
        except anthropic.AnthropicError:
            raise
        except Exception as error:
            why = f"the script failed on turn {turn} of {agent}: {type(error).__name__}: {error}"
            raise ProgramError(why) from error
        blocks = [{"text": reply}] if isinstance(reply, str) else reply
        reply = Canned(blocks) if isinstance(blocks, list) else blocks
        if isinstance(reply, Failure | Exception) or _is_reply(reply):
            return reply
        raise ProgramError(f"the script gave {one_line(reply)} for turn {turn} of {agent}. {FORMS}")


@asynccontextmanager
async def scripted(
    script: Script, *, virtual: bool = True, max_retries: int = 0
) -> AsyncIterator[Session]:
    """Open a session whose replies come from a script; with `virtual`, no wait takes real time.

    A script returns a text, a list of blocks in the words of a recording (`{"text": …}`,
    `{"tool": {…}}`), a Canned reply, a Failure or an exception; it may be async.
    """
    client = await client_over(ScriptedTransport(script), MODEL, max_retries)
    clock = VirtualClock() if virtual else Clock()
    driver = asyncio.create_task(run_clock(clock)) if isinstance(clock, VirtualClock) else None
    try:
        async with stoppable():
            yield Session(client, clock, MODEL, "scripted", "scripted agents, no model")
    finally:
        if isinstance(clock, VirtualClock):
            clock.close()
        if driver:
            driver.cancel()
            await asyncio.gather(driver, return_exceptions=True)
        await client.close()

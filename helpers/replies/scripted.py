"""Scripted agents, no model: a reply is a function of (agent, turn, request), below the SDK."""

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anthropic
import httpx2

from ..hub import Clock
from ..tools import ProgramError
from ..trace import one_line
from .client import Reply, Session, Transport, client_over, opening, running
from .recording import Exchange, answer, speaker
from .stepping import VirtualClock

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
FORMS = "a text, blocks such as {'text': …} or {'tool': {…}}, a Canned reply, or a Failure"


async def _respond(
    script: Script, clock: VirtualClock, pace: float, text: str, request: httpx2.Request
) -> Reply:
    """Return what the script says to a request. ProgramError: the script itself is wrong."""
    body = json.loads(text)
    agent = speaker(body) or "agent"
    turn = 1 + sum(message["role"] == "assistant" for message in body["messages"])
    await asyncio.sleep(0)  # others have their turn, and so has the stop button
    try:
        async with clock.outside(f"the script, turn {turn} of {agent}"):
            if pace:
                await asyncio.sleep(pace)
            reply = script(agent, turn, body)
            reply = await reply if inspect.isawaitable(reply) else reply
    except anthropic.AnthropicError:
        raise
    except Exception as error:
        why = f"the script failed on turn {turn} of {agent}: {type(error).__name__}: {error}"
        raise ProgramError(why) from error
    if isinstance(reply, Exception):
        raise reply
    if isinstance(reply, Failure):
        told = {"type": "error", "error": {"type": reply.kind, "message": reply.kind}}
        return httpx2.Response(reply.status, json=told, headers=reply.headers)
    blocks = [{"text": reply}] if isinstance(reply, str) else reply
    said = blocks if isinstance(blocks, Canned) else Canned(blocks)
    parts = said.blocks if isinstance(said.blocks, list) else [None]
    if not all(isinstance(part, dict) and len(part) == 1 for part in parts):
        why = f"the script gave {one_line(reply)} for turn {turn} of {agent}. It can be {FORMS}."
        raise ProgramError(why)
    return answer(Exchange(agent, turn, said.blocks, said.stop_reason, said.usage), body)


@opening
async def scripted(
    script: Script, *, virtual: bool = True, max_retries: int = 0, pace: float = 0.0
) -> AsyncIterator[Session]:
    """Open a session whose replies come from a script; with `virtual`, no wait takes real time.

    A script returns a text, a list of blocks in the words of a recording (`{"text": …}`,
    `{"tool": {…}}`), a Canned reply, a Failure or an exception. It may be async: time stands still
    while it awaits anything but `session.clock.sleep`, be it what another agent is to do. `pace` is
    in real seconds, before each reply.
    """
    clock = VirtualClock()
    client = await client_over(
        Transport(partial(_respond, script, clock, pace)), MODEL, max_retries
    )
    time, source = clock if virtual else Clock(), "scripted agents, no model"
    async with client, running(clock):
        yield Session(client, time, MODEL, "scripted", source)

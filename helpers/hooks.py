"""Hooks: the one point that each call of a model or a tool passes. Notebook 02 builds them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any
from weakref import WeakKeyDictionary

from .hub import Hub
from .tools import ToolCall, tool_result


@dataclass(frozen=True)
class Step:
    """What the loop is about to do: Step("lead", 3, "tool_call", "send_message", {…}, hub)."""

    agent: str
    turn: int
    kind: str  # model_call or tool_call
    name: str  # of the model or the tool
    detail: Mapping[str, Any]  # the request, or the input and whether the tool acts
    hub: Hub
    call_id: str = ""
    starter: str | None = None


Go = Callable[[], Awaitable[Any]]
Hook = Callable[[Step, Go], Awaitable[Any]]


async def no_hook(step: Step, go: Go) -> Any:
    """The hook of a run that holds nothing: go at once. Others may wait, measure or refuse."""
    return await go()


class EndAgent(Exception):
    """A hook raises this to end an agent with a status of its own: EndAgent("over_budget")."""


def compose(*hooks: Hook) -> Hook:
    """Return one hook that passes each step through all of these, the first one outermost."""

    async def hook(step: Step, go: Go) -> Any:
        for inner in reversed(hooks):
            go = partial(inner, step, go)
        return await go()

    return hook


def at_most(calls: int) -> Hook:
    """Return a hook that lets this many model calls run at once, and any number of tool calls."""
    places = asyncio.Semaphore(calls)

    async def hook(step: Step, go: Go) -> Any:
        if step.kind != "model_call":
            return await go()
        async with places:
            return await go()

    return hook


def time_limit(*, tool: float = inf, agent: float = inf) -> Hook:
    """Return a hook that bounds each tool call and each agent, in seconds of the run's clock.

    A tool call that takes longer is an error result, an agent ends as "out_of_time".
    """
    began: WeakKeyDictionary[Hub, dict[str, float]] = WeakKeyDictionary()

    async def hook(step: Step, go: Go) -> Any:
        clock, starts = step.hub.clock, began.setdefault(step.hub, {})
        if step.kind == "model_call" and step.turn == 1:
            starts[step.agent] = clock.time()
        left = starts.setdefault(step.agent, clock.time()) + agent - clock.time()
        seconds = min(left, tool) if step.kind == "tool_call" else left
        if seconds == inf:
            return await go()
        try:
            async with clock.timeout(seconds):
                return await go()
        except TimeoutError:
            if seconds == left:
                raise EndAgent("out_of_time") from None
            call = ToolCall(step.call_id, step.name, {})
            return tool_result(call, f"over {tool:g} s; it may still be done", is_error=True)

    return hook

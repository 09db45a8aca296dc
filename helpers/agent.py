"""The agent: a tool-use loop with a mailbox. Notebook 02 builds it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from anthropic import AsyncAnthropic
from anthropic.types import Message as Reply
from anthropic.types import MessageParam, TextBlockParam, ToolResultBlockParam

from .hub import Hub, Mailbox, end_agent
from .tools import (
    Tool,
    ToolCall,
    by_name,
    call_tool,
    encodable,
    messaging_tools,
    render,
    tool_result,
)


@dataclass(frozen=True)
class Step:
    """What the loop is about to do: Step("lead", 3, "tool_call", "send_message", {…})."""

    agent: str
    turn: int
    kind: str
    name: str
    detail: Mapping[str, Any]


Go = Callable[[], Awaitable[Any]]
Hook = Callable[[Step, Go], Awaitable[Any]]


async def no_hook(step: Step, go: Go) -> Any:
    """The hook of a run that holds nothing: go at once. Others may wait, measure or refuse."""
    return await go()


class EndAgent(Exception):
    """A hook raises this to end an agent with a status of its own: EndAgent("over_budget")."""

    def __init__(self, status: str):
        super().__init__(status)
        self.status = status


def at_most(calls: int) -> Hook:
    """Return a hook that lets this many model calls run at once, and any number of tool calls."""
    gate = asyncio.Semaphore(calls)

    async def hook(step: Step, go: Go) -> Any:
        if step.kind != "model_call":
            return await go()
        async with gate:
            return await go()

    return hook


@dataclass
class Agent:
    """An agent at work: who it is, what it may use, and its conversation so far."""

    client: AsyncAnthropic
    hub: Hub
    name: str
    model: str
    system: str
    tools: dict[str, Tool]
    messages: list[MessageParam]
    max_turns: int
    max_tokens: int
    hook: Hook
    box: Mailbox = field(init=False)  # its own, even if the name is used again
    done: dict[str, ToolResultBlockParam] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.hub.alive(self.name):
            raise ValueError(f"{self.name!r} is not alive on this hub: register it first")
        self.box = self.hub.boxes[self.name]

    def check_alive(self) -> None:
        """Raise CancelledError if the agent was stopped, even if what it awaited swallowed that."""
        task = asyncio.current_task()
        if not self.box.alive or (task and task.cancelling()):
            raise asyncio.CancelledError(f"{self.name} was stopped: {self.box.status}")

    def end(self, status: str, reason: str = "") -> None:
        """Set the final status, unless somebody has; the name may be another agent's by now."""
        if self.box.alive:
            end_agent(self.hub, self.name, status, reason)


Work = Callable[[Agent], Awaitable[str]]  # what an agent does: take turns, and what 05 adds


@asynccontextmanager
async def task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """Open a TaskGroup that raises the first error as it is: Jupyter can't show a group."""
    failure = None
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as errors:
        bugs = [error for error in errors.exceptions if not isinstance(error, EndAgent)]
        failure = (bugs or errors.exceptions)[0]
    if failure:  # raised out here it does not carry the group along
        raise failure from failure.__cause__


async def together(coroutines: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    """Await all side by side and return their results; the first error stops the others."""
    if len(coroutines) < 2:
        return [await coroutine for coroutine in coroutines]
    async with task_group() as group:
        tasks = [group.create_task(coroutine) for coroutine in coroutines]
    return [task.result() for task in tasks]


async def ask(agent: Agent, turn: int, **extra: Any) -> Reply:
    """Send the conversation, append the reply to it as plain dicts, and return the reply."""
    request: dict[str, Any] = {
        "model": agent.model,
        "max_tokens": agent.max_tokens,
        "system": agent.system,
        "tools": [tool.param() for tool in agent.tools.values()],
        "messages": agent.messages,
        "cache_control": {"type": "ephemeral"},  # the API may reuse the unchanged beginning
        **extra,
    }
    log, step = agent.hub.log, Step(agent.name, turn, "model_call", agent.model, request)
    log.record("model_call", agent.name, turn=turn, model=agent.model)
    reply: Reply = await agent.hook(step, lambda: agent.client.messages.create(**request))
    agent.check_alive()
    agent.box.unconfirmed.clear()
    # The API gives blank texts at times, and refuses to take them back.
    kept = [b for b in reply.content if b.type != "text" or b.text.strip()]
    if kept:
        blocks = [encodable(block.to_dict()) for block in kept]
        agent.messages.append({"role": "assistant", "content": blocks})
    text = "".join(block.text for block in reply.content if block.type == "text")
    agent.box.text = text or agent.box.text
    facts = {"stop_reason": reply.stop_reason, "text": text, "usage": reply.usage}
    log.record("model_reply", agent.name, turn=turn, model=agent.model, **facts)
    return reply


async def run_call(agent: Agent, turn: int, call: ToolCall) -> ToolResultBlockParam:
    """Run one tool call past the hook and log it; return its result block."""
    agent.check_alive()
    log, tool = agent.hub.log, agent.tools.get(call.name)
    what = {"id": call.id, "tool": call.name, "input": call.input}
    log.record("tool_call", agent.name, **what)
    if tool and (tool.acts or tool.waits) and turn == agent.max_turns:
        result = tool_result(call, "not run: in your last turn you would not see the result", True)
    else:
        detail = {"input": call.input, "acts": bool(tool and tool.acts)}
        step = Step(agent.name, turn, "tool_call", call.name, detail)
        result = await agent.hook(step, lambda: call_tool(agent.tools, call))
        agent.check_alive()
    facts = {"text": result["content"], "error": result.get("is_error", False)}
    log.record("tool_result", agent.name, **what, **facts)
    agent.done[call.id] = result
    return result


async def run_tools(agent: Agent, turn: int, calls: list[ToolCall]) -> list[ToolResultBlockParam]:
    """Run the calls of one turn side by side, waits last; return results in the order of calls."""
    waits = [c.name in agent.tools and agent.tools[c.name].waits for c in calls]
    results: dict[int, ToolResultBlockParam] = {}
    for last in (False, True):
        batch = [i for i, wait in enumerate(waits) if wait is last]
        done = await together([run_call(agent, turn, calls[i]) for i in batch])
        results.update(zip(batch, done, strict=True))
    return [results[i] for i in range(len(calls))]


def mail_block(agent: Agent) -> list[TextBlockParam]:
    """Drain the inbox into one text block, or into nothing when it is empty."""
    mail = agent.hub.drain(agent.name)
    return [TextBlockParam(type="text", text=render(mail))] if mail else []


def add_mail(agent: Agent, result: ToolResultBlockParam) -> None:
    """Put mail that has come in behind the text of a tool result, as a block of its own."""
    if mail := mail_block(agent):
        text = TextBlockParam(type="text", text=cast(str, result["content"]))
        result["content"] = [text, *mail]


async def take_turns(agent: Agent) -> str:
    """Ask, run tools and deliver mail until the agent ends; return its final status."""
    for turn in range(1, agent.max_turns + 1):
        reply = await ask(agent, turn)
        calls = [ToolCall(b.id, b.name, b.input) for b in reply.content if b.type == "tool_use"]
        if calls and reply.stop_reason in ("tool_use", "end_turn", "pause_turn"):
            results = await run_tools(agent, turn, calls)
            add_mail(agent, results[-1])
            agent.messages.append({"role": "user", "content": results})
        elif reply.stop_reason in ("end_turn", "tool_use"):
            if not agent.box.inbox or turn == agent.max_turns:
                return "done"
            agent.messages.append({"role": "user", "content": mail_block(agent)})
        elif reply.stop_reason != "pause_turn":
            return reply.stop_reason or "no_stop_reason"
    return "out_of_turns"


def close_calls(agent: Agent) -> None:
    """Answer tool calls that a stop has left open: the API refuses a history that ends with one."""
    last = agent.messages[-1]["content"]
    blocks = cast(list[Any], [] if isinstance(last, str) else last)
    calls = [ToolCall(b["id"], b["name"], b["input"]) for b in blocks if b["type"] == "tool_use"]
    why = "stopped: it may or may not have been done"
    results = [agent.done.get(call.id) or tool_result(call, why, True) for call in calls]
    if results:
        agent.messages.append({"role": "user", "content": results})


async def finish(agent: Agent, work: Work) -> str:
    """Do the work, give the agent its one final status and return its last text."""
    try:
        status = await work(agent)
    except EndAgent as end:
        status = end.status
    except BaseException as error:
        killed = isinstance(error, asyncio.CancelledError)
        reason = "" if killed else f"{type(error).__name__}: {error}"
        agent.end("killed" if killed else "crashed", reason)
        raise
    finally:
        close_calls(agent)
    agent.end(status)
    return agent.box.text


async def run_agent(
    client: AsyncAnthropic,
    hub: Hub,
    name: str,
    *,
    model: str,
    system: str,
    task: str,
    tools: list[Tool] | None = None,
    messages: list[MessageParam] | None = None,
    max_turns: int = 20,
    max_tokens: int = 2048,
    hook: Hook = no_hook,
    work: Work = take_turns,
) -> str:
    """Run a registered agent to its end; return its last text. Its mailbox has the final status.

    `messages`, if given, is a conversation to go on with. What the API or the program raises is
    raised here once the status is "crashed".
    """
    own = by_name(messaging_tools(hub, name) if tools is None else tools)
    talk = [] if messages is None else messages
    agent = Agent(client, hub, name, model, system, own, talk, max_turns, max_tokens, hook)
    talk.append({"role": "user", "content": task})
    return await finish(agent, work)

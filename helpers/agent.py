"""The agent: a tool-use loop with a mailbox. Notebook 02 builds it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from .hooks import EndAgent, Go, Hook, Step, no_hook
from .hub import Hub, Mailbox, end_agent
from .tools import (
    Block,
    ProgramError,
    Tool,
    ToolCall,
    by_name,
    call_tool,
    messaging_tools,
    neutralise,
    render,
    tool_result,
)
from .trace import describe, one_line

OWN = {"model", "max_tokens", "system", "tools", "messages"}  # parts of a request that Agent holds
CACHED = {"cache_control": {"type": "ephemeral"}}  # the API may reuse the unchanged beginning
TRIES = 3  # calls of the API for one turn whose answer is no message
NO_WORDS = "Your last turn had no text. Give your answer now, in words."


class Messages(Protocol):
    """What has `create`, as the SDK's `client.messages`."""

    @property
    def create(self) -> Callable[..., Awaitable[Any]]: ...


class Client(Protocol):
    """Whatever has `messages.create`: AsyncAnthropic, Bedrock, Vertex or one of your own."""

    @property
    def messages(self) -> Messages: ...


class BadReply(Exception):
    """What came back from a model is no message."""


@dataclass(frozen=True)
class Reply:
    """A reply as plain data: Reply([{"type": "text", "text": "Hi."}], "Hi.", [], "end_turn", …)."""

    blocks: list[Block]
    text: str
    calls: list[ToolCall]
    stop_reason: str
    model: str
    usage: Any
    stop_details: Any = None
    request_id: str | None = None


def read_reply(message: Any) -> Reply:
    """Return what the loop needs of a message. BadReply: it is none, or can't be sent again."""
    try:
        content = [block.to_dict() for block in message.content]
        plain = json.dumps(content, ensure_ascii=False, allow_nan=False)
        blocks = json.loads(plain.encode("utf-8", "replace"))  # half a character can't be sent
        text = "".join(b["text"] for b in blocks if b["type"] == "text")
        text = text if text.strip() else ""
        calls = [
            ToolCall(b["id"], b["name"], b["input"]) for b in blocks if b["type"] == "tool_use"
        ]
        if not all(isinstance(call.name, str) and isinstance(call.id, str) for call in calls):
            raise TypeError("a tool call needs a name and an id")
        if None in (message.usage.input_tokens, message.usage.output_tokens):
            raise TypeError("it does not say what it used")
        # The API refuses to take back blank texts, texts behind a call and thoughts at the end.
        kept = [b for b in blocks if b["type"] != "text" or b["text"].strip()]
        kept.sort(key=lambda block: block["type"] == "tool_use")
        while kept and kept[-1]["type"] in ("thinking", "redacted_thinking"):
            kept.pop()
        reason = one_line(message.stop_reason or "no_stop_reason")
        more = getattr(message, "stop_details", None), getattr(message, "_request_id", None)
        return Reply(kept, text, calls, reason, message.model, message.usage, *more)
    except Exception as error:
        raise BadReply(f"what came back is no message ({describe(error)})") from error


@dataclass
class Agent:
    """An agent at work: who it is, what it may use, and its conversation so far."""

    client: Client
    hub: Hub
    name: str
    model: str
    system: str
    tools: Sequence[Tool | Block] | None = None  # None: the messaging tools; a dict: the API's own
    messages: list[Any] = field(default_factory=list)  # or a conversation to go on with
    max_turns: int = 20
    max_tokens: int = 2048
    request: Mapping[str, Any] = field(default_factory=dict)  # what else the API takes
    hook: Hook = no_hook

    def __post_init__(self) -> None:
        if not callable(getattr(getattr(self.client, "messages", None), "create", None)):
            raise TypeError(f"a client has messages.create, and {self.client!r} has not")
        if not self.hub.alive(self.name):
            raise ValueError(f"{self.name!r} is not alive on this hub: register it first")
        if clash := OWN & set(self.request):
            raise ValueError(f"request can't hold {', '.join(sorted(clash))}: give it by itself")
        self.box: Mailbox = self.hub.boxes[self.name]  # its own, even if the name is used again
        given = messaging_tools(self.hub, self.name) if self.tools is None else self.tools
        self.toolbox = by_name(tool for tool in given if not isinstance(tool, dict))
        self.params = [tool if isinstance(tool, dict) else tool.param() for tool in given]

    def check_alive(self) -> None:
        """Raise CancelledError if the agent was stopped, even if what it awaited swallowed that."""
        task = asyncio.current_task()
        if not self.box.alive or (task and task.cancelling()):
            raise asyncio.CancelledError(f"{self.name} was stopped: {self.box.status}")

    async def do(self, turn: int, kind: str, name: str, detail: Block, go: Go, id: str = "") -> Any:
        """Take a step past the hook. CancelledError: the agent was stopped meanwhile."""
        step = Step(self.name, turn, kind, name, detail, self.hub, id, self.box.starter)
        result = await self.hook(step, go)
        self.check_alive()
        if result is None:
            raise ProgramError("the hook gave nothing back: it has to `return await go()`")
        return result


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


async def together(coroutines: list[Coroutine[Any, Any, None]]) -> None:
    """Await all side by side, one alone in this very task; the first error stops the others."""
    if len(coroutines) < 2:
        for coroutine in coroutines:
            await coroutine
        return
    async with task_group() as group:
        for coroutine in coroutines:
            group.create_task(coroutine)


async def ask(agent: Agent, turn: int, **extra: Any) -> Reply:
    """Send the conversation and add the reply to it, each of its calls answered as not run."""
    request = {
        "model": agent.model,
        "max_tokens": agent.max_tokens,
        "system": agent.system,
        "tools": agent.params,
        "messages": agent.messages,
        **CACHED,
        **agent.request,
        **extra,
    }
    request = {key: value for key, value in request.items() if value is not None}
    reply = await call_model(agent, turn, request)
    agent.box.unconfirmed.clear()
    agent.box.text = reply.text or agent.box.text
    if reply.blocks:
        agent.messages.append({"role": "assistant", "content": reply.blocks})
    if reply.calls:  # so the API takes the conversation again, wherever the agent is stopped
        why = f"not run: the turn ended with {reply.stop_reason}"
        results = [tool_result(call, why, True) for call in reply.calls]
        agent.messages.append({"role": "user", "content": results})
    about = {"turn": turn, "model": agent.model, "answered_by": reply.model}
    facts = {"stop_reason": reply.stop_reason, "text": reply.text, "usage": reply.usage}
    more = {"stop_details": reply.stop_details, "request_id": reply.request_id}
    agent.hub.log.record("model_reply", agent.name, **about, **facts, **more)
    return reply


async def call_model(agent: Agent, turn: int, request: Block) -> Reply:
    """Call past the hook, again if what comes back is no message. BadReply: it never was one."""

    async def go() -> Reply:
        try:
            return read_reply(await agent.client.messages.create(**request))
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadReply(f"what came back is no message ({describe(error)})") from error

    for left in reversed(range(TRIES)):
        agent.hub.log.record("model_call", agent.name, turn=turn, model=agent.model)
        try:
            reply: Reply = await agent.do(turn, "model_call", agent.model, request, go)
            return reply
        except BadReply:
            if not left:
                raise
    raise AssertionError("unreachable")


async def run_call(agent: Agent, turn: int, call: ToolCall, result: Block) -> None:
    """Run one tool call past the hook and log it; its result takes the place of "not run"."""
    agent.check_alive()
    tool = agent.toolbox.get(call.name)
    what = {"id": call.id, "tool": call.name, "input": call.input}
    agent.hub.log.record("tool_call", agent.name, **what)
    if tool and (tool.acts or tool.waits) and turn == agent.max_turns:
        why = "not run: in your last turn you would not see the result"
        result |= tool_result(call, why, True)
    else:
        result |= tool_result(call, "stopped: it may or may not have been done", True)
        detail = {"input": call.input, "acts": bool(tool and tool.acts)}
        go = partial(call_tool, agent.toolbox, call)
        result |= await agent.do(turn, "tool_call", call.name, detail, go, call.id)
    facts = {"text": result["content"], "error": result["is_error"]}
    agent.hub.log.record("tool_result", agent.name, **what, **facts)


async def run_tools(agent: Agent, turn: int, calls: list[ToolCall], results: list[Block]) -> None:
    """Run the calls of one turn side by side, waits last; results stay in the order of calls."""
    waits = {name for name, tool in agent.toolbox.items() if tool.waits}
    pairs = list(zip(calls, results, strict=True))
    for last in (False, True):
        batch = [pair for pair in pairs if (pair[0].name in waits) is last]
        await together([run_call(agent, turn, *pair) for pair in batch])


def add_mail(agent: Agent, results: list[Block]) -> None:
    """Put mail that has come in into the last of these results, or into a message of its own."""
    if not (mail := agent.hub.drain(agent.name)):
        return
    block = {"type": "text", "text": render(mail)}
    if results:
        own = results[-1]["content"]
        own = [{"type": "text", "text": own}] if isinstance(own, str) else own
        results[-1]["content"] = [*own, block]
    else:
        agent.messages.append({"role": "user", "content": [block]})


async def take_turns(agent: Agent) -> str:
    """Ask, run tools and deliver mail until the agent ends; return its final status."""
    nudged = False
    for turn in range(1, agent.max_turns + 1):
        reply = await ask(agent, turn)
        results = agent.messages[-1]["content"] if reply.calls else []
        if reply.stop_reason == "tool_use" and reply.calls:
            await run_tools(agent, turn, reply.calls, results)
        elif reply.stop_reason == "pause_turn":
            continue
        elif reply.stop_reason not in ("end_turn", "tool_use"):
            return reply.stop_reason
        elif turn == agent.max_turns or not agent.box.inbox:
            agent.box.text = reply.text  # nothing said in an earlier turn is the answer
            if reply.text or nudged or turn == agent.max_turns:
                return "done"
            nudged = True
            agent.messages.append({"role": "user", "content": NO_WORDS})
        add_mail(agent, results)
    return "out_of_turns"


async def run_agent(
    client: Client, hub: Hub, name: str, *, task: str, work: Work = take_turns, **settings: Any
) -> str:
    """Run a registered agent to its end; return its last text. Its mailbox has the final status.

    The settings are the fields of Agent. What the API or the program raises is raised here once
    the status is "crashed".
    """
    agent = Agent(client, hub, name, **settings)
    words = neutralise(task) if task.strip() else "(empty)"
    agent.messages.append({"role": "user", "content": words})
    status, reason = "killed", ""
    try:
        status = await work(agent)
    except EndAgent as end:
        status = one_line(end)
    except (Exception, SystemExit, GeneratorExit) as error:
        status, reason = "crashed", describe(error)
        if not isinstance(error, Exception):  # it would end the loop, and the kernel with it
            raise RuntimeError(f"{name} crashed: {reason}") from error
        raise
    finally:
        if agent.box.alive:
            end_agent(hub, name, status, reason)
    return agent.box.text

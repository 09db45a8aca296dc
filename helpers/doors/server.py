"""Tools of this cookbook as an MCP server: any client may call them, and every check stands behind.

A person at the client is asked by elicitation, in both of the protocol's ways: during the call, or
by sending the call back with a question, after which it comes again with the answer.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

from mcp import types
from mcp.server import Server

from ..billing.refund import Approval, ApprovalRequest
from ..tools import ProgramError, Tool, ToolCall, by_name, call_tool

CALL: ContextVar[tuple[Any, Any]] = ContextVar("CALL")  # who calls, and with what
FORM = {
    "type": "object",
    "properties": {"approve": {"type": "boolean", "title": "Approve this refund?"}},
    "required": ["approve"],
}
SENT_BACK = "2026"  # from this version on nothing can be asked during a call


class Ask(ProgramError):
    """The call goes back to the client with this question."""


def mcp_server(name: str, tools: Sequence[Tool]) -> Any:
    """Return an MCP server of these tools; their arguments are checked here as for an agent."""
    own = by_name(tools)

    async def list_tools(context: Any, params: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[listed(tool) for tool in tools])

    async def call(context: Any, params: types.CallToolRequestParams) -> Any:
        CALL.set((context, params))
        given = {} if params.arguments is None else params.arguments
        try:
            result: Any = await call_tool(own, ToolCall("mcp", params.name, given))
        except Ask as question:
            return question.args[0]
        content = result["content"]
        blocks = content if isinstance(content, list) else [{"type": "text", "text": content}]
        return types.CallToolResult(content=list(map(as_mcp, blocks)), is_error=result["is_error"])

    return Server(name, on_list_tools=list_tools, on_call_tool=call)


def listed(tool: Tool) -> types.Tool:
    hints = types.ToolAnnotations(read_only_hint=not tool.acts, destructive_hint=tool.acts)
    param = tool.param()
    return types.Tool(
        name=tool.name,
        description=tool.description,
        input_schema=param["input_schema"],
        annotations=hints,
    )


def as_mcp(block: dict[str, Any]) -> Any:
    """Return a content block of a tool result as MCP has it; of a kind it lacks, its name."""
    if block["type"] == "text":
        return types.TextContent(type="text", text=block["text"])
    source = block.get("source", {})
    if block["type"] == "image" and source.get("type") == "base64":
        data, kind = source["data"], source["media_type"]
        return types.ImageContent(type="image", data=data, mime_type=kind)
    return types.TextContent(type="text", text=f"({block['type']}, not sent)")


def elicited(seconds: float = 120.0) -> Callable[[ApprovalRequest], Any]:
    """Return an `approve` that asks the person at the client; no answer in that time is a no.

    The case is locked while a question is open in the middle of a call, also when its client has
    disappeared without a word, as over HTTP. A client that can't ask gets a refusal.
    """
    asked: dict[str, ApprovalRequest] = {}  # questions that went back, each answered once

    async def approve(request: ApprovalRequest) -> Approval | None:
        context, params = CALL.get()
        able = context.session.client_capabilities
        if not able or not able.elicitation:
            return None
        if context.session.protocol_version < SENT_BACK:
            ask = context.session.elicit_form
            try:
                async with asyncio.timeout(seconds):
                    answer = await ask(str(request), FORM, related_request_id=context.request_id)
            except TimeoutError:
                return None
            return decision(answer)
        if asked.pop(params.request_state or "", None) == request:
            return decision((params.input_responses or {}).get("approve"))
        state = secrets.token_urlsafe()  # no client can answer what it was not asked
        asked[state] = request
        form = types.ElicitRequestFormParams(message=str(request), requested_schema=FORM)
        question = {"approve": types.ElicitRequest(params=form)}
        raise Ask(types.InputRequiredResult(input_requests=question, request_state=state))

    return approve


def decision(answer: Any) -> Approval | None:
    """Return what a person's answer decides; closed without one: nothing."""
    if answer is None or answer.action == "cancel":
        return None
    yes = answer.action == "accept" and (answer.content or {}).get("approve") is True
    return Approval(yes, "the person at the client said " + ("yes" if yes else "no"))

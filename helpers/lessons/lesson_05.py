"""Checks of notebook 05, delegate a case."""

from typing import Any

from ..agent import run_agent
from ..billing.roles import ROLES
from ..delegation import MODELS, Delegation, task_tool
from ..hub import Hub
from ..replies.scripted import Answer, scripted
from ..tools import NoArguments, Tool, ToolCall, call_tool
from .exercises import Check

READING = ("Read", "Glob", "Grep")
GATEWAY = "check_payment_gateway"


async def stub(arguments: NoArguments) -> str:
    return "ok"


TOOLBOX = {name: Tool(name, name, NoArguments, stub) for name in (*READING, GATEWAY)}


async def delegate(roles: dict[str, Any], who: str, calls: str = "") -> dict[str, Any]:
    """Run one scripted subagent of these roles; return the last tool result that was logged."""

    def script(agent: str, turn: int, request: dict[str, Any]) -> Answer:
        if agent == "orchestrator" and turn == 1:
            return [{"Task": {"subagent_type": who, "description": "Work", "prompt": "Work."}}]
        return [{calls: {}}] if calls and turn == 1 else "The tone is kind."

    async with scripted(script) as session:
        hub = Hub(session.clock, show=None)
        hub.register("orchestrator")
        own: dict[str, Any] = {
            "model": session.model,
            "system": "You are orchestrator.",
            "task": "Begin.",
        }
        tools = [task_tool(Delegation(session.client, hub, roles, TOOLBOX))]
        await run_agent(session.client, hub, "orchestrator", tools=tools, **own)
    results = [event.data for event in hub.log.events if event.kind == "tool_result"]
    return results[0] if calls else results[-1]


def parts(role: Any) -> tuple[Any, ...]:
    """Return what a role is made of; its form by name, as a notebook may define its own."""
    form = getattr(role.form, "__name__", None)
    return role.description, role.prompt, tuple(role.tools), role.model, form


def looks_like_a_role(role: Any) -> bool:
    return all(hasattr(role, part) for part in ("description", "prompt", "tools", "model", "form"))


async def check_second_reviewer(answer: Any) -> str | None:
    if not isinstance(answer, dict):
        return "it should be a dict of roles, such as ROLES"
    for name, expected in ROLES.items():
        if name not in answer or parts(answer[name]) != parts(expected):
            return f"{name} should be there, unchanged"
    role: Any = answer.get("tone_reviewer")
    if role is None:
        return "there is no tone_reviewer"
    if not looks_like_a_role(role):
        return "tone_reviewer should be a Role"
    if isinstance(role.tools, str):
        return f'its tools should be a tuple: ("{role.tools}",)'
    if extra := [tool for tool in role.tools if tool not in READING]:
        return f"tone_reviewer may only read, but it has {', '.join(extra)}"
    if not role.description.strip() or not role.prompt.strip():
        return "its description or its prompt is empty: nobody would know what it is for"
    if role.form is not None:
        return "its answer is to be text, so its role has no form"
    if role.model not in MODELS:
        return f"there is no model {role.model!r}; there are: {', '.join(MODELS)}"
    result = await delegate(answer, "tone_reviewer")
    return f"Task failed: {result['text']}" if result["error"] else None


async def check_tool_taken_away(answer: Any) -> str | None:
    if not looks_like_a_role(answer):
        return "it should be one Role: the researcher's, changed"
    if GATEWAY in answer.tools:
        return "it still has the gateway"
    if missing := [tool for tool in READING if tool not in answer.tools]:
        return f"it should still have {', '.join(missing)}"
    researcher = ROLES["researcher"]
    if (*parts(answer)[:2], *parts(answer)[3:]) != (*parts(researcher)[:2], *parts(researcher)[3:]):
        return "only the tools should change; prompt, description and model stay"
    result = await delegate({"researcher": answer}, "researcher", calls=GATEWAY)
    return None if result["error"] else "the call to the gateway went through"


async def check_hand_over(answer: Any) -> str | None:
    waiting: list[Any] = []
    tool = answer(waiting) if callable(answer) else None
    if tool is None or tool is ...:
        return "hand_over_tool does not return a tool yet"
    if not all(hasattr(tool, part) for part in ("name", "arguments", "handler", "acts")):
        return "it should return a Tool"
    if tool.name != "hand_over":
        return f"the tool is called {tool.name!r}, not 'hand_over'"
    reason = "Two duplicates are open."
    result: Any = await call_tool({tool.name: tool}, call({"reason": reason}))
    said = result["content"]
    if result.get("is_error"):
        return f"it answers with an error: {said}"
    if waiting != [reason]:
        return f"after one call the list is {waiting}, not {[reason]}"
    if said == "(empty)" or said == "null":
        return "the model hears nothing; return a text"
    if not (await call_tool({tool.name: tool}, call({}))).get("is_error"):
        return "a call without a reason should be an error"
    return None if tool.acts else "it changes the world, but is not marked as one that acts"


def call(arguments: dict[str, str]) -> ToolCall:
    return ToolCall("toolu_1", "hand_over", arguments)


CHECKS: dict[str, Check] = {
    "05.1": check_second_reviewer,
    "05.2": check_tool_taken_away,
    "05.3": check_hand_over,
}

"""Checks of notebook 07, steer a running team."""

from typing import Any

from ..agent import run_agent
from ..hooks import Hook
from ..hub import Event
from ..replies.scripted import scripted
from ..run import Run
from ..team import Member, run_team
from ..tools import Tool
from .exercises import Check

TEAM = ("lead", "helper1", "helper2")


def happened(step: int, kind: str, agent: str, tool: str) -> Event:
    return Event(step, 0.0, kind, agent, {"tool": tool, "input": {}, "text": "", "id": "toolu_1"})


async def check_breakpoint(answer: Any) -> str | None:
    if answer(happened(1, "tool_call", "orchestrator", "issue_refund")) is ...:
        return "the dots are still there"
    if not answer(happened(1, "tool_call", "orchestrator", "issue_refund")):
        return "it should be true at the call of issue_refund"
    if answer(happened(1, "tool_result", "orchestrator", "issue_refund")):
        return "at the result it is too late: the money has moved"
    if answer(happened(1, "tool_call", "orchestrator", "Task")):
        return "it should hold before issue_refund, and no other tool"
    if answer(Event(1, 0.0, "model_call", "lead", {"turn": 1, "model": "m"})):
        return "a model call is no tool call"
    return None


async def check_watchdog(answer: Any) -> str | None:
    told = [
        ("lazy", "wait_for_message", "tool_call"),
        ("busy", "wait_for_message", "tool_result"),
        ("lazy", "wait_for_message", "tool_result"),
        ("lazy", "send_message", "tool_result"),
        ("lazy", "wait_for_message", "tool_result"),
        ("busy", "wait_for_message", "tool_result"),
        ("lazy", "wait_for_message", "tool_result"),
    ]
    events = [happened(n, kind, agent, tool) for n, (agent, tool, kind) in enumerate(told)]
    for times, place in ((1, 2), (2, 4), (3, 6)):
        condition = answer("lazy", times)
        if not callable(condition):
            return "it should return a function of one event"
        seen = [bool(condition(event)) for event in events[: place + 1]]
        if True in seen[:place]:
            wrong = told[seen.index(True)]
            return (
                f"with times={times} it was true too early, at {wrong[2]} {wrong[1]} of {wrong[0]}"
            )
        if not seen[place]:
            return f"with times={times} it should be true when lazy has waited {times} times"
    return None


async def check_ask_human(answer: Any) -> str | None:
    run = Run(line=lambda event: None)
    tool = answer(run)
    if not isinstance(tool, Tool) or tool.name != "ask_human":
        return "it should return a Tool with the name ask_human"
    try:
        await run.start(lambda run: one_question(run, tool))
        await run.until(lambda event: event.kind == "question")
        asked = [(question.text, question.choices) for question in run.questions]
        if asked != [("Which tone?", ("Answer",))]:
            return f"the person should be asked 'Which tone?' with the choice Answer, not {asked}"
        run.answer("Answer", "plain and kind")
        said = await run.result()
    finally:
        await run.stop()
    return None if said == "plain and kind" else f"the agent should read the answer, not {said!r}"


async def one_question(run: Run, tool: Tool) -> str:
    """Let an agent ask one question with the tool; return what it read."""

    def script(agent: str, turn: int, request: dict[str, Any]) -> Any:
        if turn == 1:
            return [{"ask_human": {"question": "Which tone?"}}]
        return request["messages"][-1]["content"][0]["content"]

    async with scripted(script) as session:
        hub = run.connect(session.clock)
        hub.register("writer")
        own: dict[str, Any] = {"model": session.model, "system": "You are writer."}
        own |= {"tools": [tool], "hook": run.hook}
        return await run_agent(session.client, hub, "writer", task="Write.", **own)


async def check_leaky(answer: Any) -> str | None:
    run = Run(line=lambda event: None)
    try:
        await run.start(lambda run: team_of_three(run, answer(run)))
    except RuntimeError:
        free = [name for name in TEAM if name not in run.gated]
        return (
            None if free == ["helper2"] else f"without a gate: {', '.join(free)}; not helper2 only"
        )
    except AttributeError:  # the loop has no use for what the hook returned
        return "a hook returns what it awaits: `await go()`, or `await run.hook(step, go)`"
    finally:
        await run.stop()
    return "all three are held: let the steps of helper2 go, with `await go()`"


async def team_of_three(run: Run, hook: Hook) -> str:
    async with scripted(lambda agent, turn, request: f"{agent} is done.") as session:
        hub = run.connect(session.clock)
        members = [Member(name, "Be brief.") for name in TEAM]
        return await run_team(session.client, hub, members, model=session.model, hook=hook)


CHECKS: dict[str, Check] = {
    "07.1": check_breakpoint,
    "07.2": check_watchdog,
    "07.3": check_ask_human,
    "07.4": check_leaky,
}

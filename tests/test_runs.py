"""The recorded runs of 03 and 04: prompts, tools and log are what their recordings say."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from helpers.hub import Event, Hub
from helpers.replies.client import Session, connect
from helpers.replies.recording import FOLDER, Exchange, load
from helpers.spawn import run_lead
from helpers.team import Member, run_team
from helpers.views import tool_summary

from .support import run

Play = Callable[[Session, Hub], Awaitable[str]]


def exchanges(name: str) -> list[Exchange]:
    return [step for step in load(FOLDER / f"{name}.yaml").steps if isinstance(step, Exchange)]


def task_of(name: str, agent: str) -> str:
    first = next(e for e in exchanges(name) if e.key == (agent, 1))
    assert first.sent
    task: str = first.sent["messages"][0]["user"]
    return task


async def team(session: Session, hub: Hub) -> str:
    names = ["lead", "helper1", "helper2"]
    members = [Member(name, task_of("03_fixed_team", name)) for name in names]
    return await run_team(session.client, hub, members, model=session.model)


async def lead(session: Session, hub: Hub) -> str:
    task = task_of("04_subagents", "lead")
    return await run_lead(session.client, hub, task, model=session.model)


RUNS: dict[str, Play] = {"03_fixed_team": team, "04_subagents": lead}


def played(name: str) -> tuple[str, Hub]:
    async def body() -> tuple[str, Hub]:
        async with connect(name) as session:
            hub = Hub(session.clock, show=None)
            return await RUNS[name](session, hub), hub

    return run(body())


def events(hub: Hub, kind: str) -> list[Event]:
    return [event for event in hub.log.events if event.kind == kind]


def calls_of(exchange: Exchange) -> list[tuple[str, Any]]:
    pairs = [next(iter(block.items())) for block in exchange.reply or []]
    return [(tool, arguments) for tool, arguments in pairs if tool != "text"]


def told(result: Any) -> str:
    text = result["result"]
    return text if isinstance(text, str) else str(text[0])


@pytest.mark.parametrize("name", RUNS)
def test_the_log_has_each_model_call_with_its_turn_and_model(name: str) -> None:
    model = load(FOLDER / f"{name}.yaml").model
    _, hub = played(name)
    calls = sorted((e.agent, e.data["turn"], e.data["model"]) for e in events(hub, "model_call"))
    assert calls == sorted((*e.key, model) for e in exchanges(name))


@pytest.mark.parametrize("name", RUNS)
def test_the_log_has_each_reply_with_its_end_text_and_usage(name: str) -> None:
    _, hub = played(name)
    replies = [
        (e.agent, e.data["turn"], e.data["stop_reason"], e.data["text"])
        for e in events(hub, "model_reply")
    ]
    expected = [
        (*e.key, "tool_use" if calls_of(e) else "end_turn", (e.reply[0].get("text", "")))
        for e in exchanges(name)
        if e.reply
    ]
    assert replies == expected
    assert all(e.data["usage"].input_tokens > 0 for e in events(hub, "model_reply"))
    assert {e.data["model"] for e in events(hub, "model_reply")} == {"claude-sonnet-5-5"}


@pytest.mark.parametrize("name", RUNS)
def test_the_log_has_each_tool_call_with_what_was_asked(name: str) -> None:
    _, hub = played(name)
    asked = [(e.agent, e.data["tool"], e.data["input"]) for e in events(hub, "tool_call")]
    assert asked == [(e.agent, *call) for e in exchanges(name) for call in calls_of(e)]
    ids = [e.data["id"] for e in events(hub, "tool_call")]
    assert len(set(ids)) == len(ids)
    for result in events(hub, "tool_result"):
        call = next(e for e in events(hub, "tool_call") if e.data["id"] == result.data["id"])
        assert (call.agent, call.data["tool"], call.data["input"]) == (
            result.agent,
            result.data["tool"],
            result.data["input"],
        )
        assert result.data["error"] is False


@pytest.mark.parametrize("name", RUNS)
def test_the_log_has_each_result_as_the_model_was_told_it(name: str) -> None:
    _, hub = played(name)
    in_log = sorted((e.agent, e.data["text"]) for e in events(hub, "tool_result"))
    sent = sorted(
        (e.agent, told(block))
        for e in exchanges(name)
        for message in (e.sent or {})["messages"]
        for block in (message["user"] if isinstance(message["user"], list) else [])
    )
    assert in_log == sent


@pytest.mark.parametrize("name", RUNS)
def test_every_dead_letter_is_in_the_log_with_its_reason(name: str) -> None:
    _, hub = played(name)
    dead = [(e.data["message"], e.data["reason"]) for e in events(hub, "message_dead")]
    assert dead == hub.dead_letters
    assert [e.agent for e in events(hub, "message_dead")] == [m.recipient for m, _ in dead]


def test_the_lead_of_04_starts_checks_collects_and_dismisses_in_virtual_seconds() -> None:
    answer, hub = played("04_subagents")
    assert answer
    helper = "1×sleep, 1×send_message, 1×wait_for_message"
    lead = "3×wait_for_message, 1×create_subagents, 1×get_status, 1×kill_subagents"
    lines = [f"  helper{n}: {helper}" for n in (1, 2, 3)] + [f"  lead: {lead}"]
    assert tool_summary(hub.log.events) == "\n".join(lines)
    slept = [e.time for e in events(hub, "tool_result") if e.data["tool"] == "sleep"]
    assert slept == [1.0, 2.0, 3.0]
    ends = [(e.agent, e.data["status"]) for e in events(hub, "agent_ended")]
    assert ends == [
        ("helper1", "killed"),
        ("helper2", "killed"),
        ("helper3", "killed"),
        ("lead", "done"),
    ]

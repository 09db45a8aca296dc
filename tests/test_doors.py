"""The doors that a copier needs: any client, any option of a request, the API's own tools."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import anthropic
import pytest
from pydantic import BaseModel

from helpers.agent import Client, run_agent
from helpers.billing.orchestrator import run_case
from helpers.billing.refund import Case, Mandate
from helpers.delegation import work_and_answer
from helpers.hub import Hub
from helpers.replies.scripted import Answer, Canned, scripted
from helpers.spawn import run_lead
from helpers.team import Member, run_team

from .support import SOLO, in_turn, quiet_hub, returning, run, solo

LOOK = [returning("look", "seen")]


class Streaming:
    """A shim of ten lines: streams, and gives the loop the final message."""

    def __init__(self, client: anthropic.AsyncAnthropic) -> None:
        self.client, self.messages = client, self

    async def create(self, **request: Any) -> anthropic.types.Message:
        async with self.client.messages.stream(**request) as stream:
            return await stream.get_final_message()


class Nothing:
    """Has no messages.create."""


def accepts(client: Client) -> Client:
    return client


def every_client_of_the_sdk_passes_the_type_check(
    plain: anthropic.AsyncAnthropic,
    bedrock: anthropic.AsyncAnthropicBedrock,
    vertex: anthropic.AsyncAnthropicVertex,
    shim: Streaming,
    nothing: Nothing,
) -> None:
    """Never called: mypy reads it, and an unused ignore is an error of its own."""
    accepts(plain)
    accepts(bedrock)
    accepts(vertex)
    accepts(shim)
    accepts(nothing)  # type: ignore[arg-type]


def test_a_client_without_messages_create_is_refused_by_name() -> None:
    hub = quiet_hub("solo")
    with pytest.raises(TypeError, match=r"a client has messages\.create"):
        run(run_agent(Nothing(), hub, "solo", **SOLO))  # type: ignore[arg-type]


class Plain:
    """A client of the reader's own: it answers with what the SDK's shapes need, no more."""

    def __init__(self, *replies: list[dict[str, Any]]) -> None:
        self.messages, self.replies, self.requests = self, iter(replies), list[Any]()

    async def create(self, **request: Any) -> Any:
        await asyncio.sleep(0)
        self.requests.append({**request, "messages": list(request["messages"])})
        blocks = next(self.replies)
        content = [SimpleNamespace(to_dict=lambda block=block: block) for block in blocks]
        calls = any(block["type"] == "tool_use" for block in blocks)
        return SimpleNamespace(
            content=content,
            stop_reason="tool_use" if calls else "end_turn",
            model="plain",
            usage=SimpleNamespace(input_tokens=1, output_tokens=1),
        )


def test_a_client_of_one_s_own_runs_an_agent() -> None:
    hub = quiet_hub("solo")
    client = Plain([{"type": "text", "text": "Hi."}])
    assert run(run_agent(client, hub, "solo", **SOLO)) == "Hi."


THINKING = {"type": "thinking", "thinking": "Hm.", "signature": "c2lnbmVk=="}
REDACTED = {"type": "redacted_thinking", "data": "aGlkZGVu"}
SERVER = {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "x"}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": []}


def test_thinking_signatures_and_server_blocks_go_back_unchanged_over_many_turns() -> None:
    turns = 30
    before: list[dict[str, Any]] = [THINKING, REDACTED, SERVER, FOUND]
    replies = [
        [*before, {"type": "tool_use", "id": f"t{turn}", "name": "look", "input": {}}]
        for turn in range(turns)
    ]
    client, hub = Plain(*replies, [{"type": "text", "text": "Done."}]), quiet_hub("solo")
    run(run_agent(client, hub, "solo", **SOLO | {"tools": LOOK, "max_turns": 99}))
    sent = [m["content"] for m in client.requests[-1]["messages"] if m["role"] == "assistant"]
    assert sent == replies


OPTIONS: dict[str, Any] = {
    "extra_body": {"temperature": 0.2},
    "stop_sequences": ["END"],
    "metadata": {"user_id": "u1"},
    "thinking": {"type": "enabled", "budget_tokens": 1_024},
    "tool_choice": {"type": "auto"},
}


def test_whatever_the_api_takes_goes_into_each_request() -> None:
    outcome = solo([{"look": {}}], "Done.", tools=LOOK, request=OPTIONS)
    sent = {**OPTIONS, **OPTIONS["extra_body"]}
    del sent["extra_body"]
    for body in outcome.requests:
        assert sent.items() <= body.items()


def test_headers_and_a_timeout_reach_the_client() -> None:
    client, hub = Plain([{"type": "text", "text": "Hi."}]), quiet_hub("solo")
    options: dict[str, Any] = {"extra_headers": {"anthropic-beta": "x"}, "timeout": 30.0}
    run(run_agent(client, hub, "solo", **SOLO, request=options))
    assert options.items() <= client.requests[0].items()


@pytest.mark.parametrize("key", ["model", "max_tokens", "system", "tools", "messages"])
def test_what_the_loop_holds_by_itself_is_a_clash_before_the_first_call(key: str) -> None:
    outcome = solo("Done.", request={key: "x"})
    assert isinstance(outcome.error, ValueError)
    assert key in str(outcome.error)
    assert outcome.requests == []


def test_caching_is_on_and_none_leaves_it_out() -> None:
    assert solo("Done.").requests[0]["cache_control"] == {"type": "ephemeral"}
    assert "cache_control" not in solo("Done.", request={"cache_control": None}).requests[0]


def test_the_api_s_own_tools_pass_as_they_are() -> None:
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 2}
    outcome = solo("Done.", tools=[*LOOK, search])
    assert outcome.requests[0]["tools"] == [LOOK[0].param(), search]


class Form(BaseModel):
    text: str


async def formed(agent: Any) -> str:
    return await work_and_answer(agent, form=Form)


def test_the_form_of_the_final_answer_wins_and_the_other_settings_stay() -> None:
    effort = {"output_config": {"effort": "low"}, "tool_choice": {"type": "any"}}
    outcome = solo("Done.", '{"text": "x"}', tools=LOOK, request=effort, work=formed)
    first, last = outcome.requests
    assert first["output_config"] == {"effort": "low"}
    assert last["output_config"]["effort"] == "low"
    assert last["output_config"]["format"]["type"] == "json_schema"
    assert last["tool_choice"] == {"type": "none"}


Start = Callable[[Any, Hub], Awaitable[Any]]


async def a_team(session: Any, hub: Hub) -> Any:
    members = [Member("lead", "x"), Member("helper1", "x")]
    return await run_team(session.client, hub, members, model="m", request=OPTIONS)


async def a_lead(session: Any, hub: Hub) -> Any:
    return await run_lead(session.client, hub, "x", model="m", request=OPTIONS)


async def a_case(session: Any, hub: Hub) -> Any:
    case = Case("cust_12345", Mandate("Resolve it."))
    files = [returning(name, "x") for name in ("Read", "Glob", "Grep")]
    return await run_case(session.client, hub, case, "x", files, request=OPTIONS)


@pytest.mark.parametrize("start", [a_team, a_lead, a_case])
def test_the_options_reach_every_agent_of_a_run(start: Start) -> None:
    seen: list[tuple[str, dict[str, Any]]] = []

    def script(agent: str, turn: int, body: dict[str, Any]) -> Answer:
        seen.append((agent, body))
        task = {"subagent_type": "researcher", "description": "d", "prompt": "p"}
        plan: list[Answer] = [[{"create_subagents": {"base_instruction": "Help."}}]]
        plan = [[{"Task": task}]] if agent == "orchestrator" else plan if agent == "lead" else []
        return plan[turn - 1] if turn <= len(plan) and start is not a_team else "Done."

    async def body() -> None:
        async with scripted(in_turn(script)) as session:
            await start(session, Hub(session.clock, show=None))

    run(body())
    assert len({agent for agent, _ in seen}) == 2
    assert all(body["temperature"] == 0.2 for _, body in seen)


def test_a_lead_and_its_helpers_may_differ_in_everything() -> None:
    seen: dict[str, dict[str, Any]] = {}

    def script(agent: str, turn: int, body: dict[str, Any]) -> Answer:
        seen.setdefault(agent, body)
        if agent == "lead" and turn == 1:
            return [{"create_subagents": {"base_instruction": "Help."}}]
        return [{"wait_for_message": {}}] if agent == "lead" and turn == 2 else '{"text": "x"}'

    async def body() -> Hub:
        async with scripted(in_turn(script)) as session:
            hub = Hub(session.clock, show=None)
            helper = {
                "model": "small",
                "system": "You are helper1, a specialist.",
                "max_tokens": 99,
                "request": {"extra_body": {"temperature": 1.0}},
                "work": formed,
            }
            lead: dict[str, Any] = {
                "model": "large",
                "system": "You are lead of all.",
                "max_turns": 9,
            }
            await run_lead(
                session.client,
                hub,
                "Work.",
                tools=LOOK,
                tools_of=lambda hub, name: [returning("dig", "dug")],
                helper=helper,
                **lead,
            )
        return hub

    run(body())
    lead, helper = seen["lead"], seen["helper1"]
    assert (lead["model"], helper["model"]) == ("large", "small")
    assert lead["system"] == "You are lead of all."
    assert helper["system"] == "You are helper1, a specialist."
    assert "look" in [tool["name"] for tool in lead["tools"]]
    assert [tool["name"] for tool in helper["tools"]] == ["dig"]
    assert (helper["temperature"], helper["max_tokens"]) == (1.0, 99)
    assert "temperature" not in lead


def test_what_a_lead_starts_in_all_is_bounded() -> None:
    start: Answer = [{"create_subagents": {"base_instruction": "Help."}}]

    def script(agent: str, turn: int, body: dict[str, Any]) -> Answer:
        if agent != "lead" or turn > 8:
            return "Done."
        return start if turn % 2 else [{"wait_for_message": {}}]

    async def body() -> Hub:
        async with scripted(in_turn(script)) as session:
            hub = Hub(session.clock, show=None)
            await run_lead(session.client, hub, "Work.", model="m", max_started=2)
        return hub

    hub = run(body())
    assert list(hub.boxes) == ["lead", "helper1", "helper2"]
    refused = [
        e.data["text"] for e in hub.log.events if e.kind == "tool_result" and e.data["error"]
    ]
    assert "2 helpers may be started, 2 were" in refused[0]


def test_the_log_keeps_who_answered_the_request_id_and_the_hour() -> None:
    outcome = solo(Canned([{"text": "I won't."}], "refusal"))
    (reply,) = outcome.events("model_reply")
    assert reply.data["answered_by"] == SOLO["model"]
    assert {"request_id", "stop_details"} <= set(reply.data)
    assert reply.wall > 1_700_000_000


def test_a_log_has_any_number_of_subscribers() -> None:
    hub, seen = quiet_hub(), list[str]()
    hub.log.subscribers.append(lambda event: seen.append(event.kind))
    hub.log.subscribers.append(lambda event: seen.append(event.agent))
    hub.register("solo")
    assert seen == ["agent_started", "solo"]


def test_clearing_old_tool_results_deletes_the_mail_that_rode_in_them() -> None:
    outcome = solo([{"look": {}}], [{"look": {}}], "Done.", tools=LOOK, mail=["Fourteen."])
    conversation = outcome.requests[-1]["messages"]
    cleared = [
        {**m, "content": [b for b in m["content"] if b["type"] != "tool_result"]}
        if m["role"] == "user" and isinstance(m["content"], list)
        else m
        for m in conversation
    ]
    assert "Fourteen." in str(conversation)
    assert "Fourteen." not in str(cleared)

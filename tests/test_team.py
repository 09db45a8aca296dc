"""Teams: one answer, one status per agent, and no task that runs on."""

import asyncio
import gc
import warnings
from collections.abc import Sequence
from typing import Any

import anthropic
import httpx2
import pytest

from helpers.hooks import Go, Step
from helpers.hub import Hub
from helpers.replies import ReplayError
from helpers.replies.scripted import Answer, Failure, Script, scripted
from helpers.spawn import run_lead
from helpers.team import Member, crew, run_team
from helpers.tools import NoArguments, Tool, messaging_tools
from helpers.trace import trace_line
from helpers.views import tool_summary

from .support import TAG, contents, ended, in_turn, run, settle, tool, words

NAMES = ("lead", "helper1", "helper2")
MEMBERS = [Member(name, f"Work as {name}.") for name in NAMES]
FINAL = {"done", "crashed", "killed", "dismissed", "out_of_turns"}


def send(*recipients: str, content: str = "Hello.") -> dict[str, Any]:
    return {"send_message": {"recipient_ids": list(recipients), "content": content}}


WAIT: dict[str, Any] = {"wait_for_message": {}}


def chat(agent: str, turn: int, body: dict[str, Any]) -> Answer:
    """Everyone greets everyone, then waits; the lead greets twice and is done."""
    if turn == 1 or (agent, turn) == ("lead", 2):
        return [send(*(name for name in NAMES if name != agent))]
    return "All met." if agent == "lead" else [WAIT]


async def team_run(
    script: Script, hub: Hub | None = None, members: Sequence[Member] = MEMBERS, **settings: Any
) -> tuple[Any, Hub]:
    """Run a team; return its answer, or what it raised, and its hub."""
    async with scripted(in_turn(script)) as session:
        hub = hub or Hub(session.clock, show=None)
        before = asyncio.all_tasks()
        try:
            answer: Any = await run_team(
                session.client, hub, members, model=session.model, **settings
            )
        except Exception as error:
            answer = error
        assert asyncio.all_tasks() == before
    return answer, hub


def team(script: Script, **settings: Any) -> tuple[Any, Hub]:
    return run(team_run(script, **settings))


def assert_ended_once(hub: Hub) -> None:
    """Check that every agent has one final status and one event that says the same."""
    assert dict(ended(hub)) == {name: box.status for name, box in hub.boxes.items()}
    assert len(ended(hub)) == len(hub.boxes)
    assert {status for _, status in ended(hub)} <= FINAL


def test_a_team_gives_the_answer_of_its_lead_and_dismisses_the_helpers() -> None:
    answer, hub = team(chat)
    assert answer == "All met."
    assert {name: box.status for name, box in hub.boxes.items()} == {
        "lead": "done",
        "helper1": "dismissed",
        "helper2": "dismissed",
    }
    assert_ended_once(hub)


def test_members_know_their_names_and_each_other_and_hear_each_other() -> None:
    def script(agent: str, turn: int, body: dict[str, Any]) -> Answer:
        requests.append((agent, body))
        return chat(agent, turn, body)

    requests: list[tuple[str, dict[str, Any]]] = []
    team(script)
    openings = dict(reversed(requests))
    for name in NAMES:
        assert openings[name]["system"].startswith(f"You are {name},")
        assert all(peer in openings[name]["system"] for peer in NAMES)
        assert openings[name]["messages"] == [{"role": "user", "content": f"Work as {name}."}]
    lead = words([body for agent, body in requests if agent == "lead"][-1]["messages"])
    assert f'{TAG} from=\\"helper1\\">' in lead
    assert f'{TAG} from=\\"helper2\\">' in lead


def test_a_run_is_the_same_each_time() -> None:
    (_, one), (_, two) = team(chat), team(chat)
    assert one.log.events == two.log.events


def test_settings_reach_every_member() -> None:
    async def hook(step: Step, go: Go) -> Any:
        seen.add(step.agent)
        return await go()

    seen: set[str] = set()
    _, hub = team(lambda *_: [WAIT], hook=hook, max_turns=1)
    assert seen == set(NAMES)
    assert hub.boxes["lead"].status == "out_of_turns"


def test_a_team_where_everybody_waits_goes_on_without_the_clock() -> None:
    answer, hub = team(lambda agent, turn, body: "Nobody came." if turn == 3 else [WAIT])
    assert answer == "Nobody came."
    assert hub.clock.time() == 0


def test_a_wait_beside_a_send_waits_for_the_answer() -> None:
    def script(agent: str, turn: int, body: dict[str, Any]) -> Answer:
        if agent == "helper1":
            return [send("lead", content="Answer.")] if turn == 2 else [WAIT]
        turns: list[Answer] = [[{"no_such_tool": {}}], [WAIT, send("helper1")], "Done."]
        return turns[turn - 1]

    _, hub = team(script, members=MEMBERS[:2])
    assert results(hub, "wait_for_message") == ["woke: new messages"]
    assert hub.clock.time() == 0


def test_the_end_of_a_helper_reaches_the_lead_with_its_last_words() -> None:
    def script(agent: str, turn: int, body: dict[str, Any]) -> Answer:
        if agent != "lead":
            return f"{agent} is finished."
        return words(body["messages"][-1]) if turn == 3 else [WAIT]

    answer, hub = team(script)
    everything = answer + words([e.data["message"].content for e in received(hub, "lead")])
    assert "helper1 ended: done. Its last words:" in everything
    assert "helper2 ended: done. Its last words:" in everything


def received(hub: Hub, name: str) -> list[Any]:
    return [e for e in hub.log.events if e.kind == "message_received" and e.agent == name]


def test_an_api_error_of_a_helper_reaches_the_lead_as_one_notice() -> None:
    def script(agent: str, turn: int, body: dict[str, Any]) -> Answer:
        if agent == "helper1":
            return Failure(500)
        return "Done without it." if agent == "lead" and turn == 2 else [WAIT]

    answer, hub = team(script)
    assert answer == "Done without it."
    (notice,) = [e.data["message"].content for e in received(hub, "lead")]
    assert "helper1 ended: crashed" in notice
    assert "InternalServerError" in notice
    assert hub.boxes["helper1"].status == "crashed"
    assert hub.boxes["helper2"].status == "dismissed"
    assert_ended_once(hub)


def test_an_api_error_of_the_lead_is_raised_plainly_and_stops_the_helpers() -> None:
    error, hub = team(lambda agent, *_: Failure(500) if agent == "lead" else [WAIT])
    assert isinstance(error, anthropic.InternalServerError)
    assert hub.boxes["lead"].status == "crashed"
    assert hub.boxes["helper1"].status == hub.boxes["helper2"].status == "killed"
    assert_ended_once(hub)


@pytest.mark.parametrize("culprit", NAMES)
def test_an_error_of_the_program_is_raised_plainly_whoever_makes_it(culprit: str) -> None:
    async def hook(step: Step, go: Go) -> Any:
        if step.agent == culprit and step.turn == 2:
            raise ReplayError("differs")
        return await go()

    error, hub = team(chat, hook=hook)
    assert isinstance(error, ReplayError)
    assert hub.boxes[culprit].status == "crashed"
    assert_ended_once(hub)


def test_an_error_keeps_its_cause_on_the_way_out_of_a_crew() -> None:
    refused = httpx2.ConnectError("refused")
    error, _ = team(lambda agent, *_: refused if agent == "lead" else [WAIT])
    assert isinstance(error, anthropic.APIConnectionError)
    assert error.__cause__ is refused
    assert not isinstance(error.__context__, BaseExceptionGroup)


def test_two_members_of_one_name_are_refused_and_nothing_runs_on() -> None:
    error, hub = team(chat, members=[*MEMBERS, MEMBERS[1]])
    assert isinstance(error, ValueError)
    assert "helper1" in str(error)
    assert_ended_once(hub)


def test_a_run_cancelled_at_any_moment_leaves_no_task_and_one_status_each() -> None:
    async def body() -> set[tuple[str, ...]]:
        outcomes = set()
        async with scripted(in_turn(chat)) as session:
            before = asyncio.all_tasks()
            for moment in range(0, 160, 2):
                hub = Hub(session.clock, show=None)
                task = asyncio.create_task(
                    run_team(session.client, hub, MEMBERS, model=session.model)
                )
                await settle(moment)
                task.cancel()
                await asyncio.wait([task])
                assert asyncio.all_tasks() == before
                assert_ended_once(hub)
                outcomes.add(tuple(status for _, status in ended(hub)))
        return outcomes

    outcomes = run(body())
    assert () in outcomes  # before the first step
    assert ("killed", "killed", "killed") in outcomes


def test_an_agent_cancelled_before_its_first_step_has_a_final_status() -> None:
    async def body() -> Hub:
        async with scripted(in_turn(chat)) as session:
            hub = Hub(session.clock, show=None)
            async with crew(session.client, hub) as group:
                group.start("lead", model="m", system="You are lead.", task="Begin.")
                group.stop(["lead"], "killed")
        return hub

    hub = run(body())
    assert [e.kind for e in hub.log.events] == ["agent_started", "agent_ended"]
    assert ended(hub) == [("lead", "killed")]


def test_a_member_that_can_not_be_made_has_crashed_and_its_starter_is_told() -> None:
    async def body() -> Hub:
        async with scripted(in_turn(lambda agent, turn, body: "Done.")) as session:
            hub = Hub(session.clock, show=None)
            async with crew(session.client, hub) as group:
                hub.register("lead")
                about = {"model": "m", "system": "You are helper1.", "task": "Begin."}
                await group.start("helper1", "lead", **about, request={"model": "other"})
        return hub

    hub = run(body())
    assert ("helper1", "crashed") in ended(hub)
    (notice,) = contents(hub.boxes["lead"].inbox)
    assert "request can't hold model" in notice


def test_a_start_while_the_crew_stops_leaves_nothing_that_was_never_awaited() -> None:
    async def body() -> Hub:
        async with scripted(in_turn(lambda agent, turn, body: "Done.")) as session:
            hub = Hub(session.clock, show=None)
            async with crew(session.client, hub) as group:
                left = group
            with pytest.raises(RuntimeError):
                left.start("late", model="m", system="You are late.", task="Begin.")
        return hub

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        hub = run(body())
        gc.collect()
    assert [str(w.message) for w in seen if "never awaited" in str(w.message)] == []
    assert ended(hub) == [("late", "killed")]


def test_leaving_a_crew_dismisses_who_is_still_at_work() -> None:
    async def never(agent: str, turn: int, body: dict[str, Any]) -> Answer:
        await asyncio.Event().wait()
        return "never"

    async def body() -> Hub:
        async with scripted(never) as session:
            hub = Hub(session.clock, show=None)
            async with crew(session.client, hub) as group:
                for name in NAMES:
                    group.start(name, model="m", system=f"You are {name}.", task="Begin.")
                await settle(30)
        return hub

    assert ended(run(body())) == [(name, "dismissed") for name in NAMES]


def test_a_tool_that_swallows_its_cancellation_does_no_harm() -> None:
    async def stubborn(_: NoArguments) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "late result"
        return ""

    def script(agent: str, turn: int, body: dict[str, Any]) -> Answer:
        if agent == "lead":
            return "Done." if turn == 2 else [WAIT]
        return [{"stubborn": {}}, WAIT] if turn == 1 else [send("lead", content="I live.")]

    async def body() -> Hub:
        async with scripted(in_turn(script)) as session:
            hub = Hub(session.clock, show=None)
            async with crew(session.client, hub) as group:
                shared = {"model": "m", "task": "Begin."}
                tools = [tool("stubborn", stubborn), *messaging_tools(hub, "helper1")]
                group.start("helper1", system="You are helper1.", tools=tools, **shared)
                await group.start("lead", system="You are lead.", **shared)
        return hub

    hub = run(body())
    assert hub.boxes["helper1"].status == "dismissed"
    assert_ended_once(hub)
    last = [e.kind for e in hub.log.events if e.agent == "helper1"][-1]
    assert last == "agent_ended"


def test_two_runs_in_one_loop_do_not_mix() -> None:
    def script(word: str) -> Script:
        def answer(agent: str, turn: int, body: dict[str, Any]) -> Answer:
            if turn == 1:
                return [send(*(name for name in NAMES if name != agent), content=word)]
            return word if agent == "lead" and turn == 2 else [WAIT]

        return answer

    async def body() -> list[tuple[str, Hub]]:
        return list(await asyncio.gather(one_run("RED"), one_run("BLUE")))

    async def one_run(word: str) -> tuple[str, Hub]:
        async with scripted(in_turn(script(word))) as session:
            hub = Hub(session.clock, show=traces[word].append)
            return await run_team(session.client, hub, MEMBERS, model="m"), hub

    traces: dict[str, list[str]] = {"RED": [], "BLUE": []}
    (red, red_hub), (blue, blue_hub) = run(body())
    assert (red, blue) == ("RED", "BLUE")
    assert red_hub.log.events != blue_hub.log.events
    assert tool_summary(red_hub.log.events) == tool_summary(blue_hub.log.events)
    for word, hub, other in (("RED", red_hub, "BLUE"), ("BLUE", blue_hub, "RED")):
        assert traces[word] == [line for line in map(trace_line, hub.log.events) if line]
        assert other not in "".join(traces[word])


def lead_run(script: Script, **settings: Any) -> tuple[str, Hub]:
    async def body() -> tuple[str, Hub]:
        async with scripted(in_turn(script)) as session:
            hub = Hub(session.clock, show=None)
            before = asyncio.all_tasks()
            answer = await run_lead(session.client, hub, "Begin.", model="m", **settings)
            assert asyncio.all_tasks() == before
        return answer, hub

    return run(body())


def create(count: int) -> dict[str, Any]:
    return {
        "create_subagents": {
            "base_instruction": "Help.",
            "per_subagent_instructions": [f"Part {i}." for i in range(count)],
        }
    }


def results(hub: Hub, name: str) -> list[str]:
    return [
        e.data["text"]
        for e in hub.log.events
        if e.kind == "tool_result" and (e.agent, e.data["tool"]) == ("lead", name)
    ]


def lead_does(*turns: Answer, helper: Answer = "") -> Script:
    def script(agent: str, turn: int, body: dict[str, Any]) -> Answer:
        if agent != "lead":
            return helper or [WAIT]
        return turns[turn - 1] if turn <= len(turns) else "Done."

    return script


def test_a_lead_starts_helpers_and_hears_their_last_words() -> None:
    answer, hub = lead_run(lead_does([create(2)], [WAIT], [WAIT], helper="Part done."))
    assert answer == "Done."
    assert results(hub, "create_subagents") == ["spawned: helper1, helper2"]
    heard = [e.data["message"].content for e in received(hub, "lead")]
    assert sorted(heard) == [f'helper{i} ended: done. Its last words: "Part done."' for i in (1, 2)]
    assert_ended_once(hub)


def test_the_number_of_living_helpers_is_capped() -> None:
    _, hub = lead_run(lead_does([create(3)], [create(2)], [create(1)]), max_alive=4)
    first, second, third = results(hub, "create_subagents")
    assert first == "spawned: helper1, helper2, helper3"
    assert "4 helpers may live at once, 3 do" in second
    assert third == "spawned: helper4"
    assert_ended_once(hub)


def test_a_crew_that_is_being_stopped_starts_nobody() -> None:
    async def body() -> Hub:
        async with scripted(chat) as session:
            hub = Hub(session.clock, show=None)
            async with crew(session.client, hub) as team:
                pass
            with pytest.raises(RuntimeError):
                team.start("late", model=session.model, system="You are late.", task="Begin.")
            return hub

    assert ended(run(body())) == [("late", "killed")]


def test_helpers_started_before_an_error_are_still_the_lead_s() -> None:
    def tools_of(hub: Hub, name: str) -> list[Tool]:
        if name == "helper2":
            raise RuntimeError("no tools left")
        return []

    steps: list[Answer] = [[create(2)], [{"get_status": {}}]]
    _, hub = lead_run(lead_does(*steps, helper="Ready."), tools_of=tools_of)
    assert "no tools left" in results(hub, "create_subagents")[0]
    assert results(hub, "get_status")[0].startswith("helper1: ")


def test_helpers_started_at_different_times_are_all_listed_and_can_be_ended() -> None:
    kill = {"kill_subagents": {"subagent_ids": ["helper1", "helper2"]}}
    status: Answer = [{"get_status": {}}]
    _, hub = lead_run(lead_does(status, [create(1)], [create(1)], status, [kill], [kill]))
    before, after = results(hub, "get_status")
    assert before == "(none)"
    assert [line.split(":")[0] for line in after.splitlines()] == ["helper1", "helper2"]
    killed, again = results(hub, "kill_subagents")
    assert killed == "helper1: cancelled\nhelper2: cancelled"
    assert again == "none is an active helper of yours; active: none"


def test_a_killed_helper_causes_no_notice_and_is_gone() -> None:
    kill = {"kill_subagents": {"subagent_ids": ["helper1", "helper1", "nobody", "lead"]}}
    _, hub = lead_run(lead_does([create(2)], [kill], [{"get_status": {}}], [kill]))
    killed, again = results(hub, "kill_subagents")
    assert killed == "\n".join(
        [
            "helper1: cancelled",
            "nobody: not an active helper of yours",
            "lead: not an active helper of yours",
        ]
    )
    assert again == "none is an active helper of yours; active: helper2"
    (status,) = results(hub, "get_status")
    assert status.startswith("helper1: killed\nhelper2: ")
    assert received(hub, "lead") == []
    assert dict(ended(hub)) == {"helper1": "killed", "lead": "done", "helper2": "dismissed"}


def test_a_helper_that_does_not_stop_is_reported_and_its_result_dropped() -> None:
    async def stubborn(_: NoArguments) -> str:
        with pytest.raises(asyncio.CancelledError):
            await asyncio.Event().wait()
        await release.wait()
        return "late result"

    async def let_go(step: Step, go: Go) -> Any:
        if (step.agent, step.turn) == ("lead", 4):
            release.set()
        return await go()

    def tools_of(hub: Hub, name: str) -> list[Tool]:
        return [tool("stubborn", stubborn), *messaging_tools(hub, name)]

    release = asyncio.Event()
    kill = {"kill_subagents": {"subagent_ids": ["helper1"]}}
    script = lead_does([create(1)], [WAIT], [kill], helper=[{"stubborn": {}}])
    _, hub = lead_run(script, tools_of=tools_of, hook=let_go)
    assert results(hub, "kill_subagents") == [
        "helper1: still stopping; what its tool was doing may still be done"
    ]
    assert "late result" not in str(hub.log.events)
    assert hub.boxes["helper1"].status == "killed"
    assert_ended_once(hub)


def test_ending_many_agents_looks_once_for_who_is_still_at_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[Hub] = []

    def nobody(hub: Hub, but: object = None) -> bool:
        looks.append(hub)
        return False

    async def main() -> None:
        async with scripted(chat) as session, crew(session.client, Hub(show=None)) as team:
            for number in range(20):
                team.hub.register(f"helper{number}")
                team.tasks[f"helper{number}"] = asyncio.create_task(asyncio.sleep(0, ""))
            team.hub.register("lead")
            monkeypatch.setattr("helpers.hub.any_at_work", nobody)
            team.stop(list(team.tasks), "dismissed")
            assert len(looks) == 1
            assert team.hub.boxes["lead"].bell.is_set()

    run(main())

"""Steering: a person holds a team, steps it, speaks to it, answers it, and ends one or all."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from helpers.agent import run_agent
from helpers.billing import Case, Ledger, Mandate, case_task, file_tools, run_case
from helpers.budget import Budget
from helpers.hooks import EndAgent, Step, compose
from helpers.hub import Event, Hub
from helpers.lessons import KNOWLEDGE
from helpers.replies import Canned, ReplayError, connect
from helpers.replies.scripted import MODEL, Blocks, Script, scripted
from helpers.run import Run, is_reply
from helpers.spawn import run_lead, sleep_tool
from helpers.steering import Answer, Desk, Gate, ask_at_limit
from helpers.team import Member, run_team
from helpers.tools import ProgramError, Tool

from .support import ended, quiet_hub, returning, run, settle, tool

Work = Callable[[Run], Coroutine[Any, Any, Any]]
NAMES = ("lead", "helper1", "helper2")
SLEEP: Blocks = [{"sleep": {"seconds": 10}}]
WAIT: Blocks = [{"wait_for_message": {}}]


def quiet(budget: Budget | None = None) -> Run:
    return Run(line=lambda event: None, budget=budget)


def greet(agent: str, turn: int, body: dict[str, Any]) -> str | Blocks:
    others = [name for name in NAMES if name != agent]
    letter: Blocks = [{"send_message": {"recipient_ids": others, "content": f"Hi from {agent}."}}]
    return letter if turn == 1 else SLEEP if turn == 2 else f"{agent} has met all."


def team(script: Script = greet, *tools: Tool, virtual: bool = True, **settings: Any) -> Work:
    async def work(run: Run) -> str:
        async with scripted(script, virtual=virtual) as session:
            hub = run.connect(session.clock, session.source)
            members = [Member(name, "Begin.") for name in NAMES]
            given: dict[str, Any] = {"model": MODEL, "hook": run.hook, **settings}
            own = [sleep_tool(session.clock), *tools]
            return await run_team(session.client, hub, members, tools=own, **given)

    return work


def recorded(case: Case, name: str = "07_cust_12345") -> Work:
    async def work(run: Run) -> Any:
        async with connect(name) as session:
            hub = run.connect(session.clock, session.source)
            task = case_task(case.customer, "My February bill was charged twice.")
            files = file_tools(KNOWLEDGE)
            return await run_case(session.client, hub, case, task, files, hook=run.hook)

    return work


def case_of(run: Run) -> Case:
    mandate = Mandate("Resolve the reported duplicate charge.")
    return Case("cust_12345", mandate, Ledger(), approve=run.ask)


def started(agent: str) -> Callable[[Event], bool]:
    return lambda event: event.kind == "agent_started" and event.agent == agent


def asks(event: Event) -> bool:
    return event.kind == "question"


def called(agent: str, name: str) -> Callable[[Event], bool]:
    return lambda e: e.kind == "tool_call" and e.agent == agent and e.data["tool"] == name


def held(run: Run) -> list[tuple[str, str]]:
    return [(step.agent, step.kind) for step in run.gate.held.values()]


def test_a_run_is_held_before_its_first_call_and_nothing_moves_by_itself() -> None:
    async def main() -> None:
        one = quiet()
        await one.start(team())
        events = len(one.hub.log.events)
        await settle(50)
        assert held(one) == [(name, "model_call") for name in NAMES]
        assert len(one.hub.log.events) == events
        assert await one.result() == "lead has met all."
        assert one.hub.boxes["lead"].status == "done"

    run(main())


def test_the_lines_are_printed_by_the_verb_that_waits(capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        one = Run()
        await one.start(team())
        assert capsys.readouterr().out == ""
        await one.until(called("lead", "sleep"))
        assert "[lead] → helper1, helper2: Hi from lead." in capsys.readouterr().out
        await one.result()
        printed = capsys.readouterr().out
        assert "[lead] →" not in printed
        assert "[lead] sleep(seconds=10) → slept 10s" in printed

    run(main())


def test_until_stops_at_the_very_event_and_asks_whether_it_has_happened() -> None:
    async def main() -> None:
        one = quiet()
        await one.start(team())
        await one.until(called("helper1", "send_message"))
        last = [e for e in one.hub.log.events if called("helper1", "send_message")(e)]
        assert ("helper1", "tool_call") in held(one)
        assert len(last) == 1
        events = len(one.hub.log.events)
        await one.until(called("helper1", "send_message"))
        assert len(one.hub.log.events) == events
        await one.stop()

    run(main())


def test_a_step_is_the_next_reply_and_holds_what_it_wants_to_do() -> None:
    async def main() -> None:
        one = quiet()
        await one.start(recorded(case_of(one)))
        replies = []
        for _ in range(4):
            await one.step()
            replies.append(sum(map(is_reply, one.hub.log.events)))
        assert replies == [1, 2, 3, 4]
        assert held(one) == [("orchestrator", "tool_call")]
        await one.stop()

    run(main())


def test_a_recording_is_played_in_any_number_of_steps_to_the_same_log() -> None:
    async def log_of(how: str) -> list[Any]:
        one = quiet()
        case = case_of(one)
        await one.start(recorded(case))
        await one.until(started("drafter1"))
        assert one.tell("drafter1", "Keep it under 40 words.") == "delivered"
        while not one.over:
            if one.questions:
                one.answer("Approve", "two charges")
            if how == "step":
                await one.step()
            else:
                await one.until(lambda event: bool(one.questions))
        assert case.ledger is not None
        assert [row[0] for row in case.ledger.rows()] == ["txn_8f3k2j1"]
        # Tool calls of one turn that are held go on one after another, else side by side.
        tools = ("tool_call", "tool_result")
        return [(e.kind, e.agent) for e in one.hub.log.events if e.kind not in tools]

    assert run(log_of("step")) == run(log_of("until"))


def test_a_pause_holds_timers_and_replies_of_a_virtual_clock() -> None:
    async def main() -> None:
        one = quiet()
        sleepy = lambda agent, turn, body: SLEEP if turn < 3 else "Done."  # noqa: E731
        await one.start(team(sleepy))
        await one.until(called("helper2", "sleep"))
        one.resume()
        one.pause()
        at = one.hub.clock.time()
        await settle(200)
        assert one.hub.clock.time() == at
        await one.result()
        assert one.hub.clock.time() == 20

    run(main())


def test_what_was_told_stands_in_a_request_and_its_fate_can_be_seen() -> None:
    async def main() -> None:
        one = quiet()
        await one.start(recorded(case_of(one), "07_cust_12345.denied"))
        await one.until(started("drafter1"))
        assert one.tell("drafter1", "Keep it under 40 words.") == "delivered"
        assert [fate for _, fate in one.letters()] == ["not read yet"]
        await one.step()
        await one.step()
        assert [fate for _, fate in one.letters()] == ["read"]
        sent = [step.detail for step, _ in one.requests if step.agent == "drafter1"][-1]
        assert 'from="human">\nKeep it under 40 words.' in str(sent["messages"][2]).replace(
            "\\n", "\n"
        )
        assert one.tell("drafter1", "One more thing.") == "has ended (done)"
        assert one.tell("nobody", "Hi.").startswith("unknown name")
        await one.stop()

    run(main())


def test_a_word_that_was_never_read_comes_back_with_the_reason() -> None:
    async def main() -> None:
        one = quiet()
        await one.start(team(lambda agent, turn, body: f"{agent} is done."))
        assert one.tell("helper1", "Wait for me.") == "delivered"
        assert one.tell("helper2", "You too.") == "delivered"
        await one.kill("helper2")
        await one.step()
        await one.result()
        fates = dict.fromkeys(fate for _, fate in one.letters())
        assert list(fates)[-1] == "came back: helper2 ended (killed_by_human) before reading it"
        heard = [mail.content for mail in one.hub.boxes["human"].inbox]
        assert any("helper2 ended (killed_by_human) before reading" in words for words in heard)

    run(main())


def test_agents_can_write_to_the_person_and_nobody_waits_for_an_answer() -> None:
    def script(agent: str, turn: int, body: dict[str, Any]) -> str | Blocks:
        if turn == 1:
            return [{"send_message": {"recipient_ids": ["human"], "content": f"I am {agent}."}}]
        return WAIT if turn == 2 else "Done."

    async def main() -> None:
        one = quiet()
        await one.start(team(script))
        await one.result()
        heard = [mail.content for mail in one.hub.boxes["human"].inbox]
        assert heard == [f"I am {name}." for name in NAMES]

    run(main())


def test_a_question_ends_the_way_and_its_answer_is_an_approval() -> None:
    async def main() -> None:
        one = quiet()
        case = case_of(one)
        await one.start(recorded(case, "07_cust_12345.denied"))
        await one.until(started("drafter1"))
        one.tell("drafter1", "Keep it under 40 words.")
        with pytest.raises(RuntimeError, match=r"asks you first: Pay cust_12345 \$49.99"):
            await one.result()
        with pytest.raises(RuntimeError, match="asks you first"):
            await one.step()
        with pytest.raises(ValueError, match="'yes' is no answer; there are: Approve, Deny"):
            one.answer("yes")
        one.answer("Deny", "call the customer first")
        with pytest.raises(ValueError, match="nobody asks"):
            one.answer("Approve")
        outcome = await one.result()
        assert case.ledger is not None
        assert (outcome.status, case.ledger.rows()) == ("done", [])

    run(main())


@pytest.mark.parametrize(("choice", "granted"), [("Approve", True), ("Deny", False), ("", False)])
def test_only_one_answer_grants(choice: str, granted: bool) -> None:
    assert Answer(choice).granted is granted


def test_several_questions_are_answered_in_their_order() -> None:
    async def main() -> None:
        one = quiet()
        said: list[str] = []

        async def handler(_: Any) -> str:
            answer = await one.ask("Which tone?", ["Plain", "Kind"])
            said.append(answer.choice)
            return answer.choice

        def script(agent: str, turn: int, body: dict[str, Any]) -> str | Blocks:
            return [{"ask_human": {}}] if turn == 1 else "Done."

        await one.start(team(script, tool("ask_human", handler)))
        await one.until(asks)
        one.resume()
        await settle(100)
        assert len(one.questions) == 3
        for choice in ("Plain", "Kind", "Plain"):
            one.answer(choice)
        await one.result()
        assert said == ["Plain", "Kind", "Plain"]

    run(main())


@pytest.mark.parametrize("where", ["held", "sleep", "wait_for_message", "asks", "model"])
def test_a_person_can_end_an_agent_wherever_it_is_and_its_starter_is_told(where: str) -> None:
    async def main() -> None:
        one = quiet()

        async def never(_: Any) -> None:
            await one.ask("May I?")

        async def script(agent: str, turn: int, body: dict[str, Any]) -> str | Blocks:
            if agent == "lead":
                return WAIT if turn < 3 else str(body["messages"])
            if where == "model" and agent == "helper1" and turn == 2:
                await asyncio.Event().wait()
            steps: dict[str, Blocks] = {"asks": [{"never": {}}], "wait_for_message": WAIT}
            return steps.get(where, SLEEP) if agent == "helper1" else SLEEP

        await one.start(team(script, tool("never", never)))
        if where == "asks":
            await one.until(asks)
        elif where == "model":
            await one.until(lambda e: e.kind == "model_call" and e.data["turn"] == 2)
            one.resume()
            await settle(100)
        elif where != "held":
            await one.until(called("helper1", where))
            await one.until(called("helper2", "sleep"))
        assert await one.kill("helper1") == "killed_by_human"
        assert not one.questions
        assert ("helper1", "killed_by_human") in ended(one.hub)
        await one.kill("helper2")
        assert "helper1 ended: killed_by_human." in await one.result()

    run(main())


@pytest.mark.parametrize("virtual", [True, False])
def test_a_tool_that_will_not_stop_runs_on_and_its_agent_ends_at_the_next_call(
    virtual: bool,
) -> None:
    async def main() -> None:
        one, swallowed = quiet(), asyncio.Event()

        async def stubborn(_: Any) -> str:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                swallowed.set()
            return "I went on."

        def script(agent: str, turn: int, body: dict[str, Any]) -> str | Blocks:
            return [{"stubborn": {}}] if agent == "helper1" else WAIT if turn == 1 else "Bye."

        await one.start(team(script, tool("stubborn", stubborn), virtual=virtual))
        await one.until(called("helper1", "stubborn"))
        one.resume()
        await settle(20)
        one.pause()
        one.gate.end("helper1", "killed_by_human")
        await swallowed.wait()
        await one.until(lambda event: event.kind == "agent_ended" and event.agent == "helper1")
        assert one.hub.boxes["helper1"].status == "killed_by_human"
        await one.stop()

    run(main())


def test_a_kill_on_a_live_clock_waits_until_it_is_true() -> None:
    def script(agent: str, turn: int, body: dict[str, Any]) -> str | Blocks:
        return WAIT if agent == "helper1" else [{"look": {}}]

    async def main() -> None:
        one = quiet()
        look = returning("look", "nothing")
        await one.start(team(script, look, virtual=False, max_turns=10_000))
        await one.until(called("helper1", "wait_for_message"))
        one.resume()
        await settle(30)
        assert one.hub.boxes["helper1"].status == "idling"
        assert await one.kill("helper1") == "killed_by_human"
        await one.stop()

    run(main())


def test_timers_of_others_stand_still_while_a_tool_asks() -> None:
    def script(agent: str, turn: int, body: dict[str, Any]) -> str | Blocks:
        return "Done." if turn > 1 else [{"ask_human": {}}] if agent == "helper1" else SLEEP

    async def main() -> None:
        one = quiet()

        async def handler(_: Any) -> str:
            return (await one.ask("Which?", ["This"])).choice

        await one.start(team(script, tool("ask_human", handler)))
        one.resume()
        for _ in range(5):  # the loop comes to rest: a timer that may fire does
            await one.hub.clock.rest(settle)
        assert (len(one.questions), one.hub.clock.time()) == (1, 0.0)
        one.answer("This")
        await one.result()

    run(main())


def test_a_kill_of_nobody_names_those_who_are_there_and_a_second_kill_changes_nothing() -> None:
    async def main() -> None:
        one = quiet()
        await one.start(team())
        with pytest.raises(ValueError, match="'Ada'; there are human, lead, helper1, helper2"):
            await one.kill("Ada")
        assert await one.kill("helper1") == await one.kill("helper1") == "killed_by_human"
        await one.result()
        assert len(ended(one.hub)) == 3
        assert await one.kill("lead") == "done"

    run(main())


def test_a_helper_that_its_lead_started_can_be_killed_and_the_lead_goes_on() -> None:
    def script(agent: str, turn: int, body: dict[str, Any]) -> str | Blocks:
        if agent == "lead" and turn == 1:
            each = {"base_instruction": "Sleep.", "per_subagent_instructions": ["a", "b"]}
            return [{"create_subagents": each}]
        if agent == "lead":
            return WAIT if turn < 4 else "Both are gone."
        return SLEEP

    async def work(run: Run) -> str:
        async with scripted(script) as session:
            hub = run.connect(session.clock)
            return await run_lead(session.client, hub, "Lead.", model=MODEL, hook=run.hook)

    async def main() -> None:
        one = quiet()
        await one.start(work)
        await one.until(called("helper2", "sleep"))
        await one.kill("helper1")
        await one.kill("helper2")
        assert await one.result() == "Both are gone."

    run(main())


def test_a_delegated_subagent_that_is_killed_is_a_failed_task_for_its_orchestrator() -> None:
    async def main() -> None:
        one = quiet()
        await one.start(recorded(case_of(one)))
        await one.until(started("researcher1"))
        await one.kill("researcher1")
        with pytest.raises(ReplayError, match="gave no answer: it ended killed_by_human"):
            await one.result()  # the orchestrator hears of it, and that is not recorded

    run(main())


def test_who_finishes_has_one_turn_to_sum_up_and_its_starter_gets_the_sum() -> None:
    def script(agent: str, turn: int, body: dict[str, Any]) -> str | Blocks:
        if "Finish now (time is up)" in str(body["messages"][-1]):
            return "Half of it is done."
        if agent == "helper1":
            return SLEEP
        return WAIT if agent == "lead" and turn < 3 else str(body["messages"])

    async def main() -> None:
        one = quiet()
        await one.start(team(script))
        await one.until(called("helper1", "sleep"))
        assert one.finish("helper1", "time is up") == "delivered"
        assert "Half of it is done." in await one.result()
        assert one.hub.boxes["helper1"].status == "done"

    run(main())


@pytest.mark.parametrize("stubborn", ["acts", "talks on"])
def test_who_does_not_listen_is_over_after_that_turn_and_acts_no_more(stubborn: str) -> None:
    acted: list[int] = []

    async def act(_: Any) -> str:
        acted.append(1)
        return "done"

    def script(agent: str, turn: int, body: dict[str, Any]) -> str | Blocks:
        if agent != "helper1":
            told = agent == "helper2" or "helper1 ended" in str(body["messages"])
            return "Bye." if told else WAIT
        words = {"text": f"turn {turn}"}
        name = "act" if stubborn == "acts" and turn > 1 else "sleep"
        return [words, {name: {"seconds": 1} if name == "sleep" else {}}]

    async def main() -> None:
        one = quiet()
        await one.start(team(script, tool("act", act, acts=True)))
        await one.until(called("helper1", "sleep"))
        one.finish("helper1", "enough")
        await one.result()
        turns = [e.data["turn"] for e in one.hub.log.events if is_reply(e) and e.agent == "helper1"]
        assert turns == [1, 2]
        assert one.hub.boxes["helper1"].status in ("done", "dismissed")
        assert one.hub.boxes["helper1"].text == "turn 2"

    run(main())
    assert acted == []


def test_to_finish_who_has_ended_says_so_and_holds_nobody_of_that_name() -> None:
    async def main() -> None:
        one = quiet()
        await one.start(team())
        await one.kill("helper1")
        assert one.finish("helper1", "enough") == "has ended (killed_by_human)"
        assert one.finishing == {}
        await one.stop()

    run(main())


def test_a_tool_that_acts_is_not_run_once_its_agent_was_told_to_finish() -> None:
    acted: list[int] = []

    async def act(_: Any) -> None:
        acted.append(1)

    def script(agent: str, turn: int, body: dict[str, Any]) -> str | Blocks:
        if agent != "helper1" or "Finish now" in str(body["messages"][-1]):
            told = agent == "helper2" or "helper1 ended" in str(body["messages"])
            return "Bye." if told or agent == "helper1" else WAIT
        return [{"act": {}}]

    async def main() -> None:
        one = quiet()
        await one.start(team(script, tool("act", act, acts=True)))
        await one.until(called("helper1", "act"))
        one.finish("helper1", "enough")
        await one.result()
        results = [e.data["text"] for e in one.hub.log.events if e.kind == "tool_result"]
        assert "not run: you were asked to finish" in str(results)

    run(main())
    assert acted == []


PRICED = "claude-sonnet-5-5"


def spender(agent: str, turn: int, body: dict[str, Any]) -> str | Canned:
    if "Finish now (the budget is spent)" in str(body["messages"][-1]):
        return "That far I came."
    usage = {"input_tokens": 1_000, "output_tokens": 2_000}  # 2.2 cents; 2.7 at worst
    return Canned([{"look": {}}] if turn < 9 else [{"text": "Read."}], usage=usage)


def spending(budget: Budget) -> tuple[Run, Work]:
    one = quiet(budget)
    look = returning("look", "nothing")

    async def work(run: Run) -> str:
        async with scripted(spender) as session:
            hub = run.connect(session.clock)
            hub.register("solo")
            hook = compose(run.hook, budget.hook)
            own: dict[str, Any] = {"model": PRICED, "system": "You are solo.", "tools": [look]}
            return await run_agent(session.client, hub, "solo", task="Go.", hook=hook, **own)

    return one, work


@pytest.mark.parametrize(
    ("answers", "status", "turns"),
    [
        ([("End", "")], "over_budget", 2),
        ([("Raise", "0.08"), ("End", "")], "over_budget", 3),
        ([("Raise", "$1")], "done", 9),
        ([("Raise", "much"), ("Raise", "nan"), ("End", "")], "over_budget", 2),
        ([("Finish", "")], "done", 4),
    ],
)
def test_at_the_limit_the_person_decides(
    answers: list[tuple[str, str]], status: str, turns: int
) -> None:
    async def main() -> None:
        budget = Budget(0.06)
        one, work = spending(budget)
        await one.start(work)
        for answer in answers:
            await one.until(lambda event: bool(one.questions))
            assert "solo: its next call" in one.questions[0].text
            one.answer(*answer)
        await one.result()
        assert one.hub.boxes["solo"].status == status
        assert sum(map(is_reply, one.hub.log.events)) == turns
        assert budget.spent <= budget.limit
        assert budget.reserved == 0

    run(main())


@pytest.mark.parametrize("error", [TimeoutError("mine"), EndAgent("done")])
def test_an_error_of_a_call_passes_the_gate_and_the_limit_as_it_is(error: Exception) -> None:
    async def go() -> str:
        raise error

    async def main() -> None:
        desk, gate, budget = Desk(), Gate(), Budget(0.06)
        gate.open()
        hook = compose(gate.hook, ask_at_limit(desk, budget), desk.hook)
        step = Step("solo", 1, "tool_call", "look", {}, desk.hub)
        with pytest.raises(type(error)) as caught:
            await hook(step, go)
        assert caught.value is error
        assert desk.questions == []

    run(main())


def test_what_is_raised_for_one_agent_is_not_asked_for_by_another() -> None:
    async def main() -> None:
        budget = Budget(0.02)  # not one call of them fits
        one = quiet(budget)
        done = Canned([{"text": "Done."}], usage={"input_tokens": 1, "output_tokens": 1})

        async def work(run: Run) -> str:
            async with scripted(lambda agent, turn, body: done) as session:
                hub = run.connect(session.clock)
                hook = compose(run.hook, budget.hook)
                members = [Member(name, "Begin.") for name in NAMES]
                return await run_team(session.client, hub, members, model=PRICED, hook=hook)

        await one.start(work)
        await one.until(lambda event: bool(one.questions))
        one.answer("Raise", "1.00")
        await one.result()
        assert sum(map(asks, one.hub.log.events)) == 1

    run(main())


def test_a_limit_can_be_lowered_while_the_run_goes_on() -> None:
    async def main() -> None:
        budget = Budget(5.0)
        one, work = spending(budget)
        await one.start(work)
        await one.step()
        budget.limit = 0.01
        await one.until(lambda event: bool(one.questions))
        assert len(one.questions) == 1
        one.answer("End")
        await one.result()
        assert one.hub.boxes["solo"].status == "over_budget"

    run(main())


def test_without_a_person_a_budget_ends_an_agent_as_before() -> None:
    async def main() -> None:
        budget = Budget(0.06)
        _, work = spending(budget)
        one = quiet()
        await one.start(work)
        await one.result()
        assert one.hub.boxes["solo"].status == "over_budget"

    run(main())


@pytest.mark.parametrize("moment", ["held", "asked", "going on", "over"])
def test_stop_ends_everything_and_a_second_start_begins_anew(moment: str) -> None:
    async def main() -> None:
        one = quiet()
        case = case_of(one)
        await one.start(recorded(case, "06_cust_12345"))
        if moment == "asked":
            await one.until(asks)
        elif moment == "going on":
            one.resume()
            await settle(20)
        elif moment == "over":
            await one.until(asks)
            one.answer("Approve")
            await one.result()
        await one.stop()
        assert one.over
        assert not one.gate.held
        assert not one.gate.running
        assert not one.questions
        if moment != "over":
            with pytest.raises(RuntimeError, match="stopped, or never started"):
                await one.result()
        case.ledger = Ledger()
        case.reviews.clear()
        await one.start(recorded(case, "06_cust_12345"))
        await one.until(asks)
        await one.start(recorded(case, "06_cust_12345"))
        await one.stop()

    run(main())


def test_an_error_of_the_work_reaches_the_verb_that_waits() -> None:
    async def work(run: Run) -> None:
        run.connect(Hub(show=None).clock)
        raise LookupError("no such customer")

    async def main() -> None:
        one = quiet()
        with pytest.raises(LookupError, match="no such customer"):
            await one.start(work)
        with pytest.raises(LookupError, match="no such customer"):
            await one.result()

    run(main())


def test_an_error_of_a_condition_is_the_persons_and_holds_the_team() -> None:
    async def main() -> None:
        one = quiet()
        await one.start(team())
        with pytest.raises(KeyError, match="tool"):
            await one.until(lambda event: event.kind == "model_reply" and event.data["tool"])
        assert not one.gate.opened.is_set()
        assert await one.result() == "lead has met all."

    run(main())


def test_an_agent_without_the_hook_is_noticed_and_all_is_stopped() -> None:
    async def main() -> None:
        one = quiet()

        async def hook(step: Any, go: Any) -> Any:
            return await (go() if step.agent == "helper2" else one.hook(step, go))

        with pytest.raises(RuntimeError, match="helper2 has no gate"):
            await one.start(team(hook=hook))
        await one.stop()
        assert one.over

    run(main())


def test_a_hub_of_another_make_is_refused() -> None:
    async def work(run: Run) -> str:
        async with scripted(greet) as session:
            hub = Hub(session.clock, show=None)
            members = [Member("lead", "Begin.")]
            return await run_team(session.client, hub, members, model=MODEL, hook=run.hook)

    async def main() -> None:
        with pytest.raises(ProgramError, match=r"hub = run\.connect"):
            await quiet().start(work)

    run(main())


def test_a_work_may_have_two_runs_after_each_other() -> None:
    async def work(run: Run) -> str:
        await team()(run)
        return str(await team()(run))

    async def main() -> None:
        one = quiet()
        await one.start(work)
        await one.kill("helper1")
        assert await one.result() == "lead has met all."
        assert one.hub.boxes["helper1"].status != "killed_by_human"  # the second of that name

    run(main())


@pytest.mark.parametrize(("choice", "goes"), [("none", True), ("auto", False), ("any", False)])
def test_only_the_answer_in_a_form_follows_the_turn_to_sum_up(choice: str, goes: bool) -> None:
    async def go() -> str:
        return "went"

    async def main() -> object:
        desk, hub = Desk(), quiet_hub("solo")
        desk.join(hub)
        desk.finish("solo", "enough")
        hub.drain("solo")
        hub.boxes["solo"].unconfirmed.clear()  # a model has read it
        detail = {"tool_choice": {"type": choice}}
        return await desk.hook(Step("solo", 3, "model_call", "m", detail, hub), go)

    if goes:
        assert run(main()) == "went"
    else:
        with pytest.raises(EndAgent, match="done"):
            run(main())


def test_two_runs_in_one_loop_do_not_mix() -> None:
    async def main() -> None:
        one, other = quiet(), quiet()
        await one.start(team())
        await other.start(team())
        await one.result()
        assert held(other) == [(name, "model_call") for name in NAMES]
        one_events = [event.kind for event in one.hub.log.events]
        await other.result()
        assert [event.kind for event in other.hub.log.events] == one_events

    run(main())


def test_a_verb_that_is_interrupted_leaves_the_team_held_and_alive() -> None:
    async def forever(agent: str, turn: int, body: dict[str, Any]) -> Blocks:
        await asyncio.sleep(0)
        return WAIT if turn % 2 else SLEEP

    async def main() -> None:
        one = quiet()
        await one.start(team(forever))
        waiting = asyncio.create_task(one.until(lambda event: False))
        await settle(30)
        waiting.cancel()
        await asyncio.wait([waiting])
        await one.rest()
        events = len(one.hub.log.events)
        await settle(50)
        assert len(one.hub.log.events) == events
        await one.step()
        assert len(one.hub.log.events) > events
        await one.stop()

    run(main())


def test_a_live_clock_rests_once_the_calls_in_flight_are_over() -> None:
    async def slow(agent: str, turn: int, body: dict[str, Any]) -> str | Blocks:
        for _ in range(20):
            await asyncio.sleep(0)
        return greet(agent, turn, body) if turn == 1 else f"{agent} has met all."

    async def main() -> None:
        one = quiet()
        await one.start(team(slow, virtual=False))
        await one.step()
        assert not [step for step in one.gate.running.values() if step.kind == "model_call"]
        assert await one.result() == "lead has met all."

    run(main())


def test_a_gate_can_be_used_alone() -> None:
    async def main() -> None:
        gate = Gate()
        async with scripted(greet) as session:
            hub = Hub(session.clock, show=None)
            members = [Member(name, "Begin.") for name in NAMES]
            work = asyncio.create_task(
                run_team(session.client, hub, members, model=MODEL, hook=gate.hook)
            )
            await settle(30)
            assert {step.agent for step in gate.held.values()} == set(NAMES)
            gate.end("helper2", "fired")
            gate.open()
            await work
        assert ("helper2", "fired") in ended(hub)

    run(main())

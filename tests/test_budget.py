"""The budget: held before each call, over a whole tree of agents, whatever the calls use."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.billing.orchestrator import run_case
from helpers.billing.refund import Case, Mandate
from helpers.budget import PRICES, Budget, Spent, cost, spending, spending_lines, worst_case
from helpers.hooks import EndAgent, Step
from helpers.hub import Event, Hub
from helpers.replies.scripted import Answer, Canned, Failure, scripted

from .support import returning, run, settle, solo, solo_run

MODEL = "claude-sonnet-5-5"
CALL = {"input_tokens": 500, "output_tokens": 2000}  # $0.021


def request(model: str = MODEL, tokens: int = 2048, text: str = "Begin.") -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {
        "model": model,
        "max_tokens": tokens,
        "system": "You are solo.",
        "tools": [],
        "messages": messages,
    }


def step(agent: str = "solo", turn: int = 1, **fields: Any) -> Step:
    return Step(agent, turn, "model_call", MODEL, request(**fields), Hub(show=None))


def usage(tokens_in: int, tokens_out: int, written: int = 0, read: int = 0) -> SimpleNamespace:
    return SimpleNamespace(
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        cache_creation_input_tokens=written,
        cache_read_input_tokens=read,
    )


def busy(agent: str, turn: int, body: dict[str, Any]) -> Answer:
    return Canned([{"text": f"Look {turn}."}, {"look": {}}], usage=CALL)


LOOK = [returning("look", "nothing new")]


@pytest.mark.parametrize(("limit", "calls"), [(0.0, 0), (0.02, 0), (0.03, 1), (0.10, 4)])
def test_a_run_ends_before_the_call_it_cannot_pay(limit: float, calls: int) -> None:
    budget = Budget(limit)
    outcome = solo(script=busy, tools=LOOK, model=MODEL, hook=budget.hook)
    assert outcome.status == "over_budget"
    assert outcome.text == (f"Look {calls}." if calls else "")
    assert len(outcome.requests) == calls
    assert budget.spent == pytest.approx(calls * 0.021)
    assert budget.spent <= limit


def test_a_budget_that_suffices_is_not_felt() -> None:
    budget = Budget(1.0)
    outcome = solo("Done.", model=MODEL, hook=budget.hook)
    assert (outcome.status, outcome.text) == ("done", "Done.")
    spent = spending(outcome.hub.log.events)["all"].dollars
    assert budget.spent == pytest.approx(spent)


def test_the_worst_case_is_reserved_while_a_call_runs_and_given_back() -> None:
    async def scenario() -> None:
        budget, reply = Budget(1.0), asyncio.get_running_loop().create_future()

        async def go() -> Any:
            return await reply

        task = asyncio.create_task(budget.hook(step(), go))
        await settle()
        assert budget.reserved == worst_case(step().detail)
        assert budget.spent == 0
        reply.set_result(SimpleNamespace(model=MODEL, usage=usage(100, 10)))
        await task
        assert budget.reserved == 0
        assert budget.spent == pytest.approx(cost(MODEL, usage(100, 10)))

    run(scenario())


def test_two_calls_at_once_may_not_spend_the_same_dollars() -> None:
    async def scenario() -> list[Any]:
        async def go() -> Any:
            await settle()
            return SimpleNamespace(model=MODEL, usage=usage(100, 10))

        calls = [budget.hook(step(name), go) for name in ("one", "other")]
        return await asyncio.gather(*calls, return_exceptions=True)

    budget = Budget(1.5 * worst_case(step().detail))
    first, second = run(scenario())
    assert first.model == MODEL
    assert isinstance(second, EndAgent)
    assert str(second) == "over_budget"


def test_a_model_without_a_price_may_not_run() -> None:
    budget = Budget(1.0)
    outcome = solo("Done.", model="some-model", hook=budget.hook)
    assert isinstance(outcome.error, ValueError)
    assert "no price for some-model" in str(outcome.error)
    assert not outcome.requests


def test_a_failed_call_costs_nothing_and_a_cancelled_one_its_worst_case() -> None:
    budget = Budget(1.0)
    solo(Failure(529), model=MODEL, hook=budget.hook)
    assert (budget.spent, budget.reserved) == (0.0, 0.0)

    async def scenario() -> float:
        async def never(agent: str, turn: int, body: dict[str, Any]) -> Answer:
            await asyncio.Event().wait()
            return "Too late."

        how = {"model": MODEL, "hook": budget.hook}
        task = asyncio.create_task(solo_run(never, (), (), None, None, how))
        while not budget.reserved:
            await asyncio.sleep(0)
        worst = budget.reserved
        task.cancel()
        await task
        return worst

    worst = run(scenario())
    assert budget.spent == worst
    assert budget.reserved == 0


def test_a_call_that_timed_out_costs_its_worst_case_for_it_may_have_been_billed() -> None:
    budget = Budget(1.0)
    solo(httpx2.ReadTimeout("too slow"), model=MODEL, hook=budget.hook)
    assert budget.spent > 0
    assert budget.reserved == 0


def test_a_reply_that_nobody_can_read_costs_its_worst_case() -> None:
    async def garbled() -> None:
        raise ValueError("no JSON")

    async def body() -> Budget:
        budget = Budget(1.0)
        with pytest.raises(ValueError, match="no JSON"):
            await budget.hook(step(), garbled)
        return budget

    budget = run(body())
    assert budget.spent == worst_case(step().detail) > 0
    assert budget.reserved == 0


@pytest.mark.parametrize("limit", [float("nan"), -1.0])
def test_a_budget_that_bounds_nothing_is_refused(limit: float) -> None:
    with pytest.raises(ValueError, match="a number of dollars"):
        Budget(limit)


def test_a_reply_under_the_dated_name_of_a_model_has_the_price_of_the_name_asked_for() -> None:
    async def reply() -> SimpleNamespace:
        return SimpleNamespace(model=f"{MODEL}-20260101", usage=usage(1_000, 200))

    budget = Budget(1.0)
    run(budget.hook(step(), reply))
    assert budget.spent == cost(MODEL, usage(1_000, 200))


@given(st.sampled_from(sorted(PRICES)), st.integers(1, 8192), st.text(max_size=2000))
def test_the_worst_case_covers_a_token_for_each_byte(model: str, tokens: int, text: str) -> None:
    what = request(model, tokens, text)
    size = len(json.dumps(what, ensure_ascii=False).encode("utf-8", "replace"))
    dearest = cost(model, usage(0, tokens, written=size))
    assert dearest is not None
    assert worst_case(what) >= dearest


@pytest.mark.parametrize("text", ["中" * 5_000, "0123456789" * 500, "aGVsbG8=" * 600])
def test_the_worst_case_bounds_scripts_in_which_a_token_is_a_character(text: str) -> None:
    for what in (request(text=text), request() | {"system": text}):
        dearest = cost(MODEL, usage(0, what["max_tokens"], written=len(text)))
        assert worst_case(what) >= (dearest or 0)


@pytest.mark.parametrize("count", [float("nan"), float("inf"), -1_000_000])
def test_a_usage_that_is_no_number_costs_the_worst_case(count: float) -> None:
    async def reply() -> SimpleNamespace:
        return SimpleNamespace(model=MODEL, usage=usage(count, 10))  # type: ignore[arg-type]

    budget = Budget(1.0)
    run(budget.hook(step(), reply))
    assert budget.spent == worst_case(step().detail)


def test_one_budget_serves_many_runs_whose_agents_have_one_name() -> None:
    budget, long = Budget(1.0), "long " * 10_000
    for text in ("short", long):
        before = budget.spent
        solo("Done.", model=MODEL, hook=budget.hook, task=text)
        assert budget.spent > before
    held = Budget(worst_case(request(text=long)) / 2, spent=0.0)
    assert solo("Done.", model=MODEL, hook=held.hook).status == "done"
    assert solo("Done.", model=MODEL, hook=held.hook, task=long).status == "over_budget"


def test_an_orchestrator_and_its_subagents_share_one_budget() -> None:
    limit, task = 0.03, {"description": "d", "prompt": "p", "subagent_type": "researcher"}

    def script(agent: str, turn: int, body: dict[str, Any]) -> Answer:
        if agent == "orchestrator":
            return Canned([{"Task": task}, {"Task": task}], usage=CALL)
        return Canned([{"text": f"Look {turn}."}, {"Glob": {"pattern": "*"}}], usage=CALL)

    async def scenario() -> Hub:
        async with scripted(script) as session:
            hub, case = Hub(session.clock, show=None), Case("cust_12345", Mandate("Resolve it."))
            files = [returning(name, "nothing") for name in ("Read", "Glob", "Grep")]
            outcome = await run_case(session.client, hub, case, "Go.", files, hook=budget.hook)
        assert (outcome.status, outcome.output) == ("over_budget", None)
        return hub

    budget = Budget(limit)
    hub = run(scenario())
    spent = spending(hub.log.events)
    assert budget.spent == pytest.approx(spent["all"].dollars)
    assert budget.spent <= limit
    assert {name for name in spent if name != "all"} >= {"orchestrator", "researcher1"}
    assert {box.status for box in hub.boxes.values()} == {"over_budget"}


@dataclass(frozen=True)
class Plan:
    """What one call turns out to use, as a share of its estimate, and how long it takes."""

    tokens: int
    share: float
    turns: int
    cancelled: bool


plans = st.builds(
    Plan,
    st.integers(1, 4000),
    st.floats(0, 3),
    st.integers(0, 4),
    st.sampled_from([False, False, False, True]),
)


@pytest.fixture(scope="module", autouse=True)
def two_more_prices() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRICES, "cheap", (0.01, 0.02))
        patch.setitem(PRICES, "dear", (5.0, 50.0))
        yield


@settings(max_examples=200)
@given(
    st.floats(0, 0.2),
    st.lists(st.lists(plans, min_size=1, max_size=6), min_size=1, max_size=4),
    st.lists(st.sampled_from(["cheap", MODEL, "dear"]), min_size=4, max_size=4),
)
def test_the_limit_is_passed_by_no_more_than_the_calls_in_flight_overran(
    limit: float, agents: list[list[Plan]], models: list[str]
) -> None:
    """An estimate can be wrong; then each agent may overrun by one call, and starts no other."""
    overrun: dict[str, float] = {}
    budget = Budget(limit)

    async def agent(name: str, model: str, calls: list[Plan]) -> None:
        for turn, plan in enumerate(calls, 1):
            asked = request(model, plan.tokens)
            what = Step(name, turn, "model_call", model, asked, Hub(show=None))
            worst = worst_case(what.detail)
            used = worst * plan.share

            async def go(plan: Plan = plan, used: float = used) -> Any:
                assert budget.spent + budget.reserved <= limit + 1e-9 + sum(overrun.values())
                await settle(plan.turns)
                if plan.cancelled:
                    raise asyncio.CancelledError
                tokens = round(used / PRICES[model][1] * 1_000_000)
                return SimpleNamespace(model=model, usage=usage(0, tokens))

            before = budget.spent + budget.reserved
            try:
                await budget.hook(what, go)
            except EndAgent:
                assert before + worst > limit - 1e-9
                return
            except asyncio.CancelledError:
                continue
            assert before + worst <= limit + 1e-6
            overrun[name] = max(overrun.get(name, 0.0), used - worst)

    async def scenario() -> None:
        async with asyncio.TaskGroup() as group:
            for number, calls in enumerate(agents):
                group.create_task(agent(f"agent{number}", models[number], calls))

    run(scenario())
    assert budget.spent <= limit + sum(overrun.values()) + 1e-3
    assert budget.reserved == pytest.approx(0.0)


def test_a_cost_counts_plain_written_and_read_tokens_at_their_prices() -> None:
    assert cost("claude-sonnet-5-5", usage(1_000_000, 0)) == 2.00
    assert cost("claude-sonnet-5-5", usage(0, 1_000_000)) == 10.00
    assert cost("claude-sonnet-5-5", usage(0, 0, written=1_000_000)) == 2.50
    assert cost("claude-sonnet-5-5", usage(0, 0, read=1_000_000)) == pytest.approx(0.20)
    assert cost("claude-sonnet-5-5", usage(1, 1, 1, 1)) == pytest.approx(0.0000147)
    assert cost("some-model", usage(1, 1)) is None


def test_what_an_agent_used_is_added_up_with_its_cached_tokens() -> None:
    spent = Spent()
    spent.add("claude-sonnet-5-5", usage(100, 10, written=20, read=3))
    spent.add("claude-sonnet-5-5", usage(1, 2))
    assert (spent.turns, spent.tokens_in, spent.tokens_out) == (2, 124, 12)
    assert spent.dollars == pytest.approx((101 * 2 + 25 * 2 + 0.3 * 2 + 12 * 10) / 1_000_000)
    spent.add("some-model", usage(1, 1))
    spent.add("claude-sonnet-5-5", usage(1, 1))
    assert (spent.turns, spent.dollars) == (4, None)


def test_a_call_that_fits_to_the_cent_runs_and_an_act_at_the_limit_does_not() -> None:
    async def reply() -> SimpleNamespace:
        return SimpleNamespace(model=MODEL, usage=usage(1, 1))

    exact = Budget(worst_case(step().detail))
    run(exact.hook(step(), reply))
    used_up = Budget(0.5, spent=0.5)
    with pytest.raises(EndAgent):
        run(
            used_up.hook(Step("solo", 1, "tool_call", "pay", {"acts": True}, Hub(show=None)), reply)
        )


def reply_event(model: str) -> Event:
    return Event(0, 0.0, "model_reply", "lead", {"model": model, "usage": usage(1_000, 200)})


def test_a_line_of_spending_marks_estimates_and_models_without_a_price() -> None:
    known, unknown = [reply_event("claude-sonnet-5-5")], [reply_event("some-model")]
    start = f"{'lead':22}   1 turns "
    assert spending_lines(known, estimated=True)[0] == start + "~ 1,000 in ~  200 out  ~$0.0040"
    assert spending_lines(known, estimated=False)[0] == start + " 1,000 in   200 out  $0.0040"
    assert spending_lines(unknown, estimated=False)[0].endswith("out  no price known")

"""The page "From cells to production": its code runs on a copy of the package, as the page says."""

import json
import re
import shutil
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import anthropic
import pytest

from helpers.budget import worst_case
from helpers.delegation import MODELS
from helpers.lessons.copying import copy
from helpers.lessons.notebooks import ROOT

from .support import run
from .test_copy import run_alone

PAGE = (ROOT / "notebooks" / "PRODUCTION.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"(<!-- not run -->\n)?^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = "\n\n".join(code for left_out, code in BLOCK.findall(PAGE) if not left_out)
CHILD = Path(__file__).with_name("triage_child.py")  # which tickets meet what
FATES = {
    7: "crashed",
    37: "no_answer (it never fitted the form)",
    47: "out_of_time",
    67: "refusal",
    77: "no_stop_reason",
}


@dataclass
class Ran:
    """What a run of the page has left behind."""

    printed: str
    outcomes: list[dict[str, Any]]
    events: list[dict[str, Any]]
    spans: list[dict[str, Any]]


def tickets(first: int, last: int) -> str:
    lines = [
        {"number": n, "customer": f"c{n % 40}", "text": f"No. {n}: where is my refund?"}
        for n in range(first, last + 1)
    ]
    return "".join(json.dumps(line) + "\n" for line in lines)


def left_in(folder: Path, printed: str, spans: list[dict[str, Any]]) -> Ran:
    found = [(folder / f"{name}.jsonl").read_text() for name in ("outcomes", "events")]
    outcomes, events = ([json.loads(line) for line in text.splitlines()] for text in found)
    return Ran(printed, outcomes, events, spans)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ran, Ran]:
    """Run the page's code on 200 tickets, then on 60 with little money, in a folder of its own."""
    folder = tmp_path_factory.mktemp("production")
    package = copy(folder / "my_agents", "05")
    for name in ("billing", "knowledge"):
        shutil.rmtree(package / name)
    (package / "main.py").unlink()
    shutil.copy(CHILD, folder)
    (folder / "triage.py").write_text(CODE, encoding="utf-8")
    (folder / "tickets.jsonl").write_text(tickets(1, 200))
    (folder / "small").mkdir()
    (folder / "small" / "tickets.jsonl").write_text(tickets(101, 160))
    printed = run_alone(folder, "http://scripted.invalid", CHILD.name)
    first, second, third = re.split(r"(?<= spent\n)", printed)
    spans = json.loads((folder / "spans.json").read_text())
    return left_in(folder, first, spans), left_in(folder / "small", second + third, [])


@pytest.fixture(scope="module")
def ran(runs: tuple[Ran, Ran]) -> Ran:
    return runs[0]


@pytest.fixture(scope="module")
def ran_short_of_money(runs: tuple[Ran, Ran]) -> Ran:
    return runs[1]


def of_kind(ran: Ran, kind: str, ticket: int | None = None) -> list[dict[str, Any]]:
    """Return the lines of events of this kind, of one ticket or of all."""
    agents = {f"ticket-{ticket}"} if ticket else {line["agent"] for line in ran.events}
    return [line for line in ran.events if line["kind"] == kind and line["agent"] in agents]


def test_each_of_200_tickets_has_one_outcome_whatever_went_wrong_with_another(ran: Ran) -> None:
    statuses = {outcome["ticket"]: outcome["status"] for outcome in ran.outcomes}
    assert len(ran.outcomes) == 200
    assert statuses == {number: FATES.get(number, "done") for number in range(1, 201)}


def test_the_page_shows_what_the_run_prints(ran: Ran) -> None:
    assert f"```\n{ran.printed}```" in PAGE


def test_who_is_done_has_an_answer_of_the_form_and_a_crash_its_reason(ran: Ran) -> None:
    for outcome in ran.outcomes:
        assert bool(outcome["answer"]) is (outcome["status"] == "done")
        assert bool(outcome["reason"]) is (outcome["status"] == "crashed")
    assert "busy" in next(o["reason"] for o in ran.outcomes if o["ticket"] == 7)


def test_a_passing_529_a_misfit_and_a_tool_that_fails_cost_a_ticket_nothing_but_calls(
    ran: Ran,
) -> None:
    assert len(of_kind(ran, "model_reply", 27)) == len(of_kind(ran, "model_reply", 1)) + 1
    assert of_kind(ran, "model_reply", 17)[0]["request_id"] == "req_17_2"
    (result,) = of_kind(ran, "tool_result", 57)
    assert result["data"]["error"]
    assert result["data"]["text"] == "KeyError: 'nobody'"


def test_eight_tickets_are_worked_on_at_once_and_never_more(ran: Ran) -> None:
    change = {"agent_started": 1, "agent_ended": -1}
    at_work, most = 0, 0
    for line in ran.events:
        at_work += change.get(line["kind"], 0)
        most = max(most, at_work)
    assert (at_work, most) == (0, 8)


def test_each_line_has_the_hour_and_the_clock_and_each_reply_its_request(ran: Ran) -> None:
    assert min(datetime.fromisoformat(line["at"]).year for line in ran.events) >= 2026
    for ticket in {line["agent"] for line in ran.events}:
        clocks = [line["clock"] for line in ran.events if line["agent"] == ticket]
        assert clocks[0] == 0
        assert clocks == sorted(clocks)
    requests = [line["request_id"] for line in of_kind(ran, "model_reply")]
    assert all(re.fullmatch(r"req_\d+_\d", request) for request in requests)
    assert len(set(requests)) == len(requests)


def test_the_budget_holds_and_says_so_ticket_by_ticket(ran_short_of_money: Ran) -> None:
    counts = Counter(outcome["status"] for outcome in ran_short_of_money.outcomes[:60])
    assert set(counts) == {"done", "over_budget"}
    assert counts.total() == 60
    spent, limit = map(float, re.findall(r"\$(\d\.\d+)", ran_short_of_money.printed))
    assert 0 < spent < limit == 0.14


def test_a_mistake_in_the_program_stops_all_tickets(ran_short_of_money: Ran) -> None:
    assert ran_short_of_money.printed.endswith("\nstopped: no database here\n")
    assert len(ran_short_of_money.outcomes) == 60


def test_a_long_answer_reserves_what_the_page_says() -> None:
    worst = worst_case({"model": MODELS["haiku"], "max_tokens": 32_000})
    assert f"${worst:.3f} a call, ${8 * worst:.2f} for eight" in " ".join(PAGE.split())


def test_the_sdk_refuses_an_answer_of_that_length_that_does_not_stream() -> None:
    async def ask() -> None:
        client = anthropic.AsyncAnthropic(api_key="x", base_url="http://scripted.invalid")
        await client.messages.create(model="m", max_tokens=32_000, messages=[])

    with pytest.raises(ValueError, match="Streaming is required"):
        run(ask())


def test_spans_of_calls_lie_in_turns_and_these_in_agents(ran: Ran) -> None:
    levels = {None: "agent", "agent": "turn", "turn": "call"}
    found: list[str] = []
    for span in ran.spans:
        found.append(levels[None if span["parent"] is None else found[span["parent"]]])
        assert span["ends"] == 1
    named = zip(found, ran.spans, strict=True)
    names = {(level, re.sub(r"\d+$", "N", span["name"])) for level, span in named}
    assert names == {
        ("agent", "invoke_agent ticket-N"),
        ("turn", "turn N"),
        ("call", f"chat {MODELS['haiku']}".removesuffix("5") + "N"),
        ("call", "execute_tool look_up"),
    }
    asked, called = of_kind(ran, "model_call"), of_kind(ran, "tool_call")
    assert Counter(found) == {
        **{"agent": 200, "turn": len(asked)},
        "call": len(asked) + len(called),
    }


def test_a_span_has_what_its_call_was_and_whether_it_failed(ran: Ran) -> None:
    chats = [span for span in ran.spans if span["about"].get("gen_ai.operation.name") == "chat"]
    answered = [span["about"] for span in chats if "anthropic.request.id" in span["about"]]
    assert {about["anthropic.request.id"] for about in answered} == {
        line["request_id"] for line in of_kind(ran, "model_reply")
    }
    assert {about["gen_ai.usage.input_tokens"] for about in answered} == {1_500}
    failed = [(span["name"], span.get("error", "")) for span in ran.spans if span["failed"]]
    assert {name for name, _ in failed if name.startswith("invoke_agent")} == {
        f"invoke_agent ticket-{number}" for number in FATES
    }
    assert ("execute_tool look_up", "") in failed
    assert (f"chat {MODELS['haiku']}", "out_of_time") in failed


def test_no_span_holds_what_was_said_or_found_out(ran: Ran) -> None:
    for words in ("I know enough.", "team", "on its way"):
        assert words in json.dumps(ran.events)
        assert words not in json.dumps(ran.spans)


def test_each_block_of_code_follows_a_sentence_and_fits_the_page() -> None:
    before = [PAGE[: block.start()].rstrip().splitlines()[-1] for block in BLOCK.finditer(PAGE)]
    assert [line for line in before if line.startswith(("```", "#"))] == []
    assert max(map(len, CODE.splitlines())) <= 100
    assert "](notebooks/PRODUCTION.md)" in (ROOT / "README.md").read_text(encoding="utf-8")

"""A billing case: who may do what, how it ends, what is printed and what is verified afterwards."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from anthropic import APIStatusError

from helpers.billing.checks import permissions, report, task_table, verify, work_line
from helpers.billing.files import file_tools, folder_hash
from helpers.billing.gateway import debts
from helpers.billing.orchestrator import Outcome, case_task, case_tools, run_case
from helpers.billing.refund import Approval, Case, Ledger, Mandate
from helpers.billing.roles import ORCHESTRATOR, ROLES, ComplianceVerdict, OrchestratorOutput
from helpers.budget import spending, spending_lines
from helpers.hooks import EndAgent, Go, Step
from helpers.hub import Hub
from helpers.replies import ReplayError
from helpers.replies.client import connect
from helpers.replies.recording import Exchange, answer, speaker
from helpers.replies.scripted import Answer, Canned, Failure, Script, scripted
from helpers.tools import Tool

from .support import TAG, in_turn, run, words
from .test_live import Api, Handler, api  # noqa: F401  (a fixture)

KNOWLEDGE = Path(__file__).parents[1] / "knowledge"
WORDS = "I was charged twice. Please help."
VERDICT: dict[str, Any] = {
    "case": "cust_12345",
    "transaction_id": "txn_8f3k2j1",
    "amount_cents": 4999,
    "approved": True,
    "reasons": ["R1 and R3 hold"],
}
REFUND = {"amount": "49.99", "reason": "Duplicate", "customer_id": "cust_12345"}
FINAL: dict[str, Any] = {
    "research_summary": "txn_8f3k2j1 repeats txn_8f3k2j0 (R1); it settled on 2025-02-02.",
    "duplicate_confirmed": True,
    "refund_amount": 49.99,
    "compliance_approved": True,
    "final_action": "Refunded until 2025-04-03 at the latest (R3, E1).",
    "customer_email": {"subject": "Your refund", "body": "Dear Sarah, $49.99 of $99.98 is back."},
}
UNPAID = {**FINAL, "refund_amount": 0.0, "final_action": "Nothing was paid out."}


LETTER = "Please review. Your refund\n\nDear Sarah, $49.99 of\n$99.98 is back.\n\nThank you."


def task(who: str, prompt: str = LETTER) -> dict[str, Any]:
    return {"Task": {"subagent_type": who, "description": f"Ask {who}", "prompt": prompt}}


def text(value: object) -> str:
    return json.dumps(value)


REVIEWED: list[Answer] = [[task("researcher")], [task("drafter")], [task("compliance_reviewer")]]
PAID: list[Answer] = [*REVIEWED, [{"issue_refund": REFUND}], "All done."]


def team(
    turns: list[Answer],
    *final: Answer,
    verdict: dict[str, Any] = VERDICT,
    helpers: dict[str, Callable[[int], Answer]] | None = None,
) -> Script:
    """A script: the orchestrator takes its turns and gives the final answers; helpers work."""

    def script(agent: str, turn: int, body: dict[str, Any]) -> Answer:
        if agent == "orchestrator":
            return [*turns, *final][turn - 1]
        role = agent.rstrip("0123456789")
        if helpers and role in helpers:
            return helpers[role](turn)
        if role == "compliance_reviewer":
            return "It is in order." if turn == 1 else text(verdict)
        return f"{agent} reports."

    return script


@dataclass
class Run:
    """What came of a case."""

    case: Case
    hub: Hub
    outcome: Outcome
    shown: list[str]
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def refusals(self) -> list[str]:
        events = self.hub.log.events
        results = [e.data for e in events if e.kind == "tool_result" and e.agent == "orchestrator"]
        return [data["text"] for data in results if data["error"]]

    def report(self) -> str:
        return report(self.outcome, self.hub, self.case, estimated=True)

    def problems(self) -> list[str]:
        return verify(self.outcome, self.case, KNOWLEDGE)


async def case_run(script: Script, approve: bool, budget: float = 1.0, **settings: Any) -> Run:
    requests: list[tuple[str, dict[str, Any]]] = []

    def spy(agent: str, turn: int, body: dict[str, Any]) -> Any:
        requests.append((agent, body))
        return script(agent, turn, body)

    shown: list[str] = []
    gate = (lambda request: Approval(True)) if approve else None
    case = Case("cust_12345", Mandate("Resolve it", budget=budget), Ledger(), approve=gate)
    async with scripted(in_turn(spy)) as session:
        hub = Hub(session.clock, show=shown.append, line=work_line)
        told, files = case_task(case.customer, WORDS), file_tools(KNOWLEDGE)
        outcome = await run_case(session.client, hub, case, told, files, **settings)
    return Run(case, hub, outcome, shown, requests)


def work_on(script: Script, approve: bool = False, **settings: Any) -> Run:
    return run(case_run(script, approve, **settings))


def test_a_reviewed_and_approved_case_ends_with_one_refund_that_can_be_verified() -> None:
    done = work_on(team(PAID, text(FINAL)), approve=True)
    assert done.outcome.status == "done"
    assert [row[2:] for row in done.case.refunds()] == [(4999, "ref_9x2m4p7")]
    assert done.problems() == []
    assert done.report().endswith(
        "Outcome: done; refunds made: $49.99 of txn_8f3k2j1 as ref_9x2m4p7"
    )


def test_without_a_gate_the_refund_is_refused_and_the_case_still_ends() -> None:
    done = work_on(team(PAID, text(UNPAID)))
    assert done.refusals() == ["Refused: there is no approval gate in this run, so no refund"]
    assert done.outcome.status == "done"
    assert done.problems() == []
    assert done.report().endswith("Outcome: done; refunds made: none")


def test_an_objection_leads_to_a_second_review_and_the_newest_verdict_counts() -> None:
    verdicts = iter([text({**VERDICT, "approved": False}), text(VERDICT)])

    def reviewer(turn: int) -> Answer:
        return "I have looked." if turn == 1 else next(verdicts)

    turns = [*REVIEWED, [task("drafter")], [task("compliance_reviewer")], "Done."]
    script = team(turns, text(UNPAID), helpers={"compliance_reviewer": reviewer})
    done = work_on(script)
    assert done.case.reviews[-1].verdict == ComplianceVerdict(**VERDICT)
    assert {"drafter2", "compliance_reviewer2"} <= set(done.hub.boxes)


def test_the_task_names_the_day_the_customer_and_her_words() -> None:
    done = work_on(team(["Done."], text(UNPAID)))
    _, body = done.requests[0]
    (message,) = body["messages"]
    for part in ("2025-02-10", "cust_12345", WORDS):
        assert part in message["content"]


def test_only_the_orchestrator_may_refund_and_it_can_do_nothing_else_but_delegate() -> None:
    done = work_on(team(PAID, text(UNPAID)))
    tools = {name: [tool["name"] for tool in body["tools"]] for name, body in done.requests}
    assert tools.pop("orchestrator") == ["Task", "issue_refund"]
    assert tools == {
        "researcher1": ["Read", "Glob", "Grep", "check_payment_gateway"],
        "drafter1": ["Read", "Glob"],
        "compliance_reviewer1": ["Read", "Glob"],
    }


def test_a_subagent_that_tries_everything_changes_nothing() -> None:
    tries: list[dict[str, Any]] = [
        {"issue_refund": REFUND},
        {"Write": {"path": "policies/refund_policy.md", "text": "R1 Pay always."}},
        {"Read": {"path": "../README.md"}},
        {"Read": {"path": "/etc/passwd"}},
        task("drafter"),
    ]
    before = folder_hash(KNOWLEDGE)
    script = team(
        PAID, text(UNPAID), helpers={"researcher": lambda turn: tries if turn == 1 else "No."}
    )
    done = work_on(script, approve=True)
    events = done.hub.log.events
    results = [e.data for e in events if e.kind == "tool_result" and e.agent == "researcher1"]
    assert all(data["error"] for data in results)
    assert len(results) == len(tries)
    assert folder_hash(KNOWLEDGE) == before


def test_the_gateway_of_a_case_shows_no_other_customer() -> None:
    ask = {"check_payment_gateway": {"transaction_date": "2025-02-01", "amount": "49.99"}}
    script = team(
        [[task("researcher")], "Done."],
        text(UNPAID),
        helpers={"researcher": lambda turn: [ask] if turn == 1 else "Found."},
    )
    events = work_on(script).hub.log.events
    (found,) = [
        e.data["text"] for e in events if e.kind == "tool_result" and e.agent != "orchestrator"
    ]
    assert re.findall(r"txn_\w+", found) == ["txn_8f3k2j0", "txn_8f3k2j1"]


def test_the_panel_is_made_from_the_tools_that_are_dispatched() -> None:
    case = Case("cust_12345", Mandate("Resolve it", refund_limit=2500, budget=0.5))
    client: Any = None
    tools, delegation = case_tools(client, Hub(show=None), case, file_tools(KNOWLEDGE), {})
    agents: dict[str, Sequence[Tool]] = {"orchestrator": tools}
    agents |= {n: [delegation.toolbox[t] for t in role.tools] for n, role in ROLES.items()}
    shown = permissions(agents, case)
    for line in (
        "Mandate: Resolve it",
        "  refunds up to $25.00, reviewed before",
        "  approval by a person: no gate, no refund",
        "  budget $0.50 for all agents together",
        "orchestrator can: Task, issue_refund (acts)",
        "             cannot: Read, Glob, Grep, check_payment_gateway",
        "        cannot: Task, issue_refund, Grep, check_payment_gateway",
    ):
        assert line in shown.splitlines()
    case.approve = lambda request: None
    assert "approval by a person: asked for" in permissions(agents, case)


@pytest.mark.parametrize(
    ("turns", "final", "status"),
    [
        ([Canned([{"text": "I won't."}], "refusal")], [], "refusal"),
        ([Canned([{"text": "Half"}], "max_tokens")], [], "max_tokens"),
        ([[task("researcher")]] * 4, [], "out_of_turns"),
        (["Done."], ["{}", "no JSON", text({})], "no_answer (it never fitted the form)"),
        (["Done."], [Canned([{"text": "I won't."}], "refusal")], "no_answer (refusal)"),
        (["Done."], [Canned([{"text": '{"res'}], "max_tokens")], "no_answer (max_tokens)"),
        (["Done."], ["{}", "{}", text(UNPAID)], "done"),
        (["Done."], [text({**UNPAID, "refund_amount": -1}), text(UNPAID)], "done"),
    ],
)
def test_every_end_has_a_name_and_an_outcome_line(
    turns: list[Answer], final: list[Answer], status: str
) -> None:
    done = work_on(team(turns, *final), max_turns=4)
    assert done.outcome.status == status
    assert (done.outcome.output is not None) == (status == "done")
    reviewed = "; letter not reviewed" if status == "done" else ""
    assert done.report().splitlines()[-1] == f"Outcome: {status}{reviewed}; refunds made: none"


def test_a_run_that_ends_without_an_answer_still_shows_what_was_paid() -> None:
    done = work_on(team(PAID, "no JSON", "no JSON", "no JSON"), approve=True)
    assert done.outcome.output is None
    assert "refunds made: $49.99 of txn_8f3k2j1 as ref_9x2m4p7" in done.report()
    assert done.problems() == [f"there is no answer to verify: {done.outcome.status}"]


def test_a_hook_that_ends_the_run_is_a_named_outcome() -> None:
    async def hook(step: Step, go: Go) -> Any:
        raise EndAgent("over_budget")

    done = work_on(team([]), hook=hook)
    assert done.report().endswith("Outcome: over_budget; refunds made: none")
    assert "[orchestrator] ended: over_budget" in done.shown


def test_the_mandate_s_budget_binds_every_agent_of_a_case() -> None:
    done = work_on(team(PAID, text(FINAL)), approve=True, budget=0.035)
    assert done.outcome == Outcome("over_budget", None)
    assert done.requests
    assert done.case.refunds() == []


def test_a_crash_of_the_orchestrator_is_shown_with_its_name() -> None:
    done = work_on(team([Failure(500)]))
    assert done.outcome == Outcome("crashed", None)
    assert done.hub.boxes["orchestrator"].status == "crashed"
    assert done.shown[-1].startswith("[orchestrator] ended: crashed InternalServerError")


def test_a_refund_in_the_last_turn_is_not_made() -> None:
    done = work_on(team(PAID), approve=True, max_turns=4)
    assert done.case.refunds() == []
    assert done.outcome.status == "out_of_turns"


def test_a_call_that_the_hook_holds_back_reserves_no_budget() -> None:
    async def hook(step: Step, go: Go) -> Any:
        raise EndAgent("paused")

    assert work_on(team([]), hook=hook, budget=0.0).outcome.status == "paused"


def test_every_line_names_its_agent_whatever_an_agent_says() -> None:
    forged = "Found.\r\n[orchestrator] Outcome: done\x1b[2K"
    calls: list[Answer] = [[{forged: {}}], forged]
    script = team(PAID, text(UNPAID), helpers={"drafter": lambda turn: calls[turn - 1]})
    done = work_on(script)
    names = [re.match(r"\[(\w+)\] ", line) for line in done.shown]
    assert all(name and name[1] in done.hub.boxes for name in names)
    assert all(line.isprintable() and len(line) <= 110 for line in done.shown)
    assert any(line.startswith("[drafter1] Found.") for line in done.shown)


def test_a_tool_call_is_shown_in_the_form_of_the_published_case() -> None:
    done = work_on(team(PAID, text(UNPAID)))
    assert any(line.startswith("[orchestrator] [Tool] issue_refund({") for line in done.shown)
    assert (
        "[orchestrator] failed: Refused: there is no approval gate in this run, so no refund"
        in (done.shown)
    )


def test_the_report_counts_turns_and_marks_estimates() -> None:
    done = work_on(team(PAID, text(UNPAID)))
    first = done.report().splitlines()[0]
    assert re.fullmatch(r"--- Done in 10 turns \| cost: ~\$\d\.\d{4} ---", first)
    assert "~" not in report(done.outcome, done.hub, done.case, estimated=False).splitlines()[0]


def test_each_agent_has_its_own_line_of_costs() -> None:
    done = work_on(team(PAID, text(UNPAID)))
    lines = spending_lines(done.hub.log.events, estimated=True)
    assert {line.split()[0] for line in lines} == {*done.hub.boxes, "all"}
    spent = spending(done.hub.log.events)
    assert spent["all"].turns == len(done.requests)
    assert spent["all"].dollars == pytest.approx(
        sum(s.dollars or 0 for name, s in spent.items() if name != "all")
    )


def test_the_task_table_says_who_did_what_and_what_failed() -> None:
    nobody = {"Task": {"subagent_type": "lawyer", "description": "Sue", "prompt": "Sue."}}
    done = work_on(team([[task("researcher")], [nobody], [{"Task": {}}], "Done."], text(UNPAID)))
    rows = [row.split(maxsplit=3) for row in task_table(done.hub.log.events).splitlines()]
    assert rows == [
        ["1", "researcher", "done", "Ask researcher"],
        ["2", "lawyer", "failed", "Sue"],
        ["3", "?", "failed", "?"],
    ]


def test_a_task_that_is_not_over_is_running() -> None:
    done = work_on(team([[task("researcher")], "Done."], text(UNPAID)))
    events = [e for e in done.hub.log.events if e.kind != "tool_result"]
    assert "running" in task_table(events)


def test_there_is_no_line_for_what_nobody_has_to_read() -> None:
    done = work_on(team(["Done."], text(UNPAID)))
    assert done.shown == ["[orchestrator] Done.", f"[orchestrator] {text(UNPAID)[:79]}…"]


def paid_case(prompt: str = LETTER) -> Case:
    """A case whose refund was made after an approving verdict."""
    ledger = Ledger()
    case = Case("cust_12345", Mandate("Resolve it"), ledger)
    case.review(prompt)(ComplianceVerdict(**VERDICT))
    (debt,) = debts(case.charges, case.customer)
    ledger.refund(debt)
    return case


def found_in(changes: dict[str, Any], case: Case | None = None) -> list[str]:
    output = OrchestratorOutput.model_validate({**FINAL, **changes})
    email = output.customer_email
    reviewed = f"{email.subject}\n{email.body}"
    return verify(Outcome("done", output), case or paid_case(reviewed), KNOWLEDGE)


def letter(body: str, subject: str = "Your refund") -> dict[str, Any]:
    return {"customer_email": {"subject": subject, "body": body}}


def test_an_honest_answer_has_no_problems() -> None:
    assert found_in({}) == []


@pytest.mark.parametrize(
    ("lie", "problem"),
    [
        ({"refund_amount": 499.90}, "the answer says 499.90, the ledger $49.99"),
        ({"refund_amount": 0}, "the answer says 0.00, the ledger $49.99"),
        ({"refund_amount": 49.98}, "the answer says 49.98, the ledger $49.99"),
        ({"compliance_approved": False}, "the answer and the compliance verdict differ"),
        ({"duplicate_confirmed": False}, "on whether there is a duplicate"),
        ({"final_action": "Allowed by R99."}, "no rule R99"),
        ({"final_action": "Allowed by E9."}, "no rule E9"),
        ({"research_summary": "It was txn_8f3k2j7."}, "unknown transaction txn_8f3k2j7"),
        ({"research_summary": "It was txn_b2m9x41."}, "unknown transaction txn_b2m9x41"),
        ({"research_summary": "It settled on 2025-02-03."}, "unknown date 2025-02-03"),
        (letter("Within the 90 days, until 2025-05-03."), "unknown date 2025-05-03"),
        (letter("We have refunded $59.99."), "unknown amount $59.99"),
        (letter("We have refunded $2,499."), "unknown amount $2,499.00"),
        (letter("It takes 5-7 business days."), "unknown delay 5-7"),
        (letter("It takes 5–7 business days."), "unknown delay 5-7"),
        (letter("It takes 5\u2011 7 business\u00a0days."), "unknown delay 5-7"),
        (letter("It takes 5 to 7 working days."), "unknown delay 5-7"),
        (letter("It takes 10 business days."), "unknown delay 10"),
        (letter("We have refunded 59.99 USD."), "unknown amount $59.99"),
        (letter("We have refunded USD 59.99."), "unknown amount $59.99"),
        (letter("We have refunded 59.99 dollars."), "unknown amount $59.99"),
        (letter("We have refunded $\u00a059.99."), "unknown amount $59.99"),
        (letter("We have refunded €49.99."), "unknown amount €49.99"),
        (letter("We have refunded 49.99 EUR."), "unknown amount 49.99 EUR"),
        (letter("It settled on March 3, 2025."), "unknown date 2025-03-03"),
        (letter("It settled on 3 March 2025."), "unknown date 2025-03-03"),
        (letter("It settled on Mar 3rd."), "unknown date 2025-03-03"),
        (letter("Dear [Customer Name],"), "placeholder left: [Customer Name]"),
        (letter("Dear {name},"), "placeholder left: {name}"),
        (letter("Your reference is (refund ID)."), "placeholder left: (refund ID)"),
        (letter("Dear {{first_name}},"), "placeholder left: {{first_name}}"),
        (letter("Dear {{ first_name }},"), "placeholder left: {{ first_name }}"),
        (letter("Hello.", subject="Refund {{refund_id}}"), "placeholder left: {{refund_id}}"),
    ],
)
def test_a_planted_lie_is_found(lie: dict[str, Any], problem: str) -> None:
    assert any(problem in found for found in found_in(lie))


@pytest.mark.parametrize(
    "body",
    [
        "We paid back $49.99, which is on its way.",
        "You paid $99.98, not $49.99.",
        "It was charged on February 1, 2025 and settled on 2 February.",
        "It takes 3 – 5 business days.",
        "It takes 3 to 5 business days.",
        "Your invoice INV-2025-0201 of May, section [1].",
        "You were right: 49.99 dollars were charged twice.",
    ],
)
def test_what_is_true_is_no_problem_however_it_is_written(body: str) -> None:
    assert found_in(letter(body)) == []


DEAR = "Dear Sarah, $49.99 is back, as ref_9x2m4p7. It took 3-5 business days."
SEEN = "Subject: Your refund. Dear Sarah, $49.99 is back, as {id}. It took 3–5 business days."


@pytest.mark.parametrize("blank", ["(refund ID)", "{{refund_id}}", "[refund ID]", "<refund id>"])
def test_a_letter_is_the_reviewed_one_with_the_refund_s_id_in_its_place(blank: str) -> None:
    case = paid_case(SEEN.replace("{id}", blank))
    assert found_in(letter(DEAR.replace(". ", ".\n\n")), case) == []


@pytest.mark.parametrize(
    ("body", "subject"),
    [
        (f"{DEAR} Love!", "Your refund"),
        (DEAR.replace("49.99", "99.98"), "Your refund"),
        (DEAR, "You won"),
    ],
)
def test_a_letter_that_no_reviewer_has_seen_is_named(body: str, subject: str) -> None:
    case = paid_case(SEEN.replace("{id}", "(refund ID)"))
    assert "letter not reviewed" in found_in(letter(body, subject), case)


def test_only_the_newest_review_counts_for_the_letter() -> None:
    case = paid_case()
    case.review("another letter")(ComplianceVerdict(**VERDICT))
    assert "letter not reviewed" in found_in({}, case)


def test_another_customer_s_refund_in_the_ledger_makes_no_answer_wrong() -> None:
    case = paid_case()
    (other,) = debts(case.charges, "cust_66152")
    assert case.ledger
    case.ledger.refund(other)
    assert found_in({}, case) == []
    assert "txn_h9c2v51" not in report(Outcome("done", None), Hub(show=None), case, estimated=True)


def test_approval_that_no_reviewer_gave_is_found() -> None:
    done = work_on(team(["Done."], text(UNPAID)))
    assert done.problems() == [
        "the answer and the compliance verdict differ",
        "letter not reviewed",
    ]


def test_an_approval_after_which_the_reviewer_objected_is_found() -> None:
    done = work_on(team(PAID, text(UNPAID), verdict={**VERDICT, "approved": False}))
    assert done.problems() == ["the answer and the compliance verdict differ"]


class Talking(Handler):
    """Answers each agent by its role and turn, with words that are in no recording."""

    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, Api)
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        agent, turn = (
            speaker(body) or "?",
            1 + sum(m["role"] == "assistant" for m in body["messages"]),
        )
        server.seen.append((agent, {}, body))
        reply = SPOKEN[agent.rstrip("0123456789")][turn - 1]
        blocks = [{"text": reply}] if isinstance(reply, str) else reply
        data = json.dumps(answer(Exchange(agent, turn, blocks), body)).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


GLANCE = {"Read": {"path": "policies/refund_policy.md"}}
CHARGED = {"check_payment_gateway": {"transaction_date": "2025-02-01", "amount": "49.99"}}
SPOKEN: dict[str, list[Any]] = {
    "orchestrator": [
        [{"text": "I'll have this looked into."}, task("researcher"), task("drafter")],
        [task("compliance_reviewer")],
        [{"issue_refund": REFUND}],
        "Nothing more can be done without a person.",
        '{"research_summary": "half',
        text(UNPAID),
    ],
    "researcher": [[GLANCE, CHARGED], "txn_8f3k2j1 is one too many."],
    "drafter": ["Dear Ms Chen, we are looking into it."],
    "compliance_reviewer": [[GLANCE], "No objection from me.", text(VERDICT)],
}


def test_an_error_of_the_program_reaches_the_person() -> None:
    async def hook(step: Step, go: Go) -> Any:
        raise ReplayError("differs")

    with pytest.raises(ReplayError, match="differs"):
        work_on(team([]), hook=hook)


@pytest.mark.parametrize("status", [401, 404])
def test_a_wrong_key_or_model_of_a_case_reaches_the_person(
    api: Api,  # noqa: F811
    status: int,
) -> None:
    async def body() -> None:
        async with connect("05_cust_12345") as session:
            hub, case = Hub(session.clock, show=None), Case("cust_12345", Mandate("Resolve it"))
            await run_case(session.client, hub, case, "Help.", file_tools(KNOWLEDGE))

    api.statuses = [status] * 10
    with pytest.raises(APIStatusError) as caught:
        run(body())
    assert caught.value.status_code == status
    assert len(api.seen) == 1


def test_the_case_runs_live_with_other_words(api: Api) -> None:  # noqa: F811
    api.RequestHandlerClass = Talking
    shown: list[str] = []
    case, before = Case("cust_12345", Mandate("Resolve it")), folder_hash(KNOWLEDGE)

    async def body() -> tuple[Outcome, str]:
        async with connect("05_cust_12345") as session:
            assert session.source == "live"
            hub = Hub(session.clock, show=shown.append, line=work_line)
            told = case_task(case.customer, WORDS)
            outcome = await run_case(session.client, hub, case, told, file_tools(KNOWLEDGE))
            return outcome, report(outcome, hub, case, estimated=session.source != "live")

    outcome, end = run(body())
    assert outcome.status == "done"
    assert verify(outcome, case, KNOWLEDGE) == []
    assert end.endswith("Outcome: done; refunds made: none")
    assert "~" not in end.splitlines()[0]
    assert any("no approval gate" in line for line in shown)
    assert folder_hash(KNOWLEDGE) == before
    assert {name for name, _, _ in api.seen} == {
        "orchestrator",
        "researcher1",
        "drafter1",
        "compliance_reviewer1",
    }
    assert api.seen[0][2]["system"] == ORCHESTRATOR
    assert TAG not in words([body for _, _, body in api.seen])

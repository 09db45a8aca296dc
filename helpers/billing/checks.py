"""What people see of a case, and what its answer is held against. Notebook 06 builds it."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..budget import spending
from ..hub import Event, Hub, one_line
from ..tools import Tool
from .gateway import DELAY, TODAY, WINDOW, dollars, duplicates
from .orchestrator import Outcome
from .refund import Case
from .roles import OrchestratorOutput


def work_line(event: Event) -> str | None:
    """Return the line of at most 95 columns that people read while a case is worked on."""
    data, line = event.data, ""
    if event.kind == "model_reply":
        line = data["text"]
    elif event.kind == "tool_call":
        line = f"[Tool] {one_line(data['tool'])}({one_line(data['input'])})"
    elif event.kind == "tool_result" and data["error"]:
        line = f"failed: {data['text']}"
    elif event.kind == "agent_ended" and data["status"] != "done":
        line = f"ended: {data['status']} {data['reason']}".rstrip()
    return one_line(f"[{event.agent}] {line}", 95) if line else None


def report(outcome: Outcome, hub: Hub, case: Case, estimated: bool) -> str:
    """Return the lines that end every run, well or badly: turns, cost, answer, refunds made."""
    spent = spending(hub.log.events)["all"]
    price = "n/a" if spent.dollars is None else f"{'~' if estimated else ''}${spent.dollars:.4f}"
    lines = [f"--- Done in {spent.turns} turns | cost: {price} ---"]
    if outcome.output:
        lines += ["", "Structured output:", outcome.output.model_dump_json(indent=2), ""]
    made = [f"{dollars(cents)} of {id} as {ref}" for id, _, cents, ref in case.ledger.rows()]
    lines.append(f"Outcome: {outcome.status}; refunds made: {', '.join(made) or 'none'}")
    return "\n".join(lines)


def permissions(agents: dict[str, Sequence[Tool]], case: Case) -> str:
    """Return what each agent can do, from the very tools that are dispatched, and the mandate."""
    lines = [f"Mandate: {case.mandate.goal}"]
    lines.append(f"  refunds up to {dollars(case.mandate.refund_limit)}, with compliance")
    lines.append(f"  approval by a person: {'asked for' if case.approve else 'no gate, no refund'}")
    lines.append(f"  budget ${case.mandate.budget:.2f} for all agents together")
    lines.append("Tools read or suggest, but for those marked (acts).")
    everything = dict.fromkeys(tool.name for tools in agents.values() for tool in tools)
    for name, tools in agents.items():
        can = [f"{tool.name} (acts)" if tool.acts else tool.name for tool in tools]
        cannot = [tool for tool in everything if tool not in [t.name for t in tools]]
        lines.append(f"{name} can: {', '.join(can)}")
        lines.append(f"{' ' * len(name)} cannot: {', '.join(cannot)}")
    return "\n".join(lines)


def task_table(events: Iterable[Event]) -> str:
    """Return a line per delegated task: its number, who did it, how it ended, what it was for."""
    rows: dict[str, list[str]] = {}
    for event in events:
        if event.data.get("tool") != "Task":
            continue
        if event.kind == "tool_call":
            asked = event.data["input"] if isinstance(event.data["input"], dict) else {}
            who, what = asked.get("subagent_type", "?"), asked.get("description", "?")
            rows[event.data["id"]] = [one_line(who, 20), "running", one_line(what)]
        elif event.kind == "tool_result":
            rows[event.data["id"]][1] = "failed" if event.data["error"] else "done"
    return "\n".join(
        f"{number} {who:20} {state:8} {what}"
        for number, (who, state, what) in enumerate(rows.values(), 1)
    )


def verify(outcome: Outcome, case: Case, knowledge: Path) -> list[str]:
    """Return what is wrong with the final answer: it is held against ledger, verdict and files."""
    output = outcome.output
    if output is None:
        return [f"there is no answer to verify: {outcome.status}"]
    problems = []
    paid = sum(cents for _, _, cents, _ in case.ledger.rows())
    if abs(output.refund_amount * 100 - paid) > 0.5:
        problems.append(f"the answer says {output.refund_amount:.2f}, the ledger {dollars(paid)}")
    if output.compliance_approved != bool(case.verdict and case.verdict.approved):
        problems.append("the answer and the compliance verdict differ")
    if output.duplicate_confirmed != bool(duplicates(case.charges, case.customer)):
        problems.append("the answer and the charges differ on whether there is a duplicate")
    return problems + verify_words(output, case, knowledge)


def verify_words(output: OrchestratorOutput, case: Case, knowledge: Path) -> list[str]:
    """Return what an answer names that nobody knows: rules, ids, dates, amounts, placeholders."""
    email = f"{output.customer_email.subject}\n{output.customer_email.body}"
    words = f"{output.research_summary}\n{output.final_action}\n{email}"
    names = ["policies/refund_policy.md", "policies/escalation_matrix.md"]
    policies = "\n".join((knowledge / name).read_text("utf-8") for name in names)
    own = [charge for charge in case.charges if charge.customer == case.customer]
    refunds = {charge.refund for charge in own if charge.refund}
    days = {str(day) for charge in own for day in (charge.time.date(), charge.settled) if day}
    days |= {str(charge.settled + WINDOW) for charge in own if charge.settled} | {str(TODAY)}
    known = days | set(re.findall(r"\b[RE]\d+\b|\b\d{4}-\d\d-\d\d\b", policies))
    known |= {DELAY, *(charge.id for charge in own)}
    known |= refunds | {refund for *_, refund in case.ledger.rows()}
    known |= {dollars(n * charge.cents) for charge in own for n in (1, 2)}
    checks = {
        r"\b[RE]\d+\b": ("no rule", words),
        r"\btxn_\w+": ("unknown transaction", words),
        r"\bref_\w+": ("unknown refund", words),
        r"\b\d{4}-\d\d-\d\d\b": ("unknown date", words),
        r"\$ ?[\d,]+(?:\.\d+)?": ("unknown amount", email),
        r"\d+-\d+ (?:business )?days": ("unknown delay", email),
        r"\{\{.*?\}\}": ("placeholder left:", email),
    }
    return [
        f"{what} {found}"
        for pattern, (what, text) in checks.items()
        for found in re.findall(pattern, text)
        if found not in known
    ]

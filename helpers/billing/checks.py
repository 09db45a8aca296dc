"""What people see of a case, and what its answer is held against. Notebook 06 builds it."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

from ..budget import spending
from ..hub import Event, Hub
from ..tools import Tool
from ..trace import one_line
from .gateway import DELAY, TODAY, WINDOW, debts, dollars
from .orchestrator import Outcome
from .refund import Case
from .roles import OrchestratorOutput

PLACEHOLDER = r"[({\[<]{1,2} ?[Rr]efund[ _-][Ii][Dd] ?[)}\]>]{1,2}"
ISO = r"\b\d{4}-\d\d-\d\d\b"
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
MONTH = rf"\b(?:{'|'.join(MONTHS)})[a-z]*\b"
LONG_DATE = rf"{MONTH}\.? \d\d?(?:st|nd|rd|th)?(?:,? \d{{4}})?|\b\d\d? {MONTH}\.?(?: \d{{4}})?"
NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"
AMOUNT = (
    rf"(?:US\$|[$€£]|\b(?:USD|EUR|GBP)) ?(?P<before>{NUMBER})"
    rf"|(?P<after>{NUMBER}) ?(?:[$€£]|(?:USD|EUR|GBP|dollars?|euros?|pounds?)\b)"
)
BRACKETS = r"\{+[^{}]*\}+|\[[^\]\d][^\]]*\]|\(refund id\)"
DAYS = re.compile(r"\b(\d+(?: ?(?:-|to) ?\d+)?) (?:(?:business|working) )?days?\b", re.I)


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
    made = [f"{dollars(cents)} of {id} as {ref}" for id, _, cents, ref in case.refunds()]
    unread = "" if letter_reviewed(outcome, case) else "; letter not reviewed"
    lines.append(f"Outcome: {outcome.status}{unread}; refunds made: {', '.join(made) or 'none'}")
    return "\n".join(lines)


def permissions(agents: dict[str, Sequence[Tool]], case: Case) -> str:
    """Return what each agent can do, from the very tools that are dispatched, and the mandate."""
    lines = [f"Mandate: {case.mandate.goal}"]
    lines.append(f"  refunds up to {dollars(case.mandate.refund_limit)}, reviewed before")
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


def plain(text: str) -> str:
    """Return text as people type it: one kind of dash and blank, nothing invisible."""
    visible = (c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf")
    return re.sub(r"\s+", " ", re.sub(r"[\u2010-\u2015\u2212]", "-", "".join(visible))).strip()


def letter_reviewed(outcome: Outcome, case: Case) -> bool:
    """Return whether the final letter is the one that the newest review was given.

    Where the letter names a refund of the ledger, the reviewed one has a placeholder for it.
    """
    if outcome.output is None:
        return True
    prompt = plain(case.reviews[-1].prompt) if case.reviews else ""
    email = outcome.output.customer_email
    forms = [re.escape(plain(text)) for text in (email.subject, email.body)]
    for *_, refund_id in case.refunds():
        forms = [form.replace(re.escape(refund_id), PLACEHOLDER) for form in forms]
    return all(re.search(form, prompt) for form in forms)


def verify(outcome: Outcome, case: Case, knowledge: Path) -> list[str]:
    """Return what is wrong with the final answer: it is held against ledger, reviews and files."""
    output = outcome.output
    if output is None:
        return [f"there is no answer to verify: {outcome.status}"]
    problems = []
    paid = sum(cents for _, _, cents, _ in case.refunds())
    if abs(output.refund_amount * 100 - paid) > 0.5:
        problems.append(f"the answer says {output.refund_amount:.2f}, the ledger {dollars(paid)}")
    verdict = case.reviews[-1].verdict if case.reviews else None
    if output.compliance_approved != bool(verdict and verdict.approved):
        problems.append("the answer and the compliance verdict differ")
    if output.duplicate_confirmed != bool(debts(case.charges, case.customer)):
        problems.append("the answer and the charges differ on whether there is a duplicate")
    problems += [] if letter_reviewed(outcome, case) else ["letter not reviewed"]
    return problems + verify_words(output, case, knowledge)


def known_words(case: Case, knowledge: Path) -> dict[str, set[str]]:
    """Return the rules, ids, dates, amounts and delays that an answer may name."""
    names = ["policies/refund_policy.md", "policies/escalation_matrix.md"]
    policies = plain("\n".join((knowledge / name).read_text("utf-8") for name in names))
    file = knowledge / "customers" / f"{case.customer}.md"
    told = file.read_text("utf-8") if file.is_file() else ""
    own = [charge for charge in case.charges if charge.customer == case.customer]
    days = [day for charge in own for day in (charge.time.date(), charge.settled) if day]
    days += [charge.settled + WINDOW for charge in own if charge.settled]
    refunds = {charge.refund for charge in own if charge.refund}
    return {
        "no rule": set(re.findall(r"\b[RE]\d+\b", policies)),
        "unknown transaction": {charge.id for charge in own},
        "unknown refund": refunds | {refund for *_, refund in case.refunds()},
        "unknown date": {str(day) for day in [*days, TODAY]}
        | set(re.findall(ISO, policies + told)),
        "unknown amount": {dollars(n * charge.cents) for charge in own for n in (1, 2)},
        "unknown delay": {DELAY.partition(" ")[0], *re.findall(r"\b(\d+) days", policies)},
    }


def named_words(answer: str, email: str) -> dict[str, list[str]]:
    """Return what an answer names, in the one form that `known_words` uses."""
    dates = [str(day) for text in re.findall(LONG_DATE, answer) if (day := read_date(text))]
    return {
        "no rule": re.findall(r"\b[RE]\d+\b", answer),
        "unknown transaction": re.findall(r"\btxn_\w+", answer),
        "unknown refund": re.findall(r"\bref_\w+", answer),
        "unknown date": re.findall(ISO, answer) + dates,
        "unknown amount": [read_amount(match) for match in re.finditer(AMOUNT, email, re.I)],
        "unknown delay": [m[1].replace(" to ", "-").replace(" ", "") for m in DAYS.finditer(email)],
        "placeholder left:": re.findall(BRACKETS, email, re.I),
    }


def verify_words(output: OrchestratorOutput, case: Case, knowledge: Path) -> list[str]:
    """Return what an answer names that nobody knows: rules, ids, dates, amounts, placeholders."""
    email = plain(f"{output.customer_email.subject}\n{output.customer_email.body}")
    answer = plain(f"{output.research_summary}\n{output.final_action}") + "\n" + email
    known = known_words(case, knowledge)
    return [
        f"{what} {word}"
        for what, words in named_words(answer, email).items()
        for word in words
        if word not in known.get(what, ())
    ]


def read_date(text: str) -> date | None:
    """Return the day that "March 3rd, 2025" or "3 Mar 2025" names, or None: it is none."""
    month = next(i for i, name in enumerate(MONTHS, 1) if name in text)
    day, *year = map(int, re.findall(r"\d+", text))
    try:
        return date(year[0] if year else TODAY.year, month, day)
    except ValueError:
        return None


def read_amount(match: re.Match[str]) -> str:
    """Return an amount as `dollars` writes it, or as it stands if it is in no dollars."""
    number = (match["before"] or match["after"]).replace(",", "")
    if re.search("€|£|EUR|GBP|euro|pound", match[0], re.I):
        return match[0]
    return dollars(round(float(number) * 100))

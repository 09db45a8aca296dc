"""Guards a refund in code: mandate, verdict, approval, ledger. Notebook 06 builds it."""

import asyncio
import hashlib
import inspect
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from ..hub import Log
from ..tools import Arguments, ProgramError, Tool
from .gateway import (
    CHARGES,
    DELAY,
    REFUND_IDS,
    TODAY,
    WINDOW,
    Charge,
    dollars,
    duplicates,
    parse_cents,
)
from .roles import ComplianceVerdict


@dataclass(frozen=True)
class Mandate:
    """What one case is for and how far it may go: Mandate("Resolve …", refund_limit=5000)."""

    goal: str
    refund_limit: int = 5000  # cents: above it the tool refuses, for somebody else to decide
    budget: float = 1.00  # dollars for all agents of the case


@dataclass(frozen=True)
class ApprovalRequest:
    """What a person is asked to allow: one refund of one charge."""

    case: str
    transaction_id: str
    cents: int
    card: str
    reason: str


@dataclass(frozen=True)
class Approval:
    """A person's decision: Approval(False, "call the customer first")."""

    granted: bool
    reason: str = ""


Approve = Callable[[ApprovalRequest], Approval | Awaitable[Approval | None] | None]


class Refused(Exception):
    """A refund that may not happen; the text says why and goes to the model."""


class Ledger:
    """Refunds that were made, one for each transaction, in SQLite: in memory or in a file."""

    def __init__(self, path: str = ":memory:") -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS refunds "
            "(transaction_id TEXT PRIMARY KEY, customer TEXT, cents INTEGER, refund_id TEXT)"
        )

    def find(self, transaction_id: str) -> tuple[str, int] | None:
        """Return (refund id, cents) of a transaction that was refunded, or None."""
        query = "SELECT refund_id, cents FROM refunds WHERE transaction_id = ?"
        row = self._database.execute(query, (transaction_id,)).fetchone()
        return (row[0], row[1]) if row else None

    def refund(self, charge: Charge, cents: int) -> str:
        """Refund a charge once; the same again returns the same id. Refused: another amount."""
        invented = f"ref_{hashlib.sha256(charge.id.encode()).hexdigest()[:7]}"
        refund_id = REFUND_IDS.get(charge.id, invented)
        row = (charge.id, charge.customer, cents, refund_id)
        self._database.execute("INSERT OR IGNORE INTO refunds VALUES (?, ?, ?, ?)", row)
        found = self.find(charge.id)
        if found != (refund_id, cents):
            raise Refused(f"{charge.id} was already refunded with another amount")
        return refund_id

    def rows(self) -> list[tuple[str, str, int, str]]:
        """Return (transaction, customer, cents, refund id) of every refund, in order."""
        return list(self._database.execute("SELECT * FROM refunds ORDER BY rowid"))

    def close(self) -> None:
        self._database.close()


@dataclass
class Case:
    """One customer's issue: what may be done, who has agreed to it, and what was done."""

    customer: str
    mandate: Mandate
    ledger: Ledger = field(default_factory=Ledger)
    approve: Approve | None = None
    charges: tuple[Charge, ...] = CHARGES
    holds: dict[str, str] = field(default_factory=dict)  # customer: why nothing may be paid out
    verdict: ComplianceVerdict | None = None
    denied: dict[str, str] = field(default_factory=dict)  # transaction: why a person said no
    log: Log | None = None  # of the run, for what was asked of a person and decided
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def keep(self, verdict: ComplianceVerdict | None) -> None:
        """Keep the reviewer's newest verdict; no argument of a model carries it."""
        self.verdict = verdict

    def outside(self, what: str) -> AbstractAsyncContextManager[Any]:
        """Wait in here for a person, as long as it takes: the run's clock knows of it."""
        return self.log.clock.outside(what) if self.log else nullcontext()

    def note(self, kind: str, **facts: Any) -> None:
        if self.log:
            self.log.record(kind, "human", **facts)


def find_duplicate(case: Case) -> Charge:
    """Return the one charge that may be refunded. Refused: there is none, or more than one."""
    found = duplicates(case.charges, case.customer)
    if not found:
        raise Refused(f"{case.customer} has no duplicate charge")
    for charge in found:
        if charge.refund:
            raise Refused(f"{charge.id} was already refunded as {charge.refund}")
    if len(found) > 1:
        raise Refused(f"{len(found)} duplicates are open; a person has to choose")
    return found[0]


def check_refund(case: Case, amount: str, customer: str) -> Charge:
    """Return the charge that this refund would pay back. Refused: a rule forbids it."""
    if customer != case.customer:
        raise Refused(f"this case is about {case.customer}, not {customer}")
    if customer in case.holds:
        raise Refused(f"on hold: {case.holds[customer]}")
    charge, cents = find_duplicate(case), parse_cents(amount)
    if cents != charge.cents:
        raise Refused(f"{dollars(cents)} is not the {dollars(charge.cents)} of {charge.id}")
    if charge.settled is None or TODAY - charge.settled > WINDOW:
        raise Refused(f"{charge.id} settled on {charge.settled}: over {WINDOW.days} days ago")
    if cents > case.mandate.refund_limit:
        raise Refused(f"above the limit of {dollars(case.mandate.refund_limit)}: escalate")
    return charge


def check_verdict(case: Case, charge: Charge) -> None:
    """Refused: compliance has not approved exactly this refund."""
    verdict = case.verdict
    if verdict is None:
        raise Refused("no compliance verdict: delegate to compliance_reviewer first")
    bound = (verdict.case, verdict.transaction_id, verdict.amount_cents)
    if bound != (case.customer, charge.id, charge.cents):
        raise Refused(f"the compliance verdict is about {bound}, not about this refund")
    if not verdict.approved:
        raise Refused(f"compliance said no: {'; '.join(verdict.reasons)}")


async def ask_approval(case: Case, charge: Charge, reason: str) -> None:
    """Ask the person at the gate. Refused: nobody is there, no decision, or denied, for good."""
    if case.approve is None:
        raise Refused("there is no approval gate in this run, so no refund")
    if charge.id in case.denied:
        raise Refused(f"not approved: {case.denied[charge.id]}")
    request = ApprovalRequest(case.customer, charge.id, charge.cents, charge.card, reason)
    case.note("approval_asked", request=request)
    async with case.outside("an approval"):
        decision = case.approve(request)
        if inspect.isawaitable(decision):
            decision = await decision
    case.note("approval_given", request=request, decision=decision)
    if decision is None:
        raise Refused("not approved: no decision")
    if not hasattr(decision, "granted"):
        raise ProgramError(f"approve gave {decision!r}; it gives an Approval, or None")
    if decision.granted is not True:
        case.denied[charge.id] = decision.reason
        raise Refused(f"not approved: {decision.reason}")


class RefundArguments(Arguments):
    amount: str
    reason: str
    customer_id: str


def refund_tool(case: Case) -> Tool:
    """Return the refund as one case allows it; code checks every rule around the gate."""

    async def issue_refund(arguments: RefundArguments) -> str:
        async with case.lock:
            charge = check_refund(case, arguments.amount, arguments.customer_id)
            if not case.ledger.find(charge.id):
                check_verdict(case, charge)
                await ask_approval(case, charge, arguments.reason)
                charge = check_refund(case, arguments.amount, arguments.customer_id)
                check_verdict(case, charge)
            refund_id = case.ledger.refund(charge, charge.cents)
        return (
            f"refunded {dollars(charge.cents)} of {charge.id} to {charge.card}, "
            f"refund ID {refund_id}, {DELAY}"
        )

    return Tool(
        "issue_refund",
        "Refund the one duplicate charge of this case's customer to the original card. Needs the "
        "exact amount, an approving compliance verdict and a person's approval.",
        RefundArguments,
        issue_refund,
        acts=True,
    )

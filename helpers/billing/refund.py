"""Guards a refund in code: mandate, verdict, approval, ledger. Notebook 06 builds it."""

import asyncio
import hashlib
import inspect
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Protocol

from ..hub import Clock, Log
from ..tools import Arguments, ProgramError, Tool
from .gateway import (
    CHARGES,
    DELAY,
    REFUND_IDS,
    TODAY,
    WINDOW,
    Charge,
    Debt,
    debts,
    dollars,
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

    def __str__(self) -> str:
        what = f"{dollars(self.cents)} of {self.transaction_id} back to {self.card}"
        return f"Pay {self.case} {what}? Reason: {self.reason}"


@dataclass(frozen=True)
class Approval:
    """A person's decision: Approval(False, "call the customer first")."""

    granted: bool
    reason: str = ""


class Decision(Protocol):
    """What an approve function gives back: an Approval, or another answer that says the same."""

    @property
    def granted(self) -> bool: ...

    @property
    def reason(self) -> str: ...


Approve = Callable[[ApprovalRequest], Decision | Awaitable[Decision | None] | None]


class Refused(Exception):
    """A refund that may not happen; the text says why and goes to the model."""


@dataclass(eq=False)
class Review:
    """One compliance review: the prompt it was given, and in the end its verdict, if it has one."""

    prompt: str
    open: bool = True
    verdict: ComplianceVerdict | None = None


class Ledger:
    """Refunds that were made, one for each debt, in SQLite: in memory or in a file."""

    TABLE = """CREATE TABLE refunds (
        debt TEXT PRIMARY KEY, transaction_id TEXT UNIQUE NOT NULL,
        customer TEXT NOT NULL, cents INTEGER NOT NULL, refund_id TEXT NOT NULL)"""

    def __init__(self, path: str = ":memory:") -> None:
        """Open or make it. ValueError: the file has a table that would not keep a debt once."""
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute(self.TABLE.replace("TABLE", "TABLE IF NOT EXISTS"))
        made = "SELECT sql FROM sqlite_master WHERE name = 'refunds'"
        if self._database.execute(made).fetchone() != (self.TABLE,):
            self.close()
            raise ValueError(f"{path} has another table of refunds: use a new file")

    def find(self, debt: Debt) -> tuple[str, int, str] | None:
        """Return (transaction, cents, refund id) of what was paid back of this pair, or None."""
        query = (
            "SELECT transaction_id, cents, refund_id FROM refunds "
            "WHERE debt = ? OR transaction_id IN (?, ?)"
        )
        found = self._database.execute(query, (debt.key, debt.charge.id, debt.first.id)).fetchone()
        return (found[0], found[1], found[2]) if found else None

    def refund(self, debt: Debt) -> str:
        """Pay a debt back once; the same again returns the same id. Refused: it was, as another."""
        charge = debt.charge
        invented = f"ref_{hashlib.sha256(charge.id.encode()).hexdigest()[:7]}"
        refund_id = REFUND_IDS.get(charge.id, invented)
        row = (debt.key, charge.id, charge.customer, charge.cents, refund_id)
        self._database.execute("BEGIN IMMEDIATE")  # other processes wait: look and pay are one
        with self._database:
            if self.find(debt) is None:
                self._database.execute("INSERT INTO refunds VALUES (?, ?, ?, ?, ?)", row)
            paid = self.find(debt)
        if paid != (charge.id, charge.cents, refund_id):
            raise Refused(f"already refunded: {paid}")
        return refund_id

    def rows(self) -> list[tuple[str, str, int, str]]:
        """Return (transaction, customer, cents, refund id) of every refund, in order."""
        query = "SELECT transaction_id, customer, cents, refund_id FROM refunds ORDER BY rowid"
        return list(self._database.execute(query))

    def close(self) -> None:
        self._database.close()


@dataclass
class Case:
    """One customer's issue: what may be done, who has agreed to it, and what was done."""

    customer: str
    mandate: Mandate
    ledger: Ledger | None = None  # without one nothing is paid: two cases must share theirs
    approve: Approve | None = None
    charges: tuple[Charge, ...] = CHARGES
    holds: dict[str, str] = field(default_factory=dict)  # customer: why nothing may be paid out
    reviews: list[Review] = field(default_factory=list)  # the newest, the last, counts
    denied: dict[str, str] = field(default_factory=dict)  # debt: why a person said no
    log: Log = field(default_factory=lambda: Log(Clock()))  # of the run
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def review(self, prompt: str) -> Callable[[ComplianceVerdict | None], None]:
        """Open a review; return the function that closes it with its verdict, or with None."""
        review = Review(prompt)
        self.reviews.append(review)

        def close(verdict: ComplianceVerdict | None) -> None:
            review.open, review.verdict = False, verdict

        return close

    def refunds(self) -> list[tuple[str, str, int, str]]:
        """Return the ledger's rows about charges of this case: a ledger may serve many."""
        own = {charge.id for charge in self.charges if charge.customer == self.customer}
        return [row for row in self.ledger.rows() if row[0] in own] if self.ledger else []


def find_debt(case: Case) -> Debt:
    """Return the one debt that may be paid back. Refused: there is none, or more than one."""
    found = debts(case.charges, case.customer)
    if not found:
        raise Refused(f"{case.customer} has no duplicate charge")
    for charge in [charge for debt in found for charge in (debt.charge, debt.first)]:
        if charge.refund:
            raise Refused(f"{charge.id} was already refunded as {charge.refund}")
    if len(found) > 1:
        raise Refused(f"{len(found)} duplicates are open; a person has to choose")
    return found[0]


def check_refund(case: Case, amount: str, customer: str) -> Debt:
    """Return the debt that this refund would pay back. Refused: a rule forbids it."""
    if customer != case.customer:
        raise Refused(f"this case is about {case.customer}, not {customer}")
    if customer in case.holds:
        raise Refused(f"on hold: {case.holds[customer]}")
    debt, cents = find_debt(case), parse_cents(amount)
    charge = debt.charge
    if cents != charge.cents:
        raise Refused(f"{dollars(cents)} is not the {dollars(charge.cents)} of {charge.id}")
    if charge.settled is None or not timedelta(0) <= TODAY - charge.settled <= WINDOW:
        raise Refused(f"{charge.id} settled on {charge.settled}: over {WINDOW.days} days ago")
    if cents > case.mandate.refund_limit:
        raise Refused(f"above the limit of {dollars(case.mandate.refund_limit)}: escalate")
    return debt


def check_verdict(case: Case, charge: Charge) -> Review:
    """Return the newest review. Refused: one is open, or it has not approved exactly this."""
    if any(review.open for review in case.reviews):
        raise Refused("a compliance review is still open: wait for its answer")
    verdict = case.reviews[-1].verdict if case.reviews else None
    if verdict is None:
        raise Refused("no compliance verdict: delegate to compliance_reviewer first")
    bound = (verdict.case, verdict.transaction_id, verdict.amount_cents)
    if bound != (case.customer, charge.id, charge.cents):
        raise Refused(f"the compliance verdict is about {bound}, not about this refund")
    if not verdict.approved:
        raise Refused(f"compliance said no: {'; '.join(verdict.reasons)}")
    return case.reviews[-1]


async def decide(approve: Approve, request: ApprovalRequest) -> tuple[bool, str] | None:
    """Return what an approve function decides, however long it takes. ProgramError: it is odd."""
    decision = approve(request)
    if inspect.isawaitable(decision):
        decision = await decision
    if decision is None:
        return None
    if not hasattr(decision, "granted"):
        raise ProgramError(f"approve gave {decision!r}; it gives an Approval, or None")
    return decision.granted, decision.reason


async def ask_approval(case: Case, debt: Debt, reason: str) -> None:
    """Ask the person at the gate. Refused: nobody is there, no decision, or denied, for good."""
    if case.approve is None:
        raise Refused("there is no approval gate in this run, so no refund")
    if case.ledger is None:
        raise Refused("there is no ledger in this run, so no refund")
    if debt.key in case.denied:
        raise Refused(f"not approved: {case.denied[debt.key]}")
    charge = debt.charge
    request = ApprovalRequest(case.customer, charge.id, charge.cents, charge.card, reason)
    case.log.record("approval_asked", "human", request=request)
    go = partial(decide, case.approve, request)
    said = await case.log.clock.ask("an approval", str(request), go)
    decision = Approval(*said) if said else None
    case.log.record("approval_given", "human", request=request, decision=decision)
    if decision is None:
        raise Refused("not approved: no decision")
    if decision.granted is not True:
        case.denied[debt.key] = decision.reason
        raise Refused(f"not approved: {decision.reason}")


async def pay_back(case: Case, amount: str, customer: str, reason: str) -> tuple[Debt, str]:
    """Return the debt and its refund id once every check has passed twice. Refused: one has not."""
    debt = check_refund(case, amount, customer)
    if not (case.ledger and case.ledger.find(debt)):
        agreed = debt, check_verdict(case, debt.charge), case.approve
        await ask_approval(case, debt, reason)
        debt = check_refund(case, amount, customer)
        if (debt, check_verdict(case, debt.charge), case.approve) != agreed:
            raise Refused("the case changed while a person decided: it has to be asked for anew")
    assert case.ledger, "ask_approval refuses a case without one"
    return debt, case.ledger.refund(debt)


class RefundArguments(Arguments):
    amount: str
    reason: str
    customer_id: str


def refund_tool(case: Case) -> Tool:
    """Return the refund as one case allows it; code checks every rule around the gate."""

    async def issue_refund(arguments: RefundArguments) -> str:
        async with case.lock:
            asked = arguments.amount, arguments.customer_id, arguments.reason
            debt, refund_id = await pay_back(case, *asked)
        paid = f"{dollars(debt.charge.cents)} of {debt.charge.id} to {debt.charge.card}"
        return f"refunded {paid}, refund ID {refund_id}, {DELAY}"

    return Tool(
        "issue_refund",
        "Refund the one duplicate charge of this case's customer to the original card. Needs the "
        "exact amount, an approving compliance verdict and a person's approval.",
        RefundArguments,
        issue_refund,
        acts=True,
    )

"""Checks of notebook 06, guard the refund."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from ..billing.gateway import CHARGES, Debt, dollars
from ..billing.refund import Approval, ApprovalRequest, Ledger
from .exercises import Check

CHARGE = {charge.id: charge for charge in CHARGES}
TWO = ("txn_8f3k2j1", "txn_k5t8r20")  # $49.99 each
LAST = "txn_h9c2v51"  # $24.99
SETTLES = date(2025, 2, 12)


def request(cents: int, reason: str = "duplicate", charge: str = LAST) -> ApprovalRequest:
    return ApprovalRequest(CHARGE[charge].customer, charge, cents, CHARGE[charge].card, reason)


async def decided(answer: Any, request: ApprovalRequest) -> Any:
    """Return the decision of an approve function, which may be async."""
    decision = answer(request)
    return await decision if inspect.isawaitable(decision) else decision


def odd(decision: Any) -> str | None:
    """Return what is wrong with a decision's type, or None."""
    if decision is ...:
        return "the dots are still there"
    if decision is None or isinstance(getattr(decision, "granted", None), bool):
        return None
    return f"the answer should be an Approval or None, not {decision!r}"


def said(decision: Any) -> bool | None:
    """Return yes, no, or None for no decision."""
    return None if decision is None else bool(decision.granted)


async def check_policy(answer: Any) -> str | None:
    for cents in (2_500, 2_501):
        if problem := odd(await decided(answer, request(cents))):
            return problem
    for cents in (4_999, 2_501):
        if said(await decided(answer, request(cents))) is not None:
            return f"{dollars(cents)} is for a person to decide: return None"
    for cents in (1, 2_499, 2_500):
        if said(await decided(answer, request(cents))) is not True:
            return f"{dollars(cents)} with a reason should be granted"
    for reason in ("", "  "):
        if said(await decided(answer, request(1_000, reason))) is not False:
            return f"{dollars(1_000)} with the reason {reason!r} should be denied"
    return None


async def check_day_limit(answer: Any) -> str | None:
    ledger, asked = Ledger(), []

    def yes(request: ApprovalRequest) -> Approval:
        asked.append(request.transaction_id)
        return Approval(True)

    ask = answer(ledger, 12_497, yes)
    if not callable(ask):
        return "it should return a function of the request"
    if problem := odd(await decided(ask, request(4_999, charge=TWO[0]))):
        return problem
    asked.clear()
    for paid, charge in enumerate(TWO):
        if said(await decided(ask, request(4_999, charge=charge))) is not True:
            return f"with {dollars(paid * 4_999)} paid, $49.99 is within the limit of $124.97"
        ledger.refund(Debt(CHARGE[charge], replace(CHARGE[charge], id=charge + "_first")))
    if said(await decided(ask, request(2_500))) is not False:
        return "$99.98 is paid and the limit $124.97, so $25.00 more should be denied"
    if asked != list(TWO):
        return f"`approve` was asked about {asked}: it should be asked once within the limit, only"
    if said(await decided(ask, request(2_499))) is not True:
        return "$99.98 and $24.99 are the limit of $124.97 to the cent, and that is allowed"
    for decision in (Approval(False, "no"), None):
        ask = answer(Ledger(), 12_497, lambda _, decision=decision: decision)
        if said(await decided(ask, request(2_499))) is not said(decision):
            return f"`approve` said {decision}, and that should stand"
    return None


@dataclass
class Sent:
    """The same shape as in the notebook: a refund on its way."""

    refund_id: str
    settles: date
    voided: bool = False


def refused(undo: Callable[[Any, date], Any], sent: Sent, today: date) -> str | None:
    """Return the text of the refusal, or None if there was none."""
    try:
        undo(sent, today)
    except Exception as error:
        if type(error).__name__ != "Refused":
            raise
        return str(error)
    return None


async def check_undo(answer: Any) -> str | None:
    if inspect.iscoroutinefunction(answer):
        return "a plain function is enough here"
    before, after = SETTLES - timedelta(days=1), SETTLES + timedelta(days=1)
    sent = Sent("ref_9x2m4p7", SETTLES)
    for attempt in ("first", "second"):
        text = answer(sent, before)
        if not isinstance(text, str) or sent.refund_id not in text:
            return (
                f"before it settles, the {attempt} undo should return a text with the refund's id"
            )
        if sent.voided is not True:
            return "before it settles, it should set `voided`"
    if refused(answer, sent, after) is not None or not sent.voided:
        return "it was voided in time; a later undo changes nothing and is no error"
    for day in (SETTLES, after):
        sent = Sent("ref_9x2m4p7", SETTLES)
        reason = refused(answer, sent, day)
        if reason is None:
            return f"it settled on {SETTLES}: on {day} it should raise Refused"
        if sent.voided:
            return "a settled refund must not be marked as voided"
        if "undone" not in reason or not re.search(r"\b(no|not|never)\b|n't", reason):
            return "the refusal should say that it can't be undone"
    return None


CHECKS: dict[str, Check] = {
    "06.1": check_policy,
    "06.2": check_day_limit,
    "06.3": check_undo,
}

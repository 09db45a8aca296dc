"""Answers to the exercises of notebook 06, right and wrong ones."""

from collections.abc import Callable
from datetime import date
from typing import Any

from helpers.billing.refund import Approval, ApprovalRequest, Ledger, Refused
from helpers.lessons.lesson_06 import Sent

Ask = Callable[[ApprovalRequest], Any]


def policy(request: ApprovalRequest) -> Approval | None:
    if request.cents > 2_500:
        return None
    return Approval(bool(request.reason.strip()))


def grants_all(request: ApprovalRequest) -> Approval:
    return Approval(True)


def too_strict(request: ApprovalRequest) -> Approval | None:
    return Approval(True) if request.cents < 2_500 else None


def reason_ignored(request: ApprovalRequest) -> Approval | None:
    return Approval(True) if request.cents <= 2_500 else None


def empty_only(request: ApprovalRequest) -> Approval | None:
    return Approval(bool(request.reason)) if request.cents <= 2_500 else None


def says_true(request: ApprovalRequest) -> bool:
    return True


def total(ledger: Ledger) -> int:
    return sum(cents for _, _, cents, _ in ledger.rows())


def day_limit(ledger: Ledger, limit: int, approve: Ask) -> Ask:
    def ask(request: ApprovalRequest) -> Any:
        over = total(ledger) + request.cents > limit
        return Approval(False, "over the limit") if over else approve(request)

    return ask


def no_limit(ledger: Ledger, limit: int, approve: Ask) -> Ask:
    return approve


def read_too_early(ledger: Ledger, limit: int, approve: Ask) -> Ask:
    paid = total(ledger)

    def ask(request: ApprovalRequest) -> Any:
        return Approval(False) if paid + request.cents > limit else approve(request)

    return ask


def without_this_one(ledger: Ledger, limit: int, approve: Ask) -> Ask:
    return lambda request: Approval(False) if total(ledger) > limit else approve(request)


def one_cent_short(ledger: Ledger, limit: int, approve: Ask) -> Ask:
    return day_limit(ledger, limit - 1, approve)


def never_asks(ledger: Ledger, limit: int, approve: Ask) -> Ask:
    return day_limit(ledger, limit, lambda request: Approval(True))


def asks_first(ledger: Ledger, limit: int, approve: Ask) -> Ask:
    def ask(request: ApprovalRequest) -> Any:
        decision = approve(request)
        return Approval(False) if total(ledger) + request.cents > limit else decision

    return ask


def undo(sent: Sent, today: date) -> str:
    if not sent.voided and today >= sent.settles:
        raise Refused(f"{sent.refund_id} has settled; it can't be undone")
    sent.voided = True
    return f"{sent.refund_id} is voided"


def always_undone(sent: Sent, today: date) -> str:
    sent.voided = True
    return f"{sent.refund_id} is voided"


def one_day_late(sent: Sent, today: date) -> str:
    if not sent.voided and today > sent.settles:
        raise Refused("it can't be undone")
    return always_undone(sent, today)


def date_first(sent: Sent, today: date) -> str:
    if today >= sent.settles:
        raise Refused("it can't be undone")
    return always_undone(sent, today)


def not_marked(sent: Sent, today: date) -> str:
    return f"{sent.refund_id} is voided"


def not_honest(sent: Sent, today: date) -> str:
    if not sent.voided and today >= sent.settles:
        raise Refused("please try later")
    return always_undone(sent, today)


def no_longer(sent: Sent, today: date) -> str:
    if not sent.voided and today >= sent.settles:
        raise Refused("it can no longer be undone")
    return always_undone(sent, today)


def other_error(sent: Sent, today: date) -> str:
    if not sent.voided and today >= sent.settles:
        raise ValueError("it can't be undone")
    return always_undone(sent, today)


RIGHT: list[tuple[str, Any]] = [
    ("06.1", policy),
    ("06.2", day_limit),
    ("06.3", undo),
    ("06.3", no_longer),
]

WRONG: list[tuple[str, Any, str]] = [
    ("06.1", says_true, "an Approval or None, not True"),
    ("06.1", grants_all, "for a person to decide"),
    ("06.1", too_strict, "$25.00 with a reason"),
    ("06.1", reason_ignored, "the reason '' should be denied"),
    ("06.1", empty_only, "the reason '  ' should be denied"),
    ("06.2", lambda *_: None, "a function of the request"),
    ("06.2", lambda *_: says_true, "an Approval or None, not True"),
    ("06.2", no_limit, "$25.00 more should be denied"),
    ("06.2", read_too_early, "$25.00 more should be denied"),
    ("06.2", without_this_one, "$25.00 more should be denied"),
    ("06.2", one_cent_short, "to the cent"),
    ("06.2", never_asks, "asked once within the limit"),
    ("06.2", asks_first, "asked once within the limit"),
    ("06.3", always_undone, "should raise Refused"),
    ("06.3", one_day_late, "on 2025-02-12 it should raise Refused"),
    ("06.3", date_first, "changes nothing"),
    ("06.3", not_marked, "set `voided`"),
    ("06.3", not_honest, "can't be undone"),
    ("06.3", other_error, "raised ValueError"),
]

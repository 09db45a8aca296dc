"""The billing world: charges, duplicates and the payment gateway. Notebook 05 builds it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from ..tools import Arguments, Tool

TODAY = date(2025, 2, 10)  # the day on which the cases are worked on
WINDOW = timedelta(days=60)  # for duplicates, counted from the settlement

DELAY = "3-5 business days"  # the gateway's own; the letter may not promise another

GATEWAY = """
txn_8f3k2j0, cust_12345, INV-2025-0201, 4999, 2025-02-01 09:14:05, 2025-02-02, Visa 4242
txn_8f3k2j1, cust_12345, INV-2025-0201, 4999, 2025-02-01 09:14:46, 2025-02-02, Visa 4242
txn_4d7q1a0, cust_20417, INV-2025-0203/1, 1999, 2025-02-03 11:02:10, 2025-02-04, Visa 1881
txn_4d7q1a1, cust_20417, INV-2025-0203/2, 1999, 2025-02-03 11:02:10, 2025-02-04, Visa 1881
txn_b2m9x40, cust_33910, INV-2025-0198, 58800, 2025-01-30 16:20:00, 2025-01-31, Mastercard 5510
txn_b2m9x41, cust_33910, INV-2025-0198, 58800, 2025-01-30 16:23:12, 2025-01-31, Mastercard 5510
txn_k5t8r20, cust_41276, INV-2025-0187, 4999, 2025-02-01 08:00:03, 2025-02-02, Visa 0077
txn_k5t8r21, cust_41276, INV-2025-0187, 4999, 2025-02-01 08:00:57, 2025-02-02, Visa 0077, ref_5k1
txn_p3w6z70, cust_58803, INV-2024-1119, 2999, 2024-11-19 20:41:00, 2024-11-20, Visa 3305
txn_p3w6z71, cust_58803, INV-2024-1119, 2999, 2024-11-19 20:41:09, 2024-11-20, Visa 3305
txn_h9c2v50, cust_66152, INV-2025-0204, 2499, 2025-02-03 13:30:30, 2025-02-04, Visa 8812
txn_h9c2v51, cust_66152, INV-2025-0204, 2499, 2025-02-03 13:31:11, 2025-02-04, Visa 8812
"""


@dataclass(frozen=True)
class Charge:
    """A charge as the gateway knows it: Charge("txn_8f3k2j1", "cust_12345", …)."""

    id: str
    customer: str
    invoice: str
    cents: int
    time: datetime
    settled: date | None
    card: str
    refund: str | None = None  # a refund that was made before this case


def read_charges(table: str) -> tuple[Charge, ...]:
    """Return the charges of a table like GATEWAY: one a line, fields parted by commas."""
    charges = []
    for line in table.strip().splitlines():
        id, customer, invoice, cents, time, settled, card, *refund = line.split(", ")
        when, day = datetime.fromisoformat(time), date.fromisoformat(settled)
        charges.append(Charge(id, customer, invoice, int(cents), when, day, card, *refund))
    return tuple(charges)


CHARGES = read_charges(GATEWAY)


REFUND_IDS = {"txn_8f3k2j1": "ref_9x2m4p7"}  # what the gateway would answer


def dollars(cents: int) -> str:
    return f"${cents // 100:,}.{cents % 100:02}"


def parse_cents(amount: str) -> int:
    """Return an amount such as "$1,234.56" in cents. ValueError: it is not dollars and cents."""
    form = r"\$?(\d{1,3}(?:,\d{3}){1,2}|\d{1,7})\.(\d\d)"
    match = re.fullmatch(form, amount.strip(), flags=re.ASCII)
    if not match:
        raise ValueError(f"an amount is written like 49.99, not {amount!r}")
    return int(match[1].replace(",", "")) * 100 + int(match[2])


def is_settled(charge: Charge) -> bool:
    return charge.settled is not None and charge.settled <= TODAY


def is_duplicate(second: Charge, first: Charge) -> bool:
    """Rule R1: same customer, invoice and amount, at most 24 h apart, both settled."""
    same = (first.customer, first.invoice, first.cents) == (
        second.customer,
        second.invoice,
        second.cents,
    )
    soon = timedelta(0) < second.time - first.time <= timedelta(days=1)
    return same and soon and first.cents > 0 and is_settled(first) and is_settled(second)


@dataclass(frozen=True)
class Debt:
    """What is owed back, once: the later of two equal charges. Debt(second, first)."""

    charge: Charge
    first: Charge

    @property
    def key(self) -> str:
        """The name of the pair, whichever of the two is paid back."""
        return "+".join(sorted((self.charge.id, self.first.id)))


def debts(charges: Iterable[Charge], customer: str) -> list[Debt]:
    """Return a debt for each charge of a customer that repeats an earlier one, paid back or not."""
    own = [charge for charge in charges if charge.customer == customer]
    pairs = [
        [Debt(second, first) for first in own if is_duplicate(second, first)] for second in own
    ]
    return [found[0] for found in pairs if found]


class GatewayArguments(Arguments):
    transaction_date: str
    amount: str


def gateway_tool(customer: str, charges: Iterable[Charge] = CHARGES) -> Tool:
    """Return the payment gateway as one case sees it: the charges of its customer, no others."""

    async def check_payment_gateway(arguments: GatewayArguments) -> str:
        cents, day = parse_cents(arguments.amount), date.fromisoformat(arguments.transaction_date)
        found = [c for c in charges if c.customer == customer and c.cents == cents]
        lines = [charge_lines(charge) for charge in found if charge.time.date() == day]
        start = f"Payment gateway, {day}, {dollars(cents)}: "
        return start + ("\n".join(["", *lines]) if lines else "no such transaction")

    return Tool(
        "check_payment_gateway",
        "Look up this customer's card charges of one day and amount: status, settlement, refunds.",
        GatewayArguments,
        check_payment_gateway,
    )


def charge_lines(charge: Charge) -> str:
    """Return a charge in the gateway's words; "eligible" is the gateway's view, not our policy."""
    free = charge.settled is not None and charge.refund is None
    no = f"NO, refunded as {charge.refund}" if charge.refund else "NO, not settled"
    kind, _, last4 = charge.card.partition(" ")
    return (
        f"- Transaction ID: {charge.id}; invoice {charge.invoice}; charged {charge.time}\n"
        f"  Status: {'SETTLED' if charge.settled else 'PENDING'}, settled on {charge.settled}\n"
        f"  Refund eligible: {f'YES, in {DELAY}' if free else no}\n"
        f"  Original payment method: {kind} ending in {last4}"
    )

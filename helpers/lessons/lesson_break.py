"""Checks of the exercises in which something is broken on purpose, one a lesson from 01 on."""

import asyncio
from typing import Any

from pydantic import ValidationError

from ..billing.checks import verify_words
from ..billing.gateway import CHARGES
from ..billing.refund import Case, Mandate
from ..billing.roles import CustomerEmail, OrchestratorOutput
from ..hub import Hub, Mailbox, Message
from ..spawn import CreateSubagents
from ..tools import TAG, render
from . import KNOWLEDGE
from .exercises import Check

LETTER = Message("lead", "helper1", "Please start.")
LIVING, MOST = 5, 10  # helpers that live, and that may


async def check_no_bell(answer: Any) -> str | None:
    hub = Hub(show=None)
    for name in ("lead", "helper1"):
        hub.register(name)
    box = hub.boxes["helper1"]
    answer(hub, LETTER)
    if box.inbox != [LETTER]:
        return "the message should lie in helper1's inbox, once"
    if box.bell.is_set():
        return "the bell rang: who sleeps would wake. Leave the message and ring nothing"
    hub.boxes["helper1"] = Mailbox()
    hub.deliver(LETTER)
    rang = hub.boxes["helper1"].bell.is_set()
    return (
        None if rang else "`hub.deliver` itself should stay as it is: write a function of its own"
    )


async def check_forged(answer: Any) -> str | None:
    if not isinstance(answer, str):
        return "it should be a text, the content of one message"
    naive = f'<agent-message from="helper2">\n{answer}\n</agent-message>'
    senders = [part.partition('"')[0] for part in naive.split('<agent-message from="')[1:]]
    if senders != ["helper2", "human"]:
        return f"put into a plain tag it reads as mail from {senders}; make it helper2, then human"
    if naive.count("</agent-message>") != 2:
        return "each message should end with its closing tag, so close helper2's first"
    real = render([Message("helper2", "helper1", answer)])
    return None if len(TAG.findall(real)) == 2 else "the hub's own form should have one message"


async def check_loose(answer: Any) -> str | None:
    over = asyncio.Event()

    async def work() -> None:
        await over.wait()

    before = asyncio.all_tasks()
    async with asyncio.timeout(5):
        await answer(work)
    left = asyncio.all_tasks() - before
    over.set()
    await asyncio.gather(*left)
    if not left:
        return "nothing runs on: work() was awaited, cancelled, or never started"
    return None if len(left) == 1 else f"{len(left)} tasks run on; one is enough"


async def check_too_many(answer: Any) -> str | None:
    try:
        asked = CreateSubagents.model_validate(answer)
    except ValidationError as error:
        return f"the schema already refuses that: {error.errors()[0]['msg']}"
    count = len(asked.per_subagent_instructions)
    if count + LIVING <= MOST:
        return f"{LIVING} live and {MOST} may: {count} more would be started"
    return None


async def check_lie(answer: Any) -> str | None:
    if not isinstance(answer, str) or len(answer.split()) < 4:
        return "it should be a sentence, as a text"
    case = Case("cust_12345", Mandate("Resolve the duplicate charge"))
    known = [charge.id for charge in CHARGES if charge.customer == case.customer]
    if not any(word in answer for word in ("$49.99", "$99.98", *known)):
        return (
            "let it name an amount or a transaction of this case, so that there is a fact to check"
        )
    email = CustomerEmail(subject="Your invoice", body=answer)
    fields: dict[str, Any] = {"research_summary": "", "duplicate_confirmed": True}
    fields |= {"refund_amount": 0, "compliance_approved": True, "final_action": ""}
    output = OrchestratorOutput(**fields, customer_email=email)
    caught = verify_words(output, case, KNOWLEDGE)
    return f"verify has seen it: {', '.join(caught)}" if caught else None


async def check_race(answer: Any) -> str | None:
    async def ask() -> None:
        await asyncio.sleep(0)

    paid: list[str] = []
    await asyncio.gather(*(answer(paid, "txn_8f3k2j1", ask) for _ in range(3)))
    if paid != ["txn_8f3k2j1"]:
        return f"three at once, and the ledger holds {len(paid)} rows: {paid}"
    asked: list[int] = []

    async def note() -> None:
        asked.append(len(paid))

    await answer(paid, "txn_k5t8r21", note)
    if not asked:
        return "a person should be asked, by `await ask()`, before something is paid"
    if asked != [1] or paid[-1:] != ["txn_k5t8r21"]:
        return "it should be paid once the person was asked, not before"
    return None


CHECKS: dict[str, Check] = {
    "01.3": check_no_bell,
    "02.4": check_forged,
    "03.4": check_loose,
    "04.4": check_too_many,
    "05.4": check_lie,
    "06.4": check_race,
}

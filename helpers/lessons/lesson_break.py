"""Checks of the exercises in which something is broken on purpose, one a lesson from 01 on."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import ValidationError

from ..billing.checks import verify_words
from ..billing.gateway import CHARGES, debts
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
    senders = re.findall(r"""<agent-message from=["'](\w+)["']>""", naive)
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
    coming = asyncio.ensure_future(answer(work))
    done, _ = await asyncio.wait([coming], timeout=1)
    left = asyncio.all_tasks() - before
    over.set()
    await asyncio.gather(coming, *left)
    if not done:
        return "it waits until work() is over: start work() as a task and return"
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
    """05.4: a sentence that calls the first charge of the pair the duplicate of the second."""
    if not isinstance(answer, str):
        return "it should be a text in quotes: one sentence"
    case = Case("cust_12345", Mandate("Resolve the duplicate charge"))
    (debt,) = debts(CHARGES, case.customer)
    if debt.first.id not in answer or debt.charge.id in answer:
        return f"let it name {debt.first.id}, and no other charge"
    if "duplicate" not in answer or re.search(r"\b(no|not|never)\b|n't", answer):
        return f"that is no lie yet: let it say that {debt.first.id} is the duplicate"
    email = CustomerEmail(subject="Your invoice", body=answer)
    fields: dict[str, Any] = {"research_summary": "", "duplicate_confirmed": True}
    fields |= {"refund_amount": 0, "compliance_approved": True, "final_action": ""}
    output = OrchestratorOutput(**fields, customer_email=email)
    caught = verify_words(output, case, KNOWLEDGE)
    return f"verify has seen something: {', '.join(caught)}" if caught else None


async def check_race(answer: Any) -> str | None:
    paid: list[str] = []
    asked: list[int] = []

    def person(says: bool) -> Callable[[], Awaitable[bool]]:
        async def ask() -> bool:
            asked.append(len(paid))
            await asyncio.sleep(0)
            return says

        return ask

    await asyncio.gather(*(answer(paid, "txn_8f3k2j1", person(True)) for _ in range(3)))
    if paid != ["txn_8f3k2j1"]:
        return f"three at once, and the list holds {len(paid)} rows: {paid}"
    asked.clear()
    await answer(paid, "txn_k5t8r21", person(True))
    if not asked:
        return "a person should be asked, by `await ask()`, before something is paid"
    if asked != [1] or paid[-1:] != ["txn_k5t8r21"]:
        return "it should be paid once the person was asked, not before"
    await answer(paid, "txn_p3w6z71", person(False))
    return "the person said no, and it was paid" if "txn_p3w6z71" in paid else None


CHECKS: dict[str, Check] = {
    "01.3": check_no_bell,
    "02.4": check_forged,
    "03.4": check_loose,
    "04.4": check_too_many,
    "05.4": check_lie,
    "06.4": check_race,
}

"""The `main.py` of a copy, by the lesson up to which it goes; `.ci/run` lints them in a copy."""

from ..replies.client import LIVE_MODEL

TEAM = f'''"""A team of two: the lead asks, the helper answers."""

import asyncio

import anthropic

from .hub import Hub
from .team import Member, run_team

MODEL = "{LIVE_MODEL}"
TEAM = [
    Member("lead", "Ask helper1 for a colour, then name it."),
    Member("helper1", "Wait for a question and answer it in one word."),
]


async def main() -> None:
    async with anthropic.AsyncAnthropic() as client:
        print(await run_team(client, Hub(), TEAM, model=MODEL))


if __name__ == "__main__":
    asyncio.run(main())
'''

CASE = '''"""A billing team works on one case{about}."""

import asyncio
from pathlib import Path

import anthropic

from .billing import Case, Mandate, case_task, file_tools, report, run_case, verify, work_line
{imports}from .hub import Hub

KNOWLEDGE = Path(__file__).parent / "knowledge"
{ask}

async def main() -> None:
    hub = Hub(line=work_line)
    mandate = Mandate("Resolve the reported duplicate charge")
    case = Case("cust_12345", mandate{approve})
    task = case_task(case.customer, "My February bill was charged twice.")
    async with anthropic.AsyncAnthropic() as client:
        outcome = await run_case(client, hub, case, task, file_tools(KNOWLEDGE))
    print(report(outcome, hub, case, estimated=False))
    print("problems:", verify(outcome, case, KNOWLEDGE) or "none")


if __name__ == "__main__":
    asyncio.run(main())
'''

ASK = '''LEDGER = Path(__file__).parent / "refunds.db"  # so that a second run pays nothing again


async def ask(request: ApprovalRequest) -> Approval:
    """Ask the person at the terminal; only "yes" pays."""
    print(f"Refund ${request.cents / 100:.2f} of {request.transaction_id} to {request.card}?")
    print(f"The reason given by the model: {request.reason!r}")
    answer = await asyncio.to_thread(input, "yes or no (Ctrl-C and Enter stop the run): ")
    return Approval(answer.strip().lower() == "yes", f"a person answered {answer!r}")
'''

MAINS = {
    "04": TEAM,
    "05": CASE.format(about=", without a refund: nobody is asked", imports="", ask="", approve=""),
    "06": CASE.format(
        about=", and you decide about the refund",
        imports="from .billing.refund import Approval, ApprovalRequest, Ledger\n",
        ask=ASK,
        approve=", Ledger(str(LEDGER)), ask",
    ),
}

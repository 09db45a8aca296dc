"""The `main.py` of a copy, by the lesson up to which it goes; `.ci/run` lints them in a copy."""

from ..replies.client import LIVE_MODEL

END = """

if __name__ == "__main__":
    if "ANTHROPIC_API_KEY" not in os.environ:
        raise SystemExit("ANTHROPIC_API_KEY is not set: with it, this asks the API and costs money")
    asyncio.run(main())
"""

TEAM = f'''"""A team of two: the lead asks, the helper answers."""

import asyncio
import os

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
'''

CASE = '''"""A billing team works on one case{about}."""

import asyncio
import os
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
'''

ASK = '''LEDGER = Path(__file__).parent / "refunds.db"  # so that a second run pays nothing again


async def ask(request: ApprovalRequest) -> Approval:
    """Ask the person at the terminal; only "yes" pays."""
    print(request)
    answer = await asyncio.to_thread(input, "yes or no (Ctrl-C and Enter stop the run): ")
    return Approval(answer.strip().lower() == "yes", f"a person answered {answer!r}")
'''

STEERED = f'''"""A team that you steer at the terminal: it asks you, also at its limit."""

import asyncio
import os

import anthropic

from .budget import Budget
from .hooks import compose
from .hub import Clock
from .run import Run
from .team import Member, run_team
from .tools import Arguments, Tool

MODEL = "{LIVE_MODEL}"
TEAM = [
    Member("lead", "Ask helper1 for a name for a cat, ask the person if it will do, and name it."),
    Member("helper1", "Wait for a question and answer it in one word."),
]


class AskHuman(Arguments):
    question: str


async def work(run: Run) -> str:
    async def ask_human(arguments: AskHuman) -> str:
        return (await run.ask(arguments.question, ["Answer"])).reason

    ask = Tool("ask_human", "Ask the person who watches.", AskHuman, ask_human)
    assert run.budget
    hook = compose(run.hook, run.budget.hook)
    async with anthropic.AsyncAnthropic() as client:
        hub = run.connect(Clock(), "live")
        return await run_team(client, hub, TEAM, model=MODEL, tools=[ask], hook=hook)


async def main() -> None:
    run = Run(budget=Budget(0.50))
    await run.start(work)
    while True:
        await run.until(lambda event: bool(run.questions))
        if run.over:
            break
        asked = run.questions[0]
        print(asked.text)
        typed = await asyncio.to_thread(input, " or ".join(asked.choices) + ", and your words: ")
        choice, _, words = typed.partition(" ")
        if len(asked.choices) == 1:
            choice, words = asked.choices[0], typed
        run.answer(choice if choice in asked.choices else asked.choices[-1], words)
    print(await run.result())
'''

BODIES = {
    "04": TEAM,
    "05": CASE.format(about=", without a refund: nobody is asked", imports="", ask="", approve=""),
    "06": CASE.format(
        about=", and you decide about the refund",
        imports="from .billing.refund import Approval, ApprovalRequest, Ledger\n",
        ask=ASK,
        approve=", Ledger(str(LEDGER)), ask",
    ),
    "07": STEERED,
}
MAINS = {to: body + END for to, body in BODIES.items()}

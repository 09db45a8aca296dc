"""Kills -9 after each step of a billing case, then goes on: `python -m tests.crash`."""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from helpers.billing import Approval, Case, Ledger, Mandate, case_task, file_tools, run_case
from helpers.hub import Hub
from helpers.lessons import KNOWLEDGE
from helpers.replies import connect, durable
from helpers.replies.journal import DONE
from helpers.replies.recording import Answered, Exchange, load

from .loopback import serving


@dataclass(frozen=True)
class Trial:
    """What became of one case that was killed after this many steps."""

    killed_after: int  # 0: it was over before
    status: str
    rows: int
    asked: int  # how often a person
    repeated: int  # calls of the model beyond those of the recording


async def work(folder: Path) -> str:
    async def person(request: object) -> Approval:
        with (folder / "asked").open("a") as file:
            file.write("x")
        await asyncio.sleep(0.01)
        return Approval(True, "a person said so")

    async with connect("case", folder) as session:
        hub = Hub(session.clock, show=None)
        case = Case("cust_12345", Mandate("Resolve."), Ledger(str(folder / "ledger")), person)
        given = case_task("cust_12345", "Twice!"), file_tools(KNOWLEDGE)
        outcome = await run_case(session.client, hub, case, *given, hook=durable(session.clock))
    return f"{outcome.status} {len(case.refunds())}"


def child(folder: Path) -> int:
    """Fork a process that works on the case; return its number."""
    if number := os.fork():
        return number
    sys.stdout = (folder / "out").open("w")
    try:
        print(asyncio.run(work(folder)), flush=True)
    finally:
        os._exit(0)


def steps_in(folder: Path) -> int:
    part = folder / "case.part"
    with suppress(FileNotFoundError):
        return part.read_text(encoding="utf-8").count("\n" + DONE) - 1
    return -1


def trial(after: int) -> Trial:
    folder = Path(tempfile.mkdtemp())
    with serving(3, faults=0, latency=0.004) as api:
        os.environ |= {"COOKBOOK_CLIENT": "record", "ANTHROPIC_API_KEY": "a-key-for-tests"}
        os.environ["ANTHROPIC_BASE_URL"] = api.url
        number, over = child(folder), False
        while not over and steps_in(folder) < after:
            over = os.waitpid(number, os.WNOHANG)[0] == number
            time.sleep(0.0005)
        if not over:
            os.kill(number, 9)
            os.waitpid(number, 0)
        killed = 0 if over else steps_in(folder)
        if not over:
            os.waitpid(child(folder), 0)
        answered = api.counts["answered"]
    status, _, rows = (folder / "out").read_text().splitlines()[-1].partition(" ")
    steps = load(folder / "case.yaml").steps
    replies = sum(isinstance(step, Exchange) and step.over for step in steps)
    assert sum(isinstance(step, Answered) for step in steps) == 1
    asked = len((folder / "asked").read_text())
    return Trial(killed, status, int(rows), asked, answered - replies)


def trials() -> Iterator[Trial]:
    """Kill after step 1, 2, …, until the case is over before it could be killed."""
    after = 1
    while True:
        yield (last := trial(after))
        if last.killed_after == 0:
            return
        after += 1


if __name__ == "__main__":
    for found in trials():
        print(found, flush=True)

"""The stop button and a team in the background, in a real kernel. Off by default: `-m ci`."""

import time
from collections.abc import Iterator

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from .stop import STOPPED, finish, kernel

pytestmark = pytest.mark.ci

START = """
from helpers.run import Run

async def chatty(agent, turn, request):
    await asyncio.sleep(0.1)
    other = "helper1" if agent == "lead" else "lead"
    return [{"send_message": {"recipient_ids": [other], "content": f"turn {turn}"}}]

async def work(run):
    async with scripted(chatty) as session:
        hub, own = run.connect(session.clock), {"hook": run.hook, "max_turns": 10_000}
        return await run_team(session.client, hub, TEAM, model=session.model, **own)

run = Run(line=lambda event: None)
await run.start(work)
"""
STANDS = """
before = len(run.hub.log.events)
await asyncio.sleep(1)
print(len(run.hub.log.events) - before, run.over, run.gate.opened.is_set())
"""
GOES_ON = """
await run.step()
print(len(run.hub.log.events) > before, run.over)
"""
Kernel = tuple[KernelManager, BlockingKernelClient]


@pytest.fixture
def team() -> Iterator[Kernel]:
    with kernel() as (manager, client):
        finish(client, client.execute(START))
        yield manager, client


def cell(kernel: Kernel, code: str) -> tuple[str, str]:
    return finish(kernel[1], kernel[1].execute(code))


def stands_still_and_goes_on(team: Kernel) -> None:
    time.sleep(0.5)  # what had begun comes to its end
    assert cell(team, STANDS) == ("0 False False\n", "")
    assert cell(team, GOES_ON) == ("True False\n", "")
    assert cell(team, "await run.stop(); print(run.over)") == ("True\n", "")


@pytest.mark.parametrize(
    "code",
    ["await run.until(lambda event: False)", "run.resume(); await asyncio.sleep(60)"],
    ids=["a verb", "another cell"],
)
def test_stop_ends_the_cell_and_pauses_the_team(team: Kernel, code: str) -> None:
    request = team[1].execute(code)
    time.sleep(1)
    team[0].interrupt_kernel()
    assert finish(team[1], request)[1] in STOPPED[:2]
    stands_still_and_goes_on(team)


def test_stop_pauses_the_team_while_no_cell_runs(team: Kernel) -> None:
    cell(team, "run.resume()")
    time.sleep(1)
    team[0].interrupt_kernel()
    stands_still_and_goes_on(team)


def test_after_a_cell_the_button_is_as_it_was(team: Kernel) -> None:
    cell(team, "run.resume()")
    time.sleep(0.5)
    cell(team, "await run.stop()")
    request = team[1].execute("for _ in range(600):\n    await asyncio.sleep(0.1)")
    time.sleep(0.5)
    team[0].interrupt_kernel()
    assert finish(team[1], request)[1] in STOPPED[:2]

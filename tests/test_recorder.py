"""A run is recorded as it happens, and a replay is the same run."""

import asyncio
import os
import random
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from helpers.billing import Approval, Case, Ledger, Mandate, case_task, file_tools, run_case
from helpers.hub import Hub
from helpers.lessons import KNOWLEDGE
from helpers.replies import connect
from helpers.replies.client import Session
from helpers.spawn import run_lead, sleep_tool
from helpers.team import Member, run_team
from helpers.tools import messaging_tools

from .loopback import serving
from .support import run

Log = list[tuple[Any, ...]]
Run = Callable[[Session, Hub], Coroutine[Any, Any, object]]


async def team(session: Session, hub: Hub) -> object:
    members = [
        Member(name, f"Introduce yourself, {name}.") for name in ("lead", "helper1", "helper2")
    ]
    return await run_team(session.client, hub, members, model=session.model)


async def lead(session: Session, hub: Hub) -> object:
    def tools_of(hub: Hub, name: str) -> list[Any]:
        return [sleep_tool(hub.clock), *messaging_tools(hub, name, 0.1)]

    return await run_lead(session.client, hub, "Go.", model=session.model, tools_of=tools_of)


async def case(session: Session, hub: Hub) -> object:
    async def yes(request: object) -> Approval:
        await asyncio.sleep(0.005)
        return Approval(True, "a person said so")

    one = Case("cust_12345", Mandate("Resolve."), Ledger(), approve=yes)
    files = file_tools(KNOWLEDGE)
    return await run_case(session.client, hub, one, case_task("cust_12345", "Twice!"), files)


RUNS: list[Run] = [team, lead, case]


def plain(hub: Hub) -> Log:
    return [(e.step, e.time, e.kind, e.agent, repr(e.data)) for e in hub.log.events]


async def play(name: str, work: Run, jitter: bool = False) -> tuple[Log, str]:
    """Return the log of a run, and the error that it ended with."""

    async def noise() -> None:
        while True:
            await asyncio.sleep(random.random() * 0.002)

    beside = asyncio.create_task(noise()) if jitter else None
    hub, ended = Hub(show=None), ""
    try:
        async with connect(name) as session:
            hub = Hub(session.clock, show=None)
            await work(session, hub)
    except Exception as error:
        ended = f"{type(error).__name__}: {error}"
    finally:
        if beside:
            beside.cancel()
            await asyncio.wait([beside])
    return plain(hub), ended


@pytest.fixture
def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder and the environment of someone who records."""
    monkeypatch.setenv("COOKBOOK_CLIENT", "record")
    monkeypatch.setenv("COOKBOOK_RECORDINGS", str(tmp_path))
    monkeypatch.setenv("ANTHROPIC_API_KEY", "canary-key-7f3a")
    monkeypatch.setattr("anthropic._base_client.INITIAL_RETRY_DELAY", 0.001)
    return tmp_path


def recorded(folder: Path, seed: int, faults: float) -> tuple[str, Run, Log, str]:
    """Record one run; return the name of its file, the run, its log and how it ended."""
    work = RUNS[seed % len(RUNS)]
    name = f"{work.__name__}{seed}"
    with serving(seed, faults) as api:
        os.environ["ANTHROPIC_BASE_URL"] = api.url
        log, ended = run(play(name, work))
    if (folder / f"{name}-ended-badly.yaml").exists():
        name += "-ended-badly"
    assert (folder / f"{name}.yaml").exists(), ended
    return name, work, log, ended


def replays_alike(folder: Path, seed: int, faults: float, replays: int) -> None:
    name, work, log, ended = recorded(folder, seed, faults)
    os.environ["COOKBOOK_CLIENT"] = "recorded"
    for number in range(replays):
        again, end = run(play(name, work, jitter=number % 2 == 1))
        assert end == ended
        assert again == log


@pytest.mark.parametrize("seed", range(10))
def test_a_recorded_run_replays_with_the_same_log(recording: Path, seed: int) -> None:
    replays_alike(recording, seed, [0, 0.2, 0.45][seed % 3], replays=4)

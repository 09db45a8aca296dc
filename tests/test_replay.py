"""Replaying: the same run each time, and a word on it when the run and its recording disagree."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import pytest

from helpers.client import MODES, Session, connect
from helpers.hub import Event, Hub
from helpers.recording import RecordingError, load
from helpers.replay import ReplayError
from helpers.team import Member, run_team, sleep_tool
from helpers.tools import messaging_tools

from .support import run, settle

# The lead sleeps 3 seconds, helper2 waits longer than anyone writes, helper1 is cancelled in a
# call: what a recording has to hold in one file.
AUTHORED = """\
source: authored
about: made by a test
model: test-model
steps:
- agent: helper1
  reply:
  - send_message: {recipient_ids: [lead, helper2], content: Hi from helper1.}
- agent: helper2
  reply:
  - wait_for_message: {}
- agent: lead
  reply:
  - text: Let me think.
  - sleep: {seconds: 3}
- agent: helper1
  reply:
  - sleep: {seconds: 1}
- agent: helper2
  reply:
  - wait_for_message: {}
- agent: lead
  reply: We are ready.
...
"""
TEAM = [
    Member("lead", "Lead the team."),
    Member("helper1", "Greet the others."),
    Member("helper2", "Wait."),
]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("helpers.replay.GRACE", 0.02)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "team.yaml").write_text(AUTHORED, encoding="utf-8")
    return tmp_path


@pytest.fixture
def filled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a recording that was filled in."""
    fill(folder, monkeypatch)
    return folder


def fill(folder: Path, monkeypatch: pytest.MonkeyPatch, play: Any = None) -> Any:
    with monkeypatch.context() as patch:
        patch.setenv("COOKBOOK_CLIENT", "fill")
        return run((play or team_run)(folder))


async def team_run(
    folder: Path, members: Sequence[Member] = TEAM, name: str = "team"
) -> tuple[str, list[Event]]:
    """Play the recording; return the lead's answer and the log."""
    async with connect(name, folder) as session:
        return await team_in(session, members)


async def team_in(session: Session, members: Sequence[Member]) -> tuple[str, list[Event]]:
    hub = Hub(session.clock, show=None)
    tools = [sleep_tool(hub.clock)]
    for member in members:
        tools += messaging_tools(hub, member.name)
    answer = await run_team(session.client, hub, members, model=session.model, **own_tools(hub))
    return answer, hub.log.events


def own_tools(hub: Hub) -> dict[str, Any]:
    return {}


def edit(folder: Path, old: str, new: str, count: int = 1) -> None:
    path = folder / "team.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, count), encoding="utf-8")

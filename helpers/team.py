"""A fixed team that runs until its lead is done. Notebook 03 builds it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from anthropic import APIError, AsyncAnthropic

from .agent import Hook, no_hook, run_agent
from .hub import Hub, end_agent

TEAM_SYSTEM = "You are {name}, one of {count} agents who work together. The others are: {peers}."


@dataclass(frozen=True)
class Member:
    """One role of a team: Member("helper1", "You are Ada, a backend engineer. …")."""

    name: str
    task: str


def start(
    group: asyncio.TaskGroup,
    client: AsyncAnthropic,
    hub: Hub,
    name: str,
    starter: str | None = None,
    **settings: Any,
) -> asyncio.Task[str]:
    """Register an agent and start it in the group; `settings` go to `run_agent`.

    An API error of an agent that has a starter ends that agent only: the starter gets a notice.
    """
    hub.register(name, starter)

    async def work() -> str:
        try:
            return await run_agent(client, hub, name, **settings)
        except APIError:
            if starter is None:
                raise
            return ""

    return group.create_task(work(), name=name)


def stop(hub: Hub, tasks: dict[str, asyncio.Task[str]], status: str) -> None:
    """Give every agent that is still alive its final status and cancel its task."""
    for name, task in tasks.items():
        end_agent(hub, name, status)
        task.cancel()


async def run_team(
    client: AsyncAnthropic,
    hub: Hub,
    members: Sequence[Member],
    *,
    model: str,
    max_turns: int = 20,
    hook: Hook = no_hook,
) -> str:
    """Run all members side by side and return the answer of the first, the lead.

    The others are dismissed when the lead is done. An error of the lead is raised; nothing runs on.
    """
    names = [member.name for member in members]
    tasks: dict[str, asyncio.Task[str]] = {}
    try:
        async with asyncio.TaskGroup() as group:
            for member in members:
                peers = ", ".join(name for name in names if name != member.name)
                system = TEAM_SYSTEM.format(name=member.name, count=len(names), peers=peers)
                starter = None if member is members[0] else names[0]
                tasks[member.name] = start(
                    group,
                    client,
                    hub,
                    member.name,
                    starter,
                    model=model,
                    system=system,
                    task=member.task,
                    max_turns=max_turns,
                    hook=hook,
                )
            answer = await tasks[names[0]]
            stop(hub, tasks, "dismissed")
        return answer
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    finally:
        stop(hub, tasks, "killed")

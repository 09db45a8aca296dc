"""A crew, and a fixed team on it. Notebook 03 builds them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from .agent import Client, run_agent, task_group
from .hub import Hub, close_box, end_agent, wake_one
from .tools import Tool, is_program_error, messaging_tools
from .trace import describe

TEAM_SYSTEM = "You are {name}, one of {count} agents who work together. The others are: {peers}."


@dataclass(frozen=True)
class Member:
    """One role of a team: Member("helper1", "You are Ada, a backend engineer. …")."""

    name: str
    task: str


@dataclass
class Crew:
    """The agents of one run, each a task of the same group (notebook 03)."""

    client: Client
    hub: Hub
    group: asyncio.TaskGroup
    tasks: dict[str, asyncio.Task[str]] = field(default_factory=dict)

    def start(self, name: str, starter: str | None = None, **settings: Any) -> asyncio.Task[str]:
        """Register an agent and start it; the settings are those of `run_agent`."""
        self.hub.register(name, starter)
        work = self._work(name, starter, settings)
        try:
            self.tasks[name] = self.group.create_task(work, name=name)
        except RuntimeError:  # the crew is being stopped
            work.close()
            end_agent(self.hub, name, "killed")
            raise
        return self.tasks[name]

    async def _work(self, name: str, starter: str | None, settings: dict[str, Any]) -> str:
        try:
            return await run_agent(self.client, self.hub, name, **settings)
        except Exception as error:
            end_agent(self.hub, name, "crashed", describe(error))  # unless it has
            if starter and not is_program_error(error):
                return ""  # its starter has been told; the others go on
            self.stop(list(self.tasks), "killed")  # in the order of their start
            raise

    async def answer(self, name: str) -> str:
        """Return an agent's last text once it is over; an interrupt meanwhile reaches all at once.

        Awaiting its task would let the interrupt reach it alone, and its end would wake others.
        """
        return await asyncio.shield(self.tasks[name])

    def stop(self, names: Sequence[str], status: str) -> list[asyncio.Task[str]]:
        """Give those still alive their final status and cancel their tasks; return the tasks."""
        for name in names:
            close_box(self.hub, name, status)
            self.tasks[name].cancel()
        wake_one(self.hub)  # looked for once: all agents may have to be looked at
        return [self.tasks[name] for name in names]


async def heartbeat() -> None:
    """Wake the loop five times a second, or it sees the stop button only at its next event."""
    while True:
        await asyncio.sleep(0.2)


@asynccontextmanager
async def crew(client: Client, hub: Hub) -> AsyncIterator[Crew]:
    """Open a crew. Leaving it dismisses who is still at work; after an error they are killed."""
    async with task_group() as group:
        team, how = Crew(client, hub, group), "killed"
        beat = group.create_task(heartbeat())
        try:
            yield team
            how = "dismissed"
        finally:
            team.stop(list(team.tasks), how)
            beat.cancel()


async def run_team(
    client: Client,
    hub: Hub,
    members: Sequence[Member],
    *,
    tools: Sequence[Tool] = (),
    **settings: Any,
) -> str:
    """Run all members side by side; return the answer of the first, the lead (notebook 03).

    Each has the messaging tools, and these. ValueError: there is no member.
    """
    names = [member.name for member in members]
    if not names:
        raise ValueError("a team needs a member: the first one leads")
    async with crew(client, hub) as team:
        for member in members:
            peers = ", ".join(name for name in names if name != member.name)
            system = TEAM_SYSTEM.format(name=member.name, count=len(names), peers=peers)
            starter = names[0] if member is not members[0] else None
            own = [*messaging_tools(hub, member.name), *tools]
            given = {"system": system, "task": member.task, "tools": own}
            team.start(member.name, starter, **given | settings)
        return await team.answer(names[0])

"""A lead that starts its helpers itself. Notebook 04 builds it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from anthropic import AsyncAnthropic
from pydantic import Field

from .hub import Clock, Hub
from .team import Crew, crew
from .tools import Arguments, NoArguments, Tool, messaging_tools

LEAD_SYSTEM = "You are lead. You can start helpers, and you answer for what they do."
HELPER_SYSTEM = "You are {name}, a helper. Report to lead."


class CreateSubagents(Arguments):
    base_instruction: str = Field(min_length=1)
    per_subagent_instructions: list[str] = Field(default=[""], min_length=1, max_length=10)


class KillSubagents(Arguments):
    subagent_ids: list[str] = Field(min_length=1)


class Sleep(Arguments):
    seconds: int = Field(ge=0, le=10)


def sleep_tool(clock: Clock) -> Tool:
    """Return a tool that only sleeps: a stand-in for work that takes time (notebook 04)."""

    async def sleep(arguments: Sleep) -> str:
        await clock.sleep(arguments.seconds)
        return f"slept {arguments.seconds}s"

    return Tool("sleep", "Sleep for this many seconds, then return.", Sleep, sleep)


def helper_tools(hub: Hub, name: str) -> list[Tool]:
    """Return what a helper may use when nobody says otherwise (notebook 04)."""
    return [sleep_tool(hub.clock), *messaging_tools(hub, name)]


@dataclass
class Subagents:
    """The helpers that one lead has started, and how it starts and ends them (notebook 04)."""

    team: Crew
    lead: str
    settings: dict[str, Any]
    tools_of: Callable[[Hub, str], list[Tool]]
    max_alive: int
    names: list[str] = field(default_factory=list)

    def alive(self) -> list[str]:
        return [name for name in self.names if self.team.hub.alive(name)]

    async def create(self, arguments: CreateSubagents) -> str:
        """Start one helper per instruction and return at once. ValueError: too many alive."""
        hub, instructions = self.team.hub, arguments.per_subagent_instructions
        if len(self.alive()) + len(instructions) > self.max_alive:
            raise ValueError(f"{self.max_alive} helpers may live at once, {len(self.alive())} do")
        spawned: list[str] = []
        for instruction in instructions:
            name = hub.new_name()
            task = f"{arguments.base_instruction}\n\n{instruction}".strip()
            own = {"system": HELPER_SYSTEM.format(name=name), "tools": self.tools_of(hub, name)}
            self.team.start(name, self.lead, task=task, **own, **self.settings)
            self.names.append(name)
            spawned.append(name)
        return f"spawned: {', '.join(spawned)}"

    async def status(self, arguments: NoArguments) -> str:
        boxes = self.team.hub.boxes
        return "\n".join(f"{name}: {boxes[name].status}" for name in self.names) or "(none)"

    async def kill(self, arguments: KillSubagents, deadline: float = 2.0) -> str:
        """End helpers for good and wait until their tasks are over, or say which are not."""
        asked, alive = dict.fromkeys(arguments.subagent_ids), self.alive()
        ended = [name for name in asked if name in alive]
        if not ended:
            return (
                f"none of them is an active helper of yours; active: {', '.join(alive) or 'none'}"
            )
        tasks = self.team.stop(ended, "killed")
        with suppress(TimeoutError):
            async with self.team.hub.clock.timeout(deadline):
                await asyncio.wait(tasks)
        notes = [f"{name} (not active)" for name in asked if name not in ended]
        notes += [
            f"{n} (still stopping)" for n, t in zip(ended, tasks, strict=True) if not t.done()
        ]
        words = {name: self.team.hub.boxes[name].text for name in ended}
        notes += [f"{name} had said: {text}" for name, text in words.items() if text]
        return "; ".join([f"cancelled: {', '.join(ended)}", *notes])


def subagent_tools(helpers: Subagents) -> list[Tool]:
    """Return the three tools of a lead that may start helpers (notebook 04)."""
    return [
        Tool(
            "create_subagents",
            "Start helpers that work beside you, one for each entry of per_subagent_instructions "
            "(one helper if there is none). Each gets base_instruction and its own entry. Returns "
            "at once with their names, while they work.",
            CreateSubagents,
            helpers.create,
        ),
        Tool(
            "get_status",
            "List your helpers with their status: active, idling (waiting for a message), or how "
            "they ended.",
            NoArguments,
            helpers.status,
        ),
        Tool(
            "kill_subagents",
            "End helpers that you no longer need, by name. What they are doing is lost.",
            KillSubagents,
            helpers.kill,
        ),
    ]


async def run_lead(
    client: AsyncAnthropic,
    hub: Hub,
    task: str,
    *,
    model: str,
    tools_of: Callable[[Hub, str], list[Tool]] = helper_tools,
    max_alive: int = 10,
    **settings: Any,
) -> str:
    """Run a lead that starts helpers as it sees fit; return its answer (notebook 04)."""
    shared = {"model": model, **settings}
    async with crew(client, hub) as team:
        helpers = Subagents(team, "lead", shared, tools_of, max_alive)
        tools = [*subagent_tools(helpers), *messaging_tools(hub, "lead")]
        team.start("lead", system=LEAD_SYSTEM, task=task, tools=tools, **shared)
        return await team.answer("lead")

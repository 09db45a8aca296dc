"""A lead that starts its helpers itself. Notebook 04 builds it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field

from .agent import Client
from .hub import Clock, Hub
from .team import Crew, crew
from .tools import Arguments, NoArguments, Tool, messaging_tools
from .trace import quoted

LEAD_SYSTEM = "You are lead. You can start helpers, and you answer for what they do."
HELPER_SYSTEM = "You are {name}, a helper. Report to lead."
STEPS = ("model_call", "tool_call", "tool_result")


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
    settings: Mapping[str, Any]
    tools_of: Callable[[Hub, str], list[Tool]]
    max_alive: int = 10
    max_started: int = 100
    names: list[str] = field(default_factory=list)

    def alive(self) -> list[str]:
        return [name for name in self.names if self.team.hub.alive(name)]

    async def create(self, arguments: CreateSubagents) -> str:
        """Start one helper per instruction and return at once. ValueError: too many."""
        hub, instructions = self.team.hub, arguments.per_subagent_instructions
        if len(self.alive()) + len(instructions) > self.max_alive:
            raise ValueError(f"{self.max_alive} helpers may live at once, {len(self.alive())} do")
        if len(self.names) + len(instructions) > self.max_started:
            raise ValueError(f"{self.max_started} helpers may be started, {len(self.names)} were")
        for instruction in instructions:
            name = hub.new_name()
            task = f"{arguments.base_instruction}\n\n{instruction}".strip()
            own = {"system": HELPER_SYSTEM.format(name=name), "tools": self.tools_of(hub, name)}
            self.team.start(name, self.lead, task=task, **{**own, **self.settings})
            self.names.append(name)
        return f"spawned: {', '.join(self.names[-len(instructions) :])}"

    async def status(self, arguments: NoArguments) -> str:
        boxes = self.team.hub.boxes
        return "\n".join(f"{name}: {boxes[name].status}" for name in self.names) or "(none)"

    async def kill(self, arguments: KillSubagents, deadline: float = 2.0) -> str:
        """End helpers for good and wait until their tasks are over; return each one's fate."""
        hub, alive = self.team.hub, self.alive()
        fates = dict.fromkeys(arguments.subagent_ids, "not an active helper of yours")
        ended = [name for name in fates if name in alive]
        if not ended:
            return f"none is an active helper of yours; active: {', '.join(alive) or 'none'}"
        tasks = self.team.stop(ended, "killed")
        with suppress(TimeoutError):
            async with hub.clock.timeout(deadline):
                await asyncio.wait(tasks)
        for name, task in zip(ended, tasks, strict=True):
            said = f"; it had said: {quoted(text)}" if (text := hub.boxes[name].text) else ""
            busy = "; what its tool was doing may still be done" if calling(hub, name) else ""
            fates[name] = ("cancelled" if task.done() else "still stopping") + busy + said
        return "\n".join(f"{name}: {fate}" for name, fate in fates.items())


def calling(hub: Hub, name: str) -> bool:
    """Return whether an agent's last step was a call of a tool that acted or took time."""
    last = next(e for e in reversed(hub.log.events) if e.agent == name and e.kind in STEPS)
    return last.kind == "tool_call" and last.data["tool"] != "wait_for_message"


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
    client: Client,
    hub: Hub,
    task: str,
    *,
    tools_of: Callable[[Hub, str], list[Tool]] = helper_tools,
    tools: Sequence[Tool] = (),
    max_alive: int = 10,
    max_started: int = 100,
    helper: Mapping[str, Any] | None = None,
    **settings: Any,
) -> str:
    """Run a lead that starts helpers as it sees fit; return its answer (notebook 04).

    The settings are for all, `tools` for the lead, `tools_of` and `helper` (settings) for helpers.
    """
    async with crew(client, hub) as team:
        shared = {key: value for key, value in settings.items() if key != "system"}
        bounds = max_alive, max_started
        helpers = Subagents(team, "lead", shared | dict(helper or {}), tools_of, *bounds)
        own = [*subagent_tools(helpers), *messaging_tools(hub, "lead"), *tools]
        team.start("lead", task=task, tools=own, **{"system": LEAD_SYSTEM} | settings)
        return await team.answer("lead")

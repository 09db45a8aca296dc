"""Answers to the exercises of notebook 03, right and wrong ones."""

import asyncio
from typing import Any

from helpers.hub import Hub
from helpers.team import Member, crew

ADA, BO = Member("helper1", "You are Ada. Wait."), Member("helper2", "You are Bo. Wait.")
TEAM = [Member("lead", "Introduce yourself."), ADA, BO]
CY = Member("helper3", "You are Cy, a tester. Introduce yourself, then wait.")


async def race(client: Any, hub: Hub, model: str, names: list[str]) -> str:
    async with crew(client, hub) as team:
        for name in names:
            team.start(name, model=model, system=f"You are {name}.", task="Find it.")
        done, _ = await asyncio.wait(team.tasks.values(), return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()


async def only_the_first_name(client: Any, hub: Hub, model: str, names: list[str]) -> str:
    async with crew(client, hub) as team:
        for name in names:
            team.start(name, model=model, system=f"You are {name}.", task="Find it.")
        return await team.tasks[names[0]]


async def waits_for_both(client: Any, hub: Hub, model: str, names: list[str]) -> str:
    async with crew(client, hub) as team:
        for name in names:
            team.start(name, model=model, system=f"You are {name}.", task="Find it.")
        done = [await task for task in asyncio.as_completed(list(team.tasks.values()))]
        return done[0]


async def returns_nothing(client: Any, hub: Hub, model: str, names: list[str]) -> Any:
    return ...


async def kills_the_other(client: Any, hub: Hub, model: str, names: list[str]) -> str:
    async with crew(client, hub) as team:
        for name in names:
            team.start(name, model=model, system=f"You are {name}.", task="Find it.")
        done, slow = await asyncio.wait(team.tasks.values(), return_when=asyncio.FIRST_COMPLETED)
        team.stop([task.get_name() for task in slow], "killed")
        return done.pop().result()


RIGHT: list[tuple[str, Any]] = [
    ("03.1", [*TEAM, CY]),
    ("03.1", (*TEAM, CY)),
    ("03.2", {"c", "d"}),
    ("03.2", {"C", "D"}),
    ("03.3", race),
]


async def result_after_the_block(client: Any, hub: Hub, model: str, names: list[str]) -> str:
    async with crew(client, hub) as team:
        for name in names:
            team.start(name, model=model, system=f"You are {name}.", task="Find it.")
    return await team.tasks[names[0]]


WRONG: list[tuple[str, Any, str]] = [
    ("03.3", result_after_the_block, "wait inside its block"),
    ("03.1", "Cy", "a list of members"),
    ("03.1", TEAM, "the names should be"),
    ("03.1", [CY, *TEAM], "in this order"),
    ("03.1", [TEAM[0], BO, ADA, CY], "the names should be"),
    ("03.1", [TEAM[0], CY, CY, CY], "the names should be"),
    ("03.1", [TEAM[0], ADA, Member("helper2", "You wait."), CY], "still Bo"),
    ("03.1", [*TEAM, Member("helper3", "You are a tester.")], "who it is"),
    ("03.1", [*TEAM, Member("helper3", "You are Cy.")], "who it is: Cy, a tester"),
    ("03.1", [TEAM, CY], "unpack it with a star"),
    ("03.2", "c", "a set of letters"),
    ("03.2", {"a", "c", "d"}, "a can happen"),
    ("03.2", {"b", "d"}, "b can happen"),
    ("03.2", {"d"}, "needs a sender"),
    ("03.2", {"c"}, "leaving the crew"),
    ("03.2", {"c", "d", "e"}, "only a, b, c and d"),
    ("03.3", "race", "an async function"),
    ("03.3", returns_nothing, "return a text"),
    ("03.3", only_the_first_name, "tortoise was first"),
    ("03.3", waits_for_both, "came back after 9 seconds"),
    ("03.3", kills_the_other, "should be dismissed"),
]

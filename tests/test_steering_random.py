"""Any sequence of a person's verbs leaves no task, one final status each, and no word lost."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.hub import Event
from helpers.replies import ReplayError
from helpers.replies.scripted import Blocks
from helpers.run import Run, is_reply

from .support import ended, returning, run, settle, tool
from .test_steering import NAMES, case_of, quiet, recorded, team

VERBS = ("step", "until", "cut", "resume", "pause", "tell", "finish", "kill", "answer", "wait")


async def talk(agent: str, turn: int, body: dict[str, Any]) -> str | Blocks:
    """Write, ask, sleep or wait, by agent and turn; be done after seven turns."""
    await asyncio.sleep(0)
    if turn > 7:
        return f"{agent} is done."
    other = NAMES[(NAMES.index(agent) + turn) % 3]
    kinds: list[Blocks] = [
        [{"send_message": {"recipient_ids": [other, "human"], "content": f"turn {turn}"}}],
        [{"ask_human": {}}, {"sleep": {"seconds": 3}}],
        [{"wait_for_message": {}}],
    ]
    return kinds[(turn + len(agent)) % 3]


def asking(run: Run) -> Any:
    async def ask_human(_: Any) -> str:
        return (await run.ask("May I?")).choice

    return team(talk, tool("ask_human", ask_human))


async def act(one: Run, verb: str, agent: str) -> None:
    """Do what a person might; what a verb refuses is refused, and a strange branch is told."""
    if verb == "cut":  # the stop button in the midst of a verb
        waiting = asyncio.create_task(one.until(lambda event: False))
        await settle(5)
        waiting.cancel()
        with suppress(asyncio.CancelledError, RuntimeError, ReplayError):
            await waiting
        return
    verbs: dict[str, Callable[[], Any]] = {
        "step": one.step,
        "until": partial(one.until, lambda event: event.agent == agent and is_reply(event)),
        "resume": one.resume,
        "pause": one.pause,
        "tell": partial(one.tell, agent, "A word."),
        "finish": partial(one.finish, agent, "enough"),
        "kill": partial(one.kill, agent),
        "answer": partial(one.answer, "Approve"),
        "wait": partial(settle, 3),
    }
    with suppress(RuntimeError, ValueError, ReplayError):
        result = verbs[verb]()
        if isinstance(result, Coroutine):
            await result


def check(one: Run) -> None:
    """Nothing is held or asked, each agent has ended once, each accepted word has a fate."""
    assert one.over
    assert [one.gate.held, one.gate.running, one.questions] == [{}, {}, []]
    ends = Counter(name for name, _ in ended(one.hub))
    assert ends == Counter(name for name in one.hub.boxes if name != "human")
    fates = [fate for _, fate in one.letters()]
    assert "not read yet" not in fates
    accepted = [e for e in one.hub.log.events if e.kind == "message_sent" and e.agent == "human"]
    assert len(fates) == len(accepted)


async def play(seed: int) -> None:
    """Steer two runs side by side by a random sequence of verbs, then go to the end or stop."""
    dice = Random(seed)
    one, other = quiet(), quiet()
    agents = {one: [*NAMES], other: ["orchestrator", "researcher1", "drafter1"]}
    await one.start(asking(one))
    await other.start(recorded(case_of(other)))
    for _ in range(dice.randrange(14)):
        which = dice.choice((one, other))
        await act(which, dice.choice(VERBS), dice.choice(agents[which]))
    for each in (one, other):
        if dice.random() < 0.5:
            with suppress(ReplayError, RuntimeError):
                while not each.over:
                    if each.questions:
                        each.answer("Deny")
                    await each.until(lambda event: False)
        await each.stop()
        check(each)


@settings(max_examples=20)
@given(st.integers(0, 10**6))
def test_any_sequence_of_verbs_leaves_nothing_behind(seed: int) -> None:
    run(play(seed))


@pytest.mark.long
def test_two_thousand_sequences_of_verbs_leave_nothing_behind() -> None:
    for seed in range(2_000):
        run(play(seed))


async def race(dice: Random) -> list[str]:
    """Tell a thing to each agent at random moments of its last turns; return the fates."""

    async def script(agent: str, turn: int, body: dict[str, Any]) -> str | Blocks:
        for _ in range(dice.randrange(6)):
            await asyncio.sleep(0)
        return [{"look": {}}] if turn < 3 else f"{agent} is done."

    one = quiet()
    await one.start(team(script, returning("look", "nothing new")))
    one.resume()
    while not one.over:
        await settle(dice.randrange(4))
        one.tell(dice.choice(NAMES), "A word.")
        await asyncio.sleep(0)
    fates = [fate for _, fate in one.letters()]
    accepted = [e for e in one.hub.log.events if e.kind == "message_sent" and e.agent == "human"]
    assert len(fates) == len(accepted)
    assert "not read yet" not in fates
    read = sum(map(came_in, one.hub.log.events))
    assert fates.count("read") <= read
    return fates


def came_in(event: Event) -> bool:
    return event.kind == "message_received" and event.data["message"].sender == "human"


def tells(count: int) -> Counter[bool]:
    dice, fates = Random(1), Counter[bool]()
    while fates.total() < count:
        fates.update(fate == "read" for fate in run(race(dice)))
    return fates


def test_a_word_told_against_the_last_turn_is_read_or_comes_back() -> None:
    fates = tells(300)
    assert fates[True]
    assert fates[False]


@pytest.mark.long
def test_ten_thousand_words_are_read_or_come_back() -> None:
    assert tells(10_000).total() >= 10_000

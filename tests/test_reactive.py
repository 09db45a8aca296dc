"""Scripted agents that react: what a learner writes is what they say."""

from typing import Any

import pytest

from helpers.agent import run_agent
from helpers.hub import Hub
from helpers.replies import reactive, scripted
from helpers.spawn import run_lead
from helpers.team import Member, run_team

from .support import ended, run


def sent(hub: Hub) -> list[tuple[str, str]]:
    """Return (sender, words) of each message between agents."""
    mail = [e.data["message"] for e in hub.log.events if e.kind == "message_sent"]
    return list(dict.fromkeys((m.sender, m.content) for m in mail if m.sender != "hub"))


def play(*tasks: str) -> Hub:
    """Run a team whose members have these tasks."""

    async def main() -> Hub:
        async with scripted(reactive) as session:
            hub = Hub(session.clock, show=None)
            names = ["lead", *(f"helper{n}" for n in range(1, len(tasks)))]
            members = [Member(name, task) for name, task in zip(names, tasks, strict=True)]
            await run_team(session.client, hub, members, model=session.model)
            return hub

    return run(main())


@pytest.mark.parametrize(
    ("task", "says"),
    [
        ("You are Ada, a pirate. Introduce yourself.", "Arr! I am Ada, a pirate."),
        ("You are Ada, a backend engineer.", "I am Ada, a backend engineer."),
        ("Do your best.", "I am helper1."),
    ],
)
def test_an_agent_says_who_its_task_says_it_is(task: str, says: str) -> None:
    assert ("helper1", says) in sent(play("You lead.", task))


def test_a_question_in_a_task_is_asked_and_what_nobody_knows_is_said() -> None:
    words = sent(play("You lead.", "You are Ada, a poet. Ask the others: How are you?"))
    assert ("helper1", "Oh! How are you?") in words
    unknown = "I don't know that, helper1: I follow a few rules, no model is behind me."
    assert ("lead", unknown) in words


def test_a_lead_that_may_starts_two_helpers_who_report() -> None:
    async def main() -> tuple[str, Hub]:
        async with scripted(reactive) as session:
            hub = Hub(session.clock, show=None)
            return await run_lead(session.client, hub, "Begin.", model=session.model), hub

    answer, hub = run(main())
    assert answer == "I am lead. I have heard from helper1, helper2."
    assert ("helper2", "I am the second helper.") in sent(hub)


def test_mail_is_answered_by_the_first_rule_that_fits() -> None:
    async def main() -> list[str]:
        async with scripted(reactive) as session:
            hub = Hub(session.clock, show=None)
            own: dict[str, Any] = {"model": session.model, "system": "You are solo."}
            for name in ("solo", "boss"):
                hub.register(name)
            hub.post("boss", ["solo"], "Who are you?")
            hub.post("boss", ["solo"], "What does the moon cost?")
            await run_agent(session.client, hub, "solo", task="You are Cy, a robot.", **own)
            return [mail.content for mail in hub.boxes["boss"].inbox]

    who, moon = run(main())
    assert who == "Beep. I am Cy, a robot."
    assert moon.startswith("Beep. I don't know that, boss")


def test_all_of_them_come_to_an_end() -> None:
    chatty = "You are Ada, a poet. Ask the others: And you?"
    hub = play(chatty, chatty, chatty, chatty)
    assert {status for _, status in ended(hub)} <= {"done", "dismissed"}

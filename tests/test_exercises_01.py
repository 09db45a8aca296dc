"""The checks of notebook 01 tell right answers from wrong ones, and say what is wrong."""

import asyncio
from typing import Any

import pytest

from helpers.exercises import check
from helpers.hub import Hub, wait_for_mail


def verdict(capsys: pytest.CaptureFixture[str], name: str, answer: Any) -> str:
    asyncio.run(check(name, answer))
    return capsys.readouterr().out.strip()


def to_all(hub: Hub, sender: str, content: str) -> dict[str, str]:
    return hub.post(sender, list(hub.boxes), content)


def to_ended_too(hub: Hub, sender: str, content: str) -> dict[str, str]:
    return hub.post(sender, [name for name in hub.boxes if name != sender], content)


def to_no_one(hub: Hub, sender: str, content: str) -> dict[str, str]:
    return {}


def without_fates(hub: Hub, sender: str, content: str) -> None:
    broadcast(hub, sender, content)


def broadcast(hub: Hub, sender: str, content: str) -> dict[str, str]:
    others = [name for name in hub.boxes if hub.alive(name) and name != sender]
    return hub.post(sender, others, content)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (to_all, "the sender is among the recipients"),
        (to_ended_too, "helper3, which has ended"),
        (to_no_one, "lead, helper2 should have got the message"),
        (without_fates, "return what hub.post gives back"),
        (lambda: None, "TypeError"),
    ],
)
def test_a_wrong_broadcast(capsys: pytest.CaptureFixture[str], answer: Any, words: str) -> None:
    out = verdict(capsys, "01.1", answer)
    assert out.startswith("01.1: not yet: ")
    assert words in out


async def one_waking(hub: Hub, name: str, senders: list[str]) -> dict[str, str]:
    await wait_for_mail(hub, name)
    return {message.sender: message.content for message in hub.drain(name)}


async def from_anyone(hub: Hub, name: str, senders: list[str]) -> dict[str, str]:
    got: dict[str, str] = {}
    while not set(senders) <= set(got):
        got |= await one_waking(hub, name, senders)
    return got


async def polling(hub: Hub, name: str, senders: list[str]) -> dict[str, str]:
    got: dict[str, str] = {}
    while not set(senders) <= set(got):
        await asyncio.sleep(0)
        got |= {m.sender: m.content for m in hub.drain(name) if m.sender in senders}
    return got


async def polling_the_list(hub: Hub, name: str, senders: list[str]) -> dict[str, str]:
    got: dict[str, str] = {}
    inbox = hub.boxes[name].inbox
    while not set(senders) <= set(got):
        await asyncio.sleep(0)
        got |= {m.sender: m.content for m in inbox if m.sender in senders}
    return got


async def never_giving_up(hub: Hub, name: str, senders: list[str]) -> dict[str, str]:
    got: dict[str, str] = {}
    while not set(senders) <= set(got):
        if await wait_for_mail(hub, name) == "new messages":
            got |= {m.sender: m.content for m in hub.drain(name) if m.sender in senders}
    return got


async def collect(hub: Hub, name: str, senders: list[str]) -> dict[str, str]:
    got: dict[str, str] = {}
    while any(sender not in got for sender in senders):
        if await wait_for_mail(hub, name) != "new messages":
            break
        got |= {m.sender: m.content for m in hub.drain(name) if m.sender in senders}
    return got


async def only_names(hub: Hub, name: str, senders: list[str]) -> list[str]:
    return list(await collect(hub, name, senders))


def not_a_coroutine(hub: Hub, name: str, senders: list[str]) -> dict[str, str]:
    return {message.sender: message.content for message in hub.drain(name)}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (one_waking, "before helper2 had written"),
        (from_anyone, "helper3 was not asked"),
        (polling, "sleep in wait_for_mail"),
        (polling_the_list, "sleep in wait_for_mail"),
        (never_giving_up, "it loops for ever"),
        (only_names, "return a dict"),
        (not_a_coroutine, "async def"),
    ],
)
def test_a_wrong_collect(capsys: pytest.CaptureFixture[str], answer: Any, words: str) -> None:
    out = verdict(capsys, "01.2", answer)
    assert out.startswith("01.2: not yet: ")
    assert words in out


@pytest.mark.parametrize(("name", "answer"), [("01.1", broadcast), ("01.2", collect)])
def test_a_right_answer(capsys: pytest.CaptureFixture[str], name: str, answer: Any) -> None:
    assert verdict(capsys, name, answer) == f"{name}: right"


@pytest.mark.parametrize("name", ["01.1", "01.2"])
@pytest.mark.parametrize("nothing", [None, ...])
def test_no_answer(capsys: pytest.CaptureFixture[str], name: str, nothing: Any) -> None:
    assert verdict(capsys, name, nothing) == f"{name}: not yet"

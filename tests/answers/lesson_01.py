"""Answers to the exercises of notebook 01, right and wrong ones."""

import asyncio
from typing import Any

from helpers.hub import Hub, wait_for_mail


def to_all(hub: Hub, sender: str, content: str) -> dict[str, str]:
    return hub.post(sender, list(hub.boxes), content)


def to_ended_too(hub: Hub, sender: str, content: str) -> dict[str, str]:
    return hub.post(sender, [name for name in hub.boxes if name != sender], content)


def to_no_one(hub: Hub, sender: str, content: str) -> dict[str, str]:
    return {}


def without_fates(hub: Hub, sender: str, content: str) -> None:
    broadcast(hub, sender, content)


def to_living(hub: Hub, sender: str, content: str) -> dict[str, str]:
    return hub.post(sender, [name for name in hub.living if name != sender], content)


def to_active(hub: Hub, sender: str, content: str) -> dict[str, str]:
    others = [n for n, box in hub.boxes.items() if box.status == "active" and n != sender]
    return hub.post(sender, others, content)


def broadcast(hub: Hub, sender: str, content: str) -> dict[str, str]:
    others = [name for name in hub.boxes if hub.alive(name) and name != sender]
    return hub.post(sender, others, content)


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


async def from_the_box(hub: Hub, name: str, senders: list[str]) -> dict[str, str]:
    got: dict[str, str] = {}
    while not set(senders) <= set(got):
        await wait_for_mail(hub, name)
        got |= {m.sender: m.content for m in hub.boxes[name].inbox if m.sender in senders}
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


async def forgets_await(hub: Hub, name: str, senders: list[str]) -> dict[str, str]:
    got: dict[str, str] = {}
    while any(sender not in got for sender in senders):
        if wait_for_mail(hub, name) != "new messages":  # type: ignore[comparison-overlap]
            break
        got |= {m.sender: m.content for m in hub.drain(name) if m.sender in senders}
    return got


RIGHT: list[tuple[str, Any]] = [("01.1", broadcast), ("01.1", to_living), ("01.2", collect)]


async def async_broadcast(hub: Hub, sender: str, content: str) -> dict[str, str]:
    return broadcast(hub, sender, content)


async def first_of_each_drain(hub: Hub, name: str, senders: list[str]) -> dict[str, str]:
    got: dict[str, str] = {}
    while any(sender not in got for sender in senders):
        if await wait_for_mail(hub, name) != "new messages":
            break
        message = hub.drain(name)[0]
        if message.sender in senders:
            got[message.sender] = message.content
    return got


WRONG: list[tuple[str, Any, str]] = [
    ("01.1", async_broadcast, "not `async def`"),
    ("01.1", to_active, "it is idling"),
    ("01.2", from_the_box, "take the mail with hub.drain"),
    ("01.2", first_of_each_drain, "Go through all that drain returns"),
    ("01.1", to_all, "the sender is among the recipients"),
    ("01.1", to_ended_too, "helper3, which has ended"),
    ("01.1", to_no_one, "lead, helper2 should have got the message"),
    ("01.1", without_fates, "return what hub.post gives back"),
    ("01.1", lambda: None, "TypeError"),
    ("01.2", forgets_await, "wait_for_mail(…) was called and never awaited: write `await`"),
    ("01.2", one_waking, "before helper2 had written"),
    ("01.2", from_anyone, "helper3 was not asked"),
    ("01.2", polling, "sleep in wait_for_mail"),
    ("01.2", polling_the_list, "sleep in wait_for_mail"),
    ("01.2", never_giving_up, "it loops for ever"),
    ("01.2", only_names, "return a dict"),
    ("01.2", not_a_coroutine, "async def"),
]

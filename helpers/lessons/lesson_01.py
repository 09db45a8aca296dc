"""The checks of notebook 01: telling everyone, and collecting answers without polling."""

import asyncio
import inspect
from typing import Any

from ..hub import Hub, Mailbox, end_agent
from .exercises import PLAIN, Check

MANY = 200  # look-ups of a mailbox after which an answer is polling


class Watched(dict[str, Mailbox]):
    """Mailboxes that stop whoever looks at them again and again."""

    looks = 0

    def __getitem__(self, name: str) -> Mailbox:
        self.looks += 1
        if self.looks > MANY:
            raise RuntimeError(
                f"it looked at a mailbox {MANY} times; sleep in wait_for_mail, and take the "
                "mail with hub.drain: a wait returns at once while there is some"
            )
        return super().__getitem__(name)


def team(*ended: str) -> Hub:
    """A silent hub with a lead and three helpers, of whom some have ended."""
    hub = Hub(show=None)
    hub.boxes = Watched()
    for name in ("lead", "helper1", "helper2", "helper3"):
        hub.register(name)
    for name in ended:
        end_agent(hub, name, "done")
    return hub


async def check_broadcast(answer: Any) -> str | None:
    if not callable(answer):
        return "answer with the function itself: its name, without brackets"
    if inspect.iscoroutinefunction(answer):
        return PLAIN
    hub = team("helper3")
    hub.boxes["helper2"].status = "idling"
    fates = answer(hub, "helper1", "Lunch?")
    refused = [message.recipient for message, _ in hub.dead_letters]
    if "helper1" in refused:
        return "the sender is among the recipients"
    if "helper3" in refused:
        return "it posted to helper3, which has ended; ask hub.alive(name)"
    missing = [name for name in ("lead", "helper2") if len(hub.boxes[name].inbox) != 1]
    if missing == ["helper2"]:
        return "helper2 waits for mail (it is idling) and got none; ask hub.alive(name)"
    if missing:
        return f"{', '.join(missing)} should have got the message once"
    if fates != {"lead": "delivered", "helper2": "delivered"}:
        return "the messages are right; return what hub.post gives back for all of them"
    return None


async def check_collect(answer: Any) -> str | None:
    return await check_asleep(answer) or await check_nobody_left(answer)


async def check_asleep(answer: Any) -> str | None:
    """Three helpers write to the lead, who asked two of them, at different moments."""
    hub, statuses = team(), []

    async def write() -> None:
        for name, turns in (("helper3", 5), ("helper2", 300)):
            for _ in range(turns):
                await asyncio.sleep(0)
            statuses.append(hub.boxes["lead"].status)
            hub.post(name, ["lead"], f"I am {name}")

    hub.post("helper1", ["lead"], "I am helper1")
    writer = asyncio.create_task(write())
    try:
        coming = answer(hub, "lead", ["helper1", "helper2"])
        if not inspect.isawaitable(coming):
            return "collect has to be a coroutine: async def"
        got = await coming
    finally:
        writer.cancel()
        await asyncio.wait([writer])
    if "active" in statuses and isinstance(got, dict) and "helper2" in got:
        return "it was not asleep while it waited; sleep in wait_for_mail"
    return wrong_answers(got)


def wrong_answers(got: object) -> str | None:
    """Tell what is wrong with the texts that were collected from helper1 and helper2."""
    if not isinstance(got, dict):
        return "return a dict from sender to text"
    if "helper2" not in got:
        return "it came back before helper2 had written; one waking may not be enough"
    if "helper3" in got:
        return "helper3 was not asked: ignore its message"
    if got != {"helper1": "I am helper1", "helper2": "I am helper2"}:
        return f"the dict should hold the text of each sender, not {got!r}"
    return None


async def check_nobody_left(answer: Any) -> str | None:
    """One of two senders has written, after a stranger, then all have ended."""
    hub = team()
    for name in ("helper3", "helper1"):
        hub.post(name, ["lead"], f"I am {name}")
    for name in ("helper1", "helper2", "helper3"):
        end_agent(hub, name, "done")
    try:
        got = await answer(hub, "lead", ["helper1", "helper2"])
    except RuntimeError:
        return "when nobody is left to send, it loops for ever; look at what wait_for_mail returns"
    if got != {"helper1": "I am helper1"}:
        return (
            "helper3 and helper1 wrote, and all ended: return what came from helper1, not "
            f"{got!r}. Go through all that drain returns"
        )
    return None


CHECKS: dict[str, Check] = {"01.1": check_broadcast, "01.2": check_collect}

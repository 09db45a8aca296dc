"""Steering: a person holds a team, speaks to it and answers it. Notebook 07 builds it."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import Any
from weakref import WeakSet

from .budget import Budget, worst_case
from .hooks import EndAgent, Go, Hook, Step
from .hub import Hub, Mailbox, Message
from .tools import ProgramError, ToolCall, tool_result

OPEN: "WeakSet[Gate]" = WeakSet()  # all of this process, for its one stop button
FINISH = "Finish now ({why}). Sum up what you have, in words: no tool runs any more."


class Gate:
    """Holds each call of a team while it is closed; each agent has its `hook` (notebook 07)."""

    def __init__(self) -> None:
        self.opened, self.closed = asyncio.Event(), asyncio.Event()
        self.held: dict[asyncio.Timeout, Step] = {}  # what waits here
        self.running: dict[asyncio.Timeout, Step] = {}  # what has begun and is not over
        self.ended: dict[str, str] = {}  # agents that a person has ended, and how
        self.close()

    def open(self) -> None:
        OPEN.add(self)
        self.opened.set()
        self.closed.clear()

    def close(self) -> None:
        """No call begins from now on; what has begun goes on to its end."""
        OPEN.discard(self)
        self.closed.set()
        self.opened.clear()

    def end(self, agent: str, status: str) -> None:
        """End an agent now, at the gate or in the midst of a call, else at its next call."""
        self.ended[agent] = status
        for scope, step in (self.held | self.running).items():
            if step.agent == agent:
                scope.reschedule(0)  # a moment that lies in the past

    async def hook(self, step: Step, go: Go) -> Any:
        """Let a call begin once the gate is open. EndAgent: a person has ended its agent."""
        try:
            async with asyncio.timeout(None) as scope:
                self.held[scope] = step
                try:
                    await self.opened.wait()
                finally:
                    del self.held[scope]
                if step.agent in self.ended:
                    raise EndAgent(self.ended[step.agent])
                self.running[scope] = step
                try:
                    return await go()
                finally:
                    del self.running[scope]
        except TimeoutError:
            if scope.expired():
                raise EndAgent(self.ended[step.agent]) from None
            raise


@dataclass(frozen=True)
class Answer:
    """What a person has decided: Answer("Deny", "call the customer first"). It is an approval."""

    choice: str
    reason: str = ""

    @property
    def granted(self) -> bool:
        return self.choice == "Approve"


@dataclass(frozen=True, eq=False)
class Question:
    """What a team asks: Question("Pay $49.99 back to Visa 4242?", ("Approve", "Deny"), …)."""

    text: str
    choices: tuple[str, ...]
    reply: asyncio.Future[Answer]

    async def wait(self) -> tuple[str, str]:
        answer = await self.reply
        return answer.choice, answer.reason

    def answer(self, choice: str, reason: str = "") -> None:
        """Decide. ValueError: that is none of the choices, or nobody asks this any more."""
        if choice not in self.choices:
            raise ValueError(f"{choice!r} is no answer; there are: {', '.join(self.choices)}")
        if self.reply.done():
            raise ValueError("nobody asks this any more")
        self.reply.set_result(Answer(choice, reason))


class Desk:
    """Where a person sits: a mailbox on the team's hub, and what the team asks (notebook 07)."""

    def __init__(self) -> None:
        self.join(Hub(show=None))

    def join(self, hub: Hub) -> None:
        """Give the person a mailbox, who is not in `living`: nobody waits for a person's mail."""
        self.hub = hub
        self.hub.boxes["human"] = Mailbox()
        self.asked: list[Question] = []
        self.finishing: dict[str, Message] = {}  # agents, and the mail that told them to

    def tell(self, agent: str, text: str) -> str:
        """Write to an agent, who reads it with its next tool results. Return the mail's fate."""
        return self.hub.post("human", [agent], text)[agent]

    def letters(self) -> list[tuple[Message, str]]:
        """Return what the person wrote with its fate: read, not read yet, or why it came back."""
        back = {id(message): f"came back: {reason}" for message, reason in self.hub.dead_letters}
        unread = {id(m): "not read yet" for name in self.hub.boxes for m in self.unread(name)}
        sent = [e for e in self.hub.log.events if e.kind == "message_sent" and e.agent == "human"]
        fates = back | unread
        return [(e.data["message"], fates.get(id(e.data["message"]), "read")) for e in sent]

    def unread(self, agent: str) -> list[Message]:
        box = self.hub.boxes[agent]
        return box.inbox + box.unconfirmed

    def finish(self, agent: str, why: str) -> str:
        """Tell an agent to sum up: it has the turn in which it reads this, then ends as done."""
        fate = self.tell(agent, FINISH.format(why=why))
        if fate == "delivered":
            self.finishing[agent] = self.hub.boxes[agent].inbox[-1]
        return fate

    async def hook(self, step: Step, go: Go) -> Any:
        """Hold an agent to what it was told. EndAgent: it had its turn to sum up."""
        told = self.finishing.get(step.agent)
        if told is None:
            return await go()
        final = step.detail.get("tool_choice") == {"type": "none"}  # the answer in a form, of 05
        if not final and not any(mail is told for mail in self.unread(step.agent)):
            raise EndAgent("done")
        if step.detail.get("acts"):
            call = ToolCall(step.call_id, step.name, {})
            return tool_result(call, "not run: you were asked to finish", is_error=True)
        return await go()

    @property
    def questions(self) -> list[Question]:
        return [question for question in self.asked if not question.reply.done()]

    async def ask(self, what: object, choices: Sequence[str] = ("Approve", "Deny")) -> Answer:
        """Ask the person and wait, as an `approve` or in a tool. The team's clock stands still."""
        reply: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        question = Question(str(what), tuple(choices), reply)
        self.asked.append(question)
        self.hub.log.record("question", "human", text=question.text, choices=question.choices)
        said = await self.hub.clock.ask("a person", question.text, question.wait)
        answer = Answer(*said)
        if reply.done() and reply.result() != answer:
            raise ProgramError(f"you said {reply.result()}, and the recording has {answer}")
        if not reply.done():
            reply.set_result(answer)
        self.hub.log.record("answer", "human", choice=answer.choice, text=answer.reason)
        return answer

    def answer(self, choice: str, reason: str = "") -> None:
        """Answer the oldest question. ValueError: nobody asks, or that is none of its choices."""
        if not self.questions:
            raise ValueError("nobody asks anything")
        self.questions[0].answer(choice, reason)


def ask_at_limit(desk: Desk, budget: Budget) -> Hook:
    """Return a hook that asks the person where the budget's own, inside it, would end an agent."""
    one_asks = asyncio.Lock()

    async def hook(step: Step, go: Go) -> Any:
        while True:
            try:
                return await go()
            except EndAgent as end:
                if str(end) != "over_budget":
                    raise
            limit = budget.limit
            async with one_asks:
                if budget.limit <= limit:  # not raised meanwhile, for another agent
                    await at_limit(desk, budget, step)

    return hook


async def at_limit(desk: Desk, budget: Budget, step: Step) -> None:
    """Ask whether to raise the limit, to let the agent finish, or to end it. EndAgent: that."""
    worst = worst_case(step.detail) if step.kind == "model_call" else 0.0
    if step.agent not in desk.finishing:
        left = budget.limit - budget.spent - budget.reserved
        text = f"{step.agent}: its next call ({step.name}) may cost ${worst:.4f}, and "
        text += f"${left:.4f} is left of ${budget.limit:.4f}. Raise the limit to how much?"
        answer = await desk.ask(text, ("Raise", "Finish", "End"))
        if answer.choice == "End":
            raise EndAgent("over_budget")
        if answer.choice == "Raise":
            budget.limit = amount(answer.reason, budget.limit)
            return
        desk.finish(step.agent, "the budget is spent")
    budget.limit = max(budget.limit, budget.spent + budget.reserved + worst)


def amount(text: str, otherwise: float) -> float:
    """Return a number of dollars such as "0.10" or "$0.10"; of another text, what it was before."""
    with suppress(ValueError):
        dollars = float(text.strip().removeprefix("$"))
        return dollars if 0 <= dollars < inf else otherwise
    return otherwise

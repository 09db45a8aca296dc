"""Replays a recording below the SDK, one step at a time.

A step hands over one reply or fires one timer, in the order of the file, and then lets the event
loop run until it is idle. So agents that run side by side interleave the same way each time.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import anthropic

from .comparing import describe, gaps, report
from .conversations import Conversation, Conversations
from .recording import FILL, ClockStep, Exchange, Recording, answer, save, speaker
from .stepping import IdleProbe, VirtualClock

GRACE = 5.0  # seconds that a stuck replay is given: a tool may wait for something real


class ReplayError(anthropic.AnthropicError):
    """The run and its recording disagree. Not an APIError: the SDK neither retries nor wraps it."""


@dataclass
class Call:
    """A request that waits for its reply."""

    conversation: Conversation
    exchange: Exchange
    body: dict[str, Any]
    reply: asyncio.Future[dict[str, Any]]


def _uncancelled(steps: list[Exchange | ClockStep]) -> list[Exchange | ClockStep]:
    return [step for step in steps if isinstance(step, ClockStep) or step.reply is not None]


class Replay:
    """Answers the requests of one run from a recording, in serial steps.

    `mode` is "recorded" (the whole content of each request is compared), "lenient" (a reply is
    picked by agent and turn, with a notice) or "fill" (what was sent is written down).
    `pace` is in real seconds between two steps and never changes their order. Where the run leaves
    the recording, one of the `branches` that begins with the same steps may fit; it is then played.
    """

    def __init__(
        self,
        recording: Recording,
        mode: str,
        pace: float = 0.0,
        branches: Iterable[Recording] = (),
    ) -> None:
        self.recording, self.mode, self.pace = recording, mode, pace
        self.branches = list(branches) if mode == "recorded" else []
        self.clock = VirtualClock()
        self.failure: ReplayError | None = None
        self._todo = recording.steps[:] if mode == "recorded" else _uncancelled(recording.steps)
        known = self._todo if mode == "fill" else recording.steps
        self._exchanges = {s.key: s for s in known if isinstance(s, Exchange)}
        self._conversations = Conversations()
        self._waiting: dict[tuple[str, int], Call] = {}
        self._cancelled: set[tuple[str, int]] = set()
        self._played: list[Exchange | ClockStep] = []

    async def ask(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the recorded reply to a request once its step has come. ReplayError: none fits."""
        if self.failure:
            raise self.failure
        try:
            call = self._arrive(body)
        except ReplayError as error:
            self.fail(error)
            raise
        self.clock.changed.set()
        try:
            return await call.reply
        except asyncio.CancelledError:
            self._cancel(call)
            raise

    def fail(self, error: ReplayError) -> None:
        """Make this the outcome of the run: who waits is stopped, and later requests raise it."""
        self.failure = self.failure or error
        for call in self._waiting.values():
            call.reply.cancel()  # an exception would make each of them look guilty
        self.clock.changed.set()

    async def drive(self, body: asyncio.Task[Any]) -> None:
        """Step until cancelled; after a failure cancel the body, so that nobody waits in vain."""
        try:
            await self._step()
        except Exception as error:
            name = self.recording.path.name
            self.fail(ReplayError(f"{name} can't be played: {type(error).__name__}: {error}"))
        body.cancel()

    async def _step(self) -> None:
        """Play one step after another, until something has failed."""
        probe = IdleProbe()
        while True:
            await probe.idle()
            if self.failure:
                return
            self.clock.changed.clear()
            if self._next() is None:
                await self._wait_for_change()
            else:
                await asyncio.sleep(self.pace)
                await probe.idle()
                if (step := self._next()) is not None:
                    self._play(step)

    def finish(self) -> None:
        """Check that nothing is left over; save what was filled in. ReplayError: something is."""
        left = [s for s in self._todo if not self._is_past(s, None)]
        if self._waiting:
            call = next(iter(self._waiting.values()))
            raise ReplayError(f"the run has ended, but {self._place(call.exchange)} still waits")
        if left and self.mode != "lenient":
            raise ReplayError(f"the run has ended; the recording goes on: {self._place(left[0])}")
        if self.mode == "fill":
            self.recording.steps = self._played
            save(self.recording)

    async def _wait_for_change(self) -> None:
        """Wait for a request or a timer; fail as stuck when none comes and the run can't go on."""
        started, over = bool(self._conversations), not self._todo
        stuck = started and (not over or bool(self._waiting) or self.clock.next() is not None)
        stuck = stuck and not self.clock.waits_for
        try:
            async with asyncio.timeout(GRACE if stuck else None):
                await self.clock.changed.wait()
        except TimeoutError:
            self.fail(ReplayError(self._stuck()))

    def _next(self) -> Exchange | ClockStep | None:
        """Return the step that can be played now, or None."""
        if self.clock.waits_for:
            return None
        due = self.clock.next()
        while self._todo and self._is_past(self._todo[0], due):
            self._todo.pop(0)
        head = self._todo[0] if self._todo else None
        if isinstance(head, Exchange) and head.reply is not None and head.key in self._waiting:
            return head
        if self.mode == "recorded" or isinstance(head, ClockStep):
            return head if isinstance(head, ClockStep) and due is not None else None
        early = [c.exchange for c in self._waiting.values() if c.exchange.reply is not None]
        if self.mode == "lenient" and early:
            return early[0]
        return None if due is None else ClockStep(due)

    def _play(self, step: Exchange | ClockStep) -> None:
        """Hand over one reply, or fire one timer."""
        if step in self._todo:
            self._todo.remove(step)
        if isinstance(step, Exchange):
            self._played.append(step)
            self._answer(self._waiting.pop(step.key))
            return
        due = self.clock.next()
        if self.mode == "recorded" and step.seconds != due:
            place = f"{self.recording.path.name}:{step.line}"
            self.fail(ReplayError(f"{place}: recorded: clock {step.seconds}, the run: clock {due}"))
            return
        self._played.append(ClockStep(due or 0.0))
        self.clock.fire()

    def _answer(self, call: Call) -> None:
        conversation, reply = call.conversation, answer(call.exchange, call.body)
        turn = {"role": "assistant", "content": reply["content"]}
        conversation.history = call.body["messages"] + ([turn] if reply["content"] else [])
        conversation.call_ids = [b["id"] for b in reply["content"] if b["type"] == "tool_use"]
        conversation.asking = False
        call.reply.set_result(reply)

    def _cancel(self, call: Call) -> None:
        exchange, call.conversation.asking = call.exchange, False
        self._waiting.pop(exchange.key, None)
        self._cancelled.add(exchange.key)
        if self.mode == "fill":
            cancelled = Exchange(exchange.agent, exchange.turn, None, sent=exchange.sent)
            self._played.append(cancelled)
        self.clock.changed.set()

    def _is_past(self, step: Exchange | ClockStep, due: float | None) -> bool:
        """Tell whether a step needs no playing: a call cancelled, or a timer the run has not."""
        if isinstance(step, ClockStep):
            return self.mode != "recorded" and due is None
        return step.reply is None and step.key in self._cancelled

    def _arrive(self, body: dict[str, Any]) -> Call:
        """Find out who asks and which exchange answers, and compare. ReplayError: none fits."""
        conversation = self._conversations.continued(body) or self._open(body)
        key = (conversation.agent, conversation.turn + 1)
        words = describe(body, len(conversation.history), conversation.call_ids)
        if words["model"] == self.recording.model:
            del words["model"]
        if self.branches and not self._fits(self._exchanges.get(key), conversation, words):
            self._take_branch(key, conversation, words)
        exchange = self._exchanges.get(key)
        if exchange is None and self.mode == "fill":
            exchange = Exchange(*key, reply=None)
        if exchange is None:
            name = self.recording.path.name
            raise ReplayError(
                f"{name} ends here: it has no turn {key[1]} of {key[0]}. "
                f"If the file was not cut off, fill it in again: {FILL}"
            )
        self._compare(conversation, exchange, words)
        conversation.turn, conversation.asking = key[1], True
        reply = asyncio.get_running_loop().create_future()
        call = Call(conversation, exchange, body, reply)
        self._waiting[key] = call
        return call

    def _open(self, body: dict[str, Any]) -> Conversation:
        found = self._conversations.opened(body, self._exchanges, self.mode)
        if found is None:
            who = speaker(body) or "this one, which does not begin with a name: You are NAME"
            known = ", ".join(dict.fromkeys(agent for agent, _ in self._exchanges))
            raise ReplayError(
                f"{self.recording.path.name} has replies for the system prompts of {known}, and "
                f"none for {who}. Others need scripted agents, or COOKBOOK_CLIENT=live."
            )
        return found

    def _fits(self, exchange: Exchange | None, talk: Conversation, words: dict[str, Any]) -> bool:
        return bool(exchange and exchange.sent and not gaps(exchange, talk.words, words))

    def _take_branch(self, key: tuple[str, int], talk: Conversation, words: dict[str, Any]) -> None:
        """Go on with a branch that has the same steps up to here and this request next, if any."""
        done = len(self.recording.steps) - len(self._todo)
        for branch in self.branches:
            exchanges = {s.key: s for s in branch.steps if isinstance(s, Exchange)}
            same = branch.steps[:done] == self.recording.steps[:done] and all(
                k in exchanges and exchanges[k].sent == call.exchange.sent
                for k, call in self._waiting.items()
            )
            if same and self._fits(exchanges.get(key), talk, words):
                self.recording, self._todo, self._exchanges = branch, branch.steps[done:], exchanges
                for k, call in self._waiting.items():
                    call.exchange = exchanges[k]
                return

    def _compare(self, talk: Conversation, exchange: Exchange, words: dict[str, Any]) -> None:
        """Compare a request with the recording, or write it there, or give notice."""
        before, talk.words = talk.words, {k: v for k, v in words.items() if k != "messages"}
        if self.mode == "fill":
            new = {k: v for k, v in words.items() if k == "messages" or before.get(k) != v}
            gone = {k: None for k in before if k not in words}
            exchange.sent = new | gone
            return
        if exchange.sent is None:
            raise ReplayError(f"{self._place(exchange)} was never filled in. Run: {FILL}")
        found = gaps(exchange, before, words)
        if found and self.mode == "lenient":
            who = f"{exchange.agent}, turn {exchange.turn}"
            print(f"  (lenient: this reply to {who} was written for another prompt)")
        elif found:
            raise ReplayError(report(self.recording.path.name, exchange, found))

    def _stuck(self) -> str:
        head = self._todo[0] if self._todo else None
        expected = self._place(head) if head else "nothing more, for the recording is at its end"
        asking = [f"{agent} (turn {turn}, asked)" for agent, turn in self._waiting]
        silent = [f"{c.agent} (after turn {c.turn})" for c in self._conversations if not c.asking]
        return (
            f"the replay is stuck: nothing can run. Expected next: {expected}. "
            f"Waiting: {', '.join(asking + silent) or 'nobody'}. "
            "An agent waits for mail that never comes, or a tool waits in real time."
        )

    def _place(self, step: Exchange | ClockStep) -> str:
        if isinstance(step, ClockStep):
            return f"{self.recording.path.name}:{step.line} (clock {step.seconds})"
        return f"{self.recording.path.name}:{step.line()} ({step.agent}, turn {step.turn})"

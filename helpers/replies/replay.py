"""Replays a recording below the SDK, one step at a time.

A step hands over one reply or fires one timer, in the order of the file, and then lets the event
loop run until it is idle. So agents that run side by side interleave the same way each time.
"""

import asyncio
from itertools import dropwhile
from typing import Any

import httpx2

from ..tools import ProgramError
from .comparing import describe, differences, report
from .outside import Go, Outside
from .recording import (
    FILL,
    Answered,
    ClockStep,
    Exchange,
    Key,
    Recording,
    ReplayError,
    Step,
    answer,
    save,
    size,
    speaker,
)
from .scrubbing import Scrub
from .stepping import GRACE, REMEDY, VirtualClock, still
from .talks import Conversation, Words, whose


class Replay:
    """Answers the requests of one run from a recording, in serial steps.

    The whole content of each request is compared, or, with `fill`, written down. `pace` is in real
    seconds between two steps and never changes their order. Where the run leaves the recording, one
    of its branches that begins with the same steps may fit; it is then played.
    """

    def __init__(
        self, recording: Recording, pace: float, scrub: Scrub, *, fill: bool = False
    ) -> None:
        self.recording, self.pace, self.scrub, self.fill = recording, pace, scrub, fill
        self.clock = VirtualClock()
        self.clock.answers = self.hear
        self.branches = [] if fill else recording.branches
        kept = [s for s in recording.steps if not isinstance(s, Exchange) or s.over]
        self._todo = kept if fill else recording.steps[:]
        self._talks: list[Conversation] = []
        self._waiting: dict[Key, Conversation] = {}
        self.outside = Outside(self.clock, recording)
        self.played: list[Step] = []

    async def ask(self, text: str, request: httpx2.Request) -> Any:
        """Return the recorded reply to a request once its step has come. ReplayError: none fits."""
        if self.clock.failure:
            raise self.clock.failure
        try:
            talk = self._arrive(text, request)
        except ReplayError as error:
            self.clock.close(error)
            raise
        try:
            return await self.clock.hold(talk.reply)
        except asyncio.CancelledError:
            self._cancel(talk)
            raise

    async def hear(self, whom: str, what: Any, go: Go) -> Any:
        """Return what somebody outside has answered; ask anew beside hand-written replies.

        ReplayError: the recording has no such answer, or one to another question.
        """
        if self.fill or self.recording.source == "authored":
            async with self.clock.outside(whom):
                return await go()
        try:
            step = self.outside.expected(self._todo, whom, self.scrub(what))
        except ReplayError as error:
            self.clock.close(error)
            raise
        try:
            return await self.outside.hold(step, go)
        except asyncio.CancelledError:
            self._todo = [other for other in self._todo if other is not step]
            raise

    async def drive(self) -> None:
        """Play one step after another, until something has failed. ReplayError: it is stuck."""
        clock = self.clock
        while True:
            clock.changed.clear()
            if not (self._owes() or clock.failure):
                await clock.changed.wait()
                continue
            try:
                await asyncio.sleep(self.pace)
                await still(clock)
                if clock.failure:
                    return
                if step := self._next():
                    self._play(step)
                    continue
                await self._change()
            except TimeoutError:
                raise ReplayError(self._stuck()) from None
            except ProgramError as error:
                raise ReplayError(f"the replay is stuck: {error}") from None

    def _owes(self) -> bool:
        """Return whether a step is to come."""
        asked = self._waiting or self.outside.open or (self._talks and self._todo)
        return bool(asked) or self.clock.next() is not None

    async def _change(self) -> None:
        """Wait until something has changed. TimeoutError: nothing does, and nobody is outside."""
        async with asyncio.timeout(None if self.clock.waits_for else GRACE):
            await self.clock.changed.wait()

    def finish(self) -> None:
        """Check that nothing is left over; save what was filled in. ReplayError: something is."""
        left = [s for s in self._todo if not self.fill or isinstance(s, Exchange)]
        if self._waiting:
            talk = next(iter(self._waiting.values()))
            raise ReplayError(f"the run has ended, but {self._place(talk.exchange)} still waits")
        if left:
            raise ReplayError(f"the run has ended; the recording goes on: {self._place(left[0])}")
        if self.fill:
            self.recording.steps = self.played
            save(self.recording)

    def _next(self) -> Step | None:
        """Return the step that can be played now, or None."""
        due = self.clock.next()
        if self.clock.waits_for:
            return None
        if self.fill and due is None:  # timers of the file that the run does not have
            self._todo = list(dropwhile(lambda step: isinstance(step, ClockStep), self._todo))
        head = self._todo[0] if self._todo else None
        if isinstance(head, ClockStep):
            return head if due is not None else None
        if isinstance(head, Answered):
            return head if self.outside.ready(head) else None
        waiting = [talk.exchange for talk in self._waiting.values() if talk.exchange.over]
        if head in waiting:
            return head
        return ClockStep(due) if self.fill and due is not None else None

    def _play(self, step: Step) -> None:
        """Hand over one reply, or fire one timer."""
        self._todo = [other for other in self._todo if other is not step]
        if isinstance(step, Exchange):
            self.played.append(step)
            self.clock.advance(step.at or 0.0)
            self._answer(self._waiting.pop(step.key))
            return
        if isinstance(step, Answered):
            self.played.append(step)
            self.outside.give(step)
            return
        due = self.clock.next()
        if not self.fill and step.seconds != due:
            raise ReplayError(f"{self._place(step)}: the run has its next timer at {due}")
        self.played.append(ClockStep(due or 0.0))
        self.clock.fire()

    def _answer(self, talk: Conversation) -> None:
        if failed := talk.exchange.failed:  # its messages stay new: the same may be asked again
            talk.asking = False
            if failed["status"]:
                talk.reply.set_result(httpx2.Response(failed["status"], json=failed["body"]))
            else:
                talk.reply.set_exception(httpx2.ConnectError(str(failed["body"])))
            return
        reply = answer(talk.exchange, talk.body, talk.characters)
        talk.known, talk.asking = talk.text, False
        turn = {"role": "assistant", "content": reply["content"]}
        talk.said = [turn] if reply["content"] else []
        talk.characters += size(talk.body["messages"]) + sum(size([turn]) for turn in talk.said)
        talk.reply.set_result(reply)

    def _cancel(self, talk: Conversation) -> None:
        exchange, talk.asking = talk.exchange, False
        self._waiting.pop(exchange.key, None)
        if not exchange.over:
            self._todo = [step for step in self._todo if step is not exchange]
        if self.fill:
            self.played.append(Exchange(*exchange.key, sent=exchange.sent))
        self.clock.stir()

    def _arrive(self, text: str, request: httpx2.Request) -> Conversation:
        """Find out who asks and which exchange answers. ReplayError: none fits."""
        talk, body, known = whose(self._talks, text)
        talk = talk or self._open(body)
        talk.body = self.scrub(body | {"messages": body["messages"][len(talk.said) :]})
        words = describe(talk.body, talk.said)
        if words["model"] == self.recording.model:
            del words["model"]
        talk.turn += 1
        talk.exchange = self._expected((talk.agent, talk.turn), talk.words, words)
        talk.words, talk.asking = {k: v for k, v in words.items() if k != "messages"}, True
        talk.text, talk.reply = known, asyncio.get_running_loop().create_future()
        self._waiting[talk.exchange.key] = talk
        self.clock.stir()
        return talk

    def _open(self, body: dict[str, Any]) -> Conversation:
        """Begin a conversation, under the name that the recording has for it."""
        begun, name = {talk.agent for talk in self._talks}, speaker(body)
        left = [
            agent for agent, turn in self.recording.exchanges if turn == 1 and agent not in begun
        ]
        named = sorted((a for a in left if a.partition(".")[0] == name), key=lambda a: (len(a), a))
        if name and (new := self._new_name(name)):
            named.append(new)
        if named:
            self._talks.append(Conversation(named[0], name))
            return self._talks[-1]
        who = name or "this one, which does not begin with a name: You are NAME"
        known = ", ".join(dict.fromkeys(agent for agent, _ in self.recording.exchanges))
        raise ReplayError(
            f"{self.recording.path.name} has replies for the system prompts of {known}, and "
            f"none for {who}. Others need scripted agents, or COOKBOOK_CLIENT=live."
        )

    def _expected(self, key: Key, before: Words, words: Words) -> Exchange:
        """Return the exchange that a request belongs to, if need be of a branch."""
        exchange = self.recording.exchanges.get(key)
        if self._writes(exchange):
            exchange = exchange or Exchange(*key)
            new = {k: v for k, v in words.items() if k == "messages" or before.get(k) != v}
            exchange.sent = new | {k: None for k in before if k not in words}
            return exchange
        problem = self._problem(self.recording, key, before, words)
        if problem and not self._take_branch(key, before, words):
            unknown = "\nThis branch is not recorded; free play is on scripted agents."
            raise ReplayError(problem + (unknown if self.branches else ""))
        return self.recording.exchanges[key]

    def _new_name(self, name: str) -> str | None:
        """Return a name for an agent that the file does not have, such as one cancelled at once."""
        return name if self.fill else None

    def _writes(self, exchange: Exchange | None) -> bool:
        """Return whether a request is written down, not compared."""
        return self.fill

    def _problem(self, recording: Recording, key: Key, before: Words, words: Words) -> str | None:
        """Return why a request is not the one that this recording has, or None."""
        exchange = recording.exchanges.get(key)
        if exchange is None:
            end = f"{recording.path.name} ends here: it has no turn {key[1]} of {key[0]}."
            return f"{end} If the file was not cut off, fill it in again: {FILL}"
        if exchange.sent is None:
            return f"{self._place(exchange)} was never filled in. Run: {FILL}"
        recorded = before | self.scrub(exchange.sent)
        found = differences({k: v for k, v in recorded.items() if v is not None}, words)
        return report(recording, exchange, found) if found else None

    def _take_branch(self, key: Key, before: Words, words: Words) -> bool:
        """Go on with a branch that has the same steps up to here and this request next, if any."""
        steps, head = self.recording.steps, self._todo[0] if self._todo else None
        done = next((i for i, step in enumerate(steps) if step is head), len(steps))
        for branch in self.branches:
            theirs = branch.exchanges
            same = branch.steps[:done] == steps[:done] and all(
                k in theirs and theirs[k].sent == talk.exchange.sent
                for k, talk in self._waiting.items()
            )
            if same and not self._problem(branch, key, before, words):
                self.recording, self._todo = branch, branch.steps[done:]
                for k, talk in self._waiting.items():
                    talk.exchange = theirs[k]
                return True
        return False

    def _stuck(self) -> str:
        expected = self._place(self._todo[0]) if self._todo else "nothing: the recording has ended"
        asking = [f"{agent} (turn {turn}, asked)" for agent, turn in self._waiting]
        silent = [f"{t.agent} (after turn {t.turn})" for t in self._talks if not t.asking]
        return (
            f"the replay is stuck: nothing can run. Expected next: {expected}. "
            f"Waiting: {', '.join(asking + silent) or 'nobody'}. "
            f"An agent waits for mail that never comes, or for something real. {REMEDY}"
        )

    def _place(self, step: Step) -> str:
        if isinstance(step, Answered):
            return f"{self.recording.place(step)} (an answer of {step.outside})"
        if isinstance(step, ClockStep):
            return f"{self.recording.place(step)} (clock {step.seconds})"
        return f"{self.recording.place(step)} ({step.agent}, turn {step.turn})"

"""The hub: mail is delivered once, to the living, and none is lost."""

import asyncio
from dataclasses import replace
from typing import Any
from unicodedata import east_asian_width

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from helpers.hub import Clock, Event, Hub, Message, end_agent, wait_for_mail
from helpers.replies.stepping import VirtualClock
from helpers.trace import one_line, trace_line
from helpers.views import tool_summary

from .support import contents, ended, quiet_hub, run, settle, ticking

FINAL = ("done", "crashed", "killed", "dismissed", "out_of_turns", "refusal")


def event(kind: str, **data: Any) -> Event:
    return Event(0, 0.0, kind, "lead", data)


def test_a_message_is_delivered_to_each_recipient_once() -> None:
    hub = quiet_hub("a", "b", "c")
    assert hub.post("a", ["b", "c", "b"], "hi") == {"b": "delivered", "c": "delivered"}
    assert hub.drain("b") == [Message("a", "b", "hi")]
    assert hub.drain("b") == []


def test_a_hub_that_shows_nothing_has_nobody_listening() -> None:
    assert Hub(show=None).log.subscribers == []


def test_the_clock_sleeps_for_real() -> None:
    async def body() -> float:
        clock = Clock()
        clock.time()
        await clock.sleep(0.01)
        return clock.time()

    assert run(body()) >= 0.01


def test_a_dead_letter_stands_in_the_log_with_its_reason() -> None:
    hub = quiet_hub("a", "b")
    hub.post("a", ["b"], "hi")
    end_agent(hub, "b", "done")
    (dead,) = [event for event in hub.log.events if event.kind == "message_dead"]
    assert dead.agent == "b"
    assert "before reading it" in dead.data["reason"]


def test_whoever_ended_without_words_is_not_quoted() -> None:
    hub = quiet_hub("a")
    hub.register("b", starter="a")
    end_agent(hub, "b", "crashed", "KeyError: x")
    assert contents(hub.drain("a")) == ["b ended: crashed. KeyError: x"]


def test_of_those_who_wait_only_the_others_are_named() -> None:
    async def body() -> str:
        hub = quiet_hub("a", "b")
        other = asyncio.create_task(wait_for_mail(hub, "b"))
        await settle()
        said = await wait_for_mail(hub, "a")
        other.cancel()
        await asyncio.gather(other, return_exceptions=True)
        return said

    assert run(body()) == "nobody can send; waiting: b"


def test_a_text_in_place_of_a_list_is_refused() -> None:
    hub = quiet_hub("a", "b")
    with pytest.raises(TypeError, match="list of names"):
        hub.post("a", "b2", "hi")
    assert hub.boxes["b"].inbox == []


def test_mail_to_oneself_is_refused() -> None:
    hub = quiet_hub("a", "b")
    assert "itself" in hub.post("a", ["a"], "hi")["a"]
    assert hub.boxes["a"].inbox == []


def test_an_unknown_name_is_answered_with_the_names_of_the_living() -> None:
    hub = quiet_hub("a", "b", "gone")
    end_agent(hub, "gone", "done")
    fate = hub.post("a", ["bee"], "hi")["bee"]
    assert "unknown name" in fate
    assert "a, b" in fate
    assert "gone" not in fate


@pytest.mark.parametrize(("count", "end"), [(20, ", a19"), (23, ", a19 and 3 more")])
def test_of_many_names_that_are_alive_twenty_are_listed_and_the_rest_counted(
    count: int, end: str
) -> None:
    hub = quiet_hub(*(f"a{number}" for number in range(count)))
    assert hub.post("a0", ["nobody"], "Hello.")["nobody"].endswith(end)


@pytest.mark.parametrize("status", FINAL)
def test_mail_to_an_ended_agent_is_refused_with_its_status(status: str) -> None:
    hub = quiet_hub("a", "b")
    end_agent(hub, "b", status)
    assert status in hub.post("a", ["b"], "hi")["b"]
    assert hub.boxes["b"].inbox == []
    assert contents(m for m, _ in hub.dead_letters) == ["hi"]


def test_an_ended_agent_cannot_post() -> None:
    hub = quiet_hub("a", "b")
    end_agent(hub, "a", "killed")
    assert "killed" in hub.post("a", ["b"], "late")["b"]
    assert hub.boxes["b"].inbox == []


def test_a_person_and_the_hub_itself_can_post() -> None:
    hub = quiet_hub("a")
    assert hub.post("human", ["a"], "hi") == {"a": "delivered"}
    assert hub.post("hub", ["a"], "hi") == {"a": "delivered"}


@pytest.mark.parametrize("name", ["", "hub", "human", "1st", "a b", 'a"', "a\n", "<a>", "a" * 65])
def test_a_malformed_or_reserved_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="can't name an agent"):
        quiet_hub(name)


def test_a_name_in_use_is_refused_and_its_mail_stays() -> None:
    hub = quiet_hub("a", "b")
    hub.post("a", ["b"], "hi")
    with pytest.raises(ValueError, match="in use"):
        hub.register("b")
    assert contents(hub.drain("b")) == ["hi"]


def test_a_name_of_an_ended_agent_can_be_used_again_with_an_empty_inbox() -> None:
    hub = quiet_hub("a", "b")
    hub.post("a", ["b"], "for the first b")
    end_agent(hub, "b", "done")
    hub.register("b")
    assert hub.alive("b")
    assert hub.drain("b") == []


@given(st.lists(st.sampled_from(["helper1", "helper2", "helper3", "helper5"]), unique=True))
def test_a_new_name_was_never_used(taken: list[str]) -> None:
    hub = quiet_hub(*taken)
    for name in taken[::2]:
        end_agent(hub, name, "done")
    fresh = [hub.new_name() for _ in range(4)]
    assert len({*fresh, *taken}) == len(fresh) + len(taken)


def test_a_wait_ends_when_mail_comes() -> None:
    async def body() -> str:
        async with ticking() as clock:
            hub = Hub(clock, show=None)
            hub.register("a")
            hub.register("b")
            waiter = asyncio.create_task(wait_for_mail(hub, "a"))
            await asyncio.sleep(0)
            assert hub.boxes["a"].status == "idling"
            hub.post("b", ["a"], "hi")
            assert hub.boxes["a"].status == "active"
            assert clock.time() == 0
            return await waiter

    assert run(body()) == "new messages"


def test_every_waiter_of_a_mailbox_goes_on_when_another_took_the_mail_and_wakes_by_the_next() -> (
    None
):
    async def body() -> None:
        hub = quiet_hub("a", "b")
        waiters = [asyncio.create_task(wait_for_mail(hub, "a")) for _ in range(3)]
        await settle()
        hub.post("b", ["a"], "hi")
        hub.drain("a")
        await settle()
        assert not any(waiter.done() for waiter in waiters)
        hub.post("b", ["a"], "again")
        assert await asyncio.gather(*waiters) == ["new messages"] * 3

    run(body())


def test_a_second_wait_works_after_a_drain() -> None:
    async def body() -> None:
        hub = quiet_hub("a", "b")
        for content in ("one", "two"):
            waiter = asyncio.create_task(wait_for_mail(hub, "a"))
            await settle()
            hub.post("b", ["a"], content)
            assert await waiter == "new messages"
            assert contents(hub.drain("a")) == [content]

    run(body())


def test_a_wait_with_mail_in_the_inbox_returns_at_once() -> None:
    hub = quiet_hub("a", "b")
    hub.post("b", ["a"], "hi")
    assert run(wait_for_mail(hub, "a")) == "new messages"


def test_a_wait_has_a_deadline() -> None:
    async def body() -> tuple[str, float, str]:
        async with ticking() as clock:
            hub = Hub(clock, show=None)
            hub.register("a")
            hub.register("b")
            return await wait_for_mail(hub, "a", 7), clock.time(), hub.boxes["a"].status

    assert run(body()) == ("7s timeout", 7, "active")


def test_two_waits_of_one_agent_tell_the_same_deadline() -> None:
    async def body() -> tuple[str, str]:
        async with ticking() as clock:
            hub = Hub(clock, show=None)
            hub.register("a")
            hub.register("b")
            return await asyncio.gather(wait_for_mail(hub, "a", 7), wait_for_mail(hub, "a", 7))

    for reason in run(body()):
        assert "nobody" not in reason  # b is alive and at work
        assert "no other" not in reason


def test_a_wait_when_all_others_wait_returns_at_once_and_names_them() -> None:
    async def body() -> None:
        hub = quiet_hub("a", "b", "c")
        waiters = [asyncio.create_task(wait_for_mail(hub, n)) for n in ("b", "c")]
        await settle()
        reason = await wait_for_mail(hub, "a")
        assert reason == "nobody can send; waiting: b, c"
        hub.post("a", ["b", "c"], "go on")
        await asyncio.gather(*waiters)

    run(body())


def test_a_wait_of_the_last_one_alive_returns_at_once() -> None:
    hub = quiet_hub("a", "b")
    end_agent(hub, "b", "done")
    assert run(wait_for_mail(hub, "a")) == "no other agent is alive"


def test_one_waiter_is_woken_when_the_last_one_at_work_ends() -> None:
    async def body() -> str:
        hub = quiet_hub("a", "b", "c")
        first = asyncio.create_task(wait_for_mail(hub, "a"))
        second = asyncio.create_task(wait_for_mail(hub, "b"))
        await settle()
        end_agent(hub, "c", "done")
        reason = await first
        assert not second.done()
        hub.post("a", ["b"], "go on")
        await second
        return reason

    assert run(body()) == "nobody can send; waiting: b"


def test_an_end_wakes_a_waiter_that_came_after_the_one_who_ended() -> None:
    async def body() -> str:
        hub = quiet_hub("a", "b", "c")
        waits = [asyncio.create_task(wait_for_mail(hub, name)) for name in ("b", "c")]
        await settle()
        end_agent(hub, "a", "done")
        assert list(hub.living) == ["b", "c"]
        woken = await waits[0]
        waits[1].cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        return woken

    assert run(body()) == "nobody can send; waiting: c"


def test_an_end_wakes_nobody_while_another_agent_is_at_work() -> None:
    async def body() -> None:
        hub = quiet_hub("a", "b", "c")
        wait = asyncio.create_task(wait_for_mail(hub, "a"))
        await settle()
        end_agent(hub, "b", "done")
        await settle()
        assert not wait.done()
        wait.cancel()
        await asyncio.gather(wait, return_exceptions=True)

    run(body())


def test_a_wait_cannot_bring_an_ended_agent_back_to_life() -> None:
    async def body() -> str:
        async with ticking() as clock:
            hub = Hub(clock, show=None)
            hub.register("a")
            hub.register("b")
            end_agent(hub, "a", "killed")
            await wait_for_mail(hub, "a", 1)
            return hub.boxes["a"].status

    assert run(body()) == "killed"


def test_a_cancelled_wait_leaves_the_agent_active() -> None:
    async def body() -> str:
        hub = quiet_hub("a", "b")
        waiter = asyncio.create_task(wait_for_mail(hub, "a"))
        await settle()
        waiter.cancel()
        await asyncio.gather(waiter, return_exceptions=True)
        return hub.boxes["a"].status

    assert run(body()) == "active"


def test_the_real_clock_measures_and_ends_a_wait() -> None:
    async def body() -> None:
        clock = Clock()
        before = clock.time()
        await clock.sleep(0)
        with pytest.raises(TimeoutError):
            async with clock.timeout(0):
                await asyncio.Event().wait()
        assert clock.time() >= before

    run(body())


@pytest.mark.parametrize("first", FINAL)
def test_a_final_status_is_never_overwritten(first: str) -> None:
    hub = quiet_hub("a", "b")
    end_agent(hub, "b", first)
    for later in FINAL:
        end_agent(hub, "b", later)
    hub.boxes["b"].wake()
    assert hub.boxes["b"].status == first
    assert ended(hub) == [("b", first)]


@pytest.mark.parametrize(("status", "told"), [(s, s not in ("killed", "dismissed")) for s in FINAL])
def test_the_starter_hears_once_of_an_end_it_did_not_cause(status: str, told: bool) -> None:
    hub = quiet_hub("lead")
    hub.register("helper1", starter="lead")
    for _ in range(2):
        end_agent(hub, "helper1", status, "my last words")
    notices = hub.drain("lead")
    assert len(notices) == told
    for notice in notices:
        assert notice.sender == "hub"
        assert status in notice.content
        assert "my last words" in notice.content


def test_unread_mail_becomes_dead_letters_and_its_sender_hears_of_it() -> None:
    hub = quiet_hub("a", "b")
    hub.post("a", ["b"], "taken")
    hub.drain("b")
    hub.post("a", ["b"], "in the box")
    end_agent(hub, "b", "crashed")
    assert contents(m for m, _ in hub.dead_letters) == ["taken", "in the box"]
    assert all("crashed" in reason for _, reason in hub.dead_letters)
    notices = hub.drain("a")
    assert {notice.sender for notice in notices} == {"hub"}
    first, second = contents(notices)
    assert "taken" in first
    assert "in the box" in second


def test_mail_that_was_read_is_no_dead_letter() -> None:
    hub = quiet_hub("a", "b")
    hub.post("a", ["b"], "hi")
    hub.drain("b")
    hub.boxes["b"].unconfirmed.clear()
    end_agent(hub, "b", "crashed")
    assert hub.dead_letters == []


def test_a_dismissed_agent_causes_no_notices() -> None:
    hub = quiet_hub("lead", "peer")
    hub.register("helper1", starter="lead")
    hub.post("peer", ["helper1"], "unread")
    end_agent(hub, "helper1", "dismissed")
    assert hub.boxes["lead"].inbox == hub.boxes["peer"].inbox == []
    assert contents(m for m, _ in hub.dead_letters) == ["unread"]


class Mail(RuleBasedStateMachine):
    """Any sequence of operations: each message posted is in exactly one place."""

    names = st.sampled_from(["a", "b", "c", "d"])

    def __init__(self) -> None:
        super().__init__()
        self.hub = quiet_hub("a", "b")
        self.hub.register("c", starter="a")
        self.read: list[Message] = []
        self.refused = 0
        self.posted = 0

    @rule(sender=names, recipients=st.lists(names, max_size=5))
    def post(self, sender: str, recipients: list[str]) -> None:
        self.posted += 1
        fates = self.hub.post(sender, recipients, f"message {self.posted}")
        assert set(fates) == set(recipients)
        self.refused += sum(fate != "delivered" for fate in fates.values())

    @rule(name=names)
    def drain(self, name: str) -> None:
        if name in self.hub.boxes:
            self.hub.drain(name)

    @rule(name=names)
    def confirm(self, name: str) -> None:
        if name in self.hub.boxes:
            self.read += self.hub.boxes[name].unconfirmed
            self.hub.boxes[name].unconfirmed.clear()

    @rule(name=names, status=st.sampled_from(FINAL))
    def end(self, name: str, status: str) -> None:
        if name in self.hub.boxes:
            end_agent(self.hub, name, status, "last words")

    @precondition(lambda self: not self.hub.alive("d"))
    @rule(starter=st.none() | names)
    def start_again(self, starter: str | None) -> None:
        self.hub.register("d", starter)

    @invariant()
    def every_message_is_in_exactly_one_place(self) -> None:
        boxes = self.hub.boxes.values()
        dead = [message for message, _ in self.hub.dead_letters]
        unread = [m for box in boxes for m in box.inbox + box.unconfirmed]
        places = [id(message) for message in [*self.read, *unread, *dead]]
        sent = [id(e.data["message"]) for e in self.hub.log.events if e.kind == "message_sent"]
        assert len(places) == len(set(places))
        assert set(sent) <= set(places)
        assert len(places) == len(sent) + self.refused

    @invariant()
    def the_dead_have_no_mail_and_one_end_each(self) -> None:
        for name, box in self.hub.boxes.items():
            starts = sum(e.kind == "agent_started" and e.agent == name for e in self.hub.log.events)
            assert [agent for agent, _ in ended(self.hub)].count(name) == starts - box.alive
            assert box.alive or not box.inbox + box.unconfirmed

    @invariant()
    def the_log_is_numbered(self) -> None:
        assert [e.step for e in self.hub.log.events] == list(range(len(self.hub.log.events)))


TestMailIsConserved = Mail.TestCase


@given(st.text(st.characters(codec="utf-8")), st.integers(0, 80))
def test_one_line_is_printable_and_short(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert line.isprintable()
    assert len(line) <= max(limit, 1)
    assert line.endswith("…") or len(text) == len(line)


hostile = st.text(st.sampled_from("ab漢\r\n\x1b\x07\x00\x85\u202e\u2028\u200b"), min_size=1)


@given(hostile, hostile, hostile)
def test_no_event_can_put_a_control_character_into_the_trace(a: str, b: str, c: str) -> None:
    events = [
        event("tool_result", tool=a, input={b: c}, text=c, error=False),
        event("message_received", message=Message("peer", "lead", a)),
        event("agent_ended", status="crashed", reason=b),
    ]
    for line in map(trace_line, events):
        assert line is not None
        assert line.isprintable()


def test_the_trace_names_tool_result_sender_and_unusual_end() -> None:
    result = event("tool_result", tool="sleep", input={"seconds": 2}, text="slept", error=False)
    assert trace_line(result) == "  [lead] sleep(seconds=2) → slept"
    received = event("message_received", message=Message("peer", "lead", "hi"))
    assert trace_line(received) == "  [lead] ← peer: hi"
    assert trace_line(event("agent_ended", status="crashed", reason="why")) == (
        "  [lead] ended: crashed why"
    )


def test_a_message_that_was_delivered_reads_as_one_and_one_that_was_not_says_why() -> None:
    given = {"recipient_ids": ["lead", "helper2"], "content": "Hi, I'm Ada.\nI build."}
    sent = event("tool_result", tool="send_message", input=given, error=False)
    delivered = {**sent.data, "text": "delivered to ['lead', 'helper2']"}
    assert trace_line(replace(sent, data=delivered)) == (
        "  [lead] → lead, helper2: Hi, I'm Ada. I build."
    )
    partly = {**sent.data, "text": "delivered to ['lead']; not to helper2 (has ended (done))"}
    assert trace_line(replace(sent, data=partly)) == (
        "  [lead] → lead, helper2: Hi, I'm Ada. I build. · not to helper2 (has ended (done))"
    )


@given(hostile, hostile, hostile)
def test_a_line_of_the_trace_fits_whatever_agents_write(name: str, words: str, end: str) -> None:
    call = event("tool_result", tool=name, input={"recipient_ids": [name], "x": words}, text=end)
    mail = event("message_received", message=Message("peer", "lead", words))
    ended = event("agent_ended", status=end, reason=words)
    for line in filter(None, map(trace_line, (call, mail, ended))):
        assert line.isprintable()
        assert sum(1 + (east_asian_width(c) in "WF") for c in line) <= 95


@pytest.mark.parametrize("status", ["done", "killed", "dismissed"])
def test_an_expected_end_is_not_in_the_trace(status: str) -> None:
    assert trace_line(event("agent_ended", status=status, reason="")) is None


def test_the_trace_is_shown_as_it_happens_and_belongs_to_its_hub() -> None:
    shown: list[str] = []
    hub, other = Hub(VirtualClock(), shown.append), quiet_hub("a")
    hub.register("a")
    other.post("human", ["a"], "not here")
    other.drain("a")
    hub.post("human", ["a"], "hi")
    assert shown == []
    hub.drain("a")
    assert shown == ["  [a] ← human: hi"]


def test_the_summary_counts_calls_per_agent_and_tool() -> None:
    calls = [("b", "send"), ("a", "wait"), ("a", "send"), ("a", "send")]
    events = [Event(i, 0.0, "tool_call", who, {"tool": t}) for i, (who, t) in enumerate(calls)]
    assert tool_summary(events) == "  a: 2×send, 1×wait\n  b: 1×send"
    assert tool_summary([]) == ""


@given(hostile)
def test_a_tool_name_cannot_forge_a_line_of_the_summary(name: str) -> None:
    assert tool_summary([event("tool_call", tool=name)]).isprintable()

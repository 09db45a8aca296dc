"""Replaying: the same run each time, and a word on it when the run and its recording disagree."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import anthropic
import httpx2
import pytest

from helpers.hub import Event, Hub
from helpers.replies import ReplayError
from helpers.replies.client import MODES, Session, SettingError, Transport, connect
from helpers.replies.recording import ClockStep, Exchange, RecordingError, Step, load, save
from helpers.spawn import helper_tools
from helpers.team import Crew, crew
from helpers.trace import trace_line

from .support import run, settle

Result = TypeVar("Result")
Body = Callable[[Session], Awaitable[Result]]

# Mail, sleeps, a wait that is never answered and a call that is cancelled, in one run.
TEAM = """\
source: authored
about: made by a test
model: test-model
steps:
- agent: helper1
  reply:
  - send_message: {recipient_ids: [lead, helper2], content: Hi from helper1.}
- agent: helper2
  reply:
  - wait_for_message: {}
- agent: lead
  reply:
  - text: Let me think.
  - sleep: {seconds: 3}
- agent: helper1
  reply:
  - sleep: {seconds: 1}
- agent: helper2
  reply:
  - wait_for_message: {}
- agent: lead
  reply: We are ready.
...
"""
TASKS = {"lead": "Lead the team.", "helper1": "Greet the others.", "helper2": "Wait."}
PAIR = """\
source: authored
about: made by a test
model: test-model
steps:
- agent: ann
  reply: I am Ann.
- agent: bob
  reply: I am Bob.
...
"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("replay", "stepping"):
        monkeypatch.setattr(f"helpers.replies.{module}.GRACE", 0.02)


class Stage:
    """A folder with one recording, and a way to play it in any mode."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.monkeypatch = folder, monkeypatch
        self.path = folder / "team.yaml"

    def play(self, body: Body[Result], mode: str = "recorded", text: str | None = None) -> Result:
        """Play the recording, or this text in its place; return what the body returns."""
        if text is not None:
            self.path.write_text(text, encoding="utf-8")
        with self.monkeypatch.context() as patch:
            patch.setenv("COOKBOOK_CLIENT", mode)
            return run(self.session(body))

    async def session(self, body: Body[Result]) -> Result:
        async with connect("team", self.folder) as session:
            return await body(session)
        raise AssertionError("a session swallowed what its body raised")

    def fails(self, body: Body[Any], mode: str = "recorded", text: str | None = None) -> str:
        """Return the message of the ReplayError that this run ends with."""
        with pytest.raises(ReplayError) as caught:
            self.play(body, mode, text)
        return str(caught.value)

    def edit(self, old: str, new: str) -> None:
        text = self.path.read_text(encoding="utf-8")
        assert old in text
        self.path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def keep(self, wanted: Callable[[Step], bool]) -> None:
        recording = load(self.path)
        recording.steps = [step for step in recording.steps if wanted(step)]
        save(recording)

    def line(self, words: str) -> int:
        lines = self.path.read_text(encoding="utf-8").splitlines()
        return next(i for i, line in enumerate(lines, 1) if words in line)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(tmp_path, monkeypatch)


def team(tasks: dict[str, str] = TASKS) -> Body[tuple[str, list[Event]]]:
    """The body of a session that runs a team and gives the lead's answer and the log."""

    def start(group: Crew, name: str, task: str) -> asyncio.Task[str]:
        settings = {"model": "test-model", "task": task, "tools": helper_tools(group.hub, name)}
        starter = None if name == "lead" else "lead"
        return group.start(name, starter, system=f"You are {name}.", **settings)

    async def body(session: Session) -> tuple[str, list[Event]]:
        hub = Hub(session.clock, show=None)
        async with crew(session.client, hub) as group:
            started = [start(group, name, task) for name, task in tasks.items()]
            answer = await started[0]
        return answer, hub.log.events

    return body


async def ask(session: Session, name: str, text: str = "Who are you?") -> str:
    """Make one call in the name of an agent; return the text of the reply."""
    reply = await session.client.messages.create(
        model=session.model,
        max_tokens=100,
        system=f"You are {name}.",
        messages=[{"role": "user", "content": text}],
    )
    return "".join(block.text for block in reply.content if block.type == "text")


async def pair(session: Session) -> list[str]:
    return list(await asyncio.gather(ask(session, "bob"), ask(session, "ann")))


async def forever(session: Session) -> None:
    await asyncio.Event().wait()


def test_a_recording_that_was_filled_in_replays_to_the_same_trace(stage: Stage) -> None:
    answer, events = stage.play(team(), "fill", TEAM)
    assert answer == "We are ready."
    assert stage.play(team()) == (answer, events)
    assert any(map(trace_line, events))


def test_a_filled_file_holds_requests_timers_and_the_cancelled_call_in_order(stage: Stage) -> None:
    stage.play(team(), "fill", TEAM)
    steps = load(stage.path).steps
    order = [s.key if isinstance(s, Exchange) else getattr(s, "seconds", None) for s in steps]
    assert order[-4:] == [1.0, 3.0, ("lead", 2), ("helper1", 3)]
    last = steps[-1]
    assert isinstance(last, Exchange)
    assert last.reply is None
    assert last.sent == {"messages": [{"user": [{"result": "slept 1s"}]}]}


def test_filling_in_again_changes_nothing(stage: Stage) -> None:
    stage.play(team(), "fill", TEAM)
    before = stage.path.read_bytes()
    stage.play(team(), "fill")
    assert stage.path.read_bytes() == before


def test_a_replay_changes_no_file(stage: Stage) -> None:
    stage.play(team(), "fill", TEAM)
    before = stage.path.read_bytes()
    stage.play(team())
    assert stage.path.read_bytes() == before
    assert list(stage.folder.iterdir()) == [stage.path]


def test_a_fill_that_fails_leaves_the_file_as_it_was(stage: Stage) -> None:
    async def body(session: Session) -> None:
        await ask(session, "ann")
        raise RuntimeError("a mistake in the notebook")

    with pytest.raises(RuntimeError, match="a mistake"):
        stage.play(body, "fill", PAIR)
    assert stage.path.read_text(encoding="utf-8") == PAIR


def test_replies_come_in_the_order_of_the_file_whoever_asks_first(stage: Stage) -> None:
    async def body(session: Session) -> list[str]:
        order: list[str] = []
        bob = asyncio.create_task(ask(session, "bob"))
        await settle()
        ann = asyncio.create_task(ask(session, "ann"))
        for task in (bob, ann):
            task.add_done_callback(lambda task: order.append(task.result()))
        await asyncio.gather(bob, ann)
        return order

    assert stage.play(body, "fill", PAIR) == ["I am Ann.", "I am Bob."]
    assert stage.play(body) == ["I am Ann.", "I am Bob."]


def test_other_work_in_the_loop_and_a_pace_change_no_order(stage: Stage) -> None:
    async def noisy(session: Session) -> tuple[str, list[Event]]:
        noise = [asyncio.create_task(settle(turns)) for turns in (3, 40, 170)]
        outcome = await team()(session)
        await asyncio.gather(*noise)
        return outcome

    expected = stage.play(team(), "fill", TEAM)
    assert stage.play(noisy) == expected
    stage.monkeypatch.setenv("COOKBOOK_PACE", "0.001")
    assert stage.play(team()) == expected


def test_a_run_can_be_played_twice_in_one_loop(stage: Stage) -> None:
    async def twice() -> list[Any]:
        return [await stage.session(team()) for _ in range(2)]

    expected = stage.play(team(), "fill", TEAM)
    assert run(twice()) == [expected, expected]


def test_two_sessions_at_once_do_not_mix(stage: Stage) -> None:
    async def both() -> list[Any]:
        return list(await asyncio.gather(*(stage.session(team()) for _ in range(3))))

    expected = stage.play(team(), "fill", TEAM)
    assert run(both()) == [expected] * 3


def test_a_failure_of_one_session_leaves_the_other_alone(stage: Stage) -> None:
    async def both() -> list[Any]:
        wrong = team(TASKS | {"helper1": "Be rude."})
        sessions = (stage.session(team()), stage.session(wrong))
        return list(await asyncio.gather(*sessions, return_exceptions=True))

    expected = stage.play(team(), "fill", TEAM)
    right, wrong = run(both())
    assert right == expected
    assert isinstance(wrong, ReplayError)


def test_time_stands_still_except_at_clock_steps(stage: Stage) -> None:
    async def body(session: Session) -> list[float]:
        times = [session.clock.time()]
        await ask(session, "ann")
        times.append(session.clock.time())
        await asyncio.gather(session.clock.sleep(5), session.clock.sleep(3600))
        times.append(session.clock.time())
        with pytest.raises(TimeoutError):
            async with session.clock.timeout(10):
                await asyncio.Event().wait()
        times.append(session.clock.time())
        await ask(session, "bob")
        return times

    assert stage.play(body, "fill", PAIR) == [0, 0, 3600, 3610]
    clock = [s.seconds for s in load(stage.path).steps if isinstance(s, ClockStep)]
    assert clock == [5, 3600, 3610]
    assert stage.play(body) == [0, 0, 3600, 3610]


def test_a_timeout_that_is_not_needed_leaves_no_step(stage: Stage) -> None:
    async def body(session: Session) -> str:
        async with session.clock.timeout(60):
            answer = await ask(session, "ann")
        await ask(session, "bob")
        return answer

    assert stage.play(body, "fill", PAIR) == "I am Ann."
    assert not any(isinstance(step, ClockStep) for step in load(stage.path).steps)
    assert stage.play(body) == "I am Ann."


def test_an_old_message_that_was_rewritten_is_noticed(stage: Stage) -> None:
    stage.play(fork("This is Bob."), "fill", FORKED)
    message = stage.fails(fork("This is Bob.", "Who are you, please?"))
    assert "none for ann" in message


def test_agents_that_begin_alike_are_told_apart_by_arrival(stage: Stage) -> None:
    async def body(session: Session) -> list[str]:
        return [await ask(session, "ann"), await ask(session, "ann")]

    text = PAIR.replace("agent: bob", "agent: ann.2")
    assert stage.play(body, "fill", text) == ["I am Ann.", "I am Bob."]
    assert stage.play(body) == ["I am Ann.", "I am Bob."]


def test_two_agents_of_equal_words_keep_their_own_conversations(stage: Stage) -> None:
    async def talk(session: Session, name: str, both: asyncio.Barrier) -> str:
        opening: list[Any] = [{"role": "user", "content": "Hello?"}]
        await ask(session, name, "Hello?")
        await both.wait()
        said: Any = {"role": "assistant", "content": [{"type": "text", "text": "Yes."}]}
        reply = await session.client.messages.create(
            model=session.model,
            max_tokens=100,
            system=f"You are {name}.",
            messages=[*opening, said, {"role": "user", "content": "Who are you?"}],
        )
        return str(reply.content)

    async def body(session: Session) -> list[bool]:
        both, names = asyncio.Barrier(2), ("bob", "ann")
        texts = await asyncio.gather(*(talk(session, name, both) for name in names))
        return [name in text for name, text in zip(names, texts, strict=True)]

    steps = "".join(
        f"- agent: {name}\n  reply: {text}\n"
        for name, text in [
            ("bob", "Yes."),
            ("ann", "Yes."),
            ("bob", "I am bob."),
            ("ann", "I am ann."),
        ]
    )
    text = PAIR.partition("- agent")[0] + steps + "...\n"
    assert stage.play(body, "fill", text) == [True, True]
    assert stage.play(body) == [True, True]


async def give_up(session: Session, name: str) -> str:
    """Ask in an agent's name, give the call up after ann's reply, and ask for bob."""
    call = asyncio.create_task(ask(session, name))
    await ask(session, "ann")
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    assert call.cancelled()
    return await ask(session, "bob")


def test_a_call_that_was_given_up_can_be_made_again(stage: Stage) -> None:
    async def body(session: Session) -> str:
        return await give_up(session, "bob")

    text = PAIR.replace("- agent: bob\n", "- agent: bob\n  cancelled: true\n- agent: bob\n")
    assert stage.play(body, "fill", text) == "I am Bob."
    assert stage.play(body) == "I am Bob."


def test_a_cancelled_call_is_recorded_and_replayed(stage: Stage) -> None:
    async def body(session: Session) -> str:
        return await give_up(session, "carl")

    assert stage.play(body, "fill", PAIR) == "I am Bob."
    steps = [s for s in load(stage.path).steps if isinstance(s, Exchange)]
    assert [(s.agent, s.reply is None) for s in steps] == [
        ("ann", False),
        ("carl", True),
        ("bob", False),
    ]
    assert stage.play(body) == "I am Bob."


def test_a_changed_prompt_is_named_with_agent_turn_file_line_and_both_texts(stage: Stage) -> None:
    stage.play(team(), "fill", TEAM)
    message = stage.fails(team(TASKS | {"helper1": "Insult the others."}))
    assert message.startswith("helper1, turn 1, ")
    assert f"team.yaml:{stage.line('Greet the others.')}," in message
    assert "recorded: Greet the others." in message
    assert "sent:     Insult the others." in message
    assert "scripted(reactive)" in message


def test_an_edited_file_is_named_with_the_line_of_the_edit(stage: Stage) -> None:
    stage.play(team(), "fill", TEAM)
    stage.edit("result: delivered to ['lead', 'helper2']", "result: delivered to no one")
    message = stage.fails(team())
    assert message.startswith("helper1, turn 2, ")
    assert f"team.yaml:{stage.line('delivered to no one')}," in message
    assert "recorded: delivered to no one" in message
    assert "sent:     delivered to ['lead', 'helper2']" in message


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("max_tokens: 2048", "max_tokens: 2049"),
        ("type: ephemeral", "type: eternal"),
        ("system: You are helper1.", "system: You are helper1!"),
        ("    system: You are helper1.\n", ""),
        ("clock: 3.0", "clock: 4.0"),
        ("model: test-model", "model: other-model"),
        ("- result: slept 1s", "- result: slept 1s\n        error: true"),
    ],
)
def test_any_change_of_what_was_sent_is_noticed(stage: Stage, old: str, new: str) -> None:
    stage.play(team(), "fill", TEAM)
    stage.edit(old, new)
    assert "team.yaml:" in stage.fails(team())


def test_a_changed_tool_is_noticed(stage: Stage) -> None:
    stage.play(team(), "fill", TEAM)
    recording = load(stage.path)
    first = recording.steps[0]
    assert isinstance(first, Exchange)
    assert first.sent is not None
    first.sent["tools"]["wait_for_message"] = "000000000000"
    save(recording)
    message = stage.fails(team())
    assert "field tools.wait_for_message" in message
    assert f"team.yaml:{stage.line('000000000000')}," in message


def test_a_recording_that_was_never_filled_in_says_what_to_run(stage: Stage) -> None:
    message = stage.fails(pair, text=PAIR)
    assert "never filled in" in message
    assert "helpers.lessons fill" in message


def test_a_call_that_the_recording_does_not_have_is_named(stage: Stage) -> None:
    stage.play(team(), "fill", TEAM)
    stage.keep(lambda step: getattr(step, "key", None) != ("lead", 2))
    assert "no turn 2 of lead" in stage.fails(team())


def test_an_agent_that_the_recording_does_not_have_is_named(stage: Stage) -> None:
    async def body(session: Session) -> str:
        await pair(session)
        return await ask(session, "carl")

    stage.play(pair, "fill", PAIR)
    assert "carl" in stage.fails(body)


@pytest.mark.parametrize("mode", ["recorded", "fill"])
def test_replies_left_over_are_an_error(stage: Stage, mode: str) -> None:
    async def body(session: Session) -> str:
        return await ask(session, "ann")

    stage.play(pair, "fill", PAIR)
    before = stage.path.read_bytes()
    message = stage.fails(body, mode)
    assert "(bob, turn 1)" in message
    assert f"team.yaml:{stage.line('agent: bob')} " in message
    assert stage.path.read_bytes() == before


def test_a_clock_step_left_over_is_an_error(stage: Stage) -> None:
    stage.play(pair, "fill", PAIR)
    stage.edit("...\n", "- clock: 5.0\n...\n")
    assert "clock 5.0" in stage.fails(pair)


def test_an_agent_that_never_asks_is_reported(stage: Stage) -> None:
    async def body(session: Session) -> str:
        return await ask(session, "bob")

    stage.play(pair, "fill", PAIR)
    message = stage.fails(body)
    assert "stuck" in message
    assert "(ann, turn 1)" in message
    assert "bob (turn 1, asked)" in message


def test_a_wait_that_never_ends_is_reported(stage: Stage) -> None:
    async def body(session: Session) -> None:
        await ask(session, "ann")
        await forever(session)

    stage.play(pair, "fill", PAIR)
    message = stage.fails(body)
    assert "stuck" in message
    assert "(bob, turn 1)" in message
    assert "ann (after turn 1)" in message


def test_a_timer_that_the_recording_does_not_have_is_reported(stage: Stage) -> None:
    async def body(session: Session) -> None:
        await pair(session)
        await session.clock.sleep(5)

    stage.play(pair, "fill", PAIR)
    assert "stuck" in stage.fails(body)


def test_a_call_that_is_no_longer_cancelled_is_reported(stage: Stage) -> None:
    async def body(session: Session) -> str:
        await pair(session)
        return await ask(session, "carl")

    async def cancelling(session: Session) -> None:
        await pair(session)
        call = asyncio.create_task(ask(session, "carl"))
        await settle(30)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)

    stage.play(cancelling, "fill", PAIR)
    assert "(carl, turn 1)" in stage.fails(body)


@pytest.mark.parametrize("name", ["ann", "carl"])
def test_a_reply_that_is_missing_is_reported_when_filling_in(stage: Stage, name: str) -> None:
    async def body(session: Session) -> str:
        await pair(session)
        return await ask(session, name)

    assert name in stage.fails(body, "fill", PAIR)


def test_a_real_wait_that_ends_is_not_stuck(stage: Stage) -> None:
    stage.monkeypatch.setattr("helpers.replies.stepping.GRACE", 5.0)

    async def body(session: Session) -> str:
        await ask(session, "ann")
        await asyncio.sleep(0.001)
        return await ask(session, "bob")

    assert stage.play(body, "fill", PAIR) == "I am Bob."
    assert stage.play(body) == "I am Bob."


def test_a_wait_for_a_person_is_never_stuck_and_no_timer_fires_meanwhile(stage: Stage) -> None:
    async def body(session: Session) -> list[str]:
        done: list[str] = []

        async def person() -> None:
            async with session.clock.outside("an answer"):
                await asyncio.sleep(0.2)  # ten times as long as a stuck replay is given
            done.append("answered")

        async def sleeper() -> None:
            await session.clock.sleep(3)
            done.append("slept")

        async def model() -> None:
            done.append(await ask(session, "ann"))

        await asyncio.gather(person(), sleeper(), model())
        return done

    text = PAIR.replace("- agent: bob\n  reply: I am Bob.\n", "- clock: 3.0\n")
    stage.play(body, "fill", text)
    assert stage.play(body) == ["answered", "I am Ann.", "slept"]


FORKED = PAIR.replace("...\n", "- agent: ann\n  reply: Nice to meet you, Bob.\n...\n")


def fork(word: str, asked: str = "Who are you?") -> Body[list[str]]:
    """Ann and Bob are asked who they are, then Ann is told a word, after what she was asked."""

    async def body(session: Session) -> list[str]:
        answers = await pair(session)
        talk: list[Any] = [
            {"role": "user", "content": asked},
            {"role": "assistant", "content": [{"type": "text", "text": answers[1]}]},
            {"role": "user", "content": word},
        ]
        about: dict[str, Any] = {"model": session.model, "max_tokens": 100}
        reply = await session.client.messages.create(**about, system="You are ann.", messages=talk)
        return [*answers, reply.content[0].text]

    return body


def test_a_run_that_leaves_its_recording_goes_on_with_the_branch_that_fits(stage: Stage) -> None:
    stage.play(fork("This is Bob."), "fill", FORKED)
    yes = stage.path.read_text(encoding="utf-8")
    other = FORKED.replace("Nice to meet you, Bob.", "I know.")
    stage.play(fork("Bob is a liar."), "fill", other)
    stage.path.rename(stage.folder / "team.denied.yaml")
    stage.path.write_text(yes, encoding="utf-8")
    assert stage.play(fork("This is Bob."))[-1] == "Nice to meet you, Bob."
    assert stage.play(fork("Bob is a liar."))[-1] == "I know."
    message = stage.fails(fork("Bob is late."))
    assert "sent:     Bob is late." in message
    assert message.endswith("This branch is not recorded; free play is on scripted agents.")


def test_a_branch_is_found_after_a_call_that_was_given_up(stage: Stage) -> None:
    def body(word: str) -> Body[str]:
        async def talk(session: Session) -> str:
            await give_up(session, "carl")
            return await ask(session, "dora", word)

        return talk

    text = PAIR.replace("...", "- agent: dora\n  reply: I am Dora.\n...")
    stage.play(body("No?"), "fill", text.replace("I am Dora.", "No."))
    stage.path.rename(stage.folder / "team.denied.yaml")
    stage.play(body("Yes?"), "fill", text)
    assert [stage.play(body("Yes?")), stage.play(body("No?"))] == ["I am Dora.", "No."]


def test_a_branch_that_begins_otherwise_is_no_branch_of_this_run(stage: Stage) -> None:
    stage.play(fork("Bob is a liar."), "fill", FORKED.replace("I am Bob.", "I am Rob."))
    stage.path.rename(stage.folder / "team.denied.yaml")
    stage.play(fork("This is Bob."), "fill", FORKED)
    assert "sent:     Bob is a liar." in stage.fails(fork("Bob is a liar."))


def test_a_mistake_of_the_replay_itself_ends_the_run_and_is_raised_as_it_is(stage: Stage) -> None:
    def answer(*_: Any) -> None:
        raise ZeroDivisionError

    stage.play(pair, "fill", PAIR)
    stage.monkeypatch.setattr("helpers.replies.replay.answer", answer)
    with pytest.raises(ZeroDivisionError):
        stage.play(pair)


def test_a_failure_stops_everyone_who_waits_and_fails_everyone_after(stage: Stage) -> None:
    async def body(session: Session) -> None:
        calls = [ask(session, "bob"), ask(session, "ann", "Who else?")]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError, ReplayError]
        with pytest.raises(ReplayError, match="Who else"):
            await ask(session, "bob")
        seen.append(True)

    seen: list[bool] = []
    stage.play(pair, "fill", PAIR)
    stage.fails(body)  # though the body has caught it
    assert seen == [True]


def test_a_failure_leaves_no_cancellation_behind(stage: Stage) -> None:
    async def body() -> list[str]:
        for wrong in (forever_after_ann, rude):
            with pytest.raises(ReplayError):
                await stage.session(wrong)
            task = asyncio.current_task()
            assert task is not None
            assert task.cancelling() == 0
        return await stage.session(pair)

    async def forever_after_ann(session: Session) -> None:
        await ask(session, "ann")
        await forever(session)

    async def rude(session: Session) -> None:
        await ask(session, "ann", "Who else?")

    stage.play(pair, "fill", PAIR)
    assert run(body()) == ["I am Bob.", "I am Ann."]


def test_a_mistake_of_the_body_is_raised_as_it_is(stage: Stage) -> None:
    async def body(session: Session) -> None:
        raise ZeroDivisionError

    stage.play(pair, "fill", PAIR)
    with pytest.raises(ZeroDivisionError):
        stage.play(body)


def test_a_cancel_from_outside_stays_a_cancel(stage: Stage) -> None:
    async def body() -> None:
        task = asyncio.create_task(stage.session(hanging))
        await settle(200)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    async def hanging(session: Session) -> None:
        await forever(session)

    stage.play(pair, "fill", PAIR)
    run(body())


def test_a_replay_error_is_not_retried(stage: Stage) -> None:
    async def body(session: Session) -> None:
        asked = Transport.handle_async_request

        async def counting(self: Transport, request: httpx2.Request) -> httpx2.Response:
            requests.append(request)
            return await asked(self, request)

        stage.monkeypatch.setattr(Transport, "handle_async_request", counting)
        patient = session.client.with_options(max_retries=4)
        with pytest.raises(ReplayError) as caught:
            await patient.messages.create(
                model="test-model", max_tokens=1, messages=[{"role": "user", "content": "Hm?"}]
            )
        assert not isinstance(caught.value, anthropic.APIError)

    requests: list[httpx2.Request] = []
    stage.play(pair, "fill", PAIR)
    stage.fails(body)
    assert len(requests) == 1


def test_other_endpoints_are_refused(stage: Stage) -> None:
    async def body(session: Session) -> list[str]:
        request: Any = {"model": "test-model", "messages": [{"role": "user", "content": "Hi."}]}
        with pytest.raises(ReplayError, match="count_tokens"):
            await session.client.messages.count_tokens(**request)
        return await pair(session)

    stage.play(pair, "fill", PAIR)
    assert stage.play(body) == ["I am Bob.", "I am Ann."]


def test_no_header_of_the_machine_is_sent_along(stage: Stage) -> None:
    async def body(session: Session) -> list[str]:
        answered = Transport.handle_async_request

        async def reading(self: Transport, request: httpx2.Request) -> httpx2.Response:
            headers.append(request.headers)
            return await answered(self, request)

        stage.monkeypatch.setattr(Transport, "handle_async_request", reading)
        await session.client.with_options(timeout=9).models.retrieve("any")
        return await pair(session)

    headers: list[httpx2.Headers] = []
    stage.play(pair, "fill", PAIR)
    stage.monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "X-Team: shop\nodd\nAuthorization: secret")
    assert stage.play(body) == ["I am Bob.", "I am Ann."]
    assert len(headers) == 3
    assert not any("x-team" in sent or "authorization" in sent for sent in headers)


def test_a_missing_recording_is_reported(stage: Stage) -> None:
    stage.path.with_name("other.yaml").write_text(PAIR, encoding="utf-8")
    with pytest.raises(RecordingError, match=r"no recording team\.yaml.*other"):
        stage.play(pair)


@pytest.mark.parametrize(
    "text", [PAIR.removesuffix("...\n"), PAIR.replace("reply: I", "reply: [I")]
)
def test_a_broken_recording_is_reported(stage: Stage, text: str) -> None:
    with pytest.raises(RecordingError, match=r"team\.yaml"):
        stage.play(pair, text=text)


def test_no_key_gets_into_a_recording_and_it_still_matches(stage: Stage) -> None:
    async def body(session: Session) -> list[str]:
        return [await ask(session, "ann", f"Use {key} or {token}."), await ask(session, "bob")]

    key, token = "sk-ant-" + "api03-" + "k" * 20, "correct-horse-battery"
    stage.monkeypatch.setenv("ANTHROPIC_API_KEY", key)
    stage.monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "auth-" + token)
    stage.monkeypatch.setenv("SHOP_PASSWORD", token)
    stage.play(body, "fill", PAIR)
    text = stage.path.read_text(encoding="utf-8")
    assert key not in text
    assert token not in text
    assert "(SHOP_PASSWORD)" in text
    assert stage.play(body) == ["I am Ann.", "I am Bob."]


def test_what_stands_in_the_env_file_alone_does_not_get_into_a_recording(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(session: Session) -> list[str]:
        return [await ask(session, "ann", 'Use pa"ss, {word}.'), await ask(session, "bob")]

    env_file = stage.folder / ".env"
    env_file.write_text("SHOP_PASSWD='pa\"ss, {word}'\n", encoding="utf-8")
    monkeypatch.setattr("helpers.replies.client.ENV_FILE", env_file)
    stage.play(body, "fill", PAIR)
    assert "user: Use (SHOP_PASSWD).\n" in stage.path.read_text(encoding="utf-8")
    assert stage.play(body) == ["I am Ann.", "I am Bob."]


def test_a_variable_of_the_learner_that_stands_in_a_recording_does_no_harm(stage: Stage) -> None:
    stage.play(pair, "fill", PAIR)
    stage.monkeypatch.setenv("MY_URL", "Who are you?")
    assert stage.play(pair) == ["I am Bob.", "I am Ann."]


def test_a_prompt_that_names_no_agent_is_told_how_one_begins(stage: Stage) -> None:
    stage.play(pair, "fill", PAIR)
    for system, words in (("You lead two agents.", "You are NAME"), ("You are Eve.", "for Eve")):

        async def body(session: Session, system: str = system) -> None:
            messages: Any = [{"role": "user", "content": "Who are you?"}]
            await session.client.messages.create(
                model=session.model, max_tokens=9, system=system, messages=messages
            )

        message = stage.fails(body)
        assert words in message
        assert "has replies for the system prompts of ann, bob" in message


def test_an_error_of_the_replay_shows_the_cell_and_not_the_sdk(stage: Stage) -> None:
    async def cell() -> list[str]:
        try:
            async with connect("team", stage.folder) as session:
                await ask(session, "ann", "Who else?")
        except ReplayError as error:
            return [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        return []

    stage.play(pair, "fill", PAIR)
    assert run(cell()) == ["cell"]


def test_an_error_at_the_end_of_a_session_shows_the_cell_and_one_line_of_ours(
    stage: Stage,
) -> None:
    async def cell() -> list[str]:
        try:
            async with connect("team", stage.folder) as session:
                await ask(session, "ann")
                await forever(session)
        except ReplayError as error:
            return [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        return []

    stage.play(pair, "fill", PAIR)
    assert run(cell()) == ["cell", "__aexit__"]


def test_however_much_differs_the_message_has_at_most_15_lines(stage: Stage) -> None:
    async def body(session: Session) -> None:
        many: Any = {f"field_{number}": number for number in range(20)}
        await session.client.messages.create(
            model=session.model,
            max_tokens=100,
            system="You are ann.",
            messages=[{"role": "user", "content": "Who are you?"}],
            extra_body=many,
        )

    stage.play(pair, "fill", PAIR)
    message = stage.fails(body)
    assert "and 17 more fields" in message
    assert len(message.splitlines()) <= 15


@pytest.mark.parametrize("pace", ["fast", "-1", "nan", "inf", "1e9"])
def test_a_pace_that_is_no_number_of_seconds_is_named(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, pace: str
) -> None:
    monkeypatch.setenv("COOKBOOK_PACE", pace)
    with pytest.raises(SettingError, match=f"COOKBOOK_PACE is '{pace}'; it is seconds"):
        stage.play(pair, "recorded", PAIR)


@pytest.mark.parametrize(
    ("variable", "value", "name"),
    [
        ("COOKBOOK_CLIENT", "replay", "team"),
        ("COOKBOOK_CLIENT", "live", "team"),
        ("COOKBOOK_PACE", "fast", "team"),
        ("COOKBOOK_PACE", "0", "no_such_recording"),
    ],
)
def test_a_wrong_setting_or_name_shows_the_cell_and_not_our_own_lines(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, name: str
) -> None:
    async def cell() -> list[str]:
        try:
            async with connect(name, stage.folder):
                pass
        except ValueError as error:
            return [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        return []

    stage.play(pair, "fill", PAIR)
    monkeypatch.setenv(variable, value)
    assert run(cell()) == ["cell", "__aenter__"]


def test_an_unknown_mode_is_answered_with_the_modes(stage: Stage) -> None:
    with pytest.raises(ValueError, match="'replay'") as caught:
        stage.play(pair, "replay", PAIR)
    assert all(mode in str(caught.value) for mode in MODES)


def test_recorded_is_the_default_and_a_key_changes_nothing(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    async def body(session: Session) -> list[str]:
        assert (session.mode, session.source, session.model) == (
            "recorded",
            "authored",
            "test-model",
        )
        assert session.client.api_key == "recorded"
        assert session.client.base_url.host == "recorded.invalid"
        return await pair(session)

    stage.play(pair, "fill", PAIR)
    for name in ("ANTHROPIC_API_KEY", "COOKBOOK_MODEL", "COOKBOOK_SOMETHING_ELSE", "HTTPS_PROXY"):
        stage.monkeypatch.setenv(name, "of no importance")
    stage.monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://live.invalid")
    stage.monkeypatch.delenv("COOKBOOK_CLIENT")
    capsys.readouterr()
    assert run(stage.session(body)) == ["I am Bob.", "I am Ann."]
    assert "recorded: team.yaml, replies authored" in capsys.readouterr().out

"""A run is recorded as it happens, and a replay is the same run."""

import asyncio
import multiprocessing
import os
import random
import re
import subprocess
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import anthropic
import httpx2
import nbformat
import pytest

from helpers.agent import run_agent
from helpers.billing import Approval, Case, Ledger, Mandate, case_task, file_tools, run_case
from helpers.hub import Event, Hub
from helpers.lessons import KNOWLEDGE
from helpers.lessons.notebooks import ROOT
from helpers.lessons.recording import record
from helpers.replies import ReplayError, connect, durable, fork, scripted
from helpers.replies import recorded as open_recorded
from helpers.replies.client import Session
from helpers.replies.journal import DONE, Journal
from helpers.replies.plain_yaml import dump
from helpers.replies.recording import Answered, ClockStep, Exchange, load, plain
from helpers.run import Run as Steered
from helpers.spawn import run_lead, sleep_tool
from helpers.steering import Desk
from helpers.team import Member, run_team
from helpers.tools import Arguments, NoArguments, ProgramError, Tool, messaging_tools

from .loopback import serving
from .support import contents, in_order, run

Log = list[tuple[Any, ...]]
Run = Callable[[Session, Hub], Coroutine[Any, Any, object]]


async def team(session: Session, hub: Hub, **settings: Any) -> object:
    members = [
        Member(name, f"Introduce yourself, {name}.") for name in ("lead", "helper1", "helper2")
    ]
    return await run_team(session.client, hub, members, model=session.model, **settings)


async def lead(session: Session, hub: Hub) -> object:
    def tools_of(hub: Hub, name: str) -> list[Any]:
        return [sleep_tool(hub.clock), *messaging_tools(hub, name, 0.1)]

    return await run_lead(session.client, hub, "Go.", model=session.model, tools_of=tools_of)


async def case(session: Session, hub: Hub) -> object:
    async def yes(request: object) -> Approval:
        await asyncio.sleep(0.005)
        return Approval(True, "a person said so")

    one = Case("cust_12345", Mandate("Resolve."), Ledger(), approve=yes)
    files = file_tools(KNOWLEDGE)
    return await run_case(session.client, hub, one, case_task("cust_12345", "Twice!"), files)


async def solo(session: Session, hub: Hub) -> object:
    for name in ("lead", "solo"):
        hub.register(name)
    hub.post("lead", ["solo"], "Hurry, helper1.")
    own: Any = {"model": session.model, "system": "You are solo.", "task": "Greet lead."}
    tools = messaging_tools(hub, "solo", 0.1)
    return await run_agent(session.client, hub, "solo", tools=tools, **own)


async def steered(session: Session, hub: Hub) -> object:
    async def work(run: Steered) -> object:
        return await team(session, run.connect(session.clock), hook=run.hook)

    def spoken(event: Event) -> bool:
        return event.kind == "model_reply" and event.agent == "helper1"

    one = Steered()
    await one.start(work)
    await one.until(spoken)
    one.tell("helper2", "Keep it short.")
    try:
        return await one.result()
    finally:
        await one.stop()
        hub.log.events.extend(one.hub.log.events)


class Part(Arguments):
    part: str


async def shop(session: Session, hub: Hub) -> object:
    async def order(arguments: Part) -> str:
        return str(await session.clock.ask("a person", arguments.part, agrees))

    async def agrees() -> str:
        await asyncio.sleep(0.002)
        return "yes"

    tools = [Tool("order", "Order a part.", Part, order, acts=True)]
    return await team(session, hub, tools=tools, hook=durable(session.clock))


RUNS: list[Run] = [team, lead, case, solo, steered, shop]  # as in 02 to 08
FAULTS = (0, 0.2, 0.45)  # the share of answers that fail


def log_of(hub: Hub) -> Log:
    return [(e.step, e.time, e.kind, e.agent, repr(e.data)) for e in hub.log.events]


async def play(name: str, work: Run, jitter: bool = False) -> tuple[Log, str]:
    """Return the log of a run, and the error that it ended with."""

    async def noise() -> None:
        while True:
            await asyncio.sleep(random.random() * 0.002)

    beside = asyncio.create_task(noise()) if jitter else None
    hub, ended = Hub(show=None), ""
    try:
        async with connect(name) as session:
            hub = Hub(session.clock, show=None)
            await work(session, hub)
    except Exception as error:
        ended = f"{type(error).__name__}: {error}"
    finally:
        if beside:
            beside.cancel()
            await asyncio.wait([beside])
    return log_of(hub), ended


@pytest.fixture
def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder and the environment of someone who records."""
    monkeypatch.setenv("COOKBOOK_CLIENT", "record")
    monkeypatch.setenv("COOKBOOK_RECORDINGS", str(tmp_path))
    monkeypatch.setenv("ANTHROPIC_API_KEY", "canary-key-7f3a")
    monkeypatch.setattr("anthropic._base_client.INITIAL_RETRY_DELAY", 0.001)
    return tmp_path


def recorded(folder: Path, seed: int, faults: float) -> tuple[str, Run, Log, str]:
    """Record one run; return the name of its file, the run, its log and how it ended."""
    work = RUNS[seed % len(RUNS)]
    name = f"{work.__name__}{seed}"
    with serving(seed, faults) as api:
        os.environ["ANTHROPIC_BASE_URL"] = api.url
        log, ended = run(play(name, work))
    if (folder / f"{name}-ended-badly.yaml").exists():
        name += "-ended-badly"
    assert (folder / f"{name}.yaml").exists(), ended
    return name, work, log, ended


def replays_alike(folder: Path, seed: int, faults: float, replays: int) -> None:
    name, work, log, ended = recorded(folder, seed, faults)
    os.environ["COOKBOOK_CLIENT"] = "recorded"
    for number in range(replays):
        again, end = run(play(name, work, jitter=number % 2 == 1))
        assert end == ended
        assert again == log


@pytest.mark.ci
@pytest.mark.parametrize("twice", [False, True])
def test_a_notebook_is_recorded_as_a_whole_or_not_at_all(
    recording: Path, capsys: pytest.CaptureFixture[str], twice: bool
) -> None:
    source = """
from helpers.hub import Event, Hub
from helpers.replies import connect
from helpers.team import Member, run_team
async with connect("mine") as session:
    members = [Member(name, "Introduce yourself.") for name in ("lead", "helper1")]
    print(await run_team(session.client, Hub(session.clock), members, model=session.model))
"""
    cells = [nbformat.v4.new_code_cell(source) for _ in range(1 + twice)]
    path = recording / "one.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    with serving(1, faults=0.2) as api:
        os.environ["ANTHROPIC_BASE_URL"] = api.url
        assert record([path]) is not twice
    assert [file.name for file in recording.glob("*.yaml")] == ([] if twice else ["mine.yaml"])
    said = capsys.readouterr().out
    assert ("shows something else when replayed" in said) is twice
    assert ("ok      one.ipynb: 1 recordings" in said) is not twice


@pytest.mark.parametrize("seed", range(10))
def test_a_recorded_run_replays_with_the_same_log(recording: Path, seed: int) -> None:
    replays_alike(recording, seed, FAULTS[seed // 3 % 3], replays=2)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10, 70))
def test_sixty_recordings_replay_four_times_each_beside_busy_processes(
    recording: Path, seed: int
) -> None:
    burners = [multiprocessing.Process(target=burn, daemon=True) for _ in range(2)]
    for process in burners:
        process.start()
    try:
        replays_alike(recording, seed, FAULTS[seed // 3 % 3], replays=4)
    finally:
        for process in burners:
            process.kill()


def burn() -> None:
    while True:
        pass


async def refunding(session: Session, hub: Hub, ledger: Ledger, asked: list[object]) -> object:
    """Work on the case; the refund is one step, whatever is asked for it."""

    def yes(request: object) -> Approval:
        asked.append(request)
        return Approval(True)

    one = Case("cust_12345", Mandate("Resolve."), ledger, approve=yes)
    given = case_task("cust_12345", "Twice!"), file_tools(KNOWLEDGE)
    return await run_case(session.client, hub, one, *given, hook=durable(session.clock))


def test_a_run_goes_on_after_each_of_its_steps_and_pays_and_asks_once(recording: Path) -> None:
    ledger, asked = Ledger(), list[object]()

    async def work(session: Session, hub: Hub) -> object:
        return await refunding(session, hub, ledger, asked)

    with serving(3, faults=0, latency=0.002) as api:
        os.environ["ANTHROPIC_BASE_URL"] = api.url
        assert run(play("whole", work))[1] == ""
        calls, steps = api.counts["asked"], load(recording / "whole.yaml").steps
        assert len(asked) == sum(isinstance(step, Answered) for step in steps) == 1
        for done in range(0, len(steps), 3):  # tests.crash kills after each
            paid = any(isinstance(step, Answered) for step in steps[:done])
            ledger, asked, before = Ledger(), [], api.counts["asked"]
            fork(recording / "whole.yaml", done + 1, f"cut{done}")
            assert run(play(f"cut{done}", work))[1] == ""
            replies = sum(isinstance(step, Exchange) for step in steps[:done])
            assert api.counts["asked"] - before == calls - replies
            assert (len(ledger.rows()), len(asked)) == ((0, 0) if paid else (1, 1))


def test_half_a_step_at_the_end_is_forgotten(recording: Path) -> None:
    name, *_ = recorded(recording, 0, 0)
    part = recording / "again.part"
    fork(recording / f"{name}.yaml", 6, "again")
    whole = part.read_bytes()
    for cut in (1, 5, 40):
        part.write_bytes(whole[:-cut])
        with closing(Journal(recording, "again", "recorded", "", "m")) as journal:
            assert len(journal.recording.steps) == 4


def test_each_step_is_in_the_file_before_anybody_acts_on_it(recording: Path) -> None:
    with closing(Journal(recording, "mine", "recorded", "", "m")) as journal:
        journal.add(ClockStep(1.5))
        assert journal.part.read_text().endswith("- clock: 1.5\n# done\n")


def test_calls_that_the_end_cancelled_are_cut_off_and_come_again(recording: Path) -> None:
    with closing(Journal(recording, "mine", "recorded", "", "m")) as journal:
        journal.add(ClockStep(1.5))
        before = journal.part.read_bytes()
        journal.add(Exchange("solo", 1))
        journal.add(Answered("a person", "Pay?", ended="cancelled"))
    with closing(Journal(recording, "mine", "recorded", "", "m")) as journal:
        assert journal.recording.steps == [ClockStep(1.5)]
        assert journal.part.read_bytes() == before


def test_a_recording_that_another_run_is_writing_is_left_alone(recording: Path) -> None:
    with closing(Journal(recording, "mine", "recorded", "", "m")) as journal:
        before = journal.part.read_bytes()
        log, ended = run(play("mine", team))
        assert ended == "RecordingError: another run is writing mine.part: wait for its end"
        assert (log, journal.part.read_bytes()) == ([], before)


@pytest.mark.parametrize("error", [AttributeError(), OSError(95, "not supported")])
def test_where_there_are_no_locks_a_run_is_recorded_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def no_lock(*_: object) -> None:
        raise error

    monkeypatch.setattr("fcntl.flock", no_lock)
    assert run(asked("door", over_a_script(tmp_path))) == "noon"


def test_a_fork_at_the_first_step_keeps_the_words_of_its_header(tmp_path: Path) -> None:
    header = "source: scripted\nabout: 'three steps: a, b, c'\nmodel: m\n"
    (tmp_path / "old.yaml").write_text(f"{header}steps:\n- clock: 1.5\n...\n")
    fork(tmp_path / "old.yaml", 1, "new")
    with closing(Journal(tmp_path, "new", "recorded", "", "m")) as journal:
        assert journal.recording.about.startswith("three steps: a, b, c; forked")
        assert journal.recording.steps == []


@pytest.mark.parametrize("cut", [0, 3, 30])
def test_a_part_without_its_header_is_begun_anew(recording: Path, cut: int) -> None:
    with closing(Journal(recording, "mine", "recorded", "", "m")) as journal:
        whole = journal.part.read_bytes()
    journal.part.write_bytes(whole[:cut])
    with closing(Journal(recording, "mine", "recorded", "", "m")) as journal:
        assert journal.part.read_bytes() == whole


def test_a_file_written_by_hand_is_never_replaced(recording: Path) -> None:
    (recording / "mine.yaml").write_text("source: authored\nabout: me\nmodel: m\nsteps: []\n...\n")
    log, ended = run(play("mine", team))
    assert ended.startswith("RecordingError: mine.yaml was written by hand")
    assert not (recording / "mine.part").exists()
    assert log == []


def test_a_run_that_ends_with_an_error_is_kept_under_another_name(recording: Path) -> None:
    async def fails(session: Session, hub: Hub) -> object:
        await team(session, hub)
        raise ValueError("a mistake of ours")

    with serving(0, faults=0) as api:
        os.environ["ANTHROPIC_BASE_URL"] = api.url
        _, ended = run(play("odd", fails))
    assert ended == "ValueError: a mistake of ours"
    assert [path.name for path in recording.iterdir()] == ["odd-ended-badly.yaml"]


def test_a_run_that_is_stopped_goes_on_where_it_was(recording: Path) -> None:
    async def stopped() -> None:
        task = asyncio.create_task(play("long", team))
        while not (part := recording / "long.part").exists() or part.read_text().count(DONE) < 5:
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.wait([task])

    with serving(0, faults=0) as api:
        os.environ["ANTHROPIC_BASE_URL"] = api.url
        run(stopped())
        assert (recording / "long.part").exists()
        assert run(play("long", team))[1] == ""
    assert [path.name for path in recording.iterdir()] == ["long.yaml"]


def test_an_error_that_outlived_the_retries_is_recorded_as_one(recording: Path) -> None:
    async def fails(session: Session, hub: Hub) -> object:
        return await team(session, hub)

    with serving(0, faults=1) as api:
        os.environ["ANTHROPIC_BASE_URL"] = api.url
        log, ended = run(play("down", fails))
    assert ended
    steps = load(recording / "down-ended-badly.yaml").steps
    assert any(isinstance(step, Exchange) and step.failed for step in steps)
    os.environ["COOKBOOK_CLIENT"] = "recorded"
    assert run(play("down-ended-badly", fails)) == (log, ended)


def test_a_broken_script_is_told_as_such(tmp_path: Path) -> None:
    def broken(*_: object) -> str:
        raise KeyError("x")

    with pytest.raises(ProgramError, match="the script failed on turn 1 of solo: KeyError"):
        run(asked("odd", lambda name: open_recorded(name, scripted(broken), tmp_path)))


def test_the_model_that_answered_is_named(recording: Path) -> None:
    name, *_ = recorded(recording, 3, 0)
    assert load(recording / f"{name}.yaml").about.endswith("answered by claude-sonnet-5-5-20261101")


def test_a_time_limit_of_a_request_is_passed_on(tmp_path: Path) -> None:
    given: list[Any] = []

    class Deaf:
        async def post(self, path: str, *, options: Any, **_: Any) -> Any:
            given.append(options["timeout"].read)
            raise anthropic.APIConnectionError(
                request=httpx2.Request("POST", "http://deaf.invalid")
            )

    @asynccontextmanager
    async def deaf() -> AsyncIterator[Session]:
        async with scripted(in_order()) as session:
            yield replace(session, client=cast(Any, Deaf()))

    async def limited() -> None:
        async with open_recorded("deaf", deaf(), tmp_path) as session:
            hub = Hub(session.clock, show=None)
            hub.register("solo")
            own: Any = {"system": "You are solo.", "task": "Go.", "request": {"timeout": 7.5}}
            await run_agent(session.client, hub, "solo", model="m", **own)

    with pytest.raises(anthropic.APIConnectionError):
        run(limited())
    assert given == [7.5]


def test_the_call_of_an_agent_that_was_killed_comes_to_nothing(tmp_path: Path) -> None:
    late: list[asyncio.Event] = []

    async def script(agent: str, turn: int, body: dict[str, Any]) -> Any:
        if agent != "lead":
            late.append(asyncio.Event())
            await late[0].wait()
            return "Too late."
        if turn == 1:
            each = {"base_instruction": "Wait.", "per_subagent_instructions": ["Now."]}
            return [{"create_subagents": each}]
        if turn == 2:
            return [{"kill_subagents": {"subagent_ids": ["helper1"]}}]
        late[0].set()
        await asyncio.sleep(0.01)
        return [{"get_status": {}}] if turn < 5 else "Done."

    async def killing(opened: Any) -> Log:
        async with opened as session:
            hub = Hub(session.clock, show=None)
            await run_lead(session.client, hub, "Go.", model=session.model)
            return log_of(hub)

    first = run(killing(open_recorded("killed", scripted(script), tmp_path)))
    assert "killed" in str(first)
    assert "Too late" not in (tmp_path / "killed.yaml").read_text()
    assert run(killing(connect("killed", tmp_path))) == first


def test_a_wrong_key_is_for_the_person_and_leaves_no_recording(recording: Path) -> None:
    with serving(0, faults=0) as api:
        api.refuses = 401
        os.environ["ANTHROPIC_BASE_URL"] = api.url
        _, ended = run(play("locked", team))
    assert ended.startswith("AuthenticationError")
    assert not list(recording.glob("*.yaml"))


def test_blocks_of_other_kinds_come_back_as_the_api_gave_them(recording: Path) -> None:
    with serving(0, faults=0) as api:
        os.environ["ANTHROPIC_BASE_URL"], api.thinks = api.url, 1
        assert run(play("thinking", team))[1] == ""
    steps = load(recording / "thinking.yaml").steps
    replies = [step.reply or [] for step in steps if isinstance(step, Exchange)]
    assert {b["type"] for reply in replies for b in reply if len(b) > 1} == {"thinking"}


async def asks(session: Session, question: str, answer: object) -> object:
    """Ask somebody outside beside an agent; return what came."""

    async def somebody() -> object:
        ASKED.append(question)
        await asyncio.sleep(0.01)
        return answer

    hub = Hub(session.clock, show=None)
    hub.register("solo")
    settings: Any = {"model": session.model, "system": "You are solo.", "task": "Go."}
    agent = asyncio.create_task(run_agent(session.client, hub, "solo", **settings))
    came = await session.clock.ask("a server", question, somebody)
    await agent
    return came


ASKED: list[str] = []


async def asked(
    name: str, opened: Any, question: str = "the time?", answer: object = "noon"
) -> Any:
    async with opened(name) as session:
        return await asks(session, question, answer)


def over_a_script(folder: Path) -> Any:
    return lambda name: open_recorded(name, scripted(lambda *_: "Done."), folder)


def test_an_answer_from_outside_is_recorded_and_replayed_without_asking(tmp_path: Path) -> None:
    ASKED.clear()
    assert run(asked("door", over_a_script(tmp_path))) == "noon"
    assert run(asked("door", lambda name: connect(name, tmp_path), answer="night")) == "noon"
    assert ASKED == ["the time?"]


async def nested(opened: Any) -> Any:
    """Ask somebody who asks a person, beside an agent; return what came."""
    async with opened as session:

        async def yes() -> str:
            ASKED.append("a person")
            return "yes"

        async def approve() -> list[str]:
            return [await session.clock.ask("a person", "Pay?", yes), "so said a person"]

        return await session.clock.ask("an approval", "Pay?", approve)


def test_a_door_behind_a_door_has_the_answer_and_the_outer_one_makes_its_own_of_it(
    tmp_path: Path,
) -> None:
    ASKED.clear()
    said = ["yes", "so said a person"]
    assert run(nested(open_recorded("doors", scripted(in_order()), tmp_path))) == said
    assert run(nested(connect("doors", tmp_path))) == said
    assert ASKED == ["a person"]


async def decided(opened: Any, *choices: str) -> tuple[str, int]:
    """Ask at a desk, and decide; return what came, and how many questions are open then."""
    async with opened as session:
        desk = Desk()
        desk.join(Hub(session.clock, show=None))
        asked = asyncio.create_task(desk.ask("Pay?"))
        await asyncio.sleep(0)
        for choice in choices:
            desk.answer(choice)
        return (await asked).choice, len(desk.questions)


def test_a_decision_is_replayed_and_another_one_is_an_error(tmp_path: Path) -> None:
    opened = open_recorded("desk", scripted(in_order()), tmp_path)
    assert run(decided(opened, "Approve")) == ("Approve", 0)
    assert run(decided(connect("desk", tmp_path))) == ("Approve", 0)
    with pytest.raises(
        ProgramError, match=r"you said .*'Deny'.* and the recording has .*'Approve'"
    ):
        run(decided(connect("desk", tmp_path), "Deny"))


async def in_vain(opened: Any) -> str:
    """Ask somebody who does not answer, and give it up."""

    async def nobody() -> str:
        return await asyncio.Future()

    async with opened as session:
        task = asyncio.create_task(session.clock.ask("a person", "Pay?", nobody))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return f"{task.cancelled()}"


def test_a_question_that_was_given_up_is_given_up_in_the_replay(tmp_path: Path) -> None:
    assert run(in_vain(open_recorded("vain", scripted(in_order()), tmp_path))) == "True"
    assert load(tmp_path / "vain.yaml").steps == [Answered("a person", "Pay?", ended="cancelled")]
    assert run(in_vain(connect("vain", tmp_path))) == "True"


def test_another_question_is_told_beside_the_recorded_one(tmp_path: Path) -> None:
    run(asked("door", over_a_script(tmp_path)))
    with pytest.raises(ReplayError, match=r"no answer of a server to: the day.\n.*to: the time"):
        run(asked("door", lambda name: connect(name, tmp_path), question="the day?"))


def test_an_answer_that_json_does_not_have_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match=r"the answer of a server can't be recorded: .*set"):
        run(asked("door", over_a_script(tmp_path), answer={1, 2}))


@pytest.mark.parametrize("place", ["environment", ".env"])
def test_a_secret_is_in_no_file_and_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    secret = "canary/key+7f3a=x9"
    forms = [secret, quote(secret, safe=""), b64encode(secret.encode()).decode()]
    forms += [b64encode(b"user:" + secret.encode()).decode()]
    if place == "environment":
        monkeypatch.setenv("OTHER_TOKEN", secret)
    else:
        (tmp_path / ".env").write_text(f"OTHER_TOKEN={secret}\n")
        monkeypatch.setattr("helpers.replies.client.ENV_FILE", tmp_path / ".env")
    script = in_order([{"send_message": {"recipient_ids": ["lead"], "content": " ".join(forms)}}])

    async def leaks() -> str:
        async with open_recorded("leak", scripted(script), tmp_path) as session:
            hub = Hub(session.clock)
            for name in ("lead", "solo"):
                hub.register(name)
            own: Any = {"model": session.model, "task": forms[1]}
            own["system"] = f"You are solo. {secret}"
            own["request"] = {"extra_headers": {"x-shop": secret, "anthropic-beta": secret}}
            await run_agent(session.client, hub, "solo", **own)
            given = await session.clock.ask("a server", forms[2], partial(asyncio.sleep, 0, forms))
            return repr(given) + repr(contents(hub.boxes["lead"].inbox))

    seen = run(leaks()) + (tmp_path / "leak.yaml").read_text(encoding="utf-8")
    seen += capsys.readouterr().out
    assert "(OTHER_TOKEN)" in seen
    assert [form for form in forms if form[8:-4] in seen] == []


def test_a_tool_that_waits_for_a_server_without_a_door_is_named(tmp_path: Path) -> None:
    async def fetch(_: NoArguments) -> str:
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            try:
                return (await reader.read()).decode()
            finally:
                writer.close()

    def script(agent: str, turn: int, body: dict[str, Any]) -> Any:
        return [{"fetch": {}}] if agent == "solo" and turn == 1 else [{"wait_for_message": {}}]

    async def hangs() -> None:
        async with open_recorded("hang", scripted(script), tmp_path) as session:
            members = [Member(name, "Go.") for name in ("lead", "solo")]
            hub = Hub(session.clock, show=None)
            tools = [Tool("fetch", "Fetch.", NoArguments, fetch)]
            await run_team(session.client, hub, members, model=session.model, tools=tools)

    with pytest.raises(ReplayError, match=r"solo in .* waits for a server or a process"):
        run(hangs())


def test_a_client_that_streams_gets_each_block_as_one_delta(tmp_path: Path) -> None:
    blocks: Any = [{"text": "Let me look."}, {"look": {"at": "é"}}]

    async def streamed(opened: Any) -> tuple[list[str], Any]:
        async with opened as session:
            given = {"model": session.model, "max_tokens": 9, "system": "You are solo."}
            question: Any = [{"role": "user", "content": "Go."}]
            async with session.client.messages.stream(**given, messages=question) as stream:
                kinds = [event.type async for event in stream]
                return kinds, (await stream.get_final_message()).content

    first = run(streamed(open_recorded("flow", scripted(lambda *_: blocks), tmp_path)))
    again = run(streamed(connect("flow", tmp_path)))
    assert first == again
    assert first[0].count("content_block_delta") == 2
    assert first[1][1].input == {"at": "é"}


def test_a_fork_keeps_the_beginning_and_takes_another_answer(recording: Path) -> None:
    asked = list[object]()

    async def work(session: Session, hub: Hub) -> object:
        one = Case("cust_12345", Mandate("Resolve."), Ledger(), approve=asked.append)
        CASES.append(one)
        given = case_task("cust_12345", "Twice!"), file_tools(KNOWLEDGE)
        return await run_case(session.client, hub, one, *given)

    with serving(2, faults=0) as api:
        os.environ["ANTHROPIC_BASE_URL"] = api.url
        assert run(play("asked", case))[1] == ""
        old = load(recording / "asked.yaml")
        door = next(n for n, s in enumerate(old.steps, 1) if isinstance(s, Answered))
        fork(recording / "asked.yaml", door, "denied", answer=[False, "call first"])
        log, ended = run(play("denied", work))
    new = load(recording / "denied.yaml")
    assert (ended, asked, CASES[-1].refunds()) == ("", [], [])
    assert [dump([plain(s)]) for s in new.steps[: door - 1]] == [
        dump([plain(s)]) for s in old.steps[: door - 1]
    ]
    assert "call first" in repr(log)
    assert f"forked from step {door} of asked.yaml" in new.about
    os.environ["COOKBOOK_CLIENT"] = "recorded"
    assert run(play("denied", work)) == (log, "")


CASES: list[Case] = []


@pytest.mark.parametrize(("step", "name"), [(0, "new"), (99, "new"), (1, "taken")])
def test_a_fork_that_cannot_be_is_refused(tmp_path: Path, step: int, name: str) -> None:
    run(asked("door", over_a_script(tmp_path)))
    (tmp_path / "taken.part").write_text("")
    with pytest.raises(ValueError, match=r"is there already|steps 1 to 2"):
        fork(tmp_path / "door.yaml", step, name)


def test_recorded_times_are_those_of_the_run(recording: Path) -> None:
    name, _, log, _ = recorded(recording, 0, 0)
    steps = load(recording / f"{name}.yaml").steps
    times = [step.at for step in steps if isinstance(step, Exchange) and step.at]
    assert times == sorted(times)
    assert 0 < times[-1] == log[-1][1] < 60


@pytest.mark.long
def test_a_case_killed_after_each_of_its_steps_goes_on_and_pays_once() -> None:
    script = [sys.executable, "-m", "tests.crash"]
    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300)
    found = re.findall(
        r"killed_after=(\d+), status='(\w+)', rows=(\d), asked=(\d), repeated=(\d)", done.stdout
    )
    assert len(found) > 10
    for _, status, rows, asked, repeated in found:
        assert (status, rows) == ("done", "1")
        assert int(asked) <= 2  # a person, if it was killed between the answer and the refund
        assert int(repeated) <= 2  # the calls that were under way

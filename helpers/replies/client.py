"""Connects a run to its replies: a recording (no key, no network) or the live API."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass
from datetime import date
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import anthropic
import httpx2
from dotenv import dotenv_values

from ..hub import Clock
from ..team import heartbeat
from ..tools import ProgramError
from .journal import Journal
from .recorder import Recorder
from .recording import FOLDER, MODEL_INFO, RecordingError, ReplayError, load_with_branches
from .replay import Replay
from .scrubbing import Scrub, scrubber
from .stepping import VirtualClock, marked, run_clock
from .streaming import events

ENV_FILE = Path(__file__).resolve().parents[2] / ".env"
MODES = ("recorded", "live", "record")  # and "fill", which is for the tool alone
LIVE_MODEL = "claude-sonnet-5-5"
Reply = dict[str, Any] | httpx2.Response
Driver = Callable[[], Awaitable[None]]
Arguments = ParamSpec("Arguments")


class SettingError(ValueError):
    """A setting is missing or can't be used; the message says what to write where."""


ORIGINS = {"authored": "written by hand, no model", "scripted": "by a script, no model"}
OURS = (SettingError, RecordingError, anthropic.AnthropicError)
REFUSED = (anthropic.AuthenticationError, anthropic.NotFoundError)  # a key or a model
TO_MEND = (RecordingError, ReplayError, ProgramError, *REFUSED)


@dataclass(frozen=True)
class Session:
    """What a run needs: a real SDK client, the clock and model that go with it, and their origin.

    `source` is "live", or what the recording says of itself ("authored": replies written by hand).
    """

    client: anthropic.AsyncAnthropic
    clock: Clock
    model: str
    mode: str
    source: str


def setting(name: str, default: str = "") -> str:
    """Return a setting from the environment, else from the file `.env`, else the default."""
    return os.environ.get(name) or _env_file().get(name) or default


def _env_file() -> dict[str, str | None]:
    try:
        return dotenv_values(ENV_FILE)
    except UnicodeDecodeError:
        raise SettingError(f"{ENV_FILE.name} is not UTF-8 text: save it again as UTF-8") from None


class Opening(AbstractAsyncContextManager[Session]):
    """Opens and closes a session; a stop or an error of ours shows the line of the cell alone."""

    def __init__(self, inner: AbstractAsyncContextManager[Session]) -> None:
        self._inner = inner

    async def __aenter__(self) -> Session:
        try:
            return await self._inner.__aenter__()
        except OURS as error:
            raise error.with_traceback(None) from None

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> bool | None:
        try:
            return await self._inner.__aexit__(kind, error, trace)
        except OURS as failure:
            raise failure.with_traceback(None) from None
        finally:
            if isinstance(error, (*OURS, asyncio.CancelledError, KeyboardInterrupt)):
                trace.tb_next = None  # 300 lines of the SDK's, and its reason has as many again
            if isinstance(error, anthropic.APIError) and (reason := error.__cause__):
                error.add_note(_secrets_out()(f"Reason: {type(reason).__name__}: {reason}"))
                error.__cause__ = None


def opening(steps: Callable[Arguments, AsyncIterator[Session]]) -> Callable[Arguments, Opening]:
    """Make an async generator that yields one session a function that opens it."""
    inner = asynccontextmanager(steps)
    return wraps(steps)(lambda *args, **kwargs: Opening(inner(*args, **kwargs)))


def connect(name: str, folder: Path | None = None) -> Opening:
    """Open the session of one run, in the mode that COOKBOOK_CLIENT names ("recorded" by default).

    Recordings are in this folder, else in that of COOKBOOK_RECORDINGS, else those of the lessons.
    Leaving it checks that the recording was played to its end. SettingError: unknown mode, or no
    key in live mode. RecordingError: it can't be read. ReplayError: the run and it disagree.
    """
    mode = setting("COOKBOOK_CLIENT", "recorded")
    folder = folder or Path(setting("COOKBOOK_RECORDINGS") or FOLDER)
    if sys.platform == "emscripten" and mode in ("live", "record"):
        raise SettingError("a browser tab plays recordings and scripts only: no key belongs there")
    if mode == "record":
        return recorded(name, _live(), folder)
    return _live() if mode == "live" else _replayed(name, folder, mode)


def _pace() -> float:
    pace = setting("COOKBOOK_PACE", "0.3")  # so that people can watch
    try:
        if 0 <= float(pace) <= 60:
            return float(pace)
    except ValueError:
        pass
    raise SettingError(f"COOKBOOK_PACE is {pace!r}; it is seconds from 0 to 60, such as 0.3")


def _secrets_out() -> Scrub:
    return scrubber([*_env_file().items(), *os.environ.items()])


@asynccontextmanager
async def running(clock: VirtualClock, driver: Driver | None = None) -> AsyncIterator[None]:
    """Run a heartbeat, for the stop button, and a driver of the clock beside the body of a session.

    What the driver raises, or closes the clock with, ends the body and is raised in its place.
    """
    body = asyncio.current_task()
    assert body is not None, "an `async with` block always runs in a task"

    async def drive() -> None:
        try:
            await (driver() if driver else run_clock(clock))
        except Exception as error:
            clock.close(error)
        body.cancel()

    beside = [asyncio.create_task(heartbeat()), asyncio.create_task(drive())]
    try:
        with marked(clock):
            yield
    except (asyncio.CancelledError, Exception):
        if not clock.failure:
            raise
    finally:
        clock.close()
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        if clock.failure and body.cancelling():
            body.uncancel()  # the driver's own cancel; the failure is raised in its place
    if clock.failure:
        raise clock.failure from None


@opening
async def _live() -> AsyncIterator[Session]:
    key, token = setting("ANTHROPIC_API_KEY").strip(), setting("ANTHROPIC_AUTH_TOKEN").strip()
    if not re.fullmatch(r"[!-~]+", key + token):  # the SDK's error would show an odd one
        raise SettingError(
            "COOKBOOK_CLIENT=live needs a key, without a blank or odd character in it. "
            "Put this line into the file .env beside README.md: ANTHROPIC_API_KEY=your-key"
        )
    model, address = setting("COOKBOOK_MODEL", LIVE_MODEL), setting("ANTHROPIC_BASE_URL") or None
    secret = {"api_key": key} if key else {"api_key": None, "auth_token": token}
    print(f"live: the API answers ({model}, unless a role names another); this costs money")
    try:
        async with (
            anthropic.AsyncAnthropic(**secret, base_url=address) as client,
            running(VirtualClock()),
        ):
            yield Session(client, Clock(), model, "live", "live")
    except anthropic.AuthenticationError as error:
        error.add_note("The API refused the key: check ANTHROPIC_API_KEY, in the shell or in .env.")
        raise
    except anthropic.NotFoundError as error:
        error.add_note(f"Is {model!r} a model you can use? Set COOKBOOK_MODEL, in shell or .env.")
        raise


class Transport(httpx2.AsyncBaseTransport):
    """Stands where the network would be, below a real AsyncAnthropic, and asks for each reply."""

    def __init__(self, respond: Callable[[str, httpx2.Request], Awaitable[Reply]]) -> None:
        self._respond = respond

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET":
            return httpx2.Response(200, json=MODEL_INFO)
        text = (await request.aread()).decode()
        streamed = '"stream":true' in text and json.loads(text).get("stream")
        if request.url.path != "/v1/messages":
            raise ReplayError(f"only messages.create is answered here, no {request.url.path}")
        reply = await self._respond(text, request)
        if isinstance(reply, httpx2.Response):
            return reply
        if streamed:
            return httpx2.Response(
                200, content=events(reply), headers={"content-type": "text/event-stream"}
            )
        content = json.dumps(reply)  # plain ASCII, whatever a script holds
        return httpx2.Response(200, content=content, headers={"content-type": "application/json"})


async def client_over(
    transport: httpx2.AsyncBaseTransport, name: str, max_retries: int = 0
) -> anthropic.AsyncAnthropic:
    """Return a real client that nothing of this machine leaks into: no key, profile or proxy."""
    lines = os.environ.get("ANTHROPIC_CUSTOM_HEADERS", "").split("\n")  # the SDK takes them along
    headers: Any = {line.partition(":")[0].strip(): anthropic.Omit() for line in lines}
    client = anthropic.AsyncAnthropic(
        api_key=name,
        base_url=f"http://{name}.invalid",
        max_retries=max_retries,
        default_headers=headers,
        http_client=httpx2.AsyncClient(transport=transport, trust_env=False),
    )
    # The SDK looks up its platform in a thread at its first request: get that over with.
    await client.models.retrieve(name)
    return client


@opening
async def _replayed(name: str, folder: Path, mode: str) -> AsyncIterator[Session]:
    if mode not in (*MODES, "fill"):
        raise SettingError(f"COOKBOOK_CLIENT is {mode!r}; it can be {', '.join(MODES)}")
    recording = load_with_branches(folder / f"{name}.yaml")
    replay = Replay(recording, _pace(), _secrets_out(), fill=mode == "fill")
    client = await client_over(Transport(replay.ask), "recorded")
    origin = ORIGINS.get(recording.source, recording.about)
    print(f"{mode}: {recording.path.name}, replies {recording.source} ({origin})")
    async with client, running(replay.clock, replay.drive):
        yield Session(client, replay.clock, recording.model, mode, recording.source)
    replay.finish()


@opening
async def recorded(
    name: str, inner: AbstractAsyncContextManager[Session], folder: Path = FOLDER
) -> AsyncIterator[Session]:
    """Open a session over a live or a scripted one, and write down what happens, as NAME.yaml.

    A run that was cut off left NAME.part: it is played, and goes on from there. One that ended with
    an error is kept as NAME-ended-badly.yaml. RecordingError: NAME.yaml was written by hand.
    """
    async with inner as session:
        source = "scripted" if session.mode == "scripted" else "recorded"
        today = f"{session.model}, {date.today()}, anthropic {anthropic.__version__}"
        with closing(Journal(folder, name, source, today, session.model)) as journal:
            virtual = isinstance(session.clock, VirtualClock)
            recorder = Recorder(journal, session.client, virtual, _secrets_out())
            client = await client_over(Transport(recorder.ask), "recorded")
            done = len(journal.recording.steps)
            to = f"going on after step {done} of" if done else "to"
            print(f"record: {to} {journal.part.name}")
            try:
                async with client, running(recorder.clock, recorder.drive):
                    yield Session(client, recorder.clock, session.model, "record", source)
                recorder.finish()
            except TO_MEND:
                raise  # NAME.part stays: the run is put right, and goes on
            except Exception:
                journal.finish(recorder.played, recorder.models, badly=True)
                raise
            else:
                path = journal.finish(recorder.played, recorder.models, badly=False)
                print(f"record: {len(recorder.played)} steps are in {path.name}")
            finally:
                await recorder.stop()

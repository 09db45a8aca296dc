"""Connects a run to its replies: a recording (no key, no network) or the live API."""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import httpx2
from dotenv import dotenv_values

from ..hub import Clock
from ..team import heartbeat
from .recording import FOLDER, MODEL_INFO, RecordingError, load
from .replay import Replay, ReplayError
from .scrubbing import Scrub, scrubber
from .stepping import VirtualClock, marked, run_clock

HELPERS = Path(__file__).resolve().parents[1]
ENV_FILE = HELPERS.parent / ".env"
MODES = ("recorded", "lenient", "live")  # and "fill", which is for the tool alone
LIVE_MODEL = "claude-sonnet-5-5"
Reply = dict[str, Any] | httpx2.Response
Driver = Callable[[], Awaitable[None]]


class SettingError(ValueError):
    """A setting is missing or can't be used; the message says what to write where."""


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


def connect(name: str, folder: Path = FOLDER) -> AbstractAsyncContextManager[Session]:
    """Return the session of one run, in the mode of COOKBOOK_CLIENT ("recorded" by default).

    Leaving it checks that the recording was played to its end. SettingError: unknown mode, or no
    key in live mode. RecordingError: it can't be read. ReplayError: the run and it disagree.
    """
    try:
        mode = setting("COOKBOOK_CLIENT", "recorded")
        if mode == "live":
            return _live(_live_client())
        if mode not in (*MODES, "fill"):
            raise SettingError(f"COOKBOOK_CLIENT is {mode!r}; it can be {', '.join(MODES)}")
        recording = load(folder / f"{name}.yaml")
        recording.branches = [load(path) for path in sorted(folder.glob(f"{name}.*.yaml"))]
        return _replayed(Replay(recording, mode, _pace(), _secrets_out()))
    except (SettingError, RecordingError) as error:
        raise error.with_traceback(None) from None  # its message says it all


def _pace() -> float:
    pace = setting("COOKBOOK_PACE", "0")
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
    except (asyncio.CancelledError, KeyboardInterrupt, Exception) as error:
        _shorten(error)
        if not clock.failure or isinstance(error, KeyboardInterrupt):
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


def _shorten(error: BaseException) -> None:
    """Cut the traceback of a stop or an error of ours to the cell's line: 300 are the SDK's.

    The reason of an API error, which has as many lines again, becomes a note of one line.
    """
    if isinstance(error, Exception) and not isinstance(error, anthropic.AnthropicError):
        return
    frame = error.__traceback__
    while frame and HELPERS in Path(frame.tb_frame.f_code.co_filename).resolve().parents:
        frame = frame.tb_next
    if frame:
        frame.tb_next = None
    if isinstance(error, anthropic.APIError) and (reason := error.__cause__):
        error.add_note(_secrets_out()(f"Reason: {type(reason).__name__}: {reason}"))
        error.__cause__ = None


def _live_client() -> anthropic.AsyncAnthropic:
    key, token = setting("ANTHROPIC_API_KEY").strip(), setting("ANTHROPIC_AUTH_TOKEN").strip()
    if not re.fullmatch(r"[!-~]+", key + token):  # the transport would show an odd one in its error
        raise SettingError(
            "COOKBOOK_CLIENT=live needs a key, without a blank or odd character in it. "
            "Put this line into the file .env beside README.md: ANTHROPIC_API_KEY=your-key"
        )
    address = setting("ANTHROPIC_BASE_URL") or None
    token_alone = None if key else token
    return anthropic.AsyncAnthropic(api_key=key or None, auth_token=token_alone, base_url=address)


@asynccontextmanager
async def _live(client: anthropic.AsyncAnthropic) -> AsyncIterator[Session]:
    model = setting("COOKBOOK_MODEL", LIVE_MODEL)
    print(f"live: the API answers ({model}, unless a role names another); this costs money")
    try:
        async with client, running(VirtualClock()):
            yield Session(client, Clock(), model, "live", "live")
    except anthropic.AuthenticationError as error:
        error.add_note("The API refused the key: check ANTHROPIC_API_KEY, in the shell or in .env.")
        raise
    except anthropic.NotFoundError as error:
        error.add_note(f"Is {model!r} a model you can use? Set COOKBOOK_MODEL, in shell or .env.")
        raise


class Transport(httpx2.AsyncBaseTransport):
    """Stands where the network would be, below a real AsyncAnthropic, and asks for each reply."""

    def __init__(self, respond: Callable[[str], Awaitable[Reply]]) -> None:
        self._respond = respond

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET":
            return httpx2.Response(200, json=MODEL_INFO)
        text = (await request.aread()).decode()
        streamed = '"stream":true' in text and json.loads(text).get("stream")
        if request.url.path != "/v1/messages" or streamed:
            what = "stream" if streamed else request.url.path
            raise ReplayError(f"only messages.create is answered here, no {what}")
        reply = await self._respond(text)
        if isinstance(reply, httpx2.Response):
            return reply
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


@asynccontextmanager
async def _replayed(replay: Replay) -> AsyncIterator[Session]:
    recording, mode = replay.recording, replay.mode
    client = await client_over(Transport(replay.ask), "recorded")
    origin = "written by hand, no model" if recording.source == "authored" else recording.about
    print(f"{mode}: {recording.path.name}, replies {recording.source} ({origin})")
    async with client, running(replay.clock, replay.drive):
        yield Session(client, replay.clock, recording.model, mode, recording.source)
    replay.finish()

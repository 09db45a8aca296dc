"""Connects a run to its replies: a recording (no key, no network) or the live API."""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anthropic
import httpx2
from dotenv import dotenv_values

from ..hub import Clock
from ..team import heartbeat
from .recording import FOLDER, MODEL_INFO, RecordingError, load, load_branches, scrub
from .replay import Replay, ReplayError

HELPERS = Path(__file__).resolve().parents[1]
ENV_FILE = HELPERS.parent / ".env"
MODES = ("recorded", "lenient", "live")  # and "fill", which is for the tool alone
LIVE_MODEL = "claude-sonnet-5-5"


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
    try:
        return os.environ.get(name) or dotenv_values(ENV_FILE).get(name) or default
    except UnicodeDecodeError:
        raise SettingError(f"{ENV_FILE.name} is not UTF-8 text: save it again as UTF-8") from None


@asynccontextmanager
async def connect(name: str, folder: Path = FOLDER) -> AsyncIterator[Session]:
    """Open the session of one run, in the mode that COOKBOOK_CLIENT names ("recorded" by default).

    Leaving it checks that the recording was played to its end. SettingError: unknown mode, or no
    key in live mode. RecordingError: it can't be read. ReplayError: the run and it disagree.
    """
    mode = setting("COOKBOOK_CLIENT", "recorded")
    opened = _live() if mode == "live" else _replayed(name, folder, mode)
    try:
        async with opened as session, stoppable():
            yield session
    except (SettingError, RecordingError, ReplayError) as error:
        # Its message says it all; the way it took is ours and the SDK's.
        raise error.with_traceback(None) from error.__cause__


@asynccontextmanager
async def stoppable() -> AsyncIterator[None]:
    """Let the stop button take effect at once; show it, or an error, by the cell's line alone.

    Without a heartbeat an idle loop would see the stop button only at its next event.
    """
    beat = asyncio.create_task(heartbeat())
    try:
        yield
    except (asyncio.CancelledError, KeyboardInterrupt, anthropic.AnthropicError) as error:
        _shorten(error)
        raise
    finally:
        beat.cancel()
        await asyncio.gather(beat, return_exceptions=True)


def _shorten(error: BaseException) -> None:
    """Cut a traceback below the first line outside this package: the other 300 are the SDK's.

    The reason of an API error, which has as many lines again, becomes a note of one line.
    """
    frame = error.__traceback__
    while frame and HELPERS in Path(frame.tb_frame.f_code.co_filename).resolve().parents:
        frame = frame.tb_next
    if frame:
        frame.tb_next = None
    if isinstance(error, anthropic.APIError) and (reason := error.__cause__):
        error.add_note(scrub(f"Reason: {type(reason).__name__}: {reason}"))
        error.__cause__ = None


def _pace() -> float:
    pace = setting("COOKBOOK_PACE", "0")
    try:
        if 0 <= float(pace) <= 60:
            return float(pace)
    except ValueError:
        pass
    raise SettingError(f"COOKBOOK_PACE is {pace!r}; it is seconds from 0 to 60, such as 0.3")


@asynccontextmanager
async def _live() -> AsyncIterator[Session]:
    key, token = setting("ANTHROPIC_API_KEY").strip(), setting("ANTHROPIC_AUTH_TOKEN").strip()
    if not re.fullmatch(r"[!-~]*", key + token):  # the transport would show it in its error
        raise SettingError(
            "ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN holds a blank or odd character"
        )
    if not key and not token:
        raise SettingError(
            "COOKBOOK_CLIENT=live needs a key. Put this line into the file .env beside README.md: "
            "ANTHROPIC_API_KEY=your-key"
        )
    model = setting("COOKBOOK_MODEL", LIVE_MODEL)
    client = anthropic.AsyncAnthropic(
        api_key=key or None,
        auth_token=None if key else token,
        base_url=setting("ANTHROPIC_BASE_URL") or None,
    )
    print(f"live: the API answers ({model}, unless a role names another); this costs money")
    try:
        async with client:
            yield Session(client, Clock(), model, "live", "live")
    except anthropic.AuthenticationError as error:
        error.add_note("The API refused the key: check ANTHROPIC_API_KEY, in the shell or in .env.")
        raise
    except anthropic.NotFoundError as error:
        error.add_note(f"Is {model!r} a model you can use? Set COOKBOOK_MODEL, in shell or .env.")
        raise


class ReplayTransport(httpx2.AsyncBaseTransport):
    """Stands where the network would be, below a real AsyncAnthropic."""

    def __init__(self, replay: Replay) -> None:
        self._replay = replay

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET":
            return httpx2.Response(200, json=MODEL_INFO)
        body = json.loads(scrub((await request.aread()).decode()))
        if request.url.path != "/v1/messages" or body.get("stream"):
            raise ReplayError(f"a recording answers messages.create only, not {request.url.path}")
        return httpx2.Response(200, json=await self._replay.ask(body))


async def client_over(
    transport: httpx2.AsyncBaseTransport, name: str, max_retries: int = 0
) -> anthropic.AsyncAnthropic:
    """Return a real client that nothing of this machine leaks into: no key, profile or proxy."""
    client = anthropic.AsyncAnthropic(
        api_key=name,
        base_url=f"http://{name}.invalid",
        max_retries=max_retries,
        http_client=httpx2.AsyncClient(transport=transport, trust_env=False),
    )
    # The SDK looks up its platform in a thread at its first request: get that over with.
    await client.models.retrieve(name)
    return client


@asynccontextmanager
async def _replayed(name: str, folder: Path, mode: str) -> AsyncIterator[Session]:
    if mode not in (*MODES, "fill"):
        raise SettingError(f"COOKBOOK_CLIENT is {mode!r}; it can be {', '.join(MODES)}")
    recording = load(folder / f"{name}.yaml")
    replay = Replay(recording, mode, _pace(), load_branches(recording))
    client = await client_over(ReplayTransport(replay), "recorded")
    body = asyncio.current_task()
    assert body is not None, "an `async with` block always runs in a task"
    origin = "written by hand, no model" if recording.source == "authored" else recording.about
    print(f"{mode}: {recording.path.name}, replies {recording.source} ({origin})")
    driver = asyncio.create_task(replay.drive(body))
    try:
        yield Session(client, replay.clock, recording.model, mode, recording.source)
    except (asyncio.CancelledError, Exception) as error:
        if replay.failure is None:
            raise
        cause = None if isinstance(error, asyncio.CancelledError | ReplayError) else error
        raise replay.failure from cause
    finally:
        replay.clock.close()
        driver.cancel()
        await asyncio.gather(driver, return_exceptions=True)
        if replay.failure and body.cancelling():
            body.uncancel()  # the driver's own cancel; the failure is raised in its place
        await client.close()
    if replay.failure:
        raise replay.failure
    replay.finish()

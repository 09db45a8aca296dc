"""Live mode, against a small Messages API on this machine."""

import asyncio
import json
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anthropic
import pytest

from helpers.hub import Clock, Hub
from helpers.lessons.notebooks import ROOT, execute
from helpers.replies.client import LIVE_MODEL, Session, SettingError, connect
from helpers.team import Member, run_team

from .support import run

REPLY = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "some-model",
    "content": [{"type": "text", "text": "Hello."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
DROP = 0  # a status that closes the connection without an answer


class Api(ThreadingHTTPServer):
    """Answers with these statuses in order, then with 200; keeps what it was asked."""

    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.statuses: list[int] = []
        self.reply: Callable[[dict[str, Any]], dict[str, Any]] = lambda body: REPLY
        self.seen: list[tuple[str, dict[str, str], dict[str, Any]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        api = self.server
        assert isinstance(api, Api)
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        api.seen.append((self.path, headers, body))
        status = api.statuses.pop(0) if api.statuses else 200
        if status == DROP:
            self.close_connection = True
            return
        error = {"type": "error", "error": {"type": "some_error", "message": "no"}}
        text = json.dumps(api.reply(body) if status == 200 else error).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.send_header("retry-after-ms", "1")
        self.end_headers()
        with suppress(ConnectionError):  # the client of a test may be gone
            self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """A Messages API, and the environment of someone who asks it."""
    server = Api()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("COOKBOOK_CLIENT", "live")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key-for-tests")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
    monkeypatch.setattr("anthropic._base_client.INITIAL_RETRY_DELAY", 0.001)
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


async def hello() -> str:
    async with connect("any name") as session:
        assert (session.mode, session.source) == ("live", "live")
        return await ask(session)


async def ask(session: Session) -> str:
    reply = await session.client.messages.create(
        model=session.model, max_tokens=10, messages=[{"role": "user", "content": "Hi."}]
    )
    return "".join(block.text for block in reply.content if block.type == "text")


def secret(headers: dict[str, str]) -> str:
    """Return the key or token of a request, in whichever header the SDK has put it."""
    return headers.get("x-api-key") or headers["authorization"].removeprefix("Bearer ")


def test_live_asks_the_api_at_the_address_and_with_the_key_it_was_given(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(hello()) == "Hello."
    ((path, headers, body),) = api.seen
    assert path == "/v1/messages"
    assert secret(headers) == "a-key-for-tests"
    assert body["model"] == LIVE_MODEL
    assert f"live: the API answers ({LIVE_MODEL}," in capsys.readouterr().out


def test_live_needs_no_recording_and_has_a_real_clock(api: Api) -> None:
    async def body() -> None:
        async with connect("there is no such recording") as session:
            assert type(session.clock) is Clock

    run(body())


def test_the_model_is_a_setting(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COOKBOOK_MODEL", "another-model")
    run(hello())
    assert api.seen[0][2]["model"] == "another-model"


def test_a_token_does_in_place_of_a_key(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "a-token")
    run(hello())
    assert secret(api.seen[0][1]) == "a-token"


def test_settings_can_stand_in_the_env_file_and_the_environment_comes_first(
    api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    env_file = tmp_path / ".env"
    lines = [
        "COOKBOOK_CLIENT=live",
        "ANTHROPIC_API_KEY=key-of-the-file",
        "COOKBOOK_MODEL=its-model",
    ]
    env_file.write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.setattr("helpers.replies.client.ENV_FILE", env_file)
    for name in ("COOKBOOK_CLIENT", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name)
    run(hello())
    monkeypatch.setenv("ANTHROPIC_API_KEY", "key-of-the-shell")
    run(hello())
    secrets = [secret(headers) for _, headers, _ in api.seen]
    assert secrets == ["key-of-the-file", "key-of-the-shell"]
    assert {body["model"] for _, _, body in api.seen} == {"its-model"}


@pytest.mark.parametrize("failure", [529, 500, 429, DROP])
def test_a_passing_failure_is_tried_again(api: Api, failure: int) -> None:
    api.statuses = [failure]
    assert run(hello()) == "Hello."
    assert len(api.seen) == 2
    assert api.seen[0][2] == api.seen[1][2]


def test_a_lasting_failure_is_raised_as_an_api_error(api: Api) -> None:
    api.statuses = [529] * 10
    with pytest.raises(anthropic.APIStatusError):
        run(hello())
    assert len(api.seen) == 3


@pytest.mark.parametrize("end", ["\n", "\r\n", "  "])
def test_blanks_around_a_key_are_taken_off(
    api: Api, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", f"a-key-for-tests{end}")
    run(hello())
    assert secret(api.seen[0][1]) == "a-key-for-tests"


def test_a_key_that_no_header_can_hold_is_refused_and_not_shown(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "secret\rkey")
    with pytest.raises(SettingError, match="a blank or odd character") as caught:
        run(hello())
    assert "secret\\rkey" not in repr(traceback.format_exception(caught.value))


def test_an_env_file_in_another_encoding_is_named(
    api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("COOKBOOK_MODEL=é", encoding="utf-16")
    monkeypatch.setattr("helpers.replies.client.ENV_FILE", tmp_path / ".env")
    with pytest.raises(SettingError, match=r"\.env is not UTF-8"):
        run(hello())


def test_without_a_key_one_message_says_where_to_put_it(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    with pytest.raises(ValueError, match=r"\.env beside README\.md: ANTHROPIC_API_KEY="):
        run(hello())
    assert api.seen == []


@pytest.mark.parametrize(
    ("status", "kind", "word"),
    [
        (401, anthropic.AuthenticationError, "ANTHROPIC_API_KEY"),
        (404, anthropic.NotFoundError, "COOKBOOK_MODEL"),
    ],
)
def test_a_wrong_setting_is_named_in_a_note(
    api: Api, status: int, kind: type[Exception], word: str
) -> None:
    api.statuses = [status]
    with pytest.raises(kind) as caught:
        run(hello())
    (note,) = caught.value.__notes__
    assert word in note
    assert ".env" in note
    assert len(api.seen) == 1


def test_a_wrong_key_of_a_team_is_named_once(api: Api) -> None:
    async def body() -> None:
        members = [Member(name, "Say hello.") for name in ("lead", "helper1")]
        async with connect("any name") as session:
            hub = Hub(session.clock, show=None)
            await run_team(session.client, hub, members, model=session.model)

    api.statuses = [401] * 10
    with pytest.raises(anthropic.AuthenticationError) as caught:
        run(body())
    assert len(caught.value.__notes__) == 1


def test_a_team_runs_live(api: Api) -> None:
    async def body() -> str:
        members = [Member(name, "Say hello.") for name in ("lead", "helper1")]
        async with connect("any name") as session:
            hub = Hub(session.clock, show=None)
            return await run_team(session.client, hub, members, model=session.model)

    assert run(body()) == "Hello."


def test_calls_side_by_side_share_one_client(api: Api) -> None:
    async def body() -> list[str]:
        async with connect("any name") as session:
            return list(await asyncio.gather(*(ask(session) for _ in range(8))))

    assert run(body()) == ["Hello."] * 8
    assert len(api.seen) == 8


@pytest.mark.parametrize("name", ["00_start_here", "03_fixed_team"])
def test_the_cells_of_a_notebook_run_live_as_they_are(
    api: Api, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("COOKBOOK_MODEL", LIVE_MODEL)  # a learner's own `.env` may have another
    api.statuses = [529, DROP]
    notebook = execute(ROOT / "notebooks" / f"{name}.ipynb", mode="live")
    printed = "".join(
        out.get("text", "") for cell in notebook.cells for out in cell.get("outputs", [])
    )
    assert f"live: the API answers ({LIVE_MODEL}," in printed
    assert "Hello." in printed
    assert len(api.seen) > 3

"""The file format of recordings: requests and replies of a run as YAML that a person can write.

One step per item: an exchange (who asked, what was sent, what came back), `clock: seconds`, at
which the virtual clock fires one timer, or `outside: whom`, an answer that came through the clock's
door. Requests hold only what is new since the conversation's previous exchange. Only replies need
to be written by hand: `python -m helpers.lessons fill` plays them through the notebooks and writes
the rest. `COOKBOOK_CLIENT=record` writes all of it.
"""

import gc
import json
import os
import re
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from anthropic import AnthropicError
from pydantic import BeforeValidator, Discriminator, Field, Tag, TypeAdapter, ValidationError

from ..trace import one_line
from .plain_yaml import Loader, dump, line_of, value_of

FOLDER = Path(__file__).resolve().parents[2] / "notebooks" / "recordings"
FILL = ".venv/bin/python -m helpers.lessons fill"
MODEL_INFO = {
    "id": "recorded",
    "type": "model",
    "display_name": "recorded",
    "created_at": "2026-01-01T00:00:00Z",
}
STRICT = {"extra": "forbid"}
Key = tuple[str, int]  # agent and turn


class RecordingError(ValueError):
    """A recording is missing, cut off or not readable; the message names file and line."""


class ReplayError(AnthropicError):
    """The run and its recording disagree. Not an APIError: the SDK neither retries nor wraps it."""


@dataclass
class Exchange:
    """One model call: what was sent, in the words of `describe`, and the reply, or how it failed.

    `failed` is {"status", "body"}, of status 0 without a connection. Neither of both: cancelled.
    `at` is when the reply was handed over, in seconds on the run's clock, in a recorded run.
    """

    __pydantic_config__ = STRICT
    agent: str
    turn: int = 0
    reply: list[dict[str, Any]] | None = None
    stop_reason: str | None = None
    usage: dict[str, Annotated[int, Field(ge=0, strict=True)]] | None = None
    sent: dict[str, Any] | None = None
    at: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    failed: dict[str, Any] | None = None

    @property
    def key(self) -> Key:
        return self.agent, self.turn

    @property
    def over(self) -> bool:
        return self.reply is not None or self.failed is not None


@dataclass
class ClockStep:
    """The virtual clock fires its next timer, which is due at this many seconds."""

    __pydantic_config__ = STRICT
    seconds: Annotated[float, Field(alias="clock", ge=0, allow_inf_nan=False, strict=True)]


@dataclass
class Answered:
    """Somebody outside of the run was asked, and what came: JSON. `ended`: why nothing came.

    A door in which another one was opened ends as "inner": that one has the answer.
    """

    __pydantic_config__ = STRICT
    outside: str
    asked: Any
    answer: Any = None
    ended: Literal["cancelled", "inner"] | None = None


def _answered(item: Any) -> Any:
    """Return an exchange of a file with its reply as blocks. ValueError: none, or of no form."""
    reply = item.get("reply") if isinstance(item, dict) else []
    if reply is None and "failed" not in item and item.pop("cancelled", None) is not True:
        raise ValueError("a step needs `reply`, or `cancelled: true`, or `failed`")
    if isinstance(reply, str):
        return item | {"reply": [{"text": reply}]}
    for block in reply if isinstance(reply, list) else []:
        if isinstance(block, dict) and len(block) > 1 and isinstance(block.get("type"), str):
            continue  # as the API gave it
        pairs = block.items() if isinstance(block, dict) else ()
        if [isinstance(value, str if key == "text" else dict) for key, value in pairs] != [True]:
            raise ValueError("`reply` is a text, or a list of `text: …` and `tool: {…}`")
    return item


def _kind(item: Any) -> str:
    """Return the key that only this kind of step has; an exchange has none."""
    keys = item if isinstance(item, dict) else ()
    return next((key for key in ("clock", "outside") if key in keys), "")


Step = Annotated[
    Annotated[Exchange, BeforeValidator(_answered), Tag("")]
    | Annotated[ClockStep, Tag("clock")]
    | Annotated[Answered, Tag("outside")],
    Discriminator(_kind),
]


@dataclass
class Recording:
    """A whole file: where the replies come from, the model asked for, and the steps in order."""

    __pydantic_config__ = STRICT
    path: Path
    source: str
    about: str
    model: str
    steps: list[Step]
    text: str = field(default="", repr=False, compare=False)  # of the file, to find a line in
    branches: list["Recording"] = field(default_factory=list)  # ways that a run can leave it

    @cached_property
    def exchanges(self) -> dict[Key, Exchange]:
        return {step.key: step for step in self.steps if isinstance(step, Exchange)}

    def place(self, step: Step, *path: str | int) -> str:
        """Return file and line of a step, or of a field in it; line 0 if the file has it not."""
        numbers = [number for number, one in enumerate(self.steps) if one is step]
        line = line_of(self.text, "steps", *numbers, *path) if numbers else 0
        return f"{self.path.name}:{line}"


_RECORDING = TypeAdapter(Recording)


def _read(path: Path, text: str) -> Recording:
    """Return what a file holds. YAMLError, ValidationError: it is no recording."""
    collecting = gc.isenabled()
    gc.disable()  # it would walk all that this process holds, for nodes that are soon gone
    try:
        root = yaml.compose(text, Loader=Loader)
        data = value_of(root) if root else {}
    finally:
        if collecting:
            gc.enable()
    known = data if isinstance(data, dict) else {}
    recording = _RECORDING.validate_python(known | {"path": path, "text": text})
    turns: Counter[str] = Counter()
    for step in recording.steps:
        if isinstance(step, Exchange):
            turns[step.agent] += 1
            step.turn = turns[step.agent]
    return recording


def load(path: Path) -> Recording:
    """Read a recording. RecordingError: missing, cut off, or not of this form."""
    if not path.is_file():
        names = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml"))) or "none"
        raise RecordingError(f"there is no recording {path.name}; the recordings are: {names}")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RecordingError(f"{path.name}:1: {one_line(error, 200)}") from None
    if text.splitlines()[-1:] != ["..."]:
        raise RecordingError(f"{path.name}:1: cut off: the last line should be `...`")
    return parsed(path, text)


def parsed(path: Path, text: str) -> Recording:
    """Return the recording that a text holds. RecordingError: it is not of this form."""
    try:
        return _read(path, text)
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        problem = f"{'.'.join(filter(None, map(str, found['loc'])))}: {found['msg']}"
        line = line_of(text, *found["loc"])
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        problem, line = getattr(error, "problem", str(error)), mark.line + 1 if mark else 1
    raise RecordingError(f"{path.name}:{line}: {one_line(problem, 200)}")


def load_with_branches(path: Path) -> Recording:
    """Read a recording and its branches: NAME.denied.yaml is one of NAME.yaml."""
    recording = load(path)
    recording.branches = [load(p) for p in sorted(path.parent.glob(f"{path.stem}.*.yaml"))]
    return recording


def save(recording: Recording) -> None:
    """Write a recording into its file."""
    data = {name: getattr(recording, name) for name in ("source", "about", "model")}
    data["steps"] = [plain(step) for step in recording.steps]
    put(recording.path, dump(data) + "...\n")


def put(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old one or the new one, never a half."""
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", newline="\n", dir=path.parent, delete=False
    ) as file:
        file.write(text)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


def plain(step: Step) -> dict[str, Any]:
    """Return a step in the words of a file."""
    if isinstance(step, ClockStep):
        return {"clock": step.seconds}
    if isinstance(step, Answered):
        return {key: value for key, value in asdict(step).items() if key != "ended" or value}
    reply: Any = step.reply
    if reply and len(reply) == 1 and "text" in reply[0]:
        reply = reply[0]["text"]
    item = {"agent": step.agent, "turn": step.turn, "sent": step.sent, "reply": reply}
    item |= {"stop_reason": step.stop_reason, "usage": step.usage}
    item |= {"at": step.at, "failed": step.failed, "cancelled": None if step.over else True}
    return {key: value for key, value in item.items() if value is not None}


def speaker(body: dict[str, Any]) -> str | None:
    """Return the agent's name from a system prompt that begins "You are NAME", our convention."""
    found = re.match(r"You are ([A-Za-z][A-Za-z0-9_-]*)", str(body.get("system", "")))
    return found[1] if found else None


def size(value: Any) -> int:
    """Return how many characters a value has as JSON."""
    return len(json.dumps(value, ensure_ascii=False))


def answer(exchange: Exchange, body: dict[str, Any], known: int = 0) -> dict[str, Any]:
    """Return the Messages API response that a recorded reply stands for.

    Usage that the file does not state is an estimate: four characters to a token; `known` are the
    characters of earlier messages, which the body leaves out.
    """
    content: list[dict[str, Any]] = []
    for number, block in enumerate(exchange.reply or [], 1):
        if len(block) > 1:
            content.append(block)  # as the API gave it
            continue
        ((name, value),) = block.items()
        if name == "text":
            content.append({"type": "text", "text": value})
        else:  # the API takes letters, digits, `_` and `-` in an id
            call_id = f"toolu_{exchange.agent.replace('.', '-')}_{exchange.turn}_{number}"
            content.append({"type": "tool_use", "id": call_id, "name": name, "input": value})
    calls = any(block["type"] == "tool_use" for block in content)
    usage = exchange.usage or {
        "input_tokens": (size(body) + known) // 4,
        "output_tokens": size(content) // 4,
    }
    return {
        "id": f"msg_{exchange.agent}_{exchange.turn}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": content,
        "stop_reason": exchange.stop_reason or ("tool_use" if calls else "end_turn"),
        "stop_sequence": None,
        "usage": usage,
    }

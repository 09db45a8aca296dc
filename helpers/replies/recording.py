"""The file format of recordings: requests and replies of a run as YAML that a person can write.

One step per item: an exchange (who asked, what was sent, what came back) or `clock: seconds`, at
which the virtual clock fires one timer. Requests hold only what is new since the conversation's
previous exchange. Only replies need to be written by hand: `python -m helpers.lessons fill`
plays them through the notebooks and writes the rest.
"""

import json
import os
import re
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

FOLDER = Path(__file__).resolve().parents[2] / "notebooks" / "recordings"
FILL = ".venv/bin/python -m helpers.lessons fill"
MODEL_INFO = {
    "id": "recorded",
    "type": "model",
    "display_name": "recorded",
    "created_at": "2026-01-01T00:00:00Z",
}
SECRET_NAME = re.compile(
    r"(KEY|TOKEN|SECRET|PASSWORD|PASSPHRASE|CREDENTIALS?|(^|_)(PASS|PWD|PAT|DSN|DATABASE_URL))$",
    re.I,
)
SECRET_TEXT = re.compile(r"sk-ant-[A-Za-z0-9_-]+")


class RecordingError(ValueError):
    """A recording is missing, cut off or not readable; the message names file and line."""


@dataclass
class Exchange:
    """One model call: what was sent, in the words of `describe`, and the reply, or cancelled."""

    agent: str
    turn: int
    reply: list[dict[str, Any]] | None
    stop_reason: str | None = None
    usage: dict[str, int] | None = None
    sent: dict[str, Any] | None = None
    node: yaml.Node | None = field(default=None, repr=False, compare=False)

    @property
    def key(self) -> tuple[str, int]:
        return self.agent, self.turn

    def line(self, *path: str | int) -> int:
        """Return the line, from 1, of the field at this path, or of what is nearest above it."""
        node = self.node
        line = node.start_mark.line + 1 if node else 0
        for key in path:
            found: list[tuple[yaml.Node, yaml.Node]] = []
            if isinstance(node, yaml.MappingNode):
                found = [(k, v) for k, v in node.value if k.value == key]
            elif isinstance(node, yaml.SequenceNode) and isinstance(key, int):
                found = [(v, v) for v in node.value[key : key + 1]]
            if not found:
                return line
            line, node = found[0][0].start_mark.line + 1, found[0][1]
        return line


@dataclass
class ClockStep:
    """The virtual clock fires its next timer, which is due at this many seconds."""

    seconds: float
    line: int = field(default=0, compare=False)


@dataclass
class Recording:
    """A whole file: where the replies come from, the model asked for, and the steps in order."""

    path: Path
    source: str
    about: str
    model: str
    steps: list[Exchange | ClockStep]


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Plain YAML of JSON's types: `no`, `on` and dates stay text."""


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as a block."""


_Loader.yaml_implicit_resolvers = {}
_Dumper.yaml_implicit_resolvers = {}
for tag, pattern, first in (
    ("bool", r"true|false", "tf"),
    ("null", r"null|~|", ["n", "~", ""]),
    ("int", r"-?(?:0|[1-9][0-9]*)", "-0123456789"),
    ("float", r"-?(?:0|[1-9][0-9]*)\.[0-9]+(?:[eE][-+]?[0-9]+)?", "-0123456789"),
):
    regexp = re.compile(f"^(?:{pattern})$")
    for kind in (_Loader, _Dumper):
        kind.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", regexp, list(first))


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    odd = set(text) & set("\x85\u2028\u2029")  # YAML counts them as line ends
    style = '"' if odd else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


class _ClockForm(BaseModel):
    model_config = ConfigDict(extra="forbid")

    clock: float = Field(ge=0, allow_inf_nan=False)


class _ExchangeForm(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    agent: str
    turn: int = 0
    reply: str | list[dict[str, Any]] | None = None
    stop_reason: str | None = None
    usage: dict[str, int] | None = None
    sent: dict[str, Any] | None = None
    cancelled: bool = False

    @model_validator(mode="after")
    def _is_answered_or_cancelled(self) -> Self:
        if (self.reply is None) != self.cancelled:
            raise ValueError("a step needs `reply`, or `cancelled: true`")
        for block in self.blocks() or []:
            ((name, value),) = block.items() if len(block) == 1 else [("text", None)]
            if not isinstance(value, str if name == "text" else dict):
                raise ValueError("`reply` is a text, or a list of `text: …` and `tool: {…}`")
        return self

    def blocks(self) -> list[dict[str, Any]] | None:
        return [{"text": self.reply}] if isinstance(self.reply, str) else self.reply


def _step(path: Path, node: yaml.Node, item: Any) -> Exchange | ClockStep:
    line = node.start_mark.line + 1
    form = _ClockForm if isinstance(item, dict) and "clock" in item else _ExchangeForm
    try:
        step = form.model_validate(item)
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        where = ".".join(map(str, found["loc"]))
        raise RecordingError(f"{path.name}:{line}: {where} {found['msg']}") from error
    if isinstance(step, _ClockForm):
        return ClockStep(step.clock, line)
    exchange = Exchange(step.agent, 0, step.blocks(), step.stop_reason, step.usage, step.sent)
    exchange.node = node
    return exchange


def load(path: Path) -> Recording:
    """Read a recording. RecordingError: missing, cut off, or not of this form."""
    if not path.is_file():
        names = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml"))) or "none"
        raise RecordingError(f"there is no recording {path.name}; the recordings are: {names}")
    try:
        text = path.read_text(encoding="utf-8")
        loader = _Loader(text)
        root = loader.get_single_node()
        data = loader.construct_document(root) if root else None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = getattr(getattr(error, "problem_mark", None), "line", None)
        line = f":{where + 1}" if where is not None else ""
        raise RecordingError(f"{path.name}{line} is not readable: {error}") from error
    header = ["source", "about", "model", "steps"]
    if not isinstance(data, dict) or list(data) != header or not isinstance(data["steps"], list):
        raise RecordingError(f"{path.name}:1: the top needs {', '.join(header)}, in this order")
    if any(not isinstance(data[name], str) for name in header[:3]):
        raise RecordingError(f"{path.name}:1: {', '.join(header[:3])} are texts")
    if text.splitlines()[-1] != "...":
        raise RecordingError(f"{path.name} is cut off: its last line should be `...`")
    assert isinstance(root, yaml.MappingNode)
    nodes = root.value[-1][1].value
    steps = [_step(path, node, item) for node, item in zip(nodes, data["steps"], strict=True)]
    turns: Counter[str] = Counter()
    for step in steps:
        if isinstance(step, Exchange):
            turns[step.agent] += 1
            step.turn = turns[step.agent]
    return Recording(path, data["source"], data["about"], data["model"], steps)


def load_branches(recording: Recording) -> list[Recording]:
    """Read the branches of a recording: NAME.denied.yaml is one of NAME.yaml."""
    paths = recording.path.parent.glob(f"{recording.path.stem}.*.yaml")
    return [load(path) for path in sorted(paths)]


def save(recording: Recording) -> None:
    """Write a recording so that a reader sees the old file or the new one, never a half."""
    data = {
        "source": recording.source,
        "about": recording.about,
        "model": recording.model,
        "steps": [_plain(step) for step in recording.steps],
    }
    text = yaml.dump(
        data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100, explicit_end=True
    )
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", newline="\n", dir=recording.path.parent, delete=False
    ) as file:
        file.write(text)
    os.chmod(file.name, 0o644)
    os.replace(file.name, recording.path)


def _plain(step: Exchange | ClockStep) -> dict[str, Any]:
    if isinstance(step, ClockStep):
        return {"clock": step.seconds}
    item: dict[str, Any] = {"agent": step.agent, "turn": step.turn}
    if step.sent is not None:
        item["sent"] = step.sent
    if step.reply is None:
        return item | {"cancelled": True}
    item["reply"] = step.reply[0]["text"] if _only_text(step.reply) else step.reply
    extra = {"stop_reason": step.stop_reason, "usage": step.usage}
    return item | {key: value for key, value in extra.items() if value is not None}


def _only_text(blocks: list[dict[str, Any]]) -> bool:
    return len(blocks) == 1 and list(blocks[0]) == ["text"]


def scrub(text: str) -> str:
    """Return the text without keys: `sk-ant-…` and values of variables named like a secret.

    A short value of letters only stays: it is more likely a word, and a prompt may hold it.
    """
    for name in filter(SECRET_NAME.search, os.environ):
        value = os.environ[name]
        if len(value) >= 8 and not (value.isalpha() and len(value) < 12):
            text = text.replace(json.dumps(value, ensure_ascii=False)[1:-1], f"({name})")
    return SECRET_TEXT.sub("(sk-ant-key)", text)


def speaker(body: dict[str, Any]) -> str | None:
    """Return the agent's name from a system prompt that begins "You are NAME", our convention."""
    found = re.match(r"You are ([A-Za-z][A-Za-z0-9_-]*)", str(body.get("system", "")))
    return found[1] if found else None


def answer(exchange: Exchange, body: dict[str, Any]) -> dict[str, Any]:
    """Return the Messages API response that a recorded reply stands for.

    Usage that the file does not state is an estimate: four characters to a token.
    """
    content: list[dict[str, Any]] = []
    for number, block in enumerate(exchange.reply or [], 1):
        ((name, value),) = block.items()
        if name == "text":
            content.append({"type": "text", "text": value})
        else:
            call_id = f"toolu_{exchange.agent}_{exchange.turn}_{number}"
            content.append({"type": "tool_use", "id": call_id, "name": name, "input": value})
    calls = any(block["type"] == "tool_use" for block in content)
    usage = exchange.usage or {
        "input_tokens": len(json.dumps(body, ensure_ascii=False)) // 4,
        "output_tokens": len(json.dumps(content, ensure_ascii=False)) // 4,
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

"""The file format of recordings: requests and replies of a run as YAML that a person can write.

One step per item: an exchange (who asked, what was sent, what came back) or `clock: seconds`, at
which the virtual clock fires one timer. Requests hold only what is new since the conversation's
previous exchange. Only replies need to be written by hand: `python -m helpers.lessons fill`
plays them through the notebooks and writes the rest.
"""

import gc
import json
import os
import re
import tempfile
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BeforeValidator, Discriminator, Field, Tag, TypeAdapter, ValidationError

from ..trace import one_line

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


@dataclass
class Exchange:
    """One model call: what was sent, in the words of `describe`, and the reply; None: cancelled."""

    __pydantic_config__ = STRICT
    agent: str
    turn: int = 0
    reply: list[dict[str, Any]] | None = None
    stop_reason: str | None = None
    usage: dict[str, Annotated[int, Field(ge=0, strict=True)]] | None = None
    sent: dict[str, Any] | None = None

    @property
    def key(self) -> Key:
        return self.agent, self.turn


@dataclass
class ClockStep:
    """The virtual clock fires its next timer, which is due at this many seconds."""

    __pydantic_config__ = STRICT
    seconds: Annotated[float, Field(alias="clock", ge=0, allow_inf_nan=False, strict=True)]


def _answered(item: Any) -> Any:
    """Return an exchange of a file with its reply as blocks. ValueError: none, or of no form."""
    reply = item.get("reply") if isinstance(item, dict) else []
    if reply is None and item.pop("cancelled", None) is not True:
        raise ValueError("a step needs `reply`, or `cancelled: true`")
    if isinstance(reply, str):
        return item | {"reply": [{"text": reply}]}
    for block in reply if isinstance(reply, list) else []:
        pairs = block.items() if isinstance(block, dict) else ()
        if [isinstance(value, str if key == "text" else dict) for key, value in pairs] != [True]:
            raise ValueError("`reply` is a text, or a list of `text: …` and `tool: {…}`")
    return item


Step = Annotated[
    Annotated[Exchange, BeforeValidator(_answered), Tag("")] | Annotated[ClockStep, Tag("clock")],
    Discriminator(lambda item: "clock" if isinstance(item, dict) and "clock" in item else ""),
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
        line = _line(self.text, "steps", *numbers, *path) if numbers else 0
        return f"{self.path.name}:{line}"


_RECORDING = TypeAdapter(Recording)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Plain YAML of JSON's types: `no`, `on` and dates stay text."""


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as a block, and everything in full."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def text(self, text: str) -> yaml.ScalarNode:
        odd = set(text) & set("\x85\u2028\u2029")  # YAML counts them as line ends
        style = '"' if odd else "|" if "\n" in text else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Loader.yaml_implicit_resolvers = {}
_Dumper.yaml_implicit_resolvers = {}
_Dumper.add_representer(str, _Dumper.text)
for tag, pattern, first in (
    ("bool", r"true|false", "tf"),
    ("null", r"null|~|", ["n", "~", ""]),
    ("int", r"-?(?:0|[1-9][0-9]*)", "-0123456789"),
    ("float", r"-?(?:0|[1-9][0-9]*)\.[0-9]+(?:[eE][-+]?[0-9]+)?", "-0123456789"),
):
    regexp = re.compile(f"^(?:{pattern})$")
    for kind in (_Loader, _Dumper):
        kind.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", regexp, list(first))


def _value(node: Any) -> Any:
    """Return the JSON value that a node stands for. MarkedYAMLError: it stands for none."""
    kind, value = (node.id, node.tag.rpartition(":")[2]), node.value
    problem = f"this is no {kind[1]}"
    if kind == ("scalar", "str"):
        return value
    if kind == ("sequence", "seq"):
        return [_value(item) for item in value]
    if kind == ("mapping", "map"):
        names = [name.value for name, _ in value]
        odd = [n for i, (n, _) in enumerate(value) if n.id != "scalar" or n.value in names[:i]]
        if not odd:
            return {name.value: _value(part) for name, part in value}
        node, problem = odd[0], "this key stands here twice, or is no text"
    elif kind[0] == "scalar" and kind[1] in ("null", "bool", "int", "float"):
        with suppress(ValueError):
            return None if kind[1] == "null" else json.loads(value)
    raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def _read(path: Path, text: str) -> Recording:
    """Return what a file holds. YAMLError, ValidationError: it is no recording."""
    collecting = gc.isenabled()
    gc.disable()  # it would walk all that this process holds, for nodes that are soon gone
    try:
        root = yaml.compose(text, Loader=_Loader)
        data = _value(root) if root else {}
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


def _line(text: str, *path: str | int) -> int:
    """Return the line, from 1, of the value at this path, or of what is nearest above it."""
    node, line = yaml.compose(text, Loader=_Loader), 1
    for key in path:
        parts: dict[Any, Any] = {}
        if isinstance(node, yaml.MappingNode):
            parts = {name.value: (name, part) for name, part in node.value}
        elif isinstance(node, yaml.SequenceNode):
            parts = {number: (part, part) for number, part in enumerate(node.value)}
        if key in parts:
            line, node = parts[key][0].start_mark.line + 1, parts[key][1]
    return line


def load(path: Path) -> Recording:
    """Read a recording. RecordingError: missing, cut off, or not of this form."""
    if not path.is_file():
        names = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml"))) or "none"
        raise RecordingError(f"there is no recording {path.name}; the recordings are: {names}")
    text, problem, line = "", "cut off: the last line should be `...`", 1
    try:
        text = path.read_text(encoding="utf-8")
        if text.splitlines()[-1:] == ["..."]:
            return _read(path, text)
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        problem = f"{'.'.join(filter(None, map(str, found['loc'])))}: {found['msg']}"
        line = _line(text, *found["loc"])
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        problem, line = getattr(error, "problem", str(error)), mark.line + 1 if mark else 1
    raise RecordingError(f"{path.name}:{line}: {one_line(problem, 200)}")


def load_with_branches(path: Path) -> Recording:
    """Read a recording and its branches: NAME.denied.yaml is one of NAME.yaml."""
    recording = load(path)
    recording.branches = [load(p) for p in sorted(path.parent.glob(f"{path.stem}.*.yaml"))]
    return recording


def save(recording: Recording) -> None:
    """Write a recording so that a reader sees the old file or the new one, never a half."""
    data = {name: getattr(recording, name) for name in ("source", "about", "model")}
    data["steps"] = [_plain(step) for step in recording.steps]
    text = yaml.dump(
        data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100, explicit_end=True
    )
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", newline="\n", dir=recording.path.parent, delete=False
    ) as file:
        file.write(text)
    os.chmod(file.name, 0o644)
    os.replace(file.name, recording.path)


def _plain(step: Step) -> dict[str, Any]:
    if isinstance(step, ClockStep):
        return {"clock": step.seconds}
    reply: Any = step.reply
    if reply and len(reply) == 1 and "text" in reply[0]:
        reply = reply[0]["text"]
    item = {"agent": step.agent, "turn": step.turn, "sent": step.sent, "reply": reply}
    item |= {"stop_reason": step.stop_reason, "usage": step.usage}
    item["cancelled"] = True if reply is None else None
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
        ((name, value),) = block.items()
        if name == "text":
            content.append({"type": "text", "text": value})
        else:
            call_id = f"toolu_{exchange.agent}_{exchange.turn}_{number}"
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

"""The file format of recordings: requests and replies of a run as YAML that a person can write.

One step per item: an exchange (who asked, what was sent, what came back) or `clock: seconds`, at
which the virtual clock fires one timer. Requests hold only what is new since the conversation's
previous exchange. Only replies need to be written by hand: `python -m helpers.notebooks --fill`
plays them through the notebooks and writes the rest.
"""

import hashlib
import json
import os
import re
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).resolve().parent.parent / "notebooks" / "recordings"
FILL = "python -m helpers.notebooks --fill"
SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD", re.IGNORECASE)
SECRET_TEXT = re.compile(r"sk-ant-[A-Za-z0-9_-]+")


class RecordingError(ValueError):
    """A recording is missing, cut off or not readable; the message names file and line."""


@dataclass
class Exchange:
    """One model call: `sent` in the words of `describe`, `reply` as in the file, or cancelled."""

    agent: str
    turn: int
    reply: list[dict[str, Any]] | None
    stop_reason: str | None = None
    usage: dict[str, int] | None = None
    sent: dict[str, Any] | None = None
    node: yaml.MappingNode | None = field(default=None, repr=False)

    @property
    def key(self) -> tuple[str, int]:
        return self.agent, self.turn

    def line(self, *path: str | int) -> int:
        """Return the line, from 1, of the field at this path, or of what is nearest above it."""
        node: yaml.Node | None = self.node
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
    line: int = 0


@dataclass
class Recording:
    """A whole file: where the replies come from, the model asked for, and the steps in order."""

    path: Path
    source: str
    about: str
    model: str
    steps: list[Exchange | ClockStep]


class _Loader(yaml.SafeLoader):
    """Plain YAML of JSON's types: `no`, `on` and dates stay text."""


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as a block."""


_Loader.yaml_implicit_resolvers = {}
for tag, pattern, first in (
    ("bool", r"true|false", "tf"),
    ("null", r"null|~|", ["n", "~", ""]),
    ("int", r"-?(?:0|[1-9][0-9]*)", "-0123456789"),
    ("float", r"-?(?:0|[1-9][0-9]*)\.[0-9]+(?:[eE][-+]?[0-9]+)?", "-0123456789"),
):
    regexp = re.compile(f"^(?:{pattern})$")
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", regexp, list(first))


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def _step(path: Path, node: yaml.Node, item: Any) -> Exchange | ClockStep:
    line = node.start_mark.line + 1
    if isinstance(item, dict) and set(item) == {"clock"}:
        return ClockStep(float(item["clock"]), line)
    known = {"agent", "turn", "sent", "reply", "stop_reason", "usage", "cancelled"}
    if not isinstance(item, dict) or not isinstance(item.get("agent"), str):
        raise RecordingError(f"{path.name}:{line}: a step needs `agent: name` or `clock: seconds`")
    if set(item) - known:
        raise RecordingError(f"{path.name}:{line}: unknown field {min(set(item) - known)!r}")
    if ("reply" in item) == bool(item.get("cancelled")):
        raise RecordingError(f"{path.name}:{line}: a step needs `reply` or `cancelled: true`")
    reply = item.get("reply")
    if isinstance(reply, str):
        reply = [{"text": reply}]
    if reply is not None and not (
        isinstance(reply, list) and all(isinstance(b, dict) and len(b) == 1 for b in reply)
    ):
        raise RecordingError(
            f"{path.name}:{line}: `reply` is a text, or a list of `text: …` and `tool: {{…}}`"
        )
    assert isinstance(node, yaml.MappingNode)
    return Exchange(
        item["agent"],
        0,
        reply,
        item.get("stop_reason"),
        item.get("usage"),
        item.get("sent"),
        node,
    )


def load(path: Path) -> Recording:
    """Read a recording. RecordingError: missing, cut off, or not of this form."""
    if not path.is_file():
        names = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml"))) or "none"
        raise RecordingError(f"there is no recording {path.name}; the recordings are: {names}")
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=_Loader)
        data = yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = getattr(getattr(error, "problem_mark", None), "line", None)
        line = f":{where + 1}" if where is not None else ""
        raise RecordingError(f"{path.name}{line} is not readable: {error}") from error
    header = ["source", "about", "model", "steps"]
    if not isinstance(data, dict) or list(data) != header or not isinstance(data["steps"], list):
        raise RecordingError(f"{path.name}:1: the top needs {', '.join(header)}, in this order")
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
    """Return the text without keys: `sk-ant-…` and values of variables named like a secret."""
    for name, value in os.environ.items():
        if len(value) >= 8 and SECRET_NAME.search(name):
            text = text.replace(json.dumps(value)[1:-1], f"({name})")
    return SECRET_TEXT.sub("(sk-ant-key)", text)


def digest(value: object) -> str:
    """Return 12 hexadecimal digits that stand for a JSON value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def describe(body: dict[str, Any], known: int, call_ids: list[str]) -> dict[str, Any]:
    """Return a request in the words of a recording.

    `known` messages were there before; `call_ids` are the calls that the last of them made. Tools
    are told by a digest each, results by the order of the calls.
    """
    words = {key: body[key] for key in sorted(body) if key not in ("messages", "tools")}
    if "tools" in body:
        words["tools"] = {tool["name"]: digest(tool) for tool in body["tools"]}
    words["messages"] = [
        {message["role"]: _content(message["content"], call_ids)}
        for message in body["messages"][known:]
    ]
    return words


def _content(content: Any, call_ids: list[str]) -> Any:
    if isinstance(content, str):
        return content
    results = [block for block in content if block["type"] == "tool_result"]
    in_order = [block["tool_use_id"] for block in results] == call_ids
    return [_block(block, in_order) for block in content]


def _block(block: dict[str, Any], in_order: bool) -> dict[str, Any]:
    if set(block) == {"type", "text"}:
        return {"text": block["text"]}
    if block["type"] != "tool_result" or not in_order:
        return block
    words: dict[str, Any] = {"result": _content(block["content"], [])}
    texts = [part.get("text") for part in words["result"] if isinstance(part, dict)]
    if len(texts) == len(words["result"]) and None not in texts:
        words["result"] = texts[0] if len(texts) == 1 else texts
    if block.get("is_error"):
        words["error"] = True
    return words


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

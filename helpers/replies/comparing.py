"""What a replay makes of a request: what is new in it, in a recording's words, and what differs."""

import hashlib
import itertools
import json
from typing import Any

from ..trace import one_line
from .recording import FILL, Exchange, Recording

Difference = tuple[tuple[str | int, ...], Any, Any]
MISSING = object()
MESSAGES = '"messages":['  # no text can hold this: its quotes would be escaped


def parse(text: str, known: str = "") -> tuple[dict[str, Any], str]:
    """Return a request with only those messages that follow the known ones, and all as text.

    That text is what is `known` of the next request; it is empty if this one begins otherwise.
    """
    start = text.index(MESSAGES) + len(MESSAGES)
    if not text.startswith(known, start):
        return {}, ""
    new = start + len(known)
    messages, length = json.JSONDecoder().raw_decode("[" + text[new:])
    end = new + length - 2
    return json.loads(text[:start] + text[end:]) | {"messages": messages}, text[start:end] + ","


def digest(value: object) -> str:
    """Return 12 hexadecimal digits that stand for a JSON value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def describe(body: dict[str, Any], said: list[Any]) -> dict[str, Any]:
    """Return a request in the words of a recording; `said` is the turn that its messages follow.

    Tools are told by a digest each, results by the order of the calls.
    """
    words = {key: body[key] for key in sorted(body) if key not in ("messages", "tools")}
    if "tools" in body:
        words["tools"] = {tool["name"]: digest(tool) for tool in body["tools"]}
    calls = [b["id"] for turn in said for b in turn["content"] if b["type"] == "tool_use"]
    words["messages"] = [{m["role"]: _content(m["content"], calls)} for m in body["messages"]]
    return words


def _content(content: Any, calls: list[str]) -> Any:
    if isinstance(content, str):
        return content
    answered = [block["tool_use_id"] for block in content if block["type"] == "tool_result"]
    return [_block(block, in_order=answered == calls) for block in content]


def _block(block: dict[str, Any], in_order: bool) -> dict[str, Any]:
    if set(block) == {"type", "text"}:
        return {"text": block["text"]}
    if block["type"] != "tool_result" or not in_order:
        return block
    words: dict[str, Any] = {"result": block["content"]}
    if isinstance(block["content"], list):
        words["result"] = [part.get("text", part) for part in block["content"]]
    if block.get("is_error"):
        words["error"] = True
    return words


def differences(recorded: Any, sent: Any, path: tuple[str | int, ...] = ()) -> list[Difference]:
    """Return (path, recorded, sent) for each place where two JSON values differ."""
    if isinstance(recorded, dict) and isinstance(sent, dict):
        keys: list[Any] = list(dict.fromkeys([*recorded, *sent]))
        pairs = [(key, recorded.get(key, MISSING), sent.get(key, MISSING)) for key in keys]
    elif isinstance(recorded, list) and isinstance(sent, list):
        both = itertools.zip_longest(recorded, sent, fillvalue=MISSING)
        pairs = [(i, a, b) for i, (a, b) in enumerate(both)]
    else:  # True is not 1 here
        same = type(recorded) is type(sent) and recorded == sent
        return [] if same else [(path, recorded, sent)]
    return [found for key, a, b in pairs for found in differences(a, b, (*path, key))]


def excerpts(recorded: Any, sent: Any) -> tuple[str, str]:
    """Return both values on a line each, cut around the first character that differs."""
    a, b = ("(nothing)" if value is MISSING else str(value) for value in (recorded, sent))
    parted = (i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y)
    start = max(0, next(parted, min(len(a), len(b))) - 40)
    mark = "…" if start else ""
    return mark + one_line(a[start:], 120), mark + one_line(b[start:], 120)


def report(recording: Recording, exchange: Exchange, found: list[Difference]) -> str:
    """Return agent, turn, file, line, field and both texts, and the three ways out."""
    lines = [f"{exchange.agent}, turn {exchange.turn}, sent something else than was recorded."]
    for path, recorded, sent in found[:3]:
        a, b = excerpts(recorded, sent)
        place = recording.place(exchange, "sent", *path)
        lines.append(f"  {place}, field {'.'.join(map(str, path))}")
        lines.append(f"    recorded: {a}")
        lines.append(f"    sent:     {b}")
    if len(found) > 3:
        lines.append(f"  and {len(found) - 3} more fields")
    lines.append("Three ways out: undo the change; write what is sent now into the recording with")
    lines.append(f"  {FILL} (from the folder of README.md);")
    lines.append("or play freely on agents that react: scripted(reactive) in place of connect(…).")
    return "\n".join(lines)

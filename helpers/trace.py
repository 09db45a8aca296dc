"""The lines that people read of a run. Notebook 01 builds them."""

import itertools
import json
from typing import Any
from unicodedata import east_asian_width


def one_line(value: object, limit: int = 60) -> str:
    """Return text safe to print on one line: printable, cut to this many columns with "…"."""
    text = "".join(c if c.isprintable() else " " for c in str(value)[: limit + 1])
    ends = list(itertools.accumulate(1 + (east_asian_width(c) in "WF") for c in text))
    return text if not ends or ends[-1] <= limit else text[: sum(e < limit for e in ends)] + "…"


def quoted(text: str) -> str:
    """Return an agent's words in quotes on one line: none of them passes for the hub's own."""
    return json.dumps(text, ensure_ascii=False)


def describe(error: BaseException) -> str:
    """Return an error's type and text, also of one whose text can't be made."""
    try:
        return f"{type(error).__name__}: {error}".rstrip(": ")
    except Exception:
        return type(error).__name__


def call_line(tool: str, given: Any, result: object) -> str:
    """Return a tool call and its result in words; a message that was sent reads as one."""
    fields = given if isinstance(given, dict) else {"input": given}
    names, words, fate = fields.get("recipient_ids"), fields.get("content"), str(result)
    if tool == "send_message" and isinstance(names, list) and fate.startswith("delivered to "):
        _, _, missed = fate.partition("; ")
        words = f"{one_line(words, 30)} · {missed}" if missed else words
        return f"→ {', '.join(map(str, names))}: {words}"
    arguments = ", ".join(f"{name}={value!r}" for name, value in fields.items())
    return f"{one_line(tool, 30)}({one_line(arguments, 40)}) → {fate}"


def trace_line(event: Any) -> str | None:
    """Return the line of at most 95 columns that people read for this event, or None."""
    data, line = event.data, ""
    if event.kind == "tool_result":
        line = call_line(data["tool"], data["input"], data["text"])
    elif event.kind == "message_received":
        line = f"← {data['message'].sender}: {data['message'].content}"
    elif event.kind == "agent_ended" and data["status"] not in ("done", "killed", "dismissed"):
        line = f"ended: {data['status']} {data['reason']}".rstrip()
    return one_line(f"  [{event.agent}] {line}", 95) if line else None

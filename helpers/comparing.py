"""Says where a request differs from its recording, in words a reader can act on."""

import itertools
from typing import Any

from .hub import one_line
from .recording import FILL, Exchange

Difference = tuple[tuple[str | int, ...], Any, Any]


def differences(recorded: Any, sent: Any, path: tuple[str | int, ...] = ()) -> list[Difference]:
    """Return (path, recorded, sent) for each place where two JSON values differ."""
    if isinstance(recorded, dict) and isinstance(sent, dict):
        keys: list[Any] = list(dict.fromkeys([*recorded, *sent]))
        pairs = [(key, recorded.get(key), sent.get(key)) for key in keys]
    elif isinstance(recorded, list) and isinstance(sent, list):
        pairs = [(i, a, b) for i, (a, b) in enumerate(itertools.zip_longest(recorded, sent))]
    else:
        return [] if recorded == sent else [(path, recorded, sent)]
    return [found for key, a, b in pairs for found in differences(a, b, (*path, key))]


def excerpts(recorded: Any, sent: Any) -> tuple[str, str]:
    """Return both values on a line each, cut around the first character that differs."""
    a, b = ("(nothing)" if value is None else str(value) for value in (recorded, sent))
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), 0)
    start = max(0, min(start, len(a), len(b)) - 40)
    mark = "…" if start else ""
    return mark + one_line(a[start:], 120), mark + one_line(b[start:], 120)


def report(file: str, exchange: Exchange, found: list[Difference]) -> str:
    """Return agent, turn, file, line, field and both texts, and the three ways out."""
    lines = [f"{exchange.agent}, turn {exchange.turn}, sent something else than was recorded."]
    for path, recorded, sent in found[:4]:
        a, b = excerpts(recorded, sent)
        lines.append(f"  {file}:{exchange.line('sent', *path)}, field {'.'.join(map(str, path))}")
        lines.append(f"    recorded: {a}")
        lines.append(f"    sent:     {b}")
    if len(found) > 4:
        lines.append(f"  and {len(found) - 4} more fields")
    lines.append("Three ways out: undo the change; write the recording again with")
    lines.append(f"{FILL}; or set COOKBOOK_CLIENT=lenient and take the old replies.")
    return "\n".join(lines)

"""Other ways to read a log as text: calls counted, and the lines of the published example."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from ..trace import one_line


def tool_summary(events: Iterable[Any]) -> str:
    """Return one line per agent that counts its tool calls."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for event in events:
        if event.kind == "tool_call":
            counts[event.agent][one_line(event.data["tool"])] += 1
    return "\n".join(
        f"  {agent}: " + ", ".join(f"{n}×{tool}" for tool, n in counts[agent].most_common())
        for agent in sorted(counts)
    )


def published_line(event: Any) -> str | None:
    """Return the line of the published example for this event: Hub(line=published_line)."""
    data, start = event.data, f"  [{event.agent}]"
    if event.kind == "tool_result":
        call = f"{one_line(data['tool'])}({one_line(data['input'])})"
        return f"{start} {call} → {one_line(data['text'])}"
    if event.kind == "message_received":
        message = data["message"]
        return f"{start} ← received from {message.sender}: {one_line(message.content)}"
    return None

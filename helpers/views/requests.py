"""What a run's agents were asked and did, call by call, as text to read."""

from typing import Any

from ..trace import one_line

Key = tuple[str, int]  # "request" and its place in `run.requests`, or "event" and its step


def calls(run: Any, agent: str) -> list[tuple[str, Key]]:
    """Return (label, key) for each request, message and tool call of one agent, by kind."""
    found: list[tuple[str, Key]] = []
    for place, (step, _) in enumerate(run.requests):
        if step.agent == agent:
            found.append((f"turn {step.turn}: the request", ("request", place)))
    for event in run.hub.log.events:
        message = event.data.get("message")
        key = ("event", event.step)
        if event.kind == "message_sent" and agent in (message.sender, message.recipient):
            found.append((f"step {event.step}: {message.sender} → {message.recipient}", key))
        elif event.kind == "tool_result" and event.agent == agent:
            found.append((f"step {event.step}: {one_line(event.data['tool'], 30)}", key))
    return found


def call_text(run: Any, key: Key) -> str:
    """Return a request as it was sent, a message, or a tool call with its result."""
    kind, place = key
    if kind == "request":
        return request_text(*run.requests[place])
    data = run.hub.log.events[place].data
    if message := data.get("message"):
        return f"{message.sender} → {message.recipient}\n\n{message.content}"
    return f"{data['tool']}({data['input']})\n\n{content_text(data['text'])}"


def request_text(step: Any, count: int) -> str:
    """Return a request's parts; its conversation has grown since, so `count` messages of it."""
    request = step.detail
    tools = ", ".join(tool["name"] for tool in request.get("tools", ())) or "none"
    lines = [f"{step.agent}, turn {step.turn}, {request['model']}; tools: {tools}", ""]
    lines += [f"system: {request.get('system', '')}"]
    for message in request["messages"][:count]:
        lines += ["", f"{message['role']}: {content_text(message['content'])}"]
    return "\n".join(lines)


def content_text(content: Any) -> str:
    """Return the content of a message or result, a line or more for each of its blocks."""
    if isinstance(content, str):
        return content
    return "\n".join(block_text(block) for block in content)


def block_text(block: dict[str, Any]) -> str:
    if block["type"] == "tool_use":
        return f"calls {block['name']}({block['input']})"
    if block["type"] == "tool_result":
        return f"result: {content_text(block['content'])}"
    return str(block.get("text", f"({block['type']})"))

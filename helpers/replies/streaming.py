"""A reply as a stream of events, for a client that streams."""

import json
from typing import Any


def events(message: dict[str, Any]) -> str:
    """Return a message as the API streams it, each block as one delta."""
    start = message | {"content": [], "stop_reason": None}
    told: list[dict[str, Any]] = [{"type": "message_start", "message": start}]
    for index, block in enumerate(message["content"]):
        empty, deltas = block, list[dict[str, Any]]()
        if block["type"] == "text":
            empty, deltas = block | {"text": ""}, [{"type": "text_delta", "text": block["text"]}]
        elif block["type"] == "tool_use":
            given = json.dumps(block["input"])
            empty, deltas = (
                block | {"input": {}},
                [{"type": "input_json_delta", "partial_json": given}],
            )
        told.append({"type": "content_block_start", "index": index, "content_block": empty})
        told += [{"type": "content_block_delta", "index": index, "delta": d} for d in deltas]
        told.append({"type": "content_block_stop", "index": index})
    end = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    told.append({"type": "message_delta", "delta": end, "usage": message["usage"]})
    told.append({"type": "message_stop"})
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in told)

"""Runs the code of PRODUCTION.md: `python triage_child.py`, in a folder that holds `triage.py`.

Below the real SDK stands a transport that answers as a model would, or badly, by the number in the
ticket's text. Spans are kept by a tracer that needs nothing but the API of OpenTelemetry.
"""

import asyncio
import importlib
import json
import os
import re
import runpy
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import anthropic
import httpx2
from opentelemetry import trace

ANSWER = {"category": "billing", "urgency": 2, "reply": "It is on its way."}
USAGE = {"input_tokens": 1_000, "output_tokens": 300, "cache_read_input_tokens": 500}
TIMERS: dict[Any, asyncio.Timeout] = {}  # of each task, fired by hand
KEPT: list["Kept"] = []


def reply(number: int, turn: int, formal: bool) -> tuple[list[dict[str, Any]], str]:
    """Return the blocks and the stop reason of an answer to this ticket."""
    if number == 67 and turn:
        return [{"type": "text", "text": "I won't."}], "refusal"
    if formal:
        misfit = number == 37 or (number == 27 and turn == 2)
        answer = ANSWER | ({"urgency": 9} if misfit else {})
        return [{"type": "text", "text": json.dumps(answer)}], "end_turn"
    if turn:
        return [{"type": "text", "text": "I know enough."}], "end_turn"
    customer = "nobody" if number == 57 else "c1"
    call = {"name": "look_up", "input": {"customer": customer}}
    return [{"type": "tool_use", "id": f"toolu_{number}", **call}], "tool_use"


def stream(model: str, blocks: list[dict[str, Any]], stop_reason: str) -> list[dict[str, Any]]:
    """Return the events of a reply, as the API streams them."""
    start = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": []}
    empty = {"stop_reason": None, "stop_sequence": None, "usage": USAGE}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": {**start, **empty}}]
    for index, block in enumerate(blocks):
        if block["type"] == "text":
            first, delta = block | {"text": ""}, {"type": "text_delta", "text": block["text"]}
        else:
            given = json.dumps(block["input"])
            first, delta = (
                block | {"input": {}},
                {"type": "input_json_delta", "partial_json": given},
            )
        place = {"index": index}
        events += [
            {"type": "content_block_start", **place, "content_block": first},
            {"type": "content_block_delta", **place, "delta": delta},
            {"type": "content_block_stop", **place},
        ]
    end = {"stop_reason": stop_reason, "stop_sequence": None}
    return [*events, {"type": "message_delta", "delta": end, "usage": USAGE}]


class Transport(httpx2.AsyncBaseTransport):
    """Stands where the network would be."""

    def __init__(self) -> None:
        self.asked: Counter[int] = Counter()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        body = json.loads(await request.aread())
        number = int(re.findall(r"No\. (\d+)", body["messages"][0]["content"])[0])
        turn = sum(message["role"] == "assistant" for message in body["messages"])
        self.asked[number] += 1
        await asyncio.sleep(0)
        headers = {"request-id": f"req_{number}_{self.asked[number]}"}
        if number == 7 or (number == 17 and self.asked[number] == 1):
            error = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
            return httpx2.Response(529, json=error, headers={**headers, "retry-after-ms": "1"})
        if number == 47:
            TIMERS[asyncio.current_task()].reschedule(asyncio.get_running_loop().time())
            await asyncio.Event().wait()
        events = stream(body["model"], *reply(number, turn, "output_config" in body))
        if number == 77:
            events = events[:-1]
        text = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
        return httpx2.Response(
            200, text=text, headers=headers | {"content-type": "text/event-stream"}
        )


class Client(anthropic.AsyncAnthropic):
    """The real client over this transport."""

    def __init__(self, **options: Any) -> None:
        super().__init__(http_client=httpx2.AsyncClient(transport=Transport()), **options)


def timeout(clock: Any, seconds: float) -> asyncio.Timeout:
    """Stand in for the clock's: it fires when the transport says so, however slow the machine."""
    timer = TIMERS[asyncio.current_task()] = asyncio.timeout(None)
    return timer


class NoDatabase(dict[str, Any]):
    """A mistake in the program."""

    def __getitem__(self, key: str) -> Any:
        raise anthropic.AnthropicError("no database here")


class Kept(trace.Span):
    """A span that is kept to be looked at."""

    def __init__(self, name: str, context: Any, kind: Any, attributes: Any) -> None:
        parent = trace.get_current_span(context)
        self.number: int = len(KEPT)
        self.facts: dict[str, Any] = {"name": name, "kind": kind.name, "ends": 0, "failed": False}
        self.facts["about"] = dict(attributes or {})
        self.facts["parent"] = parent.number if isinstance(parent, Kept) else None
        KEPT.append(self)

    def end(self, end_time: int | None = None) -> None:
        self.facts["ends"] += 1

    def get_span_context(self) -> trace.SpanContext:
        return trace.SpanContext(1, 1, is_remote=False)

    def set_attributes(self, attributes: Any) -> None:
        self.facts["about"] |= attributes

    def set_attribute(self, key: str, value: Any) -> None:
        self.facts["about"][key] = value

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        """Keep no events."""

    def update_name(self, name: str) -> None:
        self.facts["name"] = name

    def is_recording(self) -> bool:
        return True

    def set_status(self, status: Any, description: str | None = None) -> None:
        self.facts["failed"] = True

    def record_exception(self, exception: BaseException, *args: Any, **kwargs: Any) -> None:
        self.facts["error"] = str(exception)


class Tracer(trace.Tracer):
    """Makes such spans."""

    def start_span(
        self,
        name: str,
        context: Any = None,
        kind: trace.SpanKind = trace.SpanKind.INTERNAL,
        attributes: Any = None,
        *args: Any,
        **kwargs: Any,
    ) -> trace.Span:
        return Kept(name, context, kind, attributes)

    start_as_current_span: Any = None  # not used


class Tracers(trace.TracerProvider):
    """Gives this tracer to all."""

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
        return Tracer()


def main() -> None:
    """Run the page as a script, then its `main` elsewhere, on 14 cents and without a database."""
    trace.set_tracer_provider(Tracers())
    vars(anthropic)["AsyncAnthropic"] = Client
    importlib.import_module("my_agents.hub").Clock.timeout = timeout
    sys.argv = ["triage.py", "tickets.jsonl"]
    runpy.run_path("triage.py", run_name="__main__")
    Path("spans.json").write_text(json.dumps([span.facts for span in KEPT]))
    page: Any = importlib.import_module("triage")
    page.DOLLARS = 0.14
    os.chdir("small")
    page.main("tickets.jsonl")
    page.CUSTOMERS, page.DOLLARS = NoDatabase(), 2.00
    try:
        page.main("tickets.jsonl")
    except anthropic.AnthropicError as error:
        print("stopped:", error)


if __name__ == "__main__":
    main()

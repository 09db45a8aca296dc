"""A Messages API on this machine, with latencies, 529s, drops, cut bodies and words of its own."""

import json
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = dict[str, Any]
Blocks = list[Body]
WORDS = [
    "amber",
    "basalt",
    "cobalt",
    "dune",
    "ember",
    "fjord",
    "garnet",
    "heron",
    "iris",
    "juniper",
]
ODD = "\n\nné: ‘quoted’ \u2028 no\ttab # done\n- agent: é "
IDS = re.compile(r"[a-zA-Z0-9_-]+")


class Loopback(ThreadingHTTPServer):
    """Answers as this seed has it; `faults` is the share of answers that fail."""

    request_queue_size = 128
    daemon_threads = True

    def __init__(self, seed: int, faults: float = 0.2, latency: float = 0.01) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.random, self.lock = random.Random(seed), threading.Lock()
        self.faults, self.latency = faults, latency
        self.secret = ""  # something that replies give away
        self.thinks = 0.1  # the share of replies with a thinking block
        self.refuses = 0  # a status for each answer
        self.counts: Counter[str] = Counter()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def say(self, count: int = 6) -> str:
        text = " ".join(self.random.choice(WORDS) for _ in range(count)).capitalize() + "."
        return text if self.random.random() > 0.1 else text + ODD + self.secret

    def use(self, name: str, **given: Any) -> Body:
        number = self.random.getrandbits(60)
        return {"type": "tool_use", "id": f"toolu_01{number:x}", "name": name, "input": given}

    def reply(self, body: Body) -> Body:
        """Return a message by the rules of the team, or of the billing case."""
        found = re.match(r"You are ([\w-]+)", str(body["system"]))
        who = found[1] if found else ""
        tools = {tool["name"] for tool in body.get("tools", [])}
        turn = 1 + sum(message["role"] == "assistant" for message in body["messages"])
        rules = self.case if {"Task", "Read"} & tools else self.team
        content = rules(body, turn, tools, who)
        if self.random.random() < self.thinks:
            thought = {"type": "thinking", "thinking": self.say(), "signature": "c2ln"}
            content = [thought, *content]
        calls = any(block["type"] == "tool_use" for block in content)
        usage = {"input_tokens": self.random.randint(50, 2000), "output_tokens": 7}
        return {
            "id": f"msg_{self.random.getrandbits(60):x}",
            "type": "message",
            "role": "assistant",
            "model": f"{body['model']}-20261101",
            "content": content,
            "stop_reason": "tool_use" if calls else "end_turn",
            "stop_sequence": None,
            "usage": usage | {"service_tier": "standard"},
        }

    def team(self, body: Body, turn: int, tools: set[str], who: str) -> Blocks:
        told = json.dumps(body["messages"]) + str(body["system"])
        known = sorted(set(re.findall(r"\b(?:lead|helper\d+)\b", told)) - {who})
        if turn > self.random.randint(3, 6):
            return [{"type": "text", "text": self.say()}]
        if "create_subagents" in tools and turn == 1:
            each = [self.say(4) for _ in range(self.random.randint(2, 4))]
            return [
                self.use(
                    "create_subagents",
                    base_instruction=self.say(),
                    per_subagent_instructions=each,
                )
            ]
        return [self.choice(sorted(tools), known) for _ in range(self.random.randint(1, 3))]

    def choice(self, tools: list[str], known: list[str]) -> Body:
        name = self.random.choice(tools)
        if name == "send_message" and known:
            return self.use(name, recipient_ids=known[:2], content=self.say(9))
        if name == "order":
            return self.use(name, part=self.say(2))
        if name == "sleep":
            return self.use(name, seconds=0)
        if name == "kill_subagents" and known:
            return self.use(name, subagent_ids=[self.random.choice(known)])
        return self.use("get_status" if name == "get_status" else "wait_for_message")

    def case(self, body: Body, turn: int, tools: set[str], who: str) -> Blocks:
        if "output_config" in body:
            return [{"type": "text", "text": json.dumps(self.form(who))}]
        if who == "orchestrator":
            return self.plan(turn)
        if turn > 2:
            return [{"type": "text", "text": self.say(15)}]
        given: dict[str, Any] = {"Read": {"path": "customers/cust_12345.md"}}
        given["check_payment_gateway"] = {"transaction_date": "2025-02-01", "amount": "49.99"}
        return [self.use(name, **given[name]) for name in sorted(tools & set(given))]

    def form(self, who: str) -> Body:
        if "compliance" in who:
            bound = {"case": "cust_12345", "transaction_id": "txn_8f3k2j1", "amount_cents": 4999}
            return bound | {"approved": True, "reasons": ["R1 holds"]}
        email = {"subject": "Your refund", "body": self.say(20)}
        answer = {"research_summary": self.say(), "duplicate_confirmed": True}
        answer |= {"refund_amount": 49.99, "compliance_approved": True, "final_action": "refunded"}
        return answer | {"customer_email": email}

    def plan(self, turn: int) -> Blocks:
        def task(kind: str) -> Body:
            given = {"description": "Work", "prompt": f"cust_12345: {self.say(8)}"}
            return self.use("Task", subagent_type=kind, **given)

        refund = {"amount": "49.99", "reason": "duplicate", "customer_id": "cust_12345"}
        turns = [
            [task("researcher"), task("drafter")],
            [task("compliance_reviewer")],
            [self.use("issue_refund", **refund)],
        ]
        return turns[turn - 1] if turn <= len(turns) else [{"type": "text", "text": self.say()}]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Loopback

    def do_POST(self) -> None:
        api = self.server
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        blocks = [
            b for m in body["messages"] if isinstance(m["content"], list) for b in m["content"]
        ]
        ids = [str(block.get("tool_use_id") or block.get("id") or "x") for block in blocks]
        with api.lock:
            api.counts["asked"] += 1
            pause = min(api.random.expovariate(1 / api.latency), 20 * api.latency)
            fate, kind = api.random.random(), api.random.randrange(3)
        time.sleep(pause)
        if api.refuses:
            return self.send(api.refuses, error("authentication_error"))
        if not all(map(IDS.fullmatch, ids)):
            return self.send(400, error("invalid_request_error"))
        if fate < api.faults and kind == 0:
            return self.send(529, error("overloaded_error"))
        if fate < api.faults and kind == 1:
            self.close_connection = True
            return None
        with api.lock:
            api.counts["answered"] += 1
            answer = api.reply(body)
        return self.send(200, answer, cut=fate < api.faults)

    def send(self, status: int, data: Body, cut: bool = False) -> None:
        text = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.send_header("retry-after-ms", "5")
        self.end_headers()
        with suppress(ConnectionError):
            self.wfile.write(text[: len(text) // 2] if cut else text)
        self.close_connection = cut

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def error(kind: str) -> Body:
    return {"type": "error", "error": {"type": kind, "message": kind}}


@contextmanager
def serving(seed: int, faults: float = 0.2, latency: float = 0.01) -> Iterator[Loopback]:
    """Serve from a thread of this process."""
    api = Loopback(seed, faults, latency)
    thread = threading.Thread(target=api.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield api
    finally:
        api.shutdown()
        api.server_close()
        thread.join()

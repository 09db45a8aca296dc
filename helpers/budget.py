"""Prices, costs and a budget for a whole tree of agents. Notebook 06 builds it."""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from anthropic import APIStatusError

from .hooks import EndAgent, Go, Step
from .hub import Event

PRICES = {  # dollars per million tokens, in and out, as seen on 2026-11-21; they may be out of date
    "claude-opus-5-5": (4.00, 20.00),
    "claude-opus-4-8": (5.00, 25.00),
    "claude-sonnet-5-5": (2.00, 10.00),
    "claude-haiku-5-5": (0.10, 0.50),
}
CACHE_WRITE = 1.25  # times the price of plain input
CACHE_READ = 0.10
FRAME = 1_000  # tokens that the API may add around a request


def cost(model: str, usage: Any) -> float | None:
    """Return what a call cost in dollars, or None: no price is known, or a count is no count."""
    written, read = usage.cache_creation_input_tokens or 0, usage.cache_read_input_tokens or 0
    counts = (usage.input_tokens, written, read, usage.output_tokens)
    if model not in PRICES or not all(0 <= count < math.inf for count in counts):
        return None
    price_in, price_out = PRICES[model]
    tokens_in = usage.input_tokens + CACHE_WRITE * written + CACHE_READ * read
    return float(tokens_in * price_in + usage.output_tokens * price_out) / 1_000_000


@dataclass
class Spent:
    """What an agent has used so far; `dollars` is None once a model without a price was used."""

    turns: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    dollars: float | None = 0.0

    def add(self, model: str, usage: Any) -> None:
        self.turns += 1
        cached = (usage.cache_creation_input_tokens or 0) + (usage.cache_read_input_tokens or 0)
        self.tokens_in += usage.input_tokens + cached
        self.tokens_out += usage.output_tokens
        dollars = cost(model, usage)
        self.dollars = None if dollars is None or self.dollars is None else self.dollars + dollars


def spending(events: Iterable[Event]) -> dict[str, Spent]:
    """Return what each agent has used, and all of them under "all" (notebook 05)."""
    spent: dict[str, Spent] = defaultdict(Spent)
    everyone = Spent()
    for event in events:
        if event.kind == "model_reply":
            for one in (spent[event.agent], everyone):
                one.add(event.data["model"], event.data["usage"])
    return {**spent, "all": everyone}


def spending_lines(events: Iterable[Event], estimated: bool) -> list[str]:
    """Return a line per agent with turns, tokens and cost; estimates are marked with "~"."""
    mark = "~" if estimated else ""
    return [
        f"{name:22} {s.turns:3} turns {mark}{s.tokens_in:6,} in {mark}{s.tokens_out:5,} out  "
        + (f"{mark}${s.dollars:.4f}" if s.dollars is not None else "no price known")
        for name, s in spending(events).items()
    ]


def worst_case(request: Mapping[str, Any]) -> float:
    """Return what a call costs at worst: its input written to the cache, its output to the limit.

    A bound for text in any script, for no token is less than a byte; not for images and documents,
    nor for tools of the API's own. ValueError: no price is known, so nothing runs on a budget.
    """
    if request["model"] not in PRICES:
        raise ValueError(f"no price for {request['model']}: it can't run under a budget")
    size = len(json.dumps(request, ensure_ascii=False, default=str).encode("utf-8", "replace"))
    price_in, price_out = PRICES[request["model"]]
    tokens_in = CACHE_WRITE * (size + FRAME)
    return float(tokens_in * price_in + request["max_tokens"] * price_out) / 1_000_000


@dataclass
class Budget:
    """Dollars for all runs whose agents have its `hook` (notebook 06).

    A call starts only when its worst case fits beside what is spent and what others have reserved.
    A call that the SDK sends again after a lost answer counts once, though it may be billed twice.
    """

    limit: float
    spent: float = 0.0
    reserved: float = 0.0

    def __post_init__(self) -> None:
        if not self.limit >= 0:
            raise ValueError(f"a budget is a number of dollars from 0 up, not {self.limit}")

    async def hook(self, step: Step, go: Go) -> Any:
        """Hold a model call, or a tool that acts, to the budget. EndAgent: it does not fit."""
        if step.kind == "tool_call":
            if step.detail["acts"] and self.spent >= self.limit:
                raise EndAgent("over_budget")
            return await go()
        worst = worst_case(step.detail)
        if self.spent + self.reserved + worst > self.limit:
            raise EndAgent("over_budget")
        self.reserved += worst
        price = worst  # if nobody knows what became of it, it may have been answered and billed
        try:
            reply = await go()
            known = cost(step.name, reply.usage)
            price = worst if known is None else known
            return reply
        except APIStatusError:
            price = 0.0
            raise
        finally:
            self.reserved -= worst
            self.spent += price

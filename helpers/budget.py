"""Prices, costs and a budget for a whole tree of agents. Notebook 06 builds it."""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from anthropic import APIStatusError

from .agent import EndAgent, Go, Step
from .hub import Event

PRICES = {  # dollars per million tokens, in and out, as seen on 2026-11-21; they may be out of date
    "claude-opus-5-5": (4.00, 20.00),
    "claude-opus-4-8": (5.00, 25.00),
    "claude-sonnet-5-5": (2.00, 10.00),
    "claude-haiku-5-5": (0.10, 0.50),
}
CACHE_WRITE = 1.25  # times the price of plain input
CACHE_READ = 0.10


def cost(model: str, usage: Any) -> float | None:
    """Return what a call cost in dollars, or None when the model has no price here."""
    if model not in PRICES:
        return None
    price_in, price_out = PRICES[model]
    written, read = usage.cache_creation_input_tokens or 0, usage.cache_read_input_tokens or 0
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


@dataclass
class Budget:
    """Dollars for a whole tree of agents; its `hook` goes to each of them (notebook 06).

    A call starts only when its worst case fits beside what is spent and what others have reserved.
    A call that the SDK sends again after a lost answer counts once, though it may be billed twice.
    """

    limit: float
    spent: float = 0.0
    reserved: float = 0.0
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)  # agent: messages, characters

    def __post_init__(self) -> None:
        if not self.limit >= 0:
            raise ValueError(f"a budget is a number of dollars from 0 up, not {self.limit}")

    def worst_case(self, step: Step) -> float:
        """Return what a call costs at worst: all input written to the cache, output to the limit.

        An estimate: three characters count as a token, each when its message is new. ValueError:
        the model has no price, so nothing may run under a budget.
        """
        request = step.detail
        if request["model"] not in PRICES:
            raise ValueError(f"no price for {request['model']}: it can't run under a budget")
        known, characters = self.sizes.get(step.agent, (0, 0))
        if step.turn == 1:  # also a new agent under an old name
            known = 0
            characters = len(request["system"]) + len(json.dumps(request["tools"]))
        characters += len(json.dumps(request["messages"][known:], default=str))
        self.sizes[step.agent] = len(request["messages"]), characters
        price_in, price_out = PRICES[request["model"]]
        characters += len(json.dumps(request.get("output_config", {})))
        tokens_in = CACHE_WRITE * characters / 3
        return float(tokens_in * price_in + request["max_tokens"] * price_out) / 1_000_000

    async def hook(self, step: Step, go: Go) -> Any:
        """Hold a model call, or a tool that acts, to the budget. EndAgent: it does not fit."""
        if step.kind == "tool_call":
            if step.detail["acts"] and self.spent >= self.limit:
                raise EndAgent("over_budget")
            return await go()
        worst = self.worst_case(step)
        if self.spent + self.reserved + worst > self.limit:
            raise EndAgent("over_budget")
        self.reserved += worst
        price = worst  # if nobody knows what became of it, it may have been answered and billed
        try:
            reply = await go()
            price = cost(step.name, reply.usage) or 0.0
            return reply
        except APIStatusError:
            price = 0.0
            raise
        finally:
            self.reserved -= worst
            self.spent += price

"""Where a steered team stands: one row for each agent, as data and as a table of text."""

from collections import defaultdict
from dataclasses import dataclass, field
from textwrap import wrap
from typing import Any

from ..budget import Spent
from ..trace import one_line


@dataclass(frozen=True)
class Row:
    """One agent now: Row("lead", "active", "held before send_message", 0, 2, 0.01, "Hi.")."""

    agent: str
    status: str
    doing: str
    unread: int
    turns: int
    dollars: float | None  # None: no price is known
    text: str


@dataclass
class Tally:
    """What each agent has spent, from a log that grows: no event is read twice."""

    spent: dict[str, Spent] = field(default_factory=lambda: defaultdict(Spent))
    seen: int = 0

    def read(self, events: list[Any]) -> dict[str, Spent]:
        for event in events[self.seen :]:
            if event.kind == "model_reply":
                self.spent[event.agent].add(event.data["model"], event.data["usage"])
        self.seen = len(events)
        return self.spent


def rows(run: Any, tally: Tally | None = None) -> list[Row]:
    """Return where each agent of a `Run` stands, in the order in which they were started."""
    spent = (tally or Tally()).read(run.hub.log.events)
    doing: dict[str, str] = {}
    for start, steps in (("", run.gate.running.values()), ("held before ", run.gate.held.values())):
        for step in steps:
            what = "asking the model" if step.kind == "model_call" else one_line(step.name, 24)
            doing[step.agent] = start + what
    found = []
    for name, box in run.hub.boxes.items():
        if name != "human":
            used = spent.get(name, Spent())
            facts = doing.get(name, "") if box.alive else "", len(box.inbox), used.turns
            found.append(Row(name, box.status, *facts, used.dollars, box.text))
    return found


def state(run: Any) -> str:
    """Return what a run is at, in a word or two."""
    if run.over:
        failed = run.task and not run.task.cancelled() and run.task.exception()
        how = "stopped" if run.task and run.task.cancelled() else "over"
        return f"failed: {one_line(failed, 90)}" if failed else how
    return "asks you" if run.questions else "going on" if run.gate.opened.is_set() else "paused"


def price(dollars: float | None, source: str) -> str:
    """Return dollars, with "~" where the replies, and so the tokens, are not a model's."""
    mark = "" if source in ("live", "recorded") else "~"
    return "no price" if dollars is None else f"{mark}${dollars:.4f}"


def money(run: Any, found: list[Row]) -> str:
    """Return what a team has spent so far, and its limit if there is one."""
    each = [row.dollars for row in found]
    all_known = None if None in each else sum(dollars or 0.0 for dollars in each)
    limit = f" of ${run.budget.limit:.4f}" if run.budget else ""
    spent = "no price known" if all_known is None else f"spent {price(all_known, run.source)}"
    return spent + limit


def table(run: Any) -> str:
    """Return a run as text: its state, a line for each agent, and what it asks."""
    found = rows(run)
    replies = f"replies: {one_line(run.source, 40)}, " if run.source else ""
    lines = [f"{state(run)} ({replies}{money(run, found)})"]
    lines.append(f"{'agent':22} {'status':16} {'doing':28} {'mail':>4} turns")
    for r in found:
        lines.append(f"{r.agent:22} {r.status:16} {r.doing:28} {r.unread:4} {r.turns:5}")
    for question in run.questions:
        asked = f"? {one_line(question.text, 500)} [{' / '.join(question.choices)}]"
        lines += wrap(asked, 95, subsequent_indent="  ")
    return "\n".join(line.rstrip() for line in lines)

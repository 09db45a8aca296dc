"""A panel to steer a running team with: cards, feed and timeline to see, buttons to act."""

import asyncio
from contextvars import Context
from html import escape
from typing import Any

import ipywidgets

from ..run import is_reply
from ..trace import one_line
from .card import Card
from .requests import call_text, calls
from .team import Row, Tally, money, price, rows, state, table
from .timeline import colour_of, timeline

BEAT = 0.2  # seconds between two looks at the run
DRAWN = 500, 5_000  # events up to which the timeline is drawn: while the team runs, and at rest
STYLE = """<style>
.team{display:grid;grid-template-columns:repeat(auto-fill,minmax(200px,1fr));gap:8px}
.team,.feed,.call{color:var(--jp-ui-font-color1,#222);font-size:12px;line-height:1.4}
.team div{border:1px solid var(--jp-border-color2,#bbb);border-left:5px solid var(--agent);
border-radius:6px;padding:5px 8px;background:var(--jp-layout-color1,#fff)}
.team div.over{opacity:.65}.team div.busy{box-shadow:0 0 0 2px var(--agent)}
.team i{float:right;margin-left:8px}
.team span{display:block;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.feed,.call{max-height:160px;overflow:auto;margin:8px 0 0;padding:4px 0;white-space:pre-wrap;
font-family:var(--jp-code-font-family,monospace);border-top:1px solid var(--jp-border-color2,#bbb)}
.feed{display:flex;flex-direction:column-reverse}.call{max-height:320px}
</style>"""


def card_of(row: Row, source: str) -> str:
    """Return an agent as a card: its colour, and all in words."""
    busy = bool(row.doing) and not row.doing.startswith("held")
    look = "busy" if busy else "" if row.status in ("active", "idling") else "over"
    facts = [f"{row.turns} turn{'' if row.turns == 1 else 's'}"]
    facts += [price(row.dollars, source)] if row.dollars else []
    facts += [f"{row.unread} unread"] if row.unread else []
    lines = (row.doing, ", ".join(facts), one_line(row.text, 90))
    spans = "".join(f"<span>{escape(line) or '&nbsp;'}</span>" for line in lines)
    head = f"<i>{escape(one_line(row.status, 20))}</i><b>{escape(row.agent)}</b>"
    colour = colour_of(row.agent)
    return f'<div class="{look}" role="listitem" style="--agent:{colour}">{head}{spans}</div>'


class Panel(ipywidgets.VBox):  # type: ignore[misc]
    """Steers a `Run` that was started. Where no widget is shown it is the table of that moment."""

    def __init__(self, run: Any) -> None:
        self.run, self.task, self.tally = run, run.task, Tally()
        self.loop, self.drawn = asyncio.get_running_loop(), 0.0
        self.seen: tuple[Any, ...] = ()
        self.beat: asyncio.Task[None] | None = None
        self.state, self.cards, self.lanes = (ipywidgets.HTML() for _ in range(3))
        self.asked = ipywidgets.VBox()
        self.verbs = {
            "Step": lambda: run.resume(is_reply),
            "Resume": run.resume,
            "Pause": run.pause,
            "Stop": run.stop,
        }
        self.buttons = {name: self.button(name, verb) for name, verb in self.verbs.items()}
        bar = [*self.buttons.values(), self.state]
        seen = [ipywidgets.HTML(STYLE), self.row(*bar), self.asked, self.cards]
        super().__init__([*seen, self.speak(), self.lanes, self.look()])
        self.draw()
        if not run.over:  # in a context of its own: it only looks on
            self.beat = self.loop.create_task(self.follow(), context=Context())

    @staticmethod
    def row(*widgets: Any) -> Any:
        layout = {"flex_flow": "row wrap", "align_items": "center"}
        return ipywidgets.HBox(widgets, layout=layout)

    def button(self, name: str, verb: Any, style: str = "") -> Any:
        """Return a button whose verb, plain or async, is called in the loop of the run."""
        button = ipywidgets.Button(description=name, button_style=style, layout={"width": "84px"})

        def do() -> None:
            if asyncio.iscoroutine(work := verb()):
                task = self.loop.create_task(work)
                task.add_done_callback(lambda done: done.cancelled() or done.exception())
            self.draw()

        button.on_click(lambda _: self.loop.call_soon_threadsafe(do))
        return button

    def speak(self) -> Any:
        """Return the row that tells, finishes or kills an agent."""
        run = self.run
        self.who = ipywidgets.Dropdown(description="agent", layout={"width": "230px"})
        self.words = ipywidgets.Text(description="words", placeholder="what it should know")
        self.fate = ipywidgets.HTML()

        def say(verb: Any) -> None:
            if self.who.value and self.words.value:
                self.fate.value = escape(
                    f"to {self.who.value}: {verb(self.who.value, self.words.value)}"
                )
                self.words.value = ""

        return self.row(
            self.who,
            self.words,
            self.button("Tell", lambda: say(run.tell)),
            self.button("Finish", lambda: say(run.finish), "warning"),
            self.button(
                "Kill", lambda: run.kill(self.who.value) if self.who.value else None, "danger"
            ),
            self.fate,
        )

    def look(self) -> Any:
        """Return the fields that choose an agent and a call of it, at rest, and show that."""
        self.of = ipywidgets.Dropdown(description="look at", layout={"width": "230px"})
        self.call = ipywidgets.Dropdown(description="call", layout={"width": "360px"})
        self.text = ipywidgets.HTML()

        def show(_: Any) -> None:
            chosen = self.call.value
            text = call_text(self.run, chosen) if chosen is not None else ""
            self.text.value = f'<div class="call">{escape(text)}</div>' if text else ""

        def choose(_: Any) -> None:
            self.call.options = [("choose", None), *calls(self.run, self.of.value)]

        self.of.observe(choose, "value")
        self.call.observe(show, "value")
        return ipywidgets.VBox([self.row(self.of, self.call), self.text])

    async def follow(self) -> None:
        """Look at the run a few times a second, and redraw what has changed, until it is over."""
        while self.run.task is self.task and not self.run.over:
            self.draw()
            await asyncio.wait([self.task], timeout=BEAT)
        self.draw()

    def draw(self) -> None:
        """Redraw, if anything has changed since the last time."""
        run = self.run
        ids = tuple(map(id, run.questions))
        now: tuple[Any, ...] = (
            len(run.hub.log.events),
            len(run.gate.held),
            len(run.gate.running),
            state(run),
            ids,
        )
        now += (run.budget and run.budget.limit,)
        if now != self.seen:
            self.seen = now
            self.draw_cards()
            self.draw_controls()
            self.draw_lanes()

    def draw_cards(self) -> None:
        run = self.run
        found = rows(run, self.tally)
        lines = filter(None, map(run.line, run.hub.log.events[-80:]))
        feed = "".join(f"<div>{escape(line)}</div>" for line in reversed([*lines]))
        cards = "".join(card_of(row, run.source) for row in found)
        team = f'<div class="team" role="list">{cards}</div>'
        self.cards.value = f'{team}<div class="feed" role="log">{feed}</div>'
        words = f"{state(run)}; replies: {run.source or 'live'}; {money(run, found)}"
        self.state.value = f'<b role="status">{escape(words)}</b>'

    def draw_controls(self) -> None:
        run, going, questions = self.run, self.run.gate.opened.is_set(), self.run.questions
        stuck = run.over or bool(questions)
        for name, off in (("Step", stuck), ("Resume", stuck or going), ("Pause", not going)):
            self.buttons[name].disabled = off or run.over
        self.buttons["Stop"].disabled = run.over
        shown = [card.question for card in self.asked.children]
        if shown != questions[:1]:
            self.asked.children = [Ask(question) for question in questions[:1]]
        agents = [name for name in run.hub.boxes if name != "human"]
        alive = [name for name in agents if run.hub.alive(name)]
        for field, names in ((self.who, alive), (self.of, [] if going else agents)):
            if list(field.options) != names:
                chosen = field.value
                field.options = names
                # Never another agent in its place: the next click may be Kill.
                field.value = chosen if chosen in names else None

    def draw_lanes(self) -> None:
        """Redraw the timeline, at most once a second while the team runs: it is dear."""
        events, still = self.run.hub.log.events, not self.run.gate.opened.is_set() or self.run.over
        soon = self.loop.time() - self.drawn < 1 and not still
        if 0 < len(events) <= DRAWN[still] and not soon:
            picture = timeline(events, self.run.source or "live")
            self.lanes.value = picture._repr_mimebundle_()["text/html"]
            self.drawn = self.loop.time()

    def _repr_mimebundle_(self, **more: Any) -> Any:
        """Add the whole table for where no widget is shown: ipywidgets would cut it."""
        return {**super()._repr_mimebundle_(**more), "text/plain": table(self.run)}


class Ask(Card):
    """An open question: a click answers this one, whatever else is asked meanwhile."""

    def __init__(self, question: Any) -> None:
        self.question = question
        super().__init__(question.text, question.choices, self.say)

    def say(self, choice: str, reason: str) -> None:
        if not self.question.reply.done():  # it may have ended while somebody read it
            self.question.answer(choice, reason)

"""A question to the person, with a button for each choice and a field for the reason."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from html import escape
from typing import Any
from uuid import uuid4

import ipywidgets
from IPython.display import HTML, Javascript, display

from ..steering import Answer

Say = Callable[[str, str], None]
CLICKED = """document.querySelectorAll(".NAME button").forEach(button => button.onclick = () => {
    const all = button.parentElement.querySelectorAll("button");
    all.forEach(one => one.disabled = true);
    const why = button.parentElement.querySelector("input").value;
    new BroadcastChannel("NAME").postMessage([button.textContent, why]);
})"""
STYLES = {"Approve": "success", "Raise": "success", "Deny": "danger", "End": "danger"}


class Card(ipywidgets.VBox):  # type: ignore[misc]
    """Shows a question and calls `say(choice, reason)` at a click, in the loop that made it."""

    def __init__(self, text: str, choices: Sequence[str], say: Say, reason: str = "") -> None:
        look = {"placeholder": "why, in your words", "description": "reason"}
        self.reason = ipywidgets.Text(reason, **look)
        loop = asyncio.get_running_loop()
        buttons = [
            ipywidgets.Button(description=c, button_style=STYLES.get(c, "")) for c in choices
        ]

        def choose(button: Any) -> None:
            for one in buttons:
                one.disabled = True
            loop.call_soon_threadsafe(say, button.description, self.reason.value)

        for button in buttons:
            button.on_click(choose)
        words = f'<b role="alert">{escape(text)}</b>'
        row = ipywidgets.HBox([self.reason, *buttons], layout={"flex_flow": "row wrap"})
        super().__init__([ipywidgets.HTML(words), row])


def card(
    question: object, choices: Sequence[str] = ("Approve", "Deny"), reason: str = ""
) -> asyncio.Future[Answer]:
    """Show a question below the cell that runs; return a future of the answer that is clicked.

    `reason` is what stands in the field at first.
    """
    answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def say(choice: str, reason: str) -> None:
        if not answer.done():
            answer.set_result(Answer(choice, reason))

    if sys.platform == "emscripten":
        show_in_a_tab(str(question), choices, say, reason)
    else:
        display(Card(str(question), choices, say, reason))
    return answer


def show_in_a_tab(text: str, choices: Sequence[str], say: Say, reason: str) -> None:
    """Show a card in a browser tab: no widget is heard there while a cell awaits, a channel is."""
    import js  # type: ignore[import-not-found]
    from pyodide.ffi import create_proxy  # type: ignore[import-not-found]

    name = f"card-{uuid4().hex}"
    channel = js.BroadcastChannel.new(name)
    channel.onmessage = create_proxy(lambda message: say(*message.data.to_py()))
    buttons = "".join(f"<button>{escape(choice)}</button> " for choice in choices)
    field = f'<input value="{escape(reason)}" aria-label="reason" size="40"> '
    words = f'<b role="alert">{escape(text)}</b><br>'
    display(HTML(f'<div class="{name}">{words}{field}{buttons}</div>'))
    display(Javascript(CLICKED.replace("NAME", name)))

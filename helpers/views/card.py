"""A question to the person, with a button for each choice and a field for the reason."""

import asyncio
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import ipywidgets
from IPython.display import display

from ..steering import Answer

Say = Callable[[str, str], None]
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

    display(Card(str(question), choices, say, reason))
    return answer

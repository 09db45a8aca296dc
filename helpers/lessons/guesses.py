"""A guess before a run and what came of it: `predict("02.a", 12)`, later `came("02.a", value)`."""

from typing import Any

GUESSES: dict[str, Any] = {}  # of this kernel


def predict(name: str, guess: Any = ...) -> None:
    """Remember a guess; `...` is none, and stops nothing."""
    GUESSES[name] = guess


def came(name: str, value: Any) -> None:
    """Print what has come, beside the guess if there was one."""
    guess = GUESSES.get(name, ...)
    said = "" if guess is ... else f"; you said {guess}" + (", right" if guess == value else "")
    print(f"{name}: it is {f'{value:g}' if isinstance(value, float) else value}{said}")

"""Checks of the exercises: `check("01.1", answer)` prints "not yet", what is wrong, or "right"."""

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from typing import Any

Check = Callable[[Any], Awaitable[str | None]]
SECONDS = 5.0


def find(name: str) -> Check:
    """Return the check of an exercise such as "01.1". KeyError: there is none."""
    lesson = importlib.import_module(f".lesson_{name[:2]}", __package__)
    checks: dict[str, Check] = lesson.CHECKS
    return checks[name]


async def check(name: str, answer: Any = None) -> None:
    """Print what became of an exercise; an answer of None or `...` has not been tried yet.

    A check returns None when the answer is right, or one sentence that says what is wrong. What
    an answer raises, or that it does not come back within five seconds, counts as wrong.
    """
    if answer is None or answer is ...:
        print(f"{name}: not yet")
        return
    try:
        async with asyncio.timeout(SECONDS):
            problem = await find(name)(answer)
    except TimeoutError:
        problem = f"it did not come back within {SECONDS:g} seconds"
    except Exception as error:
        problem = f"it raised {type(error).__name__}: {error}"
    print(f"{name}: right" if problem is None else f"{name}: not yet: {problem}")

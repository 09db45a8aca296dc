"""Checks of the exercises: `check("01.1", answer)` prints "not yet", what is wrong, or "right"."""

import asyncio
import importlib
import json
import re
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

Check = Callable[[Any], Awaitable[str | None]]
SECONDS = 20.0
PROGRESS = Path("progress.json")  # beside the notebook, in the workbook only
PLAIN = "write `def`, not `async def`: nothing in it has to wait"


def checks() -> dict[str, Check]:
    """Return the checks of all exercises, by names such as "01.1"."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("lesson_*.py"))
    modules = [importlib.import_module(f".{name}", __package__) for name in names]
    return {name: check for module in modules for name, check in module.CHECKS.items()}


async def check(name: str, answer: Any = None) -> None:
    """Print what became of an exercise; an answer of None or `...` has not been tried yet.

    A check returns None when the answer is right, or one sentence that says what is wrong. What
    an answer raises, or that it does not come back within 20 seconds, counts as wrong.
    ValueError: there is no such exercise.
    """
    known, seen = checks(), list[warnings.WarningMessage]()
    if name not in known:
        raise ValueError(f"there is no exercise {name!r}; there are {', '.join(known)}")
    if answer is None or answer is ...:
        print(f"{name}: not yet")
        return
    try:
        async with asyncio.timeout(SECONDS):
            with warnings.catch_warnings(record=True, action="always") as seen:
                problem = await known[name](answer)
    except TimeoutError:
        problem = f"it did not come back within {SECONDS:g} seconds"
    except asyncio.CancelledError:
        if asyncio.current_task().cancelling():  # type: ignore[union-attr]
            raise  # the stop button
        problem = "it asks for the result of a task that was cancelled; wait inside its block"
    except Exception as error:
        problem = f"it raised {type(error).__name__}: {error}"
    if problem is not None and (call := never_awaited(seen)):
        problem = f"{call}(…) was called and never awaited: write `await` before it"
    print(f"{name}: right" if problem is None else f"{name}: not yet: {problem}")
    if problem is None:
        note(name)


def never_awaited(seen: list[warnings.WarningMessage]) -> str | None:
    """Return the name of a coroutine that was made and never awaited, by Python's own warning."""
    told = [re.match(r"coroutine '(?:.*\.)?(\w+)' was never awaited", str(w.message)) for w in seen]
    return next((match[1] for match in told if match), None)


def note(name: str) -> None:
    """Remember in the workbook that an exercise is solved."""
    if PROGRESS.exists():
        PROGRESS.write_text(json.dumps(sorted({*solved(), name})), encoding="utf-8")


def solved() -> list[str]:
    """Return the exercises that were solved in the workbook. ValueError: there is no workbook."""
    if not PROGRESS.exists():
        raise ValueError("progress is kept in the workbook: python -m helpers.lessons open")
    try:
        return list(map(str, json.loads(PROGRESS.read_text(encoding="utf-8"))))
    except (ValueError, TypeError):
        return []  # somebody wrote in it: begin anew


def progress() -> None:
    """Print how many exercises of each lesson are solved, and which are open."""
    done = solved()
    for lesson in dict.fromkeys(name[:2] for name in checks()):
        own = [name for name in checks() if name.startswith(lesson)]
        left = [name for name in own if name not in done]
        print(f"{lesson}: {len(own) - len(left)} of {len(own)}{'; open: ' if left else ''}", end="")
        print(", ".join(left))

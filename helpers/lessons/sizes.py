"""Counts how large the house is: lines of helpers by folder, and library code in the lessons."""

import re
from pathlib import Path

import nbformat

from .home import HELPERS, HOME, WHOLE
from .notebooks import ROOT, notebook_paths

CORE = ("hub.py", "tools.py", "agent.py", "team.py")


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def folder_sizes() -> dict[str, int]:
    """Return all lines of every .py of helpers, by folder, and those of the core four."""
    sizes = {"core four": sum(len(lines(HELPERS / name)) for name in CORE)}
    for path in sorted(HELPERS.rglob("*.py")):
        folder = path.parent.relative_to(ROOT).as_posix() + "/"
        sizes[folder] = sizes.get(folder, 0) + len(lines(path))
    return sizes


def library_lines(path: Path) -> tuple[int, int]:
    """Return a lesson's lines of library code: in its flow, and folded at its end."""
    flow, folded, end = 0, 0, False
    for cell in nbformat.read(path, as_version=4).cells:
        end = end or cell.source.startswith(WHOLE)
        if cell.source.startswith(HOME):
            count = len(cell.source.splitlines())
            flow, folded = (flow, folded + count) if end else (flow + count, folded)
    return flow, folded


def minutes(path: Path) -> tuple[int, int]:
    """Return a lesson's minutes, and those of its exercises: an estimate by one rule.

    150 words or 15 lines of code a minute, exercises as they say themselves; rounded to five.
    """
    words = code = exercises = 0
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.source.startswith(WHOLE):
            break
        if cell.cell_type == "code":
            code += len(cell.source.splitlines())
            continue
        words += len(re.findall(r"\w+", re.sub(r"<[^>]+>|\]\([^)]*\)", "", cell.source)))
        stated = re.findall(r"^### .*\((\d+) minutes?\)$", cell.source, re.MULTILINE)
        exercises += sum(map(int, stated))
    return 5 * round((words / 150 + code / 15 + exercises) / 5), exercises


def report() -> str:
    """Return all sizes as a text of a line each."""
    rows = [f"{count:6,}  {folder}" for folder, count in folder_sizes().items()]
    rows.append("library lines in the flow, and folded, and minutes of each lesson:")
    for path in notebook_paths():
        if path.parent == ROOT / "notebooks":
            flow, folded = library_lines(path)
            rows.append(f"{flow:6} {folded:6} {minutes(path)[0]:6}  {path.stem}")
    return "\n".join(rows)

"""Home cells: the code of `helpers/` word for word in the notebook that builds it."""

import ast
from pathlib import Path
from typing import Any

import nbformat

from .notebooks import ROOT

HOME = "# helpers/"


def definitions(source: str) -> dict[str, str]:
    """Return the text of each top-level definition of a module or cell, by name, imports aside."""
    found, lines, end = {}, source.splitlines(), 0
    for node in ast.parse(source).body:
        named: Any = node.targets[0] if isinstance(node, ast.Assign) else node
        name = getattr(named, "name", None) or getattr(named, "id", None)
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
        while (
            first - 1 > end and lines[first - 2].startswith("# ") and HOME not in lines[first - 2]
        ):
            first -= 1
        end = node.end_lineno or node.lineno
        if name:
            found[name] = "\n".join(lines[first - 1 : end])
    return found


def home_cell(source: str) -> str | None:
    """Return what a home cell should hold, or None for any other cell. KeyError: no such helper."""
    first, _, rest = source.partition("\n")
    if not first.startswith(HOME):
        return None
    module = definitions((ROOT / first.removeprefix("# ")).read_text(encoding="utf-8"))
    text = ""
    for name in definitions(rest):
        gap = "\n" if "\n" not in module[name] and "\n" not in text.strip() else "\n\n\n"
        text += (gap if text else "") + module[name]
    return f"{first}\n{text}"


def sync(path: Path) -> bool:
    """Copy helpers into the home cells of a notebook; return whether anything changed."""
    notebook = nbformat.read(path, as_version=4)
    before = nbformat.writes(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source = home_cell(cell.source) or cell.source
    after = nbformat.writes(notebook)
    changed: bool = after != before
    if changed:
        path.write_text(after + "\n", encoding="utf-8")
    return changed

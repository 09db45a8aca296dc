"""Shows taught code in the notebooks, word for word: in the flow of a lesson, and whole at its end.

A cell that begins with `# helpers/hub.py` holds definitions of that module. Each lesson ends with
"The whole code": one folded cell for each module whose docstring says "Notebook NN builds it".
"""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import nbformat

from .notebooks import ROOT

HELPERS = ROOT / "helpers"
HOME = "# helpers/"
WHOLE = "## The whole code"
ABOUT = """
The modules that this lesson comes to, as they are but for their imports of each other: one folded
cell each. A click on its bar opens it. To copy by hand, take the cells that begin with
`# helpers/`, of each lesson in order; they need nothing of `helpers`."""
FOLDED = {"jupyter": {"source_hidden": True}}


def definitions(source: str) -> dict[str, str]:
    """Return the text of each top-level definition of a module or cell, by name, imports aside."""
    found, lines, end = {}, source.splitlines(), 0
    for node in ast.parse(source).body:
        named = node.targets[0] if isinstance(node, ast.Assign) else node
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


def taught_modules() -> dict[Path, str]:
    """Return each taught module and the number of the notebook that builds it."""
    found = {}
    for path in HELPERS.rglob("*.py"):
        doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        if built := re.search(r"[Nn]otebook (\d\d) builds", doc):
            found[path] = built[1]
    return found


def relative_imports(path: Path) -> dict[Path, list[str]]:
    """Return the names that a module takes from others of this package, by their files."""
    found = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.level:
            folder = path.parents[node.level - 1]
            file = folder / f"{(node.module or '').replace('.', '/')}.py"
            found[file] = [alias.name for alias in node.names]
    return found


def lesson_modules(number: str) -> list[Path]:
    """Return the modules that a lesson builds, none before one that it imports."""
    own = sorted(path for path, lesson in taught_modules().items() if lesson == number)
    order = TopologicalSorter({p: [q for q in own if q in relative_imports(p)] for p in own})
    return list(order.static_order())


def module_cell(path: Path) -> str:
    """Return a whole module as a cell: a line that says what it is, its imports, its code."""
    source = path.read_text(encoding="utf-8")
    tree, lines = ast.parse(source), source.splitlines()
    about = (ast.get_docstring(tree) or "").partition("\n")[0].partition(" Notebook")[0]
    for node in tree.body:
        ours = isinstance(node, ast.ImportFrom) and node.level > 0
        if ours or node is tree.body[0]:
            end = node.end_lineno or node.lineno
            lines[node.lineno - 1 : end] = [""] * (end - node.lineno + 1)
    text = re.sub(r"\n{4,}", "\n\n\n", "\n".join(lines).strip("\n"))
    return f"# {path.relative_to(ROOT).as_posix()} · {about}\n{text}"


def imports_cell(modules: list[Path]) -> str:
    """Return the imports that modules take from those of other lessons, in short lines."""
    needed: dict[Path, set[str]] = {}
    for path in modules:
        for file, names in relative_imports(path).items():
            if file not in modules:
                needed.setdefault(file, set()).update(names)
    lines = ["# Imports: what other lessons built"]
    for file, wanted in sorted(needed.items()):
        start = f"from {'.'.join(file.relative_to(ROOT).with_suffix('').parts)} import "
        line = ""
        for name in sorted(wanted):
            if line and len(f"{start}{line}, {name}") > 100:
                lines.append(start + line)
                line = ""
            line += f", {name}" if line else name
        lines.append(start + line)
    return "\n".join(lines)


def whole_code(number: str) -> list[nbformat.NotebookNode]:
    """Return the cells of a lesson's last part, or none if it builds no module."""
    modules = lesson_modules(number)
    if not modules:
        return []
    sources = [imports_cell(modules), *map(module_cell, modules)]
    named = zip(["imports", *(path.stem for path in modules)], sources, strict=True)
    cells = [nbformat.v4.new_markdown_cell(WHOLE + ABOUT, id="whole-code")]
    for name, source in named:
        if "\n" in source:
            cell = nbformat.v4.new_code_cell(source, id=f"whole-{name}", metadata=FOLDED)
            cells.append(cell)
    return cells


def synced(notebook: nbformat.NotebookNode, number: str) -> nbformat.NotebookNode:
    """Return a lesson with the code of helpers in its home cells and in its last part."""
    ends = [i for i, cell in enumerate(notebook.cells) if cell.source.startswith(WHOLE)]
    old = {cell.id: cell for cell in notebook.cells}
    flow = notebook.cells[: ends[0]] if ends else notebook.cells
    for cell in flow:
        if cell.cell_type == "code":
            cell.source = home_cell(cell.source) or cell.source
    last = whole_code(number)
    for cell in last:
        if cell.cell_type == "code" and cell.source == old.get(cell.id, {}).get("source"):
            cell.execution_count = old[cell.id].execution_count
    notebook.cells = [*flow, *last]
    return notebook


def sync(path: Path) -> bool:
    """Copy helpers into one lesson; return whether anything changed."""
    before = path.read_text(encoding="utf-8")
    notebook = nbformat.read(path, as_version=4)
    lesson = path.parent == ROOT / "notebooks"
    after: str = nbformat.writes(synced(notebook, path.name[:2] if lesson else "")) + "\n"
    if after != before:
        path.write_text(after, encoding="utf-8", newline="\n")
    changed: bool = after != before
    return changed

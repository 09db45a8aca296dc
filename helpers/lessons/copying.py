"""Copies what is taught into a package of the reader's own, which needs nothing of `helpers`."""

import ast
import keyword
import os
import re
import shutil
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from .mains import MAINS
from .notebooks import ROOT

HELPERS = ROOT / "helpers"
HEADER = '''"""Agents of "Multi-agent orchestration with Claude: a cookbook", notebooks 01 to {to}.

Copied from the cookbook `helpers` version {version}. Docstrings name the notebook that builds the
code and says why; it lies in the folder notebooks/ of the cookbook.
Needs Python {python}, {packages}.

{license}"""
'''


def parse(module: Path) -> ast.Module:
    return ast.parse(module.read_text(encoding="utf-8"))


def lesson(module: Path) -> str:
    """Return the first notebook that a module's docstring names: "02"."""
    named = re.search(r"otebooks?\s(\d\d)", ast.get_docstring(parse(module)) or "")
    if not named:
        raise ValueError(f"the docstring of {module.name} names no notebook that builds it")
    return named[1]


def imported(module: Path) -> list[Path]:
    """Return the files that a module's relative imports name."""
    found = []
    for node in ast.walk(parse(module)):
        if isinstance(node, ast.ImportFrom) and node.level:
            names = [node.module] if node.module else [alias.name for alias in node.names]
            paths = [module.parents[node.level - 1] / name.replace(".", "/") for name in names]
            found += [p / "__init__.py" if p.is_dir() else p.with_suffix(".py") for p in paths]
    return found


def modules(to: str) -> set[Path]:
    """Return the taught modules of the lessons up to this one, and all that those import."""
    taught = {*HELPERS.glob("*.py"), *HELPERS.glob("billing/*.py")} - {HELPERS / "__init__.py"}
    found: set[Path] = set()
    waiting = [module for module in taught if lesson(module) <= to]
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += imported(module)
    return found


def header(to: str) -> str:
    """Return the package's `__init__`: what it is, where it is from, what it needs, its licence."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needs = [name for name in project["dependencies"] if name.startswith(("anthropic", "pydantic"))]
    return HEADER.format(
        to=to,
        version=project["version"],
        python=project["requires-python"],
        packages=" and ".join(needs),
        license=(ROOT / "LICENSE").read_text(encoding="utf-8"),
    )


def check_free(folder: Path) -> None:
    """ValueError: this folder can't become a package, or something is in it."""
    name = folder.name
    if not name.isidentifier() or keyword.iskeyword(name):
        raise ValueError(f"{name!r} can't be imported: choose a name like my_agents")
    if name in {*sys.stdlib_module_names, *packages_distributions()}:
        raise ValueError(f"{name!r} is another package's name: choose a name like my_agents")
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ValueError(f"{folder} is there already: choose a new or an empty folder")


def copy(folder: Path, to: str) -> Path:
    """Write the package and return its path. ValueError, OSError: it can't be written there."""
    package = Path(os.path.abspath(folder))
    check_free(package)
    for module in modules(to):
        place = package / module.relative_to(HELPERS)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(module, place)
    if (package / "billing").exists():
        hidden = shutil.ignore_patterns(".*")
        shutil.copytree(ROOT / "knowledge", package / "knowledge", ignore=hidden)
    for name, text in (("__init__.py", header(to)), ("main.py", MAINS[to])):
        (package / name).write_text(text, encoding="utf-8", newline="\n")
    return package

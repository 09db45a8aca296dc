"""Copies what is taught into a package of the reader's own, which needs nothing of `helpers`."""

import keyword
import os
import shutil
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from .home import HELPERS, relative_imports, taught_modules
from .mains import MAINS
from .notebooks import ROOT

HEADER = '''"""Agents of "Multi-agent orchestration with Claude: a cookbook", notebooks 01 to {to}.

Copied from the cookbook `helpers` version {version}. Docstrings name the notebook that builds the
code and says why; it lies in the folder notebooks/ of the cookbook.
Needs Python {python}, {packages}.

{license}"""
'''


def modules(to: str) -> set[Path]:
    """Return the taught modules of the lessons up to this one, and all that those import."""
    found: set[Path] = set()
    waiting = [module for module, lesson in taught_modules().items() if lesson <= to]
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += relative_imports(module)
            waiting += [module.parent / "__init__.py"] if module.parent != HELPERS else []
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

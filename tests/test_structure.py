"""The house: what may import what, how long things may be, and what may not be in any file."""

import ast
import json
import re
import subprocess
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
HELPERS = ROOT / "helpers"
TAUGHT = ("", "billing")  # folders of helpers/: each definition there is shown in a notebook
FLOORS = {  # a folder of helpers/ and those it may import; "" is helpers/ itself
    "": [],
    "billing": [""],
    "replies": [""],
    "views": [""],
    "doors": ["", "billing"],
    "lessons": ["", "billing", "replies", "views", "doors"],
}
MODULES = sorted(HELPERS.rglob("*.py"))
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:work|tmp|home|root|Users)/\w")
KEY = re.compile(r"sk-ant-[A-Za-z0-9_-]{4,}")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def floor_of(path: Path) -> str:
    folder = path.parent.relative_to(HELPERS).as_posix()
    return "" if folder == "." else folder


def imports(tree: ast.AST, package: str = "helpers") -> set[str]:
    """Return the modules of helpers/ that code in this package names, as dotted paths below it."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            above = package.split(".")
            above = above[: len(above) - node.level + 1] if node.level else []
            module = ".".join([*above, *filter(None, [node.module])])
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    paths = [name.removeprefix("helpers.") for name in found if name.startswith("helpers.")]
    return {path for path in paths if module_file(path).exists()}


def module_file(dotted: str) -> Path:
    path = HELPERS / dotted.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def imported(path: Path) -> set[str]:
    """Return the modules of helpers/ that one of them imports."""
    return imports(tree_of(path), ".".join(["helpers", *filter(None, [floor_of(path)])]))


def functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    nodes = ast.walk(tree)
    return [n for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return how many lines a function takes, without functions inside it and its docstring."""
    lines = set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    if ast.get_docstring(node):
        doc = node.body[0]
        lines -= set(range(doc.lineno, (doc.end_lineno or doc.lineno) + 1))
    return len(lines)


def test_imports_are_found_however_they_are_written() -> None:
    code = """
import helpers.views.lanes
from helpers import budget, hub
from helpers.replies import scripted
from . import refund
from ..team import Member
def later():
    from .. import spawn
    from .files import read
import os
from asyncio import run
"""
    expected = {"views.lanes", "budget", "hub", "replies", "replies.scripted", "billing"}
    expected |= {"billing.refund", "billing.files", "team", "spawn"}
    assert imports(ast.parse(code), "helpers.billing") == expected


def test_every_folder_is_a_floor() -> None:
    assert {floor_of(path) for path in MODULES} == set(FLOORS)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_floor_imports_only_the_floors_below_it(path: Path) -> None:
    floors = {floor_of(module_file(name)) for name in imported(path)}
    assert floors <= {floor_of(path), *FLOORS[floor_of(path)]}


def test_no_module_imports_itself_through_others() -> None:
    modules = [path for path in MODULES if path.name != "__init__.py"]
    graph = {path: {module_file(name) for name in imported(path)} for path in modules}
    order = TopologicalSorter({path: uses & set(modules) for path, uses in graph.items()})
    order.prepare()  # CycleError: it names them


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_and_functions_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300
    long = [f"{f.name}: {length(f)}" for f in functions(tree_of(path)) if length(f) > 30]
    assert long == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_say_what_they_are(path: Path) -> None:
    assert ast.get_docstring(tree_of(path))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_that_changes_is_global(path: Path) -> None:
    changed = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Global)]
    assert changed == []


def test_a_published_fork_and_a_container_are_set_up_by_the_commands_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    workflow = yaml.safe_load((ROOT / ".github/workflows/pages.yml").read_text(encoding="utf-8"))
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text(encoding="utf-8"))
    commands = [step["run"] for step in workflow["jobs"]["publish"]["steps"] if "run" in step]
    assert len(commands) == 2
    for command in (*commands, container["postCreateCommand"]):
        assert command.replace("lessons site site", "lessons site ../site") in readme


def tracked_texts() -> list[tuple[str, str]]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this copy is not a git repository")
    paths = [ROOT / name for name in listed.decode().split("\0") if name]
    existing = [path for path in paths if path.is_file()]
    return [(name_of(p), p.read_bytes().decode("utf-8", errors="replace")) for p in existing]


def test_no_file_holds_a_path_of_one_machine_or_a_key() -> None:
    texts = tracked_texts()
    assert "README.md" in dict(texts)
    for pattern in (MACHINE_PATH, KEY):
        found = [f"{name}: {match[0]}" for name, text in texts if (match := pattern.search(text))]
        assert found == []


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (MACHINE_PATH, "File /" + "home/ann/x.py"),
        (MACHINE_PATH, '"/' + 'tmp/pytest"'),
        (KEY, "sk-ant-" + "api03-x"),
    ],
)
def test_paths_and_keys_are_found(pattern: re.Pattern[str], text: str) -> None:
    assert pattern.search(text)


def test_the_settings_file_of_a_learner_is_never_committed() -> None:
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert ".env" in ignored
    assert ".env" not in dict(tracked_texts())

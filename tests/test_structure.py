"""The house: what may import what, how long things may be, and what may not be in any file."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TAUGHT = (
    *("hub", "tools", "agent", "team", "delegation", "budget", "billing"),
    *("refund", "orchestrator"),
)
MODULES = sorted((ROOT / "helpers").rglob("*.py"))
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:work|tmp|home|root|Users)/\w")
KEY = re.compile(r"sk-ant-[A-Za-z0-9_-]{4,}")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(tree: ast.AST) -> set[str]:
    """Return the modules of helpers that this code imports, wherever and however it does."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            own = node.level > 0 or module.split(".")[0] == "helpers"
            inner = module.removeprefix("helpers").strip(".")
            if own:
                found |= {inner} if inner else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            found |= {name.removeprefix("helpers.") for name in names if name.startswith("helpers")}
    return found


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
import helpers.replies.client
from helpers.replies import replay, hub
from helpers.replies.scripted import scripted
from . import tools
from .team import Member
def later():
    from .files import read
import os
from asyncio import run
"""
    expected = {"client", "replay", "hub", "scripted", "tools", "team", "files"}
    assert imports(ast.parse(code)) == expected


@pytest.mark.parametrize("module", TAUGHT)
def test_a_taught_module_imports_only_those_before_it(module: str) -> None:
    path = ROOT / "helpers" / f"{module}.py"
    assert imports(tree_of(path)) <= set(TAUGHT[: TAUGHT.index(module)])


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

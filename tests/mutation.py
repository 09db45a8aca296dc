"""Breaks the core on purpose and counts what no test notices: `python -m tests.mutation`.

400 seeded mutants of hub, tools, agent, team, refund and budget, each a single change; the tests of
its module run on it. Takes up to 40 minutes on two cores. `--mutants 40` is a quick look.
"""

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TESTS = {
    "hub": ("test_hub", "test_team", "test_isolation"),
    "tools": ("test_tools", "test_agent", "test_isolation"),
    "agent": ("test_agent", "test_isolation", "test_hooks", "test_team", "test_runs"),
    "team": ("test_team", "test_isolation", "test_agent"),
    "billing/refund": ("test_refund", "test_cases"),
    "budget": ("test_budget", "test_orchestrator"),
}
COMPARE = {ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE}
COMPARE |= {ast.GtE: ast.Gt, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn}
COMPARE |= {ast.NotIn: ast.In}
SECONDS = 120  # a mutant that hangs is noticed


@dataclass(frozen=True)
class Mutant:
    """A module with one change: Mutant("hub", 41, "a == b → a != b", source)."""

    module: str
    line: int
    change: str
    source: str


def changed(node: ast.AST) -> Iterator[ast.AST]:
    """Return what one part of a program could be instead."""
    other: Any = copy.deepcopy(node)
    match node:
        case ast.Compare() if type(node.ops[0]) in COMPARE:
            other.ops[0] = COMPARE[type(node.ops[0])]()
            yield other
        case ast.BoolOp():
            other.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield other
        case ast.BinOp(op=ast.Add() | ast.Sub()):
            other.op = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
            yield other
        case ast.UnaryOp(op=ast.Not()):
            yield node.operand
        case ast.Constant(value=bool()):
            yield ast.Constant(not node.value)
        case ast.Constant(value=int() | float() as number):
            yield ast.Constant(number + 1)
        case ast.IfExp():
            yield from (node.body, node.orelse)
        case ast.If():
            for value in (True, False):
                other = copy.deepcopy(node)
                other.test = ast.Constant(value)
                yield other
        case ast.Raise() | ast.Continue() | ast.Expr(value=ast.Call() | ast.Await()):
            yield ast.Pass()


class Replace(ast.NodeTransformer):
    """Puts one node in the place of another."""

    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else self.generic_visit(node)


def mutants(module: str) -> list[Mutant]:
    """Return every mutant of a module, in the order of its lines."""
    source = (ROOT / "helpers" / f"{module}.py").read_text(encoding="utf-8")
    tree, found = ast.parse(source), []
    for place, node in enumerate(ast.walk(tree)):
        for choice in range(len(list(changed(node)))):
            whole = ast.parse(source)
            old = list(ast.walk(whole))[place]
            new = list(changed(old))[choice]
            before = ast.unparse(old).partition("\n")[0]
            after = ast.unparse(ast.fix_missing_locations(new)).partition("\n")[0]
            mutated = ast.unparse(ast.fix_missing_locations(Replace(old, new).visit(whole)))
            line = getattr(node, "lineno", 0)
            found.append(Mutant(module, line, f"{before}  →  {after}", mutated))
    return sorted(found, key=lambda mutant: mutant.line)


def survives(mutant: Mutant, folder: Path) -> bool:
    """Return whether the tests of its module pass on a mutant."""
    target = folder / "helpers" / f"{mutant.module}.py"
    original = target.read_text(encoding="utf-8")
    target.write_text(mutant.source, encoding="utf-8")
    paths = [f"tests/{name}.py" for name in TESTS[mutant.module]]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *paths]
    env = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return False
    finally:
        target.write_text(original, encoding="utf-8")
    return done.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=2)
    options = parser.parse_args()
    every = [mutant for module in TESTS for mutant in mutants(module)]
    chosen = random.Random(options.seed).sample(every, min(options.mutants, len(every)))
    with TemporaryDirectory() as name:
        folders: Queue[Path] = Queue()
        for number in range(options.at_once):
            copied = Path(name) / str(number)
            for part in ("helpers", "tests", "notebooks", "knowledge"):
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / part, copied / part, ignore=ignored)
            shutil.copy(ROOT / "pyproject.toml", copied)
            folders.put(copied)

        def try_one(mutant: Mutant) -> bool:
            folder = folders.get()
            try:
                return survives(mutant, folder)
            finally:
                folders.put(folder)

        with ThreadPoolExecutor(options.at_once) as pool:
            survived = [
                mutant
                for mutant, alive in zip(chosen, pool.map(try_one, chosen), strict=True)
                if alive
            ]
    print(f"{len(chosen)} of {len(every)} mutants (seed {options.seed}), {len(survived)} survived:")
    for mutant in sorted(survived, key=lambda mutant: (mutant.module, mutant.line)):
        print(f"  {mutant.module}.py:{mutant.line}: {mutant.change}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

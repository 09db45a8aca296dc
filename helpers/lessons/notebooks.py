"""Runs and writes the notebooks: `python -m helpers.lessons.notebooks [--write | --fill | --sync] [PATH]`.

Without a flag each notebook is executed on the recordings and its outcome printed. `--write` also
saves the outputs, byte for byte the same each time. `--fill` plays hand-written replies through
the notebooks, writes what was sent beside them, and runs all notebooks on that. `--sync` copies
helpers into their home cells.
"""

import argparse
import ast
import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

ROOT = Path(__file__).resolve().parent.parent
HOME = "# helpers/"
KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
WIDGET = "application/vnd.jupyter.widget-view+json"


def notebook_paths() -> list[Path]:
    """Return the lessons in reading order, then the solutions."""
    folder = ROOT / "notebooks"
    return sorted(folder.glob("*.ipynb")) + sorted((folder / "solutions").glob("*.ipynb"))


def environment(mode: str) -> dict[str, str]:
    """Return this environment with one client mode forced and no other setting of the cookbook."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("COOKBOOK_")}
    return kept | {"COOKBOOK_CLIENT": mode, "COOKBOOK_PACE": "0"}


class _Kernel(AsyncKernelManager):
    """Starts this very Python, whatever kernels are installed elsewhere on the machine."""

    @property
    def kernel_spec(self) -> KernelSpec:
        command = [
            sys.executable,
            "-m",
            "ipykernel_launcher",
            "-f",
            "{connection_file}",
            "--log-level=40",
        ]
        return KernelSpec(argv=command, display_name="Python 3", language="python")


def execute(
    path: Path, mode: str = "recorded", timeout: int = 60, folder: Path | None = None
) -> nbformat.NotebookNode:
    """Return the notebook executed in its own folder or another, with seconds for each cell.

    CellExecutionError, CellTimeoutError: a cell raised or hung.
    """
    notebook: nbformat.NotebookNode = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        kernel_manager_class=_Kernel,
        timeout=timeout,
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(folder or path.parent)}},
    )
    asyncio.run(client.async_execute(env=environment(mode)))
    return notebook


def normalise(notebook: nbformat.NotebookNode) -> str:
    """Return the notebook's text without anything that changes from one execution to the next."""
    notebook.metadata = {"kernelspec": KERNELSPEC, "language_info": {"name": "python"}}
    for cell in notebook.cells:
        tags = cell.metadata.get("tags")
        cell.metadata = {"tags": tags} if tags else {}
        if cell.cell_type == "code":
            cell.outputs = [out for out in cell.outputs if WIDGET not in out.get("data", {})]
            for out in cell.outputs:
                if "metadata" in out:
                    out.metadata = {}
    return str(nbformat.writes(notebook)) + "\n"


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


def run(path: Path, mode: str, write: bool) -> bool:
    """Execute one notebook and print its outcome; return whether it went well."""
    name = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    try:
        notebook = execute(path, mode)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        print(f"FAILED  {name}\n{error}")
        return False
    text = normalise(notebook)
    if write and text != path.read_text(encoding="utf-8"):
        path.write_text(text, encoding="utf-8")
        print(f"written {name}")
    else:
        print(f"ok      {name}")
    return True


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m helpers.lessons.notebooks", description=__doc__
    )
    flags = parser.add_mutually_exclusive_group()
    flags.add_argument("--write", action="store_true", help="save the outputs")
    flags.add_argument("--fill", action="store_true", help="write what was sent into recordings")
    flags.add_argument("--sync", action="store_true", help="copy helpers into home cells")
    parser.add_argument("paths", nargs="*", type=Path, help="notebooks; all when none is named")
    options = parser.parse_args()
    paths = [path.resolve() for path in options.paths] or notebook_paths()
    if options.sync:
        for path in paths:
            print(f"{'synced' if sync(path) else 'same'}  {path.name}")
        return 0
    mode = "fill" if options.fill else "recorded"
    outcomes = [run(path, mode, options.write) for path in paths]
    if options.fill:
        print("Filled in. Now every notebook is played on it, for two may share a recording:")
        outcomes += [run(path, "recorded", write=False) for path in notebook_paths()]
    return 0 if all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())

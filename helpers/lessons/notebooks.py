"""Executes notebooks in this very Python, and writes them so that nothing but content changes."""

import asyncio
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
WIDGET = "application/vnd.jupyter.widget-view+json"


def notebook_paths() -> list[Path]:
    """Return the lessons in reading order, then the solutions and the primer."""
    folders = (ROOT / "notebooks" / name for name in ("", "solutions", "primer"))
    return [path for folder in folders for path in sorted(folder.glob("*.ipynb"))]


def missing_extra(path: Path) -> str | None:
    """Return what has to be installed before a notebook can run here, or None."""
    return "mcp" if path.name.startswith("09") and not find_spec("mcp") else None


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
    path: Path,
    mode: str = "recorded",
    timeout: int = 60,
    folder: Path | None = None,
    recordings: Path | None = None,
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
    with TemporaryDirectory() as profile:  # the person's own may print otherwise
        env = environment(mode) | {"IPYTHONDIR": profile}
        env |= {"COOKBOOK_RECORDINGS": str(recordings)} if recordings else {}
        asyncio.run(client.async_execute(env=env))
    return notebook


def normalise(notebook: nbformat.NotebookNode) -> str:
    """Return the notebook's text without anything that changes from one execution to the next."""
    notebook.metadata = {"kernelspec": KERNELSPEC, "language_info": {"name": "python"}}
    for cell in notebook.cells:
        cell.metadata = {k: v for k, v in cell.metadata.items() if k in ("jupyter", "tags")}
        if cell.cell_type == "code":
            for out in cell.outputs:
                out.get("data", {}).pop(WIDGET, None)  # nobody can show it; its text stays
                if "metadata" in out:
                    out.metadata = {}
    return str(nbformat.writes(notebook)) + "\n"

"""Makes the workbook: the lessons without outputs, for a learner to write in, and opens it."""

import os
import shutil
import sys
from collections.abc import Collection
from pathlib import Path

import nbformat

from .notebooks import ROOT, normalise, notebook_paths

WORKBOOK = ROOT / "workbook"
FIRST = "00_start_here.ipynb"


def blank(path: Path) -> str:
    """Return a notebook as text, without outputs and counts."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return normalise(notebook)


def sources(text: str) -> list[str]:
    """Return what stands in the cells of a notebook; of a text that is none, the text."""
    try:
        return [cell.source for cell in nbformat.reads(text, as_version=4).cells]
    except Exception:  # whatever a learner has made of it
        return [text]


def make(fresh: Collection[str] | None = None, folder: Path = WORKBOOK) -> list[str]:
    """Write what is missing; return the names of the notebooks that were kept as they are.

    `fresh` has the numbers of lessons, such as "03", to be made anew; empty, it means all.
    """
    source, kept = ROOT / "notebooks", []
    for path in notebook_paths():
        place = folder / path.relative_to(source)
        anew = fresh is not None and (not fresh or path.name[:2] in fresh)
        text = blank(path)
        if place.exists() and not anew:
            written = sources(place.read_text(encoding="utf-8")) != sources(text)
            kept += [place.relative_to(folder).as_posix()] if written else []
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8", newline="\n")
    shutil.copytree(source / "images", folder / "images", dirs_exist_ok=True)
    for page in source.glob("*.md"):
        shutil.copyfile(page, folder / page.name)
    progress = folder / "progress.json"
    if not progress.exists():
        progress.write_text("[]", encoding="utf-8")
    return kept


def open_lab(options: list[str]) -> None:
    """Become JupyterLab, with the repository as its root and lesson 00 of the workbook open."""
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={ROOT}"]
    command += [f"--LabApp.default_url=/lab/tree/{WORKBOOK.name}/{FIRST}", *options]
    quiet = str(ROOT / ".jupyter")  # no question about news above the first lesson
    paths = [quiet, os.environ.get("JUPYTER_CONFIG_PATH")]
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, paths))
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")  # a container, where it would refuse to start
    os.execv(sys.executable, command)

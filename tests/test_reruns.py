"""Long: the notebooks with other words in their recordings, and run in other orders."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from helpers.lessons.notebooks import ROOT, execute, notebook_paths
from helpers.replies.recording import Exchange, load, save

pytestmark = pytest.mark.long


def other_words(value: Any) -> Any:
    """Return a reply's value with other words in its texts; ids, numbers and names stay."""
    if isinstance(value, dict):
        texts = ("text", "content", "description", "prompt", "reason", "research_summary")
        return {
            key: f"In other words: {text}" if key in texts and isinstance(text, str) else text
            for key, text in ((key, other_words(inner)) for key, inner in value.items())
        }
    return [other_words(item) for item in value] if isinstance(value, list) else value


def reworded(block: dict[str, Any]) -> dict[str, Any]:
    try:  # a structured answer stays JSON
        return {"text": json.dumps(other_words(json.loads(block["text"])))}
    except (KeyError, ValueError):
        return dict(other_words(block))


def copy_of_the_series(folder: Path) -> None:
    for name in ("helpers", "knowledge", "notebooks"):
        shutil.copytree(ROOT / name, folder / name)


def run(folder: Path, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "helpers.lessons", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_cell_hangs_on_the_words_of_a_recording(tmp_path: Path) -> None:
    copy_of_the_series(tmp_path)
    for path in (tmp_path / "notebooks" / "recordings").glob("*.yaml"):
        recording = load(path)
        for step in recording.steps:
            if isinstance(step, Exchange) and step.reply is not None:
                step.reply = [reworded(block) for block in step.reply]
        save(recording)
    run(tmp_path, "fill")
    run(tmp_path, "run")


def test_filling_in_fails_when_two_notebooks_send_different_things_to_one_recording(
    tmp_path: Path,
) -> None:
    copy_of_the_series(tmp_path)
    first, lesson = (next((tmp_path / "notebooks").glob(f"{number}_*")) for number in ("00", "03"))
    shared = first.read_text("utf-8").replace("00_first_team", "03_fixed_team")
    first.write_text(shared, "utf-8")
    lesson.write_text(lesson.read_text("utf-8").replace("a designer.", "a painter."), "utf-8")
    with pytest.raises(AssertionError, match=r"FAILED  notebooks/0[03]_\w+\.ipynb"):
        run(tmp_path, "fill")


@pytest.mark.parametrize("path", notebook_paths(), ids=lambda path: path.parent.name + path.stem)
def test_a_notebook_runs_twice_in_one_kernel_with_each_cell_repeated(
    path: Path, tmp_path: Path
) -> None:
    notebook = nbformat.read(path, as_version=4)
    # Where a person steers, a second `tell` is a second letter: there whole scenes are repeated.
    steers = any(".tell(" in cell.source for cell in notebook.cells)
    doubled = [cell for cell in notebook.cells for _ in range(1 if steers else 2)]
    notebook.cells = [nbformat.from_dict(dict(cell)) for cell in [*doubled, *notebook.cells]]
    for number, cell in enumerate(notebook.cells):
        cell.id = f"again-{number}"
    copy = tmp_path / path.name
    nbformat.write(notebook, copy)
    execute(copy, folder=path.parent)

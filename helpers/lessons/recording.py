"""Records the runs of a whole notebook, and keeps them only if the notebook replays alike."""

import os
import re
import tempfile
from pathlib import Path
from typing import Any

from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from ..replies.client import setting
from .notebooks import execute, normalise

ORIGIN = re.compile(r"^(live|record|recorded): .*\n", re.MULTILINE)  # differs by intent
SECONDS = 600  # for a cell that runs live


def outputs(path: Path, mode: str, folder: Path) -> list[Any]:
    """Return what each cell shows, but for the lines that say where replies come from."""
    notebook = execute(path, mode, SECONDS, recordings=folder)
    normalise(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    shown = [[(out.get("text", ""), out.get("data")) for out in cell.outputs] for cell in cells]
    return [[(ORIGIN.sub("", text), data) for text, data in cell] for cell in shown]


def record(paths: list[Path]) -> bool:
    """Run notebooks live, replay each, and keep its recordings if it showed the same."""
    target = Path(setting("COOKBOOK_RECORDINGS", "recordings")).resolve()
    outcomes = [record_one(path, target) for path in paths]
    return all(outcomes)


def record_one(path: Path, target: Path) -> bool:
    target.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{path.stem}-", dir=target))
    try:
        first, again = (outputs(path, mode, folder) for mode in ("record", "recorded"))
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        print(f"FAILED  {path.name}: nothing was put in place; its runs are in {folder}\n{error}")
        return False
    for number, (shown, replayed) in enumerate(zip(first, again, strict=True), 1):
        if shown != replayed:
            print(f"FAILED  {path.name}: code cell {number} shows something else when replayed.")
            print(f"Nothing was put in place; its runs are in {folder}")
            print("Does the notebook open one recording twice? The second run replaced the first.")
            return False
    files = sorted(folder.glob("*.yaml"))
    for file in files:
        os.replace(file, target / file.name)
        print(f"recorded {target.name}/{file.name}")
    folder.rmdir()
    print(f"ok      {path.name}: {len(files)} recordings; COOKBOOK_RECORDINGS={target} plays them")
    return True

"""What a reader copies out of the notebooks runs on its own, without `helpers`."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat

from helpers.notebooks import ROOT, notebook_paths

from .test_live import Api, api  # noqa: F401  (a fixture)


def copied_cells(first: str, last: str) -> str:
    """Return the cells that the README tells to copy, in the order of the notebooks."""
    cells = [
        cell.source
        for path in notebook_paths()
        if path.parent.name == "notebooks" and first <= path.name[:2] <= last
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "code" and cell.source.startswith(("# imports", "# helpers/"))
    ]
    return "\n\n\n".join(cells) + "\n"


def readme_main() -> str:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- main.py -->\n```python\n(.*?)```", text, re.DOTALL)
    assert found, "the README has a main.py"
    return found[1]


def run_alone(folder: Path, url: str) -> str:
    """Run main.py of a folder where `helpers` can't be imported; return what it printed."""
    (folder / "helpers.py").write_text("raise ImportError('helpers is not for copies')\n")
    environment = {**os.environ, "ANTHROPIC_API_KEY": "a-key", "ANTHROPIC_BASE_URL": url}
    done = subprocess.run(
        [sys.executable, "main.py"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_cells_of_01_to_04_run_without_helpers(tmp_path: Path, api: Api) -> None:  # noqa: F811
    main = readme_main()
    assert len([line for line in main.splitlines() if line]) <= 12
    (tmp_path / "agents.py").write_text(copied_cells("01", "04"), encoding="utf-8")
    (tmp_path / "main.py").write_text(main, encoding="utf-8")
    assert "Hello." in run_alone(tmp_path, api.url)
    assert {body["system"].split(",")[0] for _, _, body in api.seen} >= {"You are lead"}


def test_copied_cells_do_not_mention_helpers() -> None:
    assert not re.search(r"^\s*(from|import) helpers", copied_cells("01", "06"), re.MULTILINE)

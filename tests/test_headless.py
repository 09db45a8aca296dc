"""The lessons with widgets, without a front end: nothing waits for a click. Off by default."""

import subprocess
import sys
from pathlib import Path

import pytest

from helpers.lessons.notebooks import ROOT, environment

pytestmark = pytest.mark.ci


@pytest.mark.parametrize("lesson", ["00", "06", "07"])
def test_a_lesson_with_a_panel_ends_by_itself_at_the_pace_of_people(
    lesson: str, tmp_path: Path
) -> None:
    path = next((ROOT / "notebooks").glob(f"{lesson}_*.ipynb"))
    command = [sys.executable, "-m", "jupyter", "execute", str(path)]
    env = environment("recorded")
    del env["COOKBOOK_PACE"]
    done = subprocess.run(
        [*command, f"--output={tmp_path / path.name}", "--timeout=120"],
        env=env | {"IPYTHONDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr

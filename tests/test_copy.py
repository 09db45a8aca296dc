"""What a reader copies out of the notebooks runs on its own, without `helpers`."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat

from helpers.lessons.notebooks import ROOT, notebook_paths

from .test_live import REPLY, Api, api  # noqa: F401  (a fixture)


def copied_cells(first: str, last: str) -> str:
    """Return the cells that the README tells to copy, in the order that it gives."""
    cells = [
        cell.source
        for path in notebook_paths()
        if path.parent.name == "notebooks" and first <= path.name[:2] <= last
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "code" and cell.source.startswith(("# imports", "# helpers/"))
    ]
    return "\n\n\n".join(sorted(cells, key=place)) + "\n"


def place(cell: str) -> int:
    """Imports and the cells of 01 to 04 as they come; then billing, refund, orchestrator."""
    late = ["# helpers/billing/refund.py", "# helpers/billing/orchestrator.py"]
    first = cell.partition("\n")[0]
    return late.index(first) + 1 if first in late else 0


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


def colour_reply(body: dict[str, Any]) -> dict[str, Any]:
    """Answer as a lead that asks for a colour, and as a helper that waits and names one."""
    lead, turn = "You are lead" in body["system"], len(body["messages"]) // 2
    sends = {"recipient_ids": ["helper1" if lead else "lead"], "content": "A colour: green"}
    calls = [("send_message", sends), ("wait_for_message", {})]
    plan = calls if lead else calls[::-1]
    if turn >= len(plan):
        return REPLY | {"content": [{"type": "text", "text": "It is green."}]}
    name, arguments = plan[turn]
    call = {"type": "tool_use", "id": f"toolu_{turn}", "name": name, "input": arguments}
    return REPLY | {"content": [call], "stop_reason": "tool_use"}


def test_the_cells_of_01_to_04_run_without_helpers(tmp_path: Path, api: Api) -> None:  # noqa: F811
    main = readme_main()
    assert len([line for line in main.splitlines() if line]) <= 12
    (tmp_path / "agents.py").write_text(copied_cells("01", "04"), encoding="utf-8")
    (tmp_path / "main.py").write_text(main, encoding="utf-8")
    api.reply = colour_reply
    printed = run_alone(tmp_path, api.url)
    assert "[lead] ← received from helper1: A colour: green" in printed
    assert printed.endswith("It is green.\n")


def test_copied_cells_do_not_mention_helpers() -> None:
    assert not re.search(r"^\s*(from|import) helpers", copied_cells("01", "06"), re.MULTILINE)


CASE = """
import asyncio
from pathlib import Path
from typing import Any
import anthropic
from agents import Case, Hub, Mandate, case_task, report, run_case, work_line
from files import file_tools

async def main():
    case, hub = Case("cust_12345", Mandate("Resolve it")), Hub(line=work_line)
    async with anthropic.AsyncAnthropic() as client:
        task = case_task("cust_12345", "Charged twice.")
        outcome = await run_case(client, hub, case, task, file_tools(Path("knowledge")))
    print(report(outcome, hub, case, estimated=False))

asyncio.run(main())
"""


def test_the_cells_of_01_to_06_run_with_the_folder_and_the_file_tools(
    tmp_path: Path,
    api: Api,  # noqa: F811
) -> None:
    files = (ROOT / "helpers" / "billing" / "files.py").read_text(encoding="utf-8")
    (tmp_path / "agents.py").write_text(copied_cells("01", "06"), encoding="utf-8")
    (tmp_path / "files.py").write_text(re.sub(r"^from \.\.\w+", "from agents", files, flags=re.M))
    (tmp_path / "main.py").write_text(CASE, encoding="utf-8")
    shutil.copytree(ROOT / "knowledge", tmp_path / "knowledge")
    assert "Outcome: no_answer" in run_alone(tmp_path, api.url)

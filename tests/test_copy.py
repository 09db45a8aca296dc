"""What a reader copies, by hand or with the tool, runs on its own, without `helpers`."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import nbformat
import pytest

from helpers.lessons.__main__ import main as tool
from helpers.lessons.copying import copy, modules
from helpers.lessons.home import HELPERS, definitions, taught_modules
from helpers.lessons.mains import MAINS
from helpers.lessons.notebooks import ROOT, notebook_paths

from .test_live import REPLY, Api, api  # noqa: F401  (a fixture)

PYTHON = os.environ.get("PYTHON_OF_COPIES", sys.executable)  # `.ci/run` has one with little in it


def copied_cells(first: str, last: str) -> str:
    """Return the cells under "The whole code" of these lessons, in order, as the README says."""
    cells = [
        cell.source
        for path in notebook_paths()
        if path.parent.name == "notebooks" and first <= path.name[:2] <= last
        for cell in nbformat.read(path, as_version=4).cells
        if cell.metadata.get("jupyter") and cell.source.startswith("# helpers/")
    ]
    return "\n\n\n".join(cells) + "\n"


def run_alone(folder: Path, url: str, *command: str, typed: str = "") -> str:
    """Run main.py of a folder where `helpers` can't be imported; return what it printed."""
    (folder / "helpers.py").write_text("raise ImportError('helpers is not for copies')\n")
    environment = {**os.environ, "ANTHROPIC_API_KEY": "a-key", "ANTHROPIC_BASE_URL": url}
    done = subprocess.run(
        [PYTHON, *(command or ["main.py"])],
        cwd=folder,
        env=environment,
        input=typed,
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


TEAM = """
import asyncio
import anthropic
from agents import Hub, Member, run_team

TEAM = [Member("lead", "Ask helper1 for a colour, then name it."),
        Member("helper1", "Wait for a question and answer it in one word.")]

async def main():
    async with anthropic.AsyncAnthropic() as client:
        print(await run_team(client, Hub(), TEAM, model="claude-sonnet-5-5"))

asyncio.run(main())
"""


def test_the_cells_of_01_to_04_run_without_helpers(tmp_path: Path, api: Api) -> None:  # noqa: F811
    (tmp_path / "agents.py").write_text(copied_cells("01", "04"), encoding="utf-8")
    (tmp_path / "main.py").write_text(TEAM, encoding="utf-8")
    api.reply = colour_reply
    printed = run_alone(tmp_path, api.url)
    assert "[lead] ← helper1: A colour: green" in printed
    assert printed.endswith("It is green.\n")


def test_no_name_is_defined_twice_in_what_is_copied_into_one_file() -> None:
    names = [name for path in taught_modules() for name in definitions(path.read_text("utf-8"))]
    assert [name for name, count in Counter(names).items() if count > 1] == []


def test_copied_cells_do_not_mention_helpers() -> None:
    assert not re.search(r"^\s*(from|import) helpers", copied_cells("01", "07"), re.MULTILINE)


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
    (tmp_path / "agents.py").write_text(copied_cells("01", "07"), encoding="utf-8")
    (tmp_path / "files.py").write_text(re.sub(r"^from \.\.\w+", "from agents", files, flags=re.M))
    (tmp_path / "main.py").write_text(CASE, encoding="utf-8")
    shutil.copytree(ROOT / "knowledge", tmp_path / "knowledge")
    assert "Outcome: no_answer" in run_alone(tmp_path, api.url)


def test_a_copy_runs_a_team_without_helpers(tmp_path: Path, api: Api) -> None:  # noqa: F811
    copy(tmp_path / "my_agents", "04")
    api.reply = colour_reply
    printed = run_alone(tmp_path, api.url, "-m", "my_agents.main")
    assert "[lead] ← helper1: A colour: green" in printed
    assert printed.endswith("It is green.\n")


VERDICT = {"case": "cust_12345", "transaction_id": "txn_8f3k2j1", "amount_cents": 4999}
ANSWER = {
    "research_summary": "txn_8f3k2j1 repeats txn_8f3k2j0.",
    "duplicate_confirmed": True,
    "refund_amount": 49.99,
    "compliance_approved": True,
    "final_action": "refund_issued",
    "customer_email": {"subject": "Your refund", "body": "It is on its way."},
}


def case_reply(body: dict[str, Any]) -> dict[str, Any]:
    """Answer as an orchestrator that has a refund reviewed and pays it, and as the reviewer."""
    orchestrator, turn = "You are orchestrator" in body["system"], len(body["messages"]) // 2
    review = {"subagent_type": "compliance_reviewer", "description": "Review", "prompt": "May we?"}
    refund = {"amount": "49.99", "reason": "Duplicate", "customer_id": "cust_12345"}
    plan = [("Task", review), ("issue_refund", refund)]
    if orchestrator and turn < len(plan):
        name, arguments = plan[turn]
        call = {"type": "tool_use", "id": f"toolu_{turn}", "name": name, "input": arguments}
        return REPLY | {"content": [call], "stop_reason": "tool_use"}
    verdict = VERDICT | {"approved": True, "reasons": ["R1 holds"]}
    text = json.dumps(ANSWER if orchestrator else verdict) if "output_config" in body else "Done."
    return REPLY | {"content": [{"type": "text", "text": text}]}


@pytest.mark.parametrize(
    ("to", "typed", "paid"),
    [
        ("05", "yes\n", "none"),
        ("06", "no\n", "none"),
        ("06", "yes\n", "$49.99 of txn_8f3k2j1 as ref_9x2m4p7"),
    ],
)
def test_a_copy_works_on_a_case_and_pays_only_after_a_yes(
    tmp_path: Path,
    api: Api,  # noqa: F811
    to: str,
    typed: str,
    paid: str,
) -> None:
    copy(tmp_path / "my_agents", to)
    api.reply = case_reply
    printed = run_alone(tmp_path, api.url, "-m", "my_agents.main", typed=typed)
    asked = "Pay cust_12345 $49.99 of txn_8f3k2j1 back to Visa 4242? Reason: Duplicate\n"
    assert (asked in printed) is (to == "06")
    assert f"Outcome: done; letter not reviewed; refunds made: {paid}\n" in printed
    assert ("the answer says 49.99, the ledger $0.00" in printed) is (paid == "none")


def test_a_copy_has_what_its_lessons_build_and_what_that_imports() -> None:
    names = ("trace", "hub", "tools", "hooks", "agent", "team", "spawn")
    first = {HELPERS / f"{name}.py" for name in names}
    taught = {*HELPERS.glob("*.py"), *HELPERS.glob("billing/*.py")} - {HELPERS / "__init__.py"}
    assert modules("04") == first
    steered = {HELPERS / f"{name}.py" for name in ("steering", "run")}
    assert modules("05") == modules("06") == taught - steered
    assert modules("07") == taught


@pytest.mark.parametrize("to", MAINS)
def test_a_copy_says_where_it_is_from_and_names_nothing_it_lacks(tmp_path: Path, to: str) -> None:
    package = copy(tmp_path / "new" / "my_agents", to)
    header = (package / "__init__.py").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"from the cookbook `helpers` version {project['version']}." in header
    assert (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[0][2:] in header
    assert (ROOT / "LICENSE").read_text(encoding="utf-8") in header
    for path in package.rglob("*.py"):
        code = path.read_text(encoding="utf-8")
        assert not re.search(r"^\s*(from|import) helpers|noqa", code, re.MULTILINE), path


def test_a_copy_without_a_key_says_so_in_one_line(tmp_path: Path) -> None:
    copy(tmp_path / "my_agents", "04")
    environment = {name: os.environ[name] for name in os.environ if name != "ANTHROPIC_API_KEY"}
    run = [PYTHON, "-m", "my_agents.main"]
    done = subprocess.run(
        run, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("ANTHROPIC_API_KEY is not set")
    assert all('"ANTHROPIC_API_KEY" not in os.environ' in text for text in MAINS.values())


@pytest.mark.parametrize("name", ["my-agents", "class", "2nd", "helpers", "asyncio", "anthropic"])
def test_a_name_that_is_no_package_or_another_one_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}' .*: choose a name like my_agents"):
        copy(tmp_path / name, "04")
    assert not (tmp_path / name).exists()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    for path in (tmp_path / "full" / "hub.py", tmp_path / "file"):
        path.write_text("mine")
    for name in ("full", "file"):
        with pytest.raises(ValueError, match="is there already: choose a new or an empty folder"):
            copy(tmp_path / name, "04")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["hub.py"]
    assert (tmp_path / "full" / "hub.py").read_text() == (tmp_path / "file").read_text() == "mine"


def call_tool(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["helpers.lessons", "copy", *arguments])
    return tool()


def test_the_tool_says_how_to_run_the_copy_or_why_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a folder").mkdir()
    monkeypatch.chdir(tmp_path / "a folder")
    assert call_tool(monkeypatch, "my_agents") == 0
    assert "now: python -m my_agents.main\n" in capsys.readouterr().out
    assert not Path("my_agents", "billing").exists()
    monkeypatch.chdir(tmp_path)
    assert call_tool(monkeypatch, "a folder/others/", "--to", "06") == 0
    assert f"now: cd '{tmp_path}/a folder' && python -m others.main\n" in capsys.readouterr().out
    assert call_tool(monkeypatch, "a folder/others") == 1
    assert re.fullmatch(r"not copied: .*\n", capsys.readouterr().err)
    with pytest.raises(SystemExit):
        call_tool(monkeypatch, "new", "--to", "08")
    assert re.search("'?04'?, '?05'?, '?06'?", capsys.readouterr().err)

"""The workbook: made without outputs, worked in, made again; and what a learner has solved."""

import asyncio
import os
import re
from pathlib import Path

import nbformat
import pytest

from helpers.lessons.__main__ import main
from helpers.lessons.exercises import check, checks, progress
from helpers.lessons.guesses import came, predict
from helpers.lessons.notebooks import ROOT, notebook_paths
from helpers.lessons.workbook import make

SOURCE = ROOT / "notebooks"


@pytest.fixture
def book(tmp_path: Path) -> Path:
    assert make(folder=tmp_path / "workbook") == []
    return tmp_path / "workbook"


def written(place: Path) -> bytes:
    """Write something into a notebook as a learner does, and return it."""
    place.write_bytes(place.read_bytes().replace(b"Next:", b"My own words. Next:"))
    return place.read_bytes()


def test_it_has_every_lesson_and_solution_and_no_output(book: Path) -> None:
    for path in notebook_paths():
        notebook = nbformat.read(book / path.relative_to(SOURCE), as_version=4)
        shipped = nbformat.read(path, as_version=4)
        assert [cell.source for cell in notebook.cells] == [c.source for c in shipped.cells]
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert not [cell for cell in code if cell.outputs or cell.execution_count]


def test_its_links_and_pictures_are_there(book: Path) -> None:
    for path in notebook_paths():
        place = book / path.relative_to(SOURCE)
        cells = nbformat.read(place, as_version=4).cells
        text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        for target in re.findall(r"\]\(([^)#\s]+?)\)", text):
            assert (place.parent / target).exists(), target


def test_what_was_written_is_kept_byte_for_byte_and_said(book: Path) -> None:
    mine = written(book / "03_fixed_team.ipynb")
    (book / "01_message_hub.ipynb").unlink()
    assert make(folder=book) == ["03_fixed_team.ipynb"]
    assert (book / "03_fixed_team.ipynb").read_bytes() == mine
    assert (book / "01_message_hub.ipynb").exists()


def test_a_lesson_that_was_only_opened_and_run_is_kept_without_a_word(book: Path) -> None:
    place = book / "03_fixed_team.ipynb"
    notebook = nbformat.read(place, as_version=4)
    notebook.metadata["seen"], notebook.cells[-1].metadata["collapsed"] = True, True
    nbformat.write(notebook, place)
    run = place.read_bytes()
    assert make(folder=book) == []
    assert place.read_bytes() == run


def test_a_broken_notebook_is_kept_and_named(book: Path) -> None:
    (book / "03_fixed_team.ipynb").write_text("not a notebook")
    assert make(folder=book) == ["03_fixed_team.ipynb"]


@pytest.mark.parametrize(("fresh", "kept"), [(["03"], ["04_subagents.ipynb"]), ([], [])])
def test_a_fresh_lesson_is_made_anew_and_others_are_kept(
    book: Path, fresh: list[str], kept: list[str]
) -> None:
    clean = (book / "03_fixed_team.ipynb").read_bytes()
    for name in ("03_fixed_team.ipynb", "04_subagents.ipynb"):
        written(book / name)
    assert make(fresh, book) == kept
    assert (book / "03_fixed_team.ipynb").read_bytes() == clean


def test_the_verb_makes_it_and_becomes_jupyterlab_with_the_other_options(
    book: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written(book / "03_fixed_team.ipynb")
    started: list[str] = []
    monkeypatch.setattr("helpers.lessons.__main__.make", lambda fresh: make(fresh, book))
    monkeypatch.setattr(os, "execv", lambda program, command: started.extend(command))
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "mine")
    monkeypatch.setattr("sys.argv", ["lessons", "open", "--no-browser", "--port=9999"])
    main()
    printed = capsys.readouterr().out
    assert "kept workbook/03_fixed_team.ipynb; to make it anew: open --fresh 03" in printed
    assert f"--ServerApp.root_dir={ROOT}" in started
    assert "--LabApp.default_url=/lab/tree/workbook/00_start_here.ipynb" in started
    assert {"--no-browser", "--port=9999"} <= set(started)
    config, others = os.environ["JUPYTER_CONFIG_PATH"].split(os.pathsep)
    assert (Path(config) / "labconfig" / "default_setting_overrides.json").is_file()
    assert others == "mine"


def test_an_option_that_no_verb_knows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["lessons", "sizes", "--no-browser"])
    with pytest.raises(SystemExit):
        main()


def test_git_ignores_it() -> None:
    assert "workbook/" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_what_is_solved_is_remembered_in_the_workbook_only(
    book: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(book)
    for name, answer in (("00.1", "helper2"), ("00.1", "helper2"), ("01.1", "wrong")):
        asyncio.run(check(name, answer))
    capsys.readouterr()
    progress()
    lines = capsys.readouterr().out.splitlines()
    count = sum(name.startswith("01") for name in checks())
    assert lines[0] == "00: 1 of 1"
    assert lines[1].startswith(f"01: 0 of {count}; open: 01.1, ")
    (book / "progress.json").write_text("not JSON")
    progress()
    assert capsys.readouterr().out.startswith("00: 0 of 1; open: 00.1")
    monkeypatch.chdir(book.parent)
    asyncio.run(check("00.1", "helper2"))
    assert not (book.parent / "progress.json").exists()
    with pytest.raises(ValueError, match="kept in the workbook"):
        progress()


@pytest.mark.parametrize(
    ("guess", "said"),
    [(..., ""), (14, "; you said 14"), (12, "; you said 12, right"), ("many", "; you said many")],
)
def test_what_came_is_told_beside_the_guess(
    capsys: pytest.CaptureFixture[str], guess: object, said: str
) -> None:
    predict("02.a", guess)
    came("02.a", 12)
    assert capsys.readouterr().out == f"02.a: it is 12{said}\n"


def test_what_came_is_told_without_a_guess(capsys: pytest.CaptureFixture[str]) -> None:
    came("never asked", 3.0)
    assert capsys.readouterr().out == "never asked: it is 3\n"

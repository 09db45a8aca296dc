"""The notebooks as files: executed, in step with helpers, and as readable as style asks."""

import ast
import copy
import re
import statistics
from pathlib import Path

import nbformat
import pytest

from helpers.lessons.__main__ import main
from helpers.lessons.exercises import checks
from helpers.lessons.home import definitions, home_cell
from helpers.lessons.notebooks import ROOT, normalise, notebook_paths

from .test_structure import HELPERS, TAUGHT

LESSONS = [path for path in notebook_paths() if path.parent.name == "notebooks"]
BY_INTERFACE = "files.py"  # the jailed files: lessons use them, no cell shows them
PARTS = ("By the end you can", "The picture", "What can go wrong", "Your turn", "Recap and next")


def read(path: Path) -> nbformat.NotebookNode:
    notebook: nbformat.NotebookNode = nbformat.read(path, as_version=4)
    return notebook


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def is_home(cell: nbformat.NotebookNode) -> bool:
    return home_cell(cell.source) is not None


def unrun(notebook: nbformat.NotebookNode) -> list[str]:
    return [cell.source for cell in code_cells(notebook) if cell.execution_count is None]


def drifted(notebook: nbformat.NotebookNode) -> list[str]:
    return [c.source for c in code_cells(notebook) if (home_cell(c.source) or c.source) != c.source]


@pytest.mark.parametrize("path", notebook_paths(), ids=lambda path: path.stem)
def test_every_cell_was_run_and_saved_by_the_command(path: Path) -> None:
    notebook = read(path)
    assert not unrun(notebook)
    assert normalise(notebook) == path.read_text(encoding="utf-8")


def test_a_stripped_notebook_is_noticed() -> None:
    notebook = copy.deepcopy(read(LESSONS[0]))
    for cell in code_cells(notebook):
        cell.execution_count, cell.outputs = None, []
    assert unrun(notebook)


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_home_cells_equal_their_helper(path: Path) -> None:
    assert not drifted(read(path)), "run: python -m helpers.lessons sync"


def test_one_changed_comment_in_a_home_cell_is_noticed() -> None:
    cells = [cell for path in LESSONS for cell in code_cells(read(path)) if is_home(cell)]
    commented = next(cell for cell in cells if "  # " in cell.source)
    changed = copy.deepcopy(commented)
    changed.source = commented.source.replace("  # ", "  # not ", 1)
    assert drifted(nbformat.v4.new_notebook(cells=[changed]))


def test_each_taught_definition_has_exactly_one_home() -> None:
    homes = [
        (cell.source.split("\n", 1)[0].removeprefix("# helpers/"), name)
        for path in LESSONS
        for cell in code_cells(read(path))
        if is_home(cell)
        for name in definitions(cell.source)
    ]
    taught = [
        (path.relative_to(HELPERS).as_posix(), name)
        for folder in TAUGHT
        for path in (HELPERS / folder).glob("*.py")
        if path.name not in ("__init__.py", BY_INTERFACE)
        for name in definitions(path.read_text(encoding="utf-8"))
    ]
    assert sorted(homes) == sorted(taught)


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_code_cells_are_short_and_explained(path: Path) -> None:
    cells = [cell for cell in read(path).cells if cell.source.strip()]
    code = [i for i, cell in enumerate(cells) if cell.cell_type == "code"]
    lengths = [len(cells[i].source.splitlines()) for i in code if not is_home(cells[i])]
    homes = [len(cells[i].source.splitlines()) for i in code if is_home(cells[i])]
    explained = sum(i > 0 and cells[i - 1].cell_type == "markdown" for i in code)
    kinds = "".join("c" if cell.cell_type == "code" else "m" for cell in cells)
    assert statistics.median(lengths) <= 8
    assert max(lengths) <= 30
    assert max(homes, default=0) <= 60
    assert explained >= 0.9 * len(code)
    assert "ccc" not in kinds
    assert max(len(line) for i in code for line in cells[i].source.splitlines()) <= 100


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_printed_outputs_fit_the_screen(path: Path) -> None:
    for cell in code_cells(read(path)):
        text = "".join(out.get("text", "") for out in cell.outputs)
        assert text.count("\n") <= 25, cell.source


@pytest.mark.parametrize("path", LESSONS[1:], ids=lambda path: path.stem)
def test_a_lesson_has_its_seven_parts_and_its_length(path: Path) -> None:
    text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    parts = [heading for heading in headings if heading in PARTS]
    assert parts == list(PARTS)
    assert 900 <= len(re.findall(r"\w+", text)) <= 1500
    assert 15 <= sum(not is_home(cell) for cell in code_cells(read(path))) <= 25


@pytest.mark.parametrize("path", notebook_paths(), ids=lambda path: path.stem)
def test_no_output_is_left_out_of_the_comparison(path: Path) -> None:
    assert not [cell.source for cell in read(path).cells if cell.metadata.get("tags")]


@pytest.mark.parametrize("name", checks())
def test_every_exercise_has_its_heading_its_hint_and_a_solution_that_is_right(name: str) -> None:
    number = int(name.partition(".")[0])
    sources = [cell.source for cell in read(LESSONS[number]).cells]
    asked = next(i for i, source in enumerate(sources) if f'check("{name}"' in source)
    assert any(f"### {name} " in source for source in sources[:asked])
    assert number == 0 or sources[asked + 1].startswith("<details><summary>Hint</summary>")
    solution = read(LESSONS[number].parent / "solutions" / LESSONS[number].name)
    printed = [out.get("text", "") for cell in code_cells(solution) for out in cell.outputs]
    assert f"{name}: right\n" in printed


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", *(ROOT / "notebooks").glob("*.md"), *notebook_paths()], ids=str
)
def test_links_lead_to_files_that_are_here(path: Path) -> None:
    notebook = path.suffix == ".ipynb"
    cells = [c.source for c in read(path).cells if c.cell_type == "markdown"] if notebook else []
    text = "\n".join(cells) if notebook else path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+?)\)", text):
        assert (path.parent / target).exists(), target


def saved(path: Path, source: str) -> Path:
    cell = nbformat.v4.new_code_cell(source, id="a", execution_count=1)
    path.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=[cell])), encoding="utf-8")
    return path


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["notebooks", *map(str, arguments)])
    return main()


def test_the_command_tells_a_notebook_that_fails_and_writes_one_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, good = saved(tmp_path / "bad.ipynb", "1 / 0"), saved(tmp_path / "good.ipynb", "print(6)")
    assert command(monkeypatch, "run", bad, good) == 1
    assert capsys.readouterr().out.startswith("FAILED")
    assert code_cells(read(good))[0].outputs == []
    assert command(monkeypatch, "write", good) == 0
    assert code_cells(read(good))[0].outputs[0]["text"] == "6\n"


def test_the_command_writes_a_helper_into_its_home_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "home.ipynb", "# helpers/hub.py\ndef one_line(value): ...")
    assert command(monkeypatch, "sync", path) == 0
    assert '"""Return text that is safe' in code_cells(read(path))[0].source


def test_lessons_are_linked_in_reading_order_and_listed_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for number, path in enumerate(LESSONS):
        last = read(path).cells[-1].source
        for neighbour in LESSONS[max(0, number - 1) : number + 2]:
            assert neighbour == path or f"({neighbour.name})" in last
        assert f"(notebooks/{path.name})" in readme


def test_the_readme_shows_a_run_of_notebook_03_as_it_is() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    picture = (ROOT / "notebooks" / "images" / "readme_run.svg").read_text(encoding="utf-8")
    outputs = [out for cell in code_cells(read(LESSONS[3])) for out in cell.outputs]
    pictures = ["".join(out.get("data", {}).get("image/svg+xml", "")) for out in outputs]
    printed = [line for out in outputs for line in "".join(out.get("text", "")).splitlines()]
    trace = re.findall(r"^  \[.+$", readme, re.MULTILINE)
    assert picture.strip() in [shown.strip() for shown in pictures]
    assert len(trace) >= 3
    assert set(trace) <= set(printed)


@pytest.mark.parametrize("path", notebook_paths(), ids=lambda path: path.stem)
def test_images_are_local_exist_and_have_alt_text(path: Path) -> None:
    text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    for alt, target in re.findall(r"!\[(.*?)\]\((.*?)\)", text):
        assert alt
        assert (path.parent / target).is_file()


def test_every_recording_is_played_and_says_who_wrote_it() -> None:
    sources = "\n".join(cell.source for path in notebook_paths() for cell in code_cells(read(path)))
    for path in (ROOT / "notebooks" / "recordings").glob("*.yaml"):
        assert f'"{path.stem}"' in sources
        assert path.read_text(encoding="utf-8").startswith("source: ")


def test_every_lesson_parses_as_python_with_top_level_await() -> None:
    for path in notebook_paths():
        for cell in code_cells(read(path)):
            compile(cell.source, path.name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("path", notebook_paths(), ids=lambda path: path.stem)
def test_no_text_turns_into_a_formula(path: Path) -> None:
    for cell in read(path).cells:
        if cell.cell_type == "markdown":
            text = re.sub(r"```.*?```|`[^`]*`", "", cell.source, flags=re.DOTALL)
            assert text.count("$") < 2, text  # JupyterLab reads an escaped one as a formula too

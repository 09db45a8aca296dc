"""The notebooks as files: executed, in step with helpers, and as readable as style asks."""

import ast
import copy
import re
import statistics
from pathlib import Path
from typing import Any

import nbformat
import pytest

from helpers.lessons.__main__ import main
from helpers.lessons.exercises import checks
from helpers.lessons.home import HOME, WHOLE, definitions, lesson_modules, synced
from helpers.lessons.notebooks import ROOT, normalise, notebook_paths
from helpers.lessons.sizes import minutes

from .glossary import first_use, linked, prose
from .glossary import words as glossary
from .test_structure import HELPERS, TAUGHT

LESSONS = [path for path in notebook_paths() if path.parent.name == "notebooks"]
BY_INTERFACE = "files.py"  # the jailed files: lessons use them, no cell shows them
PARTS = (
    "By the end you can",
    "The picture",
    "What can go wrong",
    "Your turn",
    "Recap and next",
    "The whole code",
)


def read(path: Path) -> nbformat.NotebookNode:
    notebook: nbformat.NotebookNode = nbformat.read(path, as_version=4)
    return notebook


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def is_home(cell: nbformat.NotebookNode) -> bool:
    return bool(cell.source.startswith(HOME))


def is_guess(cell: nbformat.NotebookNode) -> bool:
    """A question's own cell: one line that belongs to the cell that answers it."""
    return cell.source.startswith("predict(") and "\n" not in cell.source


def is_folded(cell: nbformat.NotebookNode) -> bool:
    return bool(cell.metadata.get("jupyter") == {"source_hidden": True})


def parts_of(notebook: nbformat.NotebookNode) -> tuple[list[Any], list[Any], list[Any]]:
    """Return a lesson's cells up to "Your turn", from there on, and those of "The whole code"."""
    starts = [("## Your turn", len(notebook.cells)), (WHOLE, len(notebook.cells))]
    turn, whole = (
        next((i for i, cell in enumerate(notebook.cells) if cell.source.startswith(words)), end)
        for words, end in starts
    )
    return notebook.cells[:turn], notebook.cells[turn:whole], notebook.cells[whole:]


def words(cells: list[Any]) -> int:
    texts = [re.sub(r"\]\([^)]*\)", "]", c.source) for c in cells if c.cell_type == "markdown"]
    return sum(len(re.findall(r"\w+", text)) for text in texts)


def code_of(cells: list[Any]) -> list[Any]:
    return [cell for cell in cells if cell.cell_type == "code"]


def length(cell: nbformat.NotebookNode) -> int:
    return len(cell.source.splitlines())


def unrun(notebook: nbformat.NotebookNode) -> list[str]:
    return [cell.source for cell in code_cells(notebook) if cell.execution_count is None]


def drifted(notebook: nbformat.NotebookNode, number: str) -> bool:
    wanted = synced(copy.deepcopy(notebook), number)
    return [cell.source for cell in wanted.cells] != [cell.source for cell in notebook.cells]


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
    assert not drifted(read(path), path.name[:2]), "run: python -m helpers.lessons sync"


@pytest.mark.parametrize("folded", [True, False])
def test_one_changed_comment_in_a_home_cell_is_noticed(folded: bool) -> None:
    notebook = copy.deepcopy(read(LESSONS[1]))
    cells = [cell for cell in code_cells(notebook) if is_home(cell) and is_folded(cell) is folded]
    commented = next(cell for cell in cells if "  # " in cell.source)
    commented.source = commented.source.replace("  # ", "  # not ", 1)
    assert drifted(notebook, "01")


def test_each_taught_module_stands_whole_in_exactly_one_lesson() -> None:
    shown = [
        (cell.source.split(" ", 2)[1], name)
        for path in LESSONS
        for cell in code_cells(read(path))
        if is_home(cell) and is_folded(cell)
        for name in definitions(cell.source)
    ]
    taught = [
        (path.relative_to(ROOT).as_posix(), name)
        for folder in TAUGHT
        for path in (HELPERS / folder).glob("*.py")
        if path.name not in ("__init__.py", BY_INTERFACE)
        for name in definitions(path.read_text(encoding="utf-8"))
    ]
    assert sorted(shown) == sorted(taught)


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_code_cells_are_short_and_explained(path: Path) -> None:
    notebook = read(path)
    assert not [cell.source for cell in notebook.cells if not cell.source.strip()]
    flow, turn, _ = parts_of(notebook)
    cells = [cell for cell in [*flow, *turn] if not is_guess(cell)]
    code = [i for i, cell in enumerate(cells) if cell.cell_type == "code"]
    lengths = [length(cells[i]) for i in code if not is_home(cells[i])]
    explained = sum(i > 0 and cells[i - 1].cell_type == "markdown" for i in code)
    kinds = "".join("c" if cell.cell_type == "code" else "m" for cell in cells)
    assert statistics.median(lengths) <= 8
    assert max(lengths) <= 30
    assert explained >= 0.9 * len(code)
    assert "ccc" not in kinds
    assert max(len(line) for i in code for line in cells[i].source.splitlines()) <= 100


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_guess_is_asked_for_before_the_cell_that_tells_what_came(path: Path) -> None:
    cells = read(path).cells
    asked = [i for i, cell in enumerate(cells) if is_guess(cell)]
    for i in asked:
        name = cells[i].source.partition('"')[2].partition('"')[0]
        assert name.startswith(path.name[:2])
        assert cells[i].source.startswith(f'predict("{name}", ...)  # ')
        assert "?" in cells[i - 1].source
        assert f'came("{name}", ' in cells[i + 1].source
    said = "\n".join(cell.source for cell in cells)
    assert said.count('came("') == len(asked)


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_no_wall_of_library_code_stands_between_a_question_and_its_answer(path: Path) -> None:
    flow, turn, whole = parts_of(read(path))
    homes = [cell for cell in flow if is_home(cell)]
    assert sum(map(length, homes)) <= 120
    assert [c.source for c in homes if length(c) > 30 and "\nclass Hub:" not in c.source] == []
    assert not [cell.source for cell in turn if is_home(cell)]
    assert all(map(is_folded, code_of(whole)))
    assert not any(map(is_folded, [*flow, *turn]))


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_cell_imports_from_few_places(path: Path) -> None:
    flow, _, _ = parts_of(read(path))
    for cell in code_of(flow):
        places = re.findall(r"^from (helpers[\w.]*) import", cell.source, re.MULTILINE)
        assert len(set(places)) <= 6, cell.source
        assert len(places) <= 8, cell.source


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_printed_outputs_fit_the_screen(path: Path) -> None:
    for cell in code_cells(read(path)):
        text = "".join(out.get("text", "") for out in cell.outputs)
        assert text.count("\n") <= 25, cell.source
        assert not [line for line in text.splitlines() if len(line) > 95], cell.source


@pytest.mark.parametrize("path", LESSONS[1:], ids=lambda path: path.stem)
def test_a_lesson_has_its_seven_parts_and_its_length(path: Path) -> None:
    notebook = read(path)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    parts = PARTS if lesson_modules(path.name[:2]) else PARTS[:-1]
    assert [heading for heading in headings if heading in PARTS] == list(parts)
    flow, turn, _ = parts_of(notebook)
    assert 900 <= words(flow) <= 1500
    assert 15 <= sum(not (is_home(cell) or is_guess(cell)) for cell in code_of(flow)) <= 27
    assert sum(cell.source.count("check(") for cell in code_of(turn)) <= 4
    assert len(turn) <= 15
    assert words(turn) <= 600


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


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_the_first_use_of_a_word_leads_to_the_glossary(path: Path) -> None:
    texts = [cell.source for cell in prose(path)]
    before = {word: first_use(texts, word) for word in glossary()}
    for word in linked(path):
        link = next(
            (n, text.index(f"#{word.replace(' ', '-')})"))
            for n, text in enumerate(texts)
            if f"GLOSSARY.md#{word.replace(' ', '-')})" in text
        )
        place = before[word]
        assert place is None or (place[0], place[1]) > link, f"{word} is used before its link"
    unlinked = [word for word, place in before.items() if place and word not in linked(path)]
    assert not unlinked, "run: python -m tests.glossary notebooks/0*.ipynb"


def test_the_glossary_is_in_order_and_names_lessons_that_are_there() -> None:
    text = (ROOT / "notebooks" / "GLOSSARY.md").read_text(encoding="utf-8")
    found = re.findall(r"^### (.+)\n.+\((\d\d(?:, \d\d)*)\)$", text, re.MULTILINE)
    assert len(found) == text.count("### ")
    assert [word for word, _ in found] == sorted(word for word, _ in found)
    numbers = {path.name[:2] for path in LESSONS}
    assert {number for _, where in found for number in where.split(", ")} <= numbers


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_minutes_are_stated_by_one_rule_and_stay_below_45(path: Path) -> None:
    total, exercises = minutes(path)
    assert total <= 45
    words_of_it = "an exercise" if exercises == 1 else "exercises"
    assert f"*{total} minutes, {exercises} of them {words_of_it}." in read(path).cells[0].source
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"\({re.escape('notebooks/' + path.name)}\) \|[^|]+\| {total} \|", readme)


def test_the_teachers_plans_name_headings_that_are_there() -> None:
    text = (ROOT / "notebooks" / "TEACHING.md").read_text(encoding="utf-8")
    plans = text.partition("## Three plans")[2].partition("## Exit questions")[0]
    places = re.findall(r"\| (\d\d)(?:, | \(\d+\) \| )([^|]+)", plans)
    named = [(number, words) for number, place in places for words in re.findall('"(.+?)"', place)]
    assert len(named) >= 8
    for number, words in named:
        cells = read(LESSONS[int(number)]).cells
        assert any(re.search(rf"^##+ {re.escape(words)}$", c.source, re.M) for c in cells), words


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
    path = saved(tmp_path / "home.ipynb", "# helpers/trace.py\ndef one_line(value): ...")
    assert command(monkeypatch, "sync", path) == 0
    assert '"""Return text safe to print' in code_cells(read(path))[0].source


def test_lessons_are_linked_in_reading_order_and_listed_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for number, path in enumerate(LESSONS):
        last = parts_of(read(path))[1][-1].source
        for neighbour in LESSONS[max(0, number - 1) : number + 2]:
            assert neighbour == path or f"({neighbour.name})" in last
        assert f"(notebooks/{path.name})" in readme


def test_the_readme_shows_the_first_run_of_notebook_00_as_it_is() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    picture = (ROOT / "notebooks" / "images" / "readme_run.svg").read_text(encoding="utf-8")
    outputs = [out for cell in code_cells(read(LESSONS[0])) for out in cell.outputs]
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


def test_sizes_count_every_line_of_helpers_and_of_library_code_in_lessons(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, "sizes") == 0
    printed = capsys.readouterr().out
    counts = re.findall(r"^ *([\d,]+)  (helpers/\S*)$", printed, re.MULTILINE)
    every = sum(len(path.read_text("utf-8").splitlines()) for path in HELPERS.rglob("*.py"))
    assert sum(int(count.replace(",", "")) for count, _ in counts) == every
    flow, folded = re.findall(r"^ +(\d+) +(\d+) +\d+  01_message_hub$", printed, re.MULTILINE)[0]
    built = [(HELPERS / name).read_text("utf-8") for name in ("trace.py", "hub.py")]
    assert 0 < int(flow) < int(folded) <= len("".join(built).splitlines())

"""Where a lesson uses a word of the glossary first; `python -m tests.glossary` links it there."""

import re
import sys
from pathlib import Path

import nbformat

from helpers.lessons.home import WHOLE
from helpers.lessons.notebooks import ROOT

PAGE = "GLOSSARY.md"
NO_PROSE = re.compile(
    r"```.*?```|`[^`]*`|!?\[[^\]]*\]\([^)]*\)|<[^>]+>|^#.*$|^\*\d+ minutes.*$",
    re.DOTALL | re.MULTILINE,
)


PLAIN = {"turn", "step", "event", "gate"}  # also words of everyday language: nobody links those


def words() -> list[str]:
    """Return the words of the glossary that lessons link, the longest first."""
    text = (ROOT / "notebooks" / PAGE).read_text(encoding="utf-8")
    found = set(re.findall(r"^### (.+)$", text, re.MULTILINE))
    return sorted(found - PLAIN, key=len, reverse=True)


def anchor(word: str) -> str:
    return f"{PAGE}#{word.replace(' ', '-')}"


def first_use(texts: list[str], word: str) -> tuple[int, int, int] | None:
    """Return (text, start, end) of the first use in prose, links aside; None: there is none."""
    for number, text in enumerate(texts):
        prose = NO_PROSE.sub(lambda found: " " * len(found[0]), text)
        if found := re.search(
            rf"(?<![\w-]){word}{'' if word == 'lead' else 's?'}(?![\w-])", prose, re.IGNORECASE
        ):
            return number, *found.span()
    return None


def prose(path: Path) -> list[nbformat.NotebookNode]:
    cells = nbformat.read(path, as_version=4).cells
    end = next((i for i, cell in enumerate(cells) if cell.source.startswith(WHOLE)), len(cells))
    return [cell for cell in cells[:end] if cell.cell_type == "markdown"]


def linked(path: Path) -> set[str]:
    """Return the words that a lesson links to the glossary."""
    text = "\n".join(cell.source for cell in prose(path))
    return {word for word in words() if f"]({anchor(word)})" in text}


def link(path: Path) -> None:
    """Link the first use of each word that is not linked yet."""
    notebook = nbformat.read(path, as_version=4)
    cells = [c for c in notebook.cells if c.cell_type == "markdown"]
    end = next((i for i, c in enumerate(cells) if c.source.startswith(WHOLE)), len(cells))
    done = linked(path)
    for word in words():
        if word not in done and (found := first_use([c.source for c in cells[:end]], word)):
            number, a, b = found
            text = cells[number].source
            cells[number].source = f"{text[:a]}[{text[a:b]}]({anchor(word)}){text[b:]}"
    path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        link(Path(name))

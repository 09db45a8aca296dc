"""Read, Glob and Grep for agents: one folder, read-only, no way out.

The guard is a list, made afresh at each call, of the plain files that are in the folder. A path is
opened only when it stands there letter for letter; all else here explains or shortens.
"""

import difflib
import hashlib
import os
import re
import stat
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path, PurePosixPath

from pydantic import Field

from .hub import one_line
from .tools import Arguments, Tool

MAX_BYTES = 1_000_000  # a larger file is not read
MAX_LINE = 500  # characters of a line that are shown
MAX_ROWS = 200  # paths that Glob lists, lines that Grep lists


class Read(Arguments):
    path: str = Field(min_length=1, max_length=300)
    offset: int = Field(default=1, ge=1, le=MAX_BYTES)
    limit: int = Field(default=200, ge=1, le=500)


class Glob(Arguments):
    pattern: str = Field(min_length=1, max_length=300)


class Grep(Arguments):
    text: str = Field(min_length=1, max_length=300)
    glob: str = Field(default="**/*", min_length=1, max_length=300)
    ignore_case: bool = True


def kind_of(path: Path) -> str:
    """Return "plain", "folder", "linked" (or junction), or "special": device, pipe, socket."""
    if os.path.realpath(path) != str(path):
        return "linked"
    mode = path.lstat().st_mode
    return "plain" if stat.S_ISREG(mode) else "folder" if stat.S_ISDIR(mode) else "special"


def entries(root: Path) -> dict[str, str]:
    """Return what is in a folder, {"notes/today.md": "plain", …}; links are not followed."""
    found: dict[str, str] = {}
    waiting = [root]
    while waiting:
        for path in waiting.pop().iterdir():
            kind = found[path.relative_to(root).as_posix()] = kind_of(path)
            if kind == "folder":
                waiting.append(path)
    return dict(sorted(found.items()))


def visible(path: str) -> bool:
    """Return False for hidden files, such as editors leave, and for names nobody can print."""
    return path.isprintable() and not any(part.startswith(".") for part in path.split("/"))


def look(root: Path) -> dict[str, str]:
    """Return the visible entries. ValueError (it names no path of the machine): unreadable."""
    try:
        return {path: kind for path, kind in entries(root).items() if visible(path)}
    except OSError as error:
        raise ValueError(f"the folder can't be read: {error.strerror}") from None


def tidy(path: str) -> str:
    """Return a path or pattern without "./" and "//". ValueError: it tries to leave the folder."""
    tidied = PurePosixPath(path).as_posix()
    reasons = {
        "holds a NUL character": "\0" in path,
        "starts with '~', which is not expanded": path.startswith("~"),
        "is absolute; start from inside the folder": path[0] in "/\\" or path[1:2] == ":",
        "holds '..'; there is no way up": ".." in re.split(r"[/\\]", path),
        "holds a backslash; put / between folders": "\\" in path,
        "is percent-encoded; write it plainly": bool(re.search("%[0-9a-fA-F]{2}", path)),
        "is hidden or can't be printed": tidied != "." and not visible(tidied),
    }
    for reason in (reason for reason, applies in reasons.items() if applies):
        raise ValueError(f"refused: the path {reason}")
    return tidied


def pick(found: dict[str, str], asked: str) -> str:
    """Return the listed file that was asked for; else raise an error that says what is wrong."""
    path = tidy(asked)
    if found.get(path) == "plain":
        return path
    for step in [path, *map(str, PurePosixPath(path).parents)]:
        if found.get(step) in ("linked", "special"):
            raise ValueError(f"refused: {step!r} is {found[step]}, not a plain file")
    if path == "." or found.get(path) == "folder":
        raise ValueError(f"{path!r} is a folder; Glob lists its files")
    files = [name for name, kind in found.items() if kind == "plain"]
    near = [name for name in files if name.casefold() == path.casefold()]
    near = near or difflib.get_close_matches(path, files, cutoff=0.5)
    hint = f"nearest: {', '.join(near)}" if near else "Glob with **/* lists all files"
    raise FileNotFoundError(f"no file {one_line(path, 100)!r}; {hint}")


def load(root: Path, path: str) -> list[str]:
    """Return the lines of a listed file. ValueError: too large, not text, not readable."""
    try:
        with open(root / path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
        text = "\0" if len(data) > MAX_BYTES else data.decode("utf-8-sig")
    except OSError as error:
        raise ValueError(f"{path!r} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise ValueError(f"{path!r} is binary, not UTF-8, or larger than {MAX_BYTES:,} bytes")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.removesuffix("\n").split("\n") if text else []


def matches(path: str, pattern: str) -> bool:
    """Return whether a path fits; `*` stays inside one folder, `**` spans any number of them."""
    parts = path.split("/")
    used = {0}  # how many parts the pattern up to here can have used
    for piece in pattern.split("/"):
        if piece == "**":
            used = {i for i in range(len(parts) + 1) if i >= min(used, default=i + 1)}
        else:
            used = {i + 1 for i in used if i < len(parts) and fnmatchcase(parts[i], piece)}
    return len(parts) in used


def select(root: Path, pattern: str) -> list[str]:
    """Return the files that fit a pattern, sorted. FileNotFoundError: there are none."""
    wanted = tidy(pattern)
    files = [name for name, kind in look(root).items() if kind == "plain"]
    fitting = [name for name in files if matches(name, wanted)]
    if not fitting:
        raise FileNotFoundError(f"no file fits {one_line(wanted, 100)!r}; **/* fits all files")
    return fitting


def cut_line(line: str) -> str:
    short = f"{line[:MAX_LINE]}… (cut: {len(line):,} characters)"
    return line if len(line) <= MAX_LINE else short


def cut_rows(rows: list[str]) -> str:
    cut = [f"({MAX_ROWS} of {len(rows):,} shown; ask for less)"] if len(rows) > MAX_ROWS else []
    return "\n".join(rows[:MAX_ROWS] + cut)


async def read(root: Path, arguments: Read) -> str:
    """Return numbered lines, and whether more follow."""
    path, start = pick(look(root), arguments.path), arguments.offset - 1
    lines = load(root, path)
    if start >= max(len(lines), 1):
        raise ValueError(f"{path!r} has {len(lines)} lines; offset {start + 1} is past its end")
    end = min(start + arguments.limit, len(lines))
    rows = [f"{number + 1}\t{cut_line(lines[number])}" for number in range(start, end)]
    more = f"(lines {start + 1} to {end} of {len(lines)}; go on with offset {end + 1})"
    return "\n".join([*rows, more] if end < len(lines) else rows) or f"({path} is empty)"


async def list_files(root: Path, arguments: Glob) -> str:
    return cut_rows(select(root, arguments.pattern))


async def grep(root: Path, arguments: Grep) -> str:
    """Return `path:line: text` for each line that holds the text, and what was not searched."""
    fold = str.casefold if arguments.ignore_case else str
    rows, missed = [], []
    for path in select(root, arguments.glob):
        try:
            lines = enumerate(load(root, path), 1)
        except ValueError:
            missed.append(path)
            continue
        hits = ((n, line) for n, line in lines if fold(arguments.text) in fold(line))
        rows += [f"{path}:{n}: {cut_line(line)}" for n, line in hits]
    found = cut_rows(rows or [f"(no line holds {one_line(arguments.text)!r})"])
    note = f"\n(not searched, as Read can't read them: {cut_line(', '.join(missed))})"
    return found + note if missed else found


def file_tools(folder: Path) -> list[Tool]:
    """Return Read, Glob and Grep on one folder; they never write and never leave it."""
    root = folder.resolve(strict=True)
    entries(root)  # a folder that can't be listed is the caller's mistake, so it is told now
    about_read = (
        "Read a text file by its path inside the folder, such as 'notes/today.md'. Each line comes "
        "with its number. 'offset' is the first line you want, 'limit' how many lines."
    )
    about_glob = "List files by name. '*.md' looks in the top folder only, '**/*.md' in all."
    about_grep = (
        "Find the lines that hold a text, as 'path:line: text'. The text is taken literally, it is "
        "no pattern. 'glob' picks the files; 'ignore_case' is on unless you turn it off."
    )
    return [
        Tool("Read", about_read, Read, partial(read, root)),
        Tool("Glob", about_glob, Glob, partial(list_files, root)),
        Tool("Grep", about_grep, Grep, partial(grep, root)),
    ]


def folder_hash(folder: Path) -> str:
    """Return one SHA-256 of all that a folder holds, hidden files too: did anything change?"""
    root, digest = folder.resolve(strict=True), hashlib.sha256()
    for path, kind in entries(root).items():
        target = os.readlink(root / path) if kind == "linked" else ""
        content = (root / path).read_bytes() if kind == "plain" else os.fsencode(target)
        for part in (kind.encode(), os.fsencode(path), content):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()

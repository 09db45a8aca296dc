"""Read, Glob and Grep for agents: one folder, read-only, no way out. Notebook 05 uses them.

Each call lists the plain files of the folder; only what is on that list, to the letter, is opened.
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

from ..tools import Arguments, Tool
from ..trace import one_line

MAX_SIZE = 1_000_000  # characters; a larger file is not read
MAX_LINE = 500  # characters of a line that are shown
MAX_ROWS = 200  # paths that Glob lists, lines that Grep lists

READ = """Read a text file by its path inside the folder, such as 'notes/today.md'. Each line comes
with its number. 'offset' is the first line you want, 'limit' how many lines."""
GLOB = "List files by name. '*.md' looks in the top folder only, '**/*.md' in all of them."
GREP = """Find the lines that hold a text, as 'path:line: text'. The text is taken literally, it is
no pattern. 'glob' picks the files; 'ignore_case' is on unless you turn it off."""


class Read(Arguments):
    path: str = Field(min_length=1, max_length=300)
    offset: int = Field(default=1, ge=1, le=MAX_SIZE)
    limit: int = Field(default=200, ge=1, le=500)


class Glob(Arguments):
    pattern: str = Field(min_length=1, max_length=300)


class Grep(Arguments):
    text: str = Field(min_length=1, max_length=300)
    glob: str = Field(default="**/*", min_length=1, max_length=300)
    ignore_case: bool = True


def kind_of(entry: os.DirEntry[str]) -> str:
    """Return "plain", "folder", "linked" (or junction), or "special": device, pipe, socket."""
    if entry.is_symlink() or getattr(entry, "is_junction", bool)():
        return "linked"
    if entry.is_dir(follow_symlinks=False):
        return "folder"
    return "plain" if entry.is_file(follow_symlinks=False) else "special"


def entries(root: Path, below: str = "") -> dict[str, str]:
    """Return what is in a folder, {"notes/today.md": "plain", …}; links are not followed."""
    found: dict[str, str] = {}
    with os.scandir(root / below) as listed:
        for entry in listed:
            path = f"{below}{entry.name}"
            found[path] = kind_of(entry)
            if found[path] == "folder":
                found |= entries(root, f"{path}/")
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
    path = asked if asked in found else tidy(asked)
    if found.get(path) == "plain":
        return path
    for step in [path, *map(str, PurePosixPath(path).parents)]:
        if found.get(step) in ("linked", "special"):
            raise ValueError(f"refused: {step!r} is {found[step]}, not a plain file")
    if path == "." or found.get(path) == "folder":
        raise ValueError(f"{path!r} is a folder; Glob lists its files")
    files = {name.casefold(): name for name, kind in found.items() if kind == "plain"}
    near = difflib.get_close_matches(path.casefold(), files, cutoff=0.5)
    hint = f"nearest: {', '.join(files[n] for n in near)}" if near else "Glob with **/* lists all"
    raise FileNotFoundError(f"no file {one_line(path, 100)!r}; {hint}")


def open_inside(root: Path, path: str) -> int:
    """Open a plain file by its path below a folder, no step of which may be a link by now.

    OSError: one is, or it can't be opened. It is looked at once more when it is open, so that
    what was swapped since it was listed is noticed, and a pipe does not block.
    """
    no_link = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    *folders, name = path.split("/")
    if os.open not in os.supports_dir_fd:  # Windows
        return os.open(root / path, os.O_RDONLY)
    at = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for folder in folders:
            inner = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | no_link, dir_fd=at)
            os.close(at)
            at = inner
        return os.open(name, os.O_RDONLY | no_link, dir_fd=at)
    finally:
        os.close(at)


def load(root: Path, path: str) -> list[str]:
    """Return the lines of a listed file. ValueError: too large, not text, not readable."""
    try:
        with open(open_inside(root, path), encoding="utf-8-sig") as file:
            info = os.fstat(file.fileno())
            if not stat.S_ISREG(info.st_mode) or info.st_nlink > 1:
                raise ValueError(f"refused: {path!r} is special or linked, not a plain file")
            text = file.read(MAX_SIZE + 1)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", "not UTF-8 text")
        raise ValueError(f"{path!r} can't be read: {reason}") from None
    if "\0" in text or len(text) > MAX_SIZE:
        reason = "binary" if "\0" in text else f"larger than {MAX_SIZE:,} characters"
        raise ValueError(f"{path!r} can't be read: {reason}")
    return text.removesuffix("\n").split("\n") if text else []


def matches(path: str, pattern: str) -> bool:
    """Return whether a path fits; `*` stays inside one folder, `**` spans any number of them."""
    parts, used = path.split("/"), {0}  # used: how many parts the pattern so far can have used
    for piece in pattern.split("/"):
        if piece == "**":
            used = {i for i in range(len(parts) + 1) if i >= min(used, default=i + 1)}
        else:
            used = {i + 1 for i in used if i < len(parts) and fnmatchcase(parts[i], piece)}
    return len(parts) in used


def select(root: Path, pattern: str) -> list[str]:
    """Return the files that fit a pattern, sorted. FileNotFoundError: there are none."""
    wanted = tidy(pattern)
    files = [name for name, kind in look(root).items() if kind == "plain" and matches(name, wanted)]
    if not files:
        raise FileNotFoundError(f"no file fits {one_line(wanted, 100)!r}; **/* fits all files")
    return files


def cut_line(line: str) -> str:
    return line if len(line) <= MAX_LINE else f"{line[:MAX_LINE]}… (cut, {len(line):,} in all)"


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
    rows, missed, text = [], [], fold(arguments.text)
    for path in select(root, arguments.glob):
        try:
            lines = [(n, line) for n, line in enumerate(load(root, path), 1) if text in fold(line)]
        except ValueError:
            missed.append(path)
        else:
            rows += [f"{path}:{n}: {cut_line(line)}" for n, line in lines]
    found = cut_rows(rows or [f"(no line holds {one_line(arguments.text)!r})"])
    note = f"\n(not searched, as Read can't read them: {cut_line(', '.join(missed))})"
    return found + note if missed else found


def file_tools(folder: Path) -> list[Tool]:
    """Return Read, Glob and Grep on one folder; they never write and never leave it."""
    root = folder.resolve(strict=True)
    next(root.iterdir(), None)  # what is no folder is the caller's mistake: told here and now
    return [
        Tool("Read", READ, Read, partial(read, root)),
        Tool("Glob", GLOB, Glob, partial(list_files, root)),
        Tool("Grep", GREP, Grep, partial(grep, root)),
    ]


def folder_hash(folder: Path) -> str:
    """Return one SHA-256 of all that a folder holds, hidden files too: did anything change?"""
    root, digest = folder.resolve(strict=True), hashlib.sha256()
    for path, kind in entries(root).items():
        target = os.readlink(root / path) if (root / path).is_symlink() else ""
        content = (root / path).read_bytes() if kind == "plain" else os.fsencode(target)
        for part in (kind.encode(), os.fsencode(path), content):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()

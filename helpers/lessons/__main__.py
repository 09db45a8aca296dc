"""The one tool of the cookbook: `python -m helpers.lessons VERB`."""

import argparse
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path
from subprocess import CalledProcessError

from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from .copying import copy
from .home import sync
from .mains import MAINS
from .notebooks import ROOT, execute, missing_extra, normalise, notebook_paths
from .recording import record
from .site import build
from .sizes import report
from .workbook import make, open_lab


def play(path: Path, mode: str, write: bool = False) -> bool:
    """Execute one notebook and print its outcome; return whether it went well."""
    name = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    if extra := missing_extra(path):
        print(f'left    {name}: an extra that is not installed: pip install -e ".[{extra}]"')
        return True
    try:
        notebook = execute(path, mode)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        print(f"FAILED  {name}\n{error}")
        return False
    text = normalise(notebook)
    if write and text != path.read_text(encoding="utf-8"):
        path.write_text(text, encoding="utf-8", newline="\n")
        print(f"written {name}")
    else:
        print(f"ok      {name}")
    return True


def run(paths: list[Path]) -> bool:
    """Execute notebooks on their recordings and print how each went."""
    outcomes = [play(path, "recorded") for path in paths]
    return all(outcomes)


def write(paths: list[Path]) -> bool:
    """The same, and save the outputs, byte for byte the same each time."""
    outcomes = [play(path, "recorded", write=True) for path in paths]
    return all(outcomes)


def fill(paths: list[Path]) -> bool:
    """Play hand-written replies through notebooks, and write what was sent beside them."""
    outcomes = [play(path, "fill") for path in paths]
    print("Filled in. Now every notebook is played on it, for two may share a recording:")
    return run(notebook_paths()) and all(outcomes)


def sync_all(paths: list[Path]) -> bool:
    """Write helpers into their home cells."""
    for path in paths:
        print(f"{'synced' if sync(path) else 'same'}  {path.name}")
    return True


def copy_out(folder: Path, to: str) -> bool:
    """Write what is taught, up to a lesson, as a package of your own with a main.py."""
    try:
        package = copy(folder, to)
    except (ValueError, OSError) as error:
        print(f"not copied: {error}", file=sys.stderr)
        return False
    print(f"copied {package}: what lessons 01 to {to} build, and main.py")
    enter = "" if package.parent == Path.cwd() else f"cd {shlex.quote(str(package.parent))} && "
    print(f"now: {enter}python -m {package.name}.main")
    print("with anthropic and pydantic installed, and ANTHROPIC_API_KEY set")
    return True


def open_workbook(fresh: list[str] | None, options: list[str]) -> None:
    """Make the workbook, keep what was written in it, and start JupyterLab there."""
    for name in make(fresh):
        number = Path(name).name[:2]
        print(f"kept workbook/{name}; to make it anew: open --fresh {number}")
    open_lab(options)


def build_site(folder: Path) -> bool:
    """Build the series as a static site, for a browser tab. Needs the extra `site`, and npm."""
    if not find_spec("jupyterlite_core"):
        print('not built: it needs an extra: pip install -e ".[site]"', file=sys.stderr)
        return False
    try:
        site = build(folder.resolve())
    except (ValueError, OSError, CalledProcessError) as error:
        print(f"not built: {error}", file=sys.stderr)
        return False
    size = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
    print(f"built {site}, {size / 1e6:.0f} MB; to look at it: python -m http.server -d {site}")
    return True


VERBS = {"run": run, "write": write, "fill": fill, "sync": sync_all, "record": record}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m helpers.lessons", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB", dest="verb")
    for name, verb in VERBS.items():
        one = verbs.add_parser(name, help=verb.__doc__, description=verb.__doc__)
        one.add_argument("paths", nargs="*", type=Path, help="notebooks; all when none is named")
    one = verbs.add_parser("copy", help=copy_out.__doc__, description=copy_out.__doc__)
    one.add_argument("folder", metavar="DIR", type=Path, help="the package, such as ../my_agents")
    one.add_argument("--to", choices=MAINS, default="04", help="the last lesson to copy (04)")
    one = verbs.add_parser("open", help=open_workbook.__doc__, description=open_workbook.__doc__)
    one.add_argument("--fresh", nargs="*", metavar="LESSON", help="make it anew: 03, or all")
    one = verbs.add_parser("site", help=build_site.__doc__, description=build_site.__doc__)
    one.add_argument("folder", metavar="DIR", type=Path, help="a new folder")
    verbs.add_parser("sizes", help=report.__doc__, description=report.__doc__)
    options, others = parser.parse_known_args()
    if options.verb == "open":
        open_workbook(options.fresh, others)  # the others are JupyterLab's
        return 0
    if others:
        parser.error(f"unknown: {' '.join(others)}")
    if options.verb == "sizes":
        print(report())
        return 0
    if options.verb == "site":
        return 0 if build_site(options.folder) else 1
    if options.verb == "copy":
        return 0 if copy_out(options.folder, options.to) else 1
    paths = [path.resolve() for path in options.paths] or notebook_paths()
    return 0 if VERBS[options.verb](paths) else 1


if __name__ == "__main__":
    sys.exit(main())

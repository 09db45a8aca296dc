"""Builds the series as a static site: JupyterLite in a browser tab, and no other host.

Pins are in pyproject.toml, under `tool.site`. Needs the extra `site`, and npm for Pyodide itself.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable
from email.parser import Parser
from pathlib import Path
from typing import Any

from .notebooks import ROOT
from .workbook import FIRST, make

KEPT = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")
LOCK = "pyodide-lock.json"
NOT_IN_A_TAB = "widgetsnbextension-3"  # the kernel brings both, and takes the newer one
UNUSED = "build/fa-*[!2]"  # the icons' fonts, in all forms but woff2
COMPILED = "anthropic-*.whl"  # half of its import, 3,000 modules, would be compiling
COMPILE = """import path from "path";
const { loadPyodide } = await import(path.resolve("pyodide.mjs"));
const python = await loadPyodide({ indexURL: path.resolve(".") + "/", packages: [] });
python.FS.mkdir("/here");
python.FS.mount(python.FS.filesystems.NODEFS, { root: path.resolve(".") }, "/here");
python.globals.set("wheel", "/here/" + process.argv.at(-1));
python.runPython(`
import os, zipfile
from importlib._bootstrap_external import _code_to_hash_pyc

with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(wheel + ".new", "w", 8) as new:
    for name in old.namelist():
        data = old.read(name)
        if name.endswith(".py"):
            code = compile(data, "/lib/python3.14/site-packages/" + name, "exec")
            name, data = name + "c", _code_to_hash_pyc(code, bytes(8), False)
        new.writestr(name, data)
os.replace(wheel + ".new", wheel)
`);
process.exit(0);
"""
START = """import asyncio, importlib
importlib.invalidate_caches()  # /drive was mounted after sys.path was first searched
asyncio.get_event_loop().call_later(0.5, importlib.import_module, "anthropic")  # while one reads
del asyncio, importlib
"""
KERNEL = "@jupyterlite/pyodide-kernel-extension"
OPEN = f"lab/index.html?path=notebooks/{FIRST}"
MENU = {
    "command": "help:open",
    "args": {"url": "../fresh.html", "text": "A Fresh Copy of All Lessons", "newBrowserTab": True},
    "rank": 0,
}
FRESH = f"""<!doctype html><meta charset="utf-8"><title>A fresh copy</title>
<p>Forgetting what was written here …</p>
<script type="module">
window.onerror = (reason) => {{
    document.body.textContent = `${{reason}}: clear this site's data in the browser's settings`;
}};
const finished = (request) => new Promise((done, fail) => {{
    request.onsuccess = request.oncomplete = () => done(request.result);
    request.onerror = () => fail(request.error);
}});
for (const {{ name }} of await indexedDB.databases()) {{
    const database = await finished(indexedDB.open(name));
    const stores = [...database.objectStoreNames];
    if (stores.length) {{  // emptied, not deleted: that would wait for other tabs of the site
        const emptying = database.transaction(stores, "readwrite");
        stores.forEach((store) => emptying.objectStore(store).clear());
        await finished(emptying);
    }}
}}
location.replace("{OPEN}");
</script>
"""


def run(command: Iterable[object], folder: Path) -> None:
    """Run a command. CalledProcessError: it failed, and has said why."""
    subprocess.run([*map(str, command)], cwd=folder, check=True)


def build(target: Path) -> Path:
    """Write the site into a new or empty folder, whole or not at all. ValueError: it is neither."""
    if target.exists() and any(target.iterdir()):
        raise ValueError(f"{target} is not empty: choose a new folder")
    pins = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["site"]
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as name:
        lite, made = Path(name) / "lite", Path(name) / "site"
        pyodide = lite / "static" / "pyodide"
        pyodide.mkdir(parents=True)
        fetch_pyodide(pyodide, pins["pyodide"])
        fetch_wheels(pyodide, pins)
        write_settings(lite, write_lock(pyodide))
        write_content(lite / "files")
        command = [sys.executable, "-m", "jupyterlite_core", "build", "--lite-dir", lite]
        command += ["--output-dir", made, "--contents", lite / "files", "--apps", "lab"]
        command += ["--no-sourcemaps", "--no-unused-shared-packages", "--no-libarchive"]
        run(command, Path(name))  # a folder of its own: it leaves a database that spoils the next
        for font in made.glob(UNUSED):
            font.unlink()
        write_pages(made)
        if target.exists():
            target.rmdir()
        made.rename(target)
    return target


def fetch_pyodide(folder: Path, version: str) -> None:
    run(["npm", "pack", "--silent", f"pyodide@{version}"], folder)
    archive = next(folder.glob("pyodide-*.tgz"))
    run(["tar", "xzf", archive.name, "--strip-components=1"], folder)
    for path in folder.iterdir():
        if path.name not in (*KEPT, LOCK):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def fetch_wheels(folder: Path, pins: dict[str, Any]) -> None:
    """Download what runs in the tab, and add what has no wheel of its own."""
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder]
    there = ["--only-binary", ":all:", "--platform", pins["platform"], "--implementation", "cp"]
    there += ["--abi", "cp314", "--abi", "none", "--python-version", "3.14"]
    run([*pip, *there, *pins["packages"]], folder)
    run([*pip, pins["yaml"]], folder)
    for wheel in folder.glob("pyyaml-*.whl"):  # without its compiled part it is plain Python
        rewrite(wheel, folder / f"pyyaml-{pins['yaml'].partition('==')[2]}-py3-none-any.whl")
    write_wheel(folder, "tab", {"_tab.py": START})
    write_wheel(folder, "jedi", {})  # the kernel asks for it, and IPython does without
    (compiled,) = folder.glob(COMPILED)
    run(["node", "--input-type=module", "--eval", COMPILE, compiled.name], folder)
    for wheel in (Path(sys.prefix) / "share/jupyter/labextensions" / KERNEL).rglob("*.whl"):
        if not wheel.name.startswith(NOT_IN_A_TAB):
            shutil.copy(wheel, folder)


def write_wheel(folder: Path, name: str, files: dict[str, str]) -> None:
    about = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n"
    kind = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    own = {"METADATA": about, "WHEEL": kind, "RECORD": ""}
    with zipfile.ZipFile(folder / f"{name}-1-py3-none-any.whl", "w") as wheel:
        for path, text in (files | {f"{name}-1.dist-info/{n}": t for n, t in own.items()}).items():
            wheel.writestr(path, text)


def rewrite(wheel: Path, pure: Path) -> None:
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(pure, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            if not name.endswith((".so", ".pyd")):
                new.writestr(name, old.read(name))
    if wheel != pure:
        wheel.unlink()


def write_lock(folder: Path) -> list[str]:
    """Write Pyodide's lock file for the wheels that are there; return their names."""
    packages: dict[str, Any] = {}
    for wheel in sorted(folder.glob("*.whl")):
        with zipfile.ZipFile(wheel) as content:
            names = content.namelist()
            about = next(name for name in names if name.endswith(".dist-info/METADATA"))
            told = Parser().parsestr(content.read(about).decode())["Name"]
        name = told.lower().replace("_", "-").replace(".", "-")
        tops = {n.split("/")[0].removesuffix(".py") for n in names if n.endswith((".py", ".pyc"))}
        packages[name] = {
            "name": name,
            "version": wheel.name.split("-")[1],
            "file_name": wheel.name,
            "install_dir": "site",
            "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
            "package_type": "package",
            "imports": sorted(tops),
            "depends": [],
            "unvendored_tests": False,
        }
    info = json.loads((folder / LOCK).read_text(encoding="utf-8"))["info"]
    text = json.dumps({"info": info, "packages": packages}, indent=1)
    (folder / LOCK).write_text(text, encoding="utf-8")
    return sorted(packages)


def write_settings(lite: Path, packages: list[str]) -> None:
    env = {
        "HOME": "/tmp",
        "PYTHONPATH": "/drive",  # `helpers` as the learner sees and edits it
        "PYTHONDONTWRITEBYTECODE": "1",  # a tab forgets it, and /drive is slow
        "PYTHONSTARTUP": "/lib/python3.14/site-packages/_tab.py",
    }
    kernel = {
        "disablePyPIFallback": True,
        "pyodideUrl": "./static/pyodide/pyodide.mjs",
        "loadPyodideOptions": {"packages": packages, "env": env},
    }
    config = {"appName": "Multi-agent orchestration", "exposeAppInBrowser": True}
    config |= {"litePluginSettings": {f"{KERNEL}:kernel": kernel}}
    text = json.dumps({"jupyter-lite-schema-version": 0, "jupyter-config-data": config}, indent=1)
    (lite / "jupyter-lite.json").write_text(text, encoding="utf-8")
    menus = {"menus": [{"id": "jp-mainmenu-help", "items": [MENU]}]}
    overrides = json.dumps({"@jupyterlab/mainmenu-extension:plugin": menus}, indent=1)
    (lite / "overrides.json").write_text(overrides, encoding="utf-8")


def write_content(folder: Path) -> None:
    """Write the workbook, and what its lessons read."""
    make(folder=folder / "notebooks")
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("helpers", "knowledge", "notebooks/recordings"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in ("README.md", "LICENSE", "requirements.txt"):
        shutil.copy(ROOT / name, folder)


def write_pages(site: Path) -> None:
    """Let the first page open lesson 00, and write the one that forgets what was written."""
    first = site / "index.html"  # JupyterLab reads its settings from this page, so it stays
    text = first.read_text(encoding="utf-8")
    go = f'<head><script>location.replace("{OPEN}")</script>'
    first.write_text(text.replace("<head>", go, 1), encoding="utf-8", newline="\n")
    (site / "fresh.html").write_text(FRESH, encoding="utf-8", newline="\n")

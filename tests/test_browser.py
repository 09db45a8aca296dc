"""Real JupyterLab in a real browser: what a person sees and clicks. Off by default: `-m ci`.

Needs Debian's chromium and PyPI's playwright, which `.ci/run` installs.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from helpers.lessons.notebooks import ROOT, environment

pytestmark = pytest.mark.ci

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 60_000  # milliseconds until what has to come is missed


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """A JupyterLab of this very Python on the folder, without a token, with recordings at pace."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {f"JUPYTER_{name}_DIR": str(folder / f".{name}") for name in ("CONFIG", "DATA")}
    settings = ["--ServerApp.token=", "--ServerApp.password=", "--allow-root", "--no-browser"]
    command = [sys.executable, "-m", "jupyterlab", f"--port={port}", *settings]
    env = environment("recorded") | own | {"COOKBOOK_PACE": "0.3"}
    with (folder / "lab.log").open("w") as log:
        server = subprocess.Popen(
            [*command, f"--ServerApp.root_dir={folder}"], env=env, stdout=log, stderr=log
        )
    url = f"http://127.0.0.1:{port}"
    for _ in range(240):
        try:
            urllib.request.urlopen(f"{url}/api")
            break
        except OSError:
            time.sleep(0.25)
    yield url
    server.terminate()
    server.wait()


class Lab:
    """One browser window: it opens a notebook, runs it, and clicks in its panel."""

    def __init__(self, page: Any, address: str, folder: Path) -> None:
        self.page, self.address, self.folder = page, address, folder
        self.foreign: list[str] = []
        page.on("request", self._note)

    def _note(self, request: Any) -> None:
        host = self.address.partition("//")[2]
        ours = (f"http://{host}", f"ws://{host}", "data:", "blob:")
        if not request.url.startswith(ours):
            self.foreign.append(request.url)

    def run(self, lesson: str, last: str, change: Callable[[str], str] = str) -> None:
        """Open a lesson that ends with the cell in which `last` stands, and run all of it."""
        path = next((ROOT / "notebooks").glob(f"{lesson}_*.ipynb"))
        notebook = nbformat.read(path, as_version=4)
        ends = next(i for i, cell in enumerate(notebook.cells) if last in cell.source)
        notebook.cells = notebook.cells[: ends + 1]
        for cell in notebook.cells:
            cell.source = change(cell.source)
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        shutil.rmtree(self.folder / "images", ignore_errors=True)
        shutil.copytree(ROOT / "notebooks" / "images", self.folder / "images")
        nbformat.write(notebook, self.folder / path.name)
        self.page.goto(f"{self.address}/lab/tree/{path.name}?reset")
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=PATIENCE)
        self.page.wait_for_selector("text=Python 3 (ipykernel) | Idle", timeout=PATIENCE)
        self.page.click(".lm-MenuBar-itemLabel:text-is('Run')")
        self.page.click(".lm-Menu-itemLabel:text-is('Run All Cells')")

    def click(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).last.click(timeout=PATIENCE)

    def state(self, words: str) -> None:
        """Wait until the panel's state begins with these words."""
        self.page.wait_for_selector(f"[role=status]:has-text('{words};')", timeout=PATIENCE)

    def seen(self) -> str:
        """Return what the panel shows: state, cards and feed."""
        parts = [self.page.locator(f"[role={role}]") for role in ("status", "list", "log")]
        return "\n".join(part.last.inner_text() for part in parts)

    def wait_for(self, selector: str) -> Any:
        return self.page.wait_for_selector(selector, timeout=PATIENCE)

    def picture(self, name: str) -> None:
        """Keep a screenshot for people to look at, where one was asked for."""
        if place := os.environ.get("SCREENSHOTS"):
            self.page.locator(".jp-OutputArea").last.scroll_into_view_if_needed()
            self.page.screenshot(path=f"{place}/{name}.png")


@pytest.fixture(params=["light", "dark"])
def lab(request: pytest.FixtureRequest, address: str, folder: Path) -> Iterator[Lab]:
    from playwright.sync_api import sync_playwright

    settings = folder / ".CONFIG/lab/user-settings/@jupyterlab/apputils-extension"
    settings.mkdir(parents=True, exist_ok=True)
    theme = f'{{"theme": "JupyterLab {request.param.title()}"}}'
    (settings / "themes.jupyterlab-settings").write_text(theme)
    (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
    width = 1280 if request.param == "light" else 1024
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        page = chromium.new_page(viewport={"width": width, "height": 1600})
        one = Lab(page, address, folder)
        yield one
        assert one.foreign == []
        chromium.close()


def replies(text: str) -> int:
    """Return how many turns the cards of the panel count, all agents together."""
    return sum(map(int, re.findall(r"(\d+) turns?", text)))


def test_the_first_run_of_00_is_held_stepped_and_gone_on_with(lab: Lab) -> None:
    lab.run("00", "Panel(run)")
    lab.state("paused")
    assert replies(lab.seen()) == 0
    lab.click("Step")
    lab.wait_for("[role=listitem]:has-text('1 turn')")
    lab.state("paused")
    assert replies(lab.seen()) == 1
    lab.click("Resume")
    lab.wait_for("[role=log]:has-text('[lead] →')")
    lab.click("Pause")
    lab.state("paused")
    lab.page.wait_for_timeout(1_000)
    before = lab.seen()
    lab.page.wait_for_timeout(10_000)
    assert lab.seen() == before
    lab.picture(f"00_{lab.page.viewport_size['width']}")
    lab.page.keyboard.press("Control+s")
    lab.wait_for(".lm-TabBar-tab.lm-mod-current:not(.jp-mod-dirty)")
    lab.page.reload()
    lab.wait_for("[role=status]")
    lab.state("paused")
    lab.click("Resume")
    lab.state("over")
    assert replies(lab.seen()) == 9


def test_in_07_a_person_tells_kills_looks_and_stops(lab: Lab) -> None:
    lab.run("07", "Panel(play)")
    lab.state("paused")
    who, words = lab.page.get_by_label("agent", exact=True), lab.page.get_by_label("words")
    who.select_option("helper1")
    words.fill("Who are you?")
    lab.click("Tell")
    lab.wait_for("text=to helper1: delivered")
    lab.click("Resume")
    lab.wait_for("[role=log]:has-text('[helper1] → human: Arr! I am Ada, a pirate.')")
    who.select_option("helper2")
    lab.click("Kill")
    lab.wait_for("[role=listitem]:has-text('killed_by_human')")
    lab.click("Pause")
    lab.state("paused")
    lab.page.get_by_label("look at", exact=True).select_option("helper1")
    lab.page.get_by_label("call", exact=True).select_option(label="turn 2: the request")
    lab.wait_for(".call:has-text('system: You are helper1')")
    lab.picture(f"07_{lab.page.viewport_size['width']}")
    lab.click("Stop")
    lab.state("stopped")


@pytest.mark.parametrize(("choice", "ledger"), [("Deny", "[]"), ("Approve", "'ref_9x2m4p7')]")])
def test_the_gate_of_06_waits_for_a_click(lab: Lab, choice: str, ledger: str) -> None:
    def mine(source: str) -> str:
        return re.sub(r"^decide = .*", "decide = None", source)

    lab.run("06", "print(case.refunds())", mine)
    lab.wait_for("[role=alert]:has-text('Pay cust_12345 $49.99')")
    lab.page.wait_for_timeout(2_000)
    assert "problems:" not in lab.page.locator(".jp-OutputArea").last.inner_text()
    lab.picture(f"06_{choice}_{lab.page.viewport_size['width']}")
    lab.click(choice)
    lab.wait_for("text=problems: []")
    assert ledger in lab.page.locator(".jp-OutputArea-output").last.inner_text()

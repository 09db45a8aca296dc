"""The static site in a real browser: lessons run as they are, and no other host is asked."""

import functools
import json
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from helpers.lessons.notebooks import ROOT
from helpers.lessons.site import build

pytestmark = pytest.mark.ci
ALONE = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
SHOWN = ("text/plain", "text/html", "image/svg+xml")
IDLE = """() => {
    const widget = window.jupyterapp?.shell?.currentWidget;
    return widget?.context?.isReady && widget.sessionContext.session?.kernel?.status == "idle";
}"""
RUN_ALL = """async () => {
    const app = window.jupyterapp;
    await app.commands.execute("notebook:run-all-cells");
    return JSON.stringify(app.shell.currentWidget.content.model.toJSON());
}"""
RUN = """async (text) => {
    const app = window.jupyterapp, model = app.shell.currentWidget.content.model;
    const fits = (cell) => cell.type == "code" && cell.sharedModel.source.includes(text);
    const place = [...model.cells].findIndex(fits);
    app.shell.currentWidget.content.activeCellIndex = place;
    await app.commands.execute("notebook:run-cell");
    return JSON.stringify(model.cells.get(place).outputs.toJSON());
}"""
WRITE = """([text, source]) => {
    const model = window.jupyterapp.shell.currentWidget.content.model;
    const fits = (cell) => cell.type == "code" && cell.sharedModel.source.includes(text);
    [...model.cells].find(fits).sharedModel.setSource(source);
}"""

SAVE = "() => window.jupyterapp.commands.execute('docmanager:save')"
TEXT = "() => JSON.stringify(window.jupyterapp.shell.currentWidget.content.model.toJSON())"
REFUSED = """import os

from helpers.replies import connect

os.environ["COOKBOOK_CLIENT"] = "live"
try:
    async with connect("03_fixed_team"):
        print("a session")
except ValueError as error:
    print(error)
finally:
    del os.environ["COOKBOOK_CLIENT"]
"""
TYPES = {".mjs": "text/javascript", ".wasm": "application/wasm"}


class Handler(SimpleHTTPRequestHandler):
    extensions_map = SimpleHTTPRequestHandler.extensions_map | TYPES

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the site, built anew and served from this machine."""
    folder = build(tmp_path_factory.mktemp("site") / "out")
    handler = functools.partial(Handler, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def page(site: str) -> Iterator[Any]:
    """A page of a browser that reaches no other host; `hosts` has those it asked."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ALONE)
        context: Any = browser.new_context(viewport={"width": 1300, "height": 1000})
        context.set_default_timeout(120_000)
        hosts = set[str]()
        context.on("request", lambda request: hosts.add(request.url.split("/")[2]))
        yield context.new_page()
        assert {host for host in hosts if host.startswith(("127.", "localhost"))} == hosts - {""}
        browser.close()


def opened(page: Any, site: str, name: str = "") -> None:
    page.goto(f"{site}/lab/index.html?path=notebooks/{name}" if name else f"{site}/index.html")
    page.wait_for_function(IDLE)


def shown(outputs: list[Any]) -> tuple[str, list[dict[str, str]]]:
    """Return what a cell printed, and what else it shows."""
    printed, rest = "", []
    for out in outputs:
        if out["output_type"] == "stream":
            printed += "".join(out["text"])
        else:
            data = out.get("data", {"error": str(out.get("traceback"))})
            rest.append({k: "".join(v) for k, v in data.items() if k in (*SHOWN, "error")})
    return printed, rest


@pytest.mark.parametrize("number", ["00", "03", "06", "07"])
def test_a_lesson_shows_in_a_tab_what_it_shows_here(page: Any, site: str, number: str) -> None:
    path = next((ROOT / "notebooks").glob(f"{number}_*.ipynb"))
    opened(page, site, "" if number == "00" else path.name)
    got, want = json.loads(page.evaluate(RUN_ALL)), json.loads(path.read_text(encoding="utf-8"))
    pairs = zip(got["cells"], want["cells"], strict=True)
    differ = [
        (theirs["id"], shown(ours["outputs"]), shown(theirs["outputs"]))
        for ours, theirs in pairs
        if theirs["cell_type"] == "code" and shown(ours["outputs"]) != shown(theirs["outputs"])
    ]
    assert differ == []


def test_08_runs_what_needs_no_process_and_says_so_of_the_rest(page: Any, site: str) -> None:
    path = ROOT / "notebooks" / "08_make_it_yours.ipynb"
    opened(page, site, path.name)
    got, want = json.loads(page.evaluate(RUN_ALL)), json.loads(path.read_text(encoding="utf-8"))
    pairs = zip(got["cells"], want["cells"], strict=True)
    code = [(ours, theirs) for ours, theirs in pairs if theirs["cell_type"] == "code"]
    other = {
        b["id"]: shown(a["outputs"]) for a, b in code if shown(a["outputs"]) != shown(b["outputs"])
    }
    assert set(other) == {"child", "green", "again", "crash", "go-on"}
    assert all("a browser tab starts no process" in text for text, _ in other.values())


def test_a_click_at_the_gate_is_heard_while_the_cell_awaits(page: Any, site: str) -> None:
    opened(page, site, "06_guard_the_refund.ipynb")
    gate = "async def gate(request):\n    print(request)\n    return await card(request)"
    page.evaluate(WRITE, ["decide = Approval", gate])
    for start in ("import asyncio\nfrom dataclasses", "async def try_refund", "async def gate"):
        page.evaluate(RUN, start)
    page.evaluate(f"() => {{ window.told = ({RUN})('The same four agents') }}")
    page.evaluate(f"() => {{ window.told = ({RUN})('connect(\"06_cust_12345\") as session') }}")
    page.get_by_role("button", name="Approve").click()
    assert "The duplicate was refunded" in page.evaluate("async () => await window.told")


def printed(page: Any, text: str) -> str:
    """Run the cell that holds this text; return what it printed."""
    return shown(json.loads(page.evaluate(RUN, text)))[0]


def solution(name: str, exercise: str) -> str:
    """Return the cell that solves an exercise."""
    path = next((ROOT / "notebooks" / "solutions").glob(f"{name}_*.ipynb"))
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells]
    return next(source for source in sources if f'check("{exercise}"' in source)


def test_exercises_are_solved_and_a_key_is_refused_in_a_tab(page: Any, site: str) -> None:
    opened(page, site, "01_message_hub.ipynb")
    page.evaluate(RUN_ALL)
    for exercise in ("01.1", "01.2"):
        page.evaluate(WRITE, [f'check("{exercise}"', solution("01", exercise)])
        assert printed(page, f'check("{exercise}"') == f"{exercise}: right\n"
    page.evaluate(WRITE, ['check("01.3"', REFUSED])
    refused = "a browser tab plays recordings and scripts only: no key belongs there\n"
    assert printed(page, "COOKBOOK_CLIENT") == refused


def test_a_panel_in_a_tab_holds_a_team_and_lets_it_go_on(page: Any, site: str) -> None:
    opened(page, site, "07_steer_a_running_team.ipynb")
    page.evaluate(RUN, "import asyncio\nfrom textwrap")
    page.evaluate(RUN, "Panel(play)")
    panel = page.locator(".jp-OutputArea", has=page.get_by_role("button", name="Step")).last
    panel.get_by_text("held before asking the model").nth(2).wait_for()
    panel.get_by_role("button", name="Step").click()
    panel.get_by_text("held before send_message").nth(2).wait_for()
    panel.get_by_role("button", name="Resume").click()
    page.evaluate(WRITE, ["await play.stop()", "print(await play.result())"])
    assert "I am the lead. I have heard from helper1, helper2." in printed(page, "play.result()")


def test_what_is_written_stays_until_a_fresh_copy_is_asked_for(page: Any, site: str) -> None:
    opened(page, site)
    page.evaluate(WRITE, ["answer_1 = ...", "answer_1 = 'mine'"])
    page.evaluate(SAVE)
    opened(page, site)
    assert "answer_1 = 'mine'" in page.evaluate(TEXT)
    page.locator(".lm-MenuBar-item", has_text="Help").click()
    with page.expect_popup() as popup:
        page.get_by_text("A Fresh Copy of All Lessons").click()
    popup.value.wait_for_function(IDLE)
    text = popup.value.evaluate(TEXT)
    assert "answer_1 = 'mine'" not in text
    assert "answer_1 = ..." in text


def test_a_fresh_copy_that_fails_says_so_and_what_to_do(page: Any, site: str) -> None:
    page.add_init_script("indexedDB.databases = () => { throw new Error('no room'); }")
    page.goto(f"{site}/fresh.html")
    page.get_by_text("no room: clear this site's data in the browser's settings").wait_for()

"""Every test, and every kernel that a test starts, runs on recordings: no key, no network."""

import os
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings

for name in list(os.environ):
    if name.startswith(("COOKBOOK_", "ANTHROPIC_")) or name.upper().endswith("_PROXY"):
        del os.environ[name]
os.environ["COOKBOOK_CLIENT"] = "recorded"
os.environ["COOKBOOK_PACE"] = "0"
os.environ["IPYTHONDIR"] = tempfile.mkdtemp()  # a profile of one's own may print otherwise

settings.register_profile("quick", max_examples=50, deadline=None, derandomize=True, database=None)
settings.load_profile("quick")


@pytest.fixture(scope="session", autouse=True)
def no_env_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Put the settings file where nothing is, so that a learner's own `.env` can't matter."""
    path = tmp_path_factory.mktemp("settings") / ".env"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("helpers.replies.client.ENV_FILE", path)
        yield path


EXTRA = find_spec("mcp") is not None
collect_ignore = [] if EXTRA else ["test_mcp.py"]
if not find_spec("jupyterlite_core"):
    collect_ignore.append("test_site.py")


def pytest_report_header() -> str:
    return "" if EXTRA else "tools over MCP: an extra that is not installed, so not collected"


def pytest_configure(config: pytest.Config) -> None:
    """The cells of a notebook need their order and one kernel, whatever plugins are installed."""
    if config.pluginmanager.hasplugin("xdist") and config.getoption("dist") == "load":
        config.option.dist = "loadscope"
    if config.pluginmanager.hasplugin("randomly"):
        config.option.randomly_reorganize = False

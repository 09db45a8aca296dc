"""Tools over MCP, both ways. An extra: `pip install -e ".[mcp]"` brings what it needs."""

import sys
from importlib.util import find_spec

if sys.platform == "emscripten":
    raise ImportError("a browser tab starts no server: this lesson needs a real machine")
if not find_spec("mcp"):
    raise ImportError(
        'tools over MCP are an extra: run `%pip install -q -e "..[mcp]"`, then restart'
    )

from .client import mcp_tools, program
from .server import elicited, mcp_server

__all__ = ["elicited", "mcp_server", "mcp_tools", "program"]

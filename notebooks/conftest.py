"""Lesson 09 needs an extra, and is collected only where that is installed."""

from importlib.util import find_spec

DOORS = ["09_doors.ipynb", "solutions/09_doors.ipynb"]
collect_ignore = [] if find_spec("mcp") else DOORS

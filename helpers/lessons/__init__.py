"""Plumbing: the checks of the exercises, and the one tool: `python -m helpers.lessons --help`."""

from .exercises import check

__all__ = ["check"]

"""Plumbing: pictures and other readings of a run, made from its log."""

from .card import card
from .panel import Panel
from .team import table
from .timeline import Timeline, timeline
from .trace import published_line, tool_summary

__all__ = ["Panel", "Timeline", "card", "published_line", "table", "timeline", "tool_summary"]

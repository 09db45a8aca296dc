"""Plumbing: pictures and other readings of a run, made from its log."""

from .timeline import Timeline, timeline
from .trace import published_line, tool_summary

__all__ = ["Timeline", "published_line", "timeline", "tool_summary"]

"""Plumbing: pictures of a run, made from its log."""

from .timeline import Timeline, timeline

__all__ = ["Timeline", "timeline"]

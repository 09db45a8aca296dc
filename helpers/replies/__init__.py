"""Plumbing: where replies come from without a model. A recording, a script, or the live API."""

from .client import Session, SettingError, connect
from .recording import RecordingError
from .replay import ReplayError
from .scripted import Failure, Reply, scripted

__all__ = [
    "Failure",
    "RecordingError",
    "ReplayError",
    "Reply",
    "Session",
    "SettingError",
    "connect",
    "scripted",
]

"""Plumbing: where replies come from without a model. A recording, a script, or the live API."""

from .client import Session, SettingError, connect
from .reactive import reactive
from .recording import RecordingError
from .replay import ReplayError
from .scripted import Canned, Failure, scripted

__all__ = [
    "Canned",
    "Failure",
    "RecordingError",
    "ReplayError",
    "Session",
    "SettingError",
    "connect",
    "reactive",
    "scripted",
]

"""Plumbing: where replies come from without a model. A recording, a script, or the live API."""

from .client import Session, SettingError, connect, recorded
from .journal import fork
from .reactive import reactive
from .recorder import durable
from .recording import RecordingError, ReplayError
from .scripted import Canned, Failure, scripted

__all__ = [
    "Canned",
    "Failure",
    "RecordingError",
    "ReplayError",
    "Session",
    "SettingError",
    "connect",
    "durable",
    "fork",
    "reactive",
    "recorded",
    "scripted",
]

"""Plumbing: where replies come from without a model. A recording, a script, or the live API."""

from .client import Session, SettingError, connect, recorded, setting
from .journal import fork
from .reactive import reactive
from .recorder import durable
from .recording import FOLDER, RecordingError, ReplayError, load
from .scripted import Canned, Failure, scripted

__all__ = [
    "FOLDER",
    "Canned",
    "Failure",
    "RecordingError",
    "ReplayError",
    "Session",
    "SettingError",
    "connect",
    "durable",
    "fork",
    "load",
    "reactive",
    "recorded",
    "scripted",
    "setting",
]

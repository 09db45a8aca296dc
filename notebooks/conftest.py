"""`pytest notebooks/…` runs on recordings too: never live, whatever the environment says."""

from tests.conftest import pytest_configure  # noqa: F401

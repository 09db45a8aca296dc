"""`pytest notebooks/…` runs on recordings too: never live, whatever the environment says."""

import tests.conftest  # noqa: F401

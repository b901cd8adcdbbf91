"""Fixtures: servers, and where the repository's own files are."""

import os
import pathlib

import pytest

# Before anything imports the package: it calls home otherwise.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from scoria_server import Server  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session", autouse=True)
def environment():
    """What a run needs, said once rather than by every test."""
    for name in ("SCORIA_BIN", "SCORIA_ORT_LIB"):
        assert os.path.isfile(os.environ.get(name, "")), f"{name} names no file; start the tests by run.sh"


@pytest.fixture(scope="session")
def models():
    """The bundled models' folder."""
    return ROOT / "models"


@pytest.fixture
def serve(tmp_path):
    """Starts a server with a state folder of its own: `with serve(model, …) as server`."""
    count = iter(range(1_000))
    return lambda *args, **settings: Server(settings.pop("state_dir", tmp_path / f"state{next(count)}"), *args, **settings)

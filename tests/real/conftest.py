"""Fixtures: servers, and where the repository's own files are."""

import json
import os
import pathlib

import onnx
import pytest

# Before anything imports the package: it calls home otherwise.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from refusals import RIDGE, Hostile  # noqa: E402
from scoria_server import Server  # noqa: E402
from zoo.case import TYPES, build, node  # noqa: E402

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
    return lambda *args, **settings: Server(
        settings.pop("state_dir", tmp_path / f"state{next(count)}"), *args, **settings
    )


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """A server of small models that show what they were given."""
    folder = tmp_path_factory.mktemp("hostile")

    def save(name, nodes, inputs, outputs):
        onnx.save(build(nodes, inputs, outputs), folder / f"{name}.onnx")

    for dtype in TYPES:
        save(f"one-{dtype}", [node("Identity", "x", "y")], [("x", dtype, ["n"])], [("y", dtype, ["n"])])
        save(f"scalar-{dtype}", [node("Identity", "x", "y")], [("x", dtype, [])], [("y", dtype, [])])
    save("matrix", [node("Identity", "x", "y")], [("x", "float32", ["n", 10])], [("y", "float32", ["n", 10])])
    inputs = [("a", "float32", ["n", 3]), ("b", "int64", ["n"]), ("c", "string", ["n"])]
    outputs = [(f"{name}_", dtype, dims) for name, dtype, dims in inputs]
    save("three", [node("Identity", name, f"{name}_") for name, _, _ in inputs], inputs, outputs)
    with Server(tmp_path_factory.mktemp("state"), folder) as server:
        assert "NOT SERVED" not in server.banner, server.banner
        yield server


@pytest.fixture
def hostile(served):
    """A client; after its test the same process must still answer well."""
    process = served.process.pid
    client = Hostile(served)
    yield client
    status, _, content = Hostile(served).score("matrix", json.dumps(RIDGE))
    assert (status, json.loads(content)) == (200, [[10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]])
    assert served.is_alive() and served.process.pid == process

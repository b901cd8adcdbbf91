"""What the tests of the threats share: small models, a good client, and the figures that a run ends with."""

import json

import onnx
import pytest

from bystander import Bystander
from kinds import ROW, SCORE
from slow_model import slow_model  # noqa: F401 (a fixture)
from zoo.case import build, node

FIGURES = []


def pytest_terminal_summary(terminalreporter):
    if FIGURES:
        terminalreporter.section("figures")
        for line in FIGURES:
            terminalreporter.write_line(line)


@pytest.fixture
def figure(request):
    """Notes a measurement, to be shown at the end of the run."""
    return lambda text: FIGURES.append(f"{request.node.name}: {text}")


@pytest.fixture(scope="session")
def row_model(tmp_path_factory):
    """Rows of ten numbers in, the same out; the endpoint `row`."""
    path = tmp_path_factory.mktemp("models") / "row.onnx"
    rows = [("x", "float32", ["n", 10])], [("y", "float32", ["n", 10])]
    onnx.save(build([node("Identity", "x", "y")], *rows), path)
    return path


@pytest.fixture
def bystander():
    """`with bystander(server):` has a good client score on the endpoint `row` all the while."""
    return lambda server: Bystander(server, SCORE, json.dumps({"data": ROW}), ROW)

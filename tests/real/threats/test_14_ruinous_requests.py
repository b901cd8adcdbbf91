"""Threat 14: small requests of a valid form that cost a model everything: sizes made from values, and sizes left open."""

import json
import subprocess

import numpy as np
import onnx
import pytest

import wire
from kinds import ROW
from refusals import Hostile, check_error
from zoo.case import build, node

# By name: the model, and requests for more than there is, or than may be answered.
RUINOUS = {
    "fill": (
        node("ConstantOfShape", "s", "y"),
        [("s", "int64", ["r"])],
        [{"s": [size]} for size in (10**12, 2**33, 2**62, 300_000_000, 20_000_000)] + [{"s": [2**40, 2**40]}],
    ),
    "expand": (
        node("Expand", ["x", "s"], "y"),
        [("x", "float32", ["n"]), ("s", "int64", ["r"])],
        [{"x": [1], "s": sizes} for sizes in ([10**12], [2**32, 2**32], [20_000_000])],
    ),
    "tile": (
        node("Tile", ["x", "s"], "y"),
        [("x", "float32", ["n"]), ("s", "int64", ["n"])],
        [{"x": [1], "s": [size]} for size in (10**12, 2**62, 20_000_000)],
    ),
    "outer": (
        node("MatMul", ["a", "b"], "y"),
        [("a", "float32", ["n", 1]), ("b", "float32", [1, "m"])],
        # From two open dimensions: 40 kB each become 400 MB.
        [{"a": np.ones((10_000, 1), np.float32), "b": np.ones((1, 10_000), np.float32)}],
    ),
}
# Enough to serve with, and less than the requests ask for.
ADDRESS_SPACE = 6_000_000_000


@pytest.fixture(scope="module")
def ruinous(tmp_path_factory, row_model):
    """The models, with a good one beside them."""
    folder = tmp_path_factory.mktemp("ruinous")
    for name, (nodes, inputs, _) in RUINOUS.items():
        onnx.save(build([nodes], inputs, [("y", "float32", None)]), folder / f"{name}.onnx")
    return [row_model, *sorted(folder.glob("*.onnx"))]


def score(client, name, feed):
    if any(isinstance(value, np.ndarray) for value in feed.values()):
        return client.score(name, wire.to_npz(feed), wire.NPZ)
    return client.score(name, json.dumps(feed))


@pytest.mark.parametrize("name", RUINOUS)
def test_a_request_that_asks_for_everything_is_refused_and_others_are_served(serve, ruinous, bystander, figure, name):
    _, _, feeds = RUINOUS[name]
    with serve(*ruinous) as server, bystander(server):
        # What a careful operator does too (`LimitAS`, a memory limit of the container).
        subprocess.run(["prlimit", f"--pid={server.process.pid}", f"--as={ADDRESS_SPACE}"], check=True)
        client, outcomes, process = Hostile(server), [], server.process.pid
        for feed in feeds:
            status, _, content = score(client, name, feed)
            # 400 where the answer or a size would be too large, 500 where the runtime got no memory.
            code = check_error(content)["code"]
            if status == 500:
                assert code == "model_failed", content
            else:
                assert (status, code in ("too_many_elements", "input_rejected")) == (400, True), content
            outcomes.append(status)
        assert server.is_alive() and server.process.pid == process
        assert json.loads(client.score("row", json.dumps({"data": ROW}))[2]) == ROW
    figure(f"answered {outcomes}")


def test_the_size_of_an_answer_is_bounded_by_a_setting(serve, ruinous):
    """The control."""
    for settings, status in (({}, 200), ({"max_elements": 99}, 400)):
        with serve(*ruinous, **settings) as server:
            client = Hostile(server)
            for name, feed in (
                ("fill", {"s": [100]}),
                ("expand", {"x": [1], "s": [100]}),
                ("tile", {"x": [1], "s": [100]}),
            ):
                got, _, content = score(client, name, feed)
                assert got == status, content

"""A model whose every run is work: a product of two square matrices."""

import json

import onnx
import pytest

from zoo.case import build, node

SIZE = 700
SLOW_BODY = json.dumps({"shape": [SIZE, SIZE]})


@pytest.fixture(scope="session")
def slow_model(tmp_path_factory):
    """Its endpoint is `slow`, and answers the sum of the product for SLOW_BODY."""
    path = tmp_path_factory.mktemp("slow") / "slow.onnx"
    half = onnx.helper.make_tensor("half", onnx.TensorProto.FLOAT, [1], [0.5])
    nodes = [
        node("ConstantOfShape", "shape", "x", value=half),
        node("MatMul", ["x", "x"], "product"),
        node("ReduceMean", "product", "y", keepdims=0),
    ]
    onnx.save(build(nodes, [("shape", "int64", [2])], [("y", "float32", [])]), path)
    return path

"""A graph in the making: nodes with their weights, drawn from one seeded generator, in the order in which they are added."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

OPSET = 17
IR_VERSION = 8
# The name of the dim over which rows may be joined.
BATCH = "batch"

Shape = tuple[int | str, ...]


class Graph:
    def __init__(self, name: str, seed: int, floats: type[np.floating] = np.float32) -> None:
        """`floats` is the type of its weights, of what it computes in, and of its output."""
        self.name = name
        self.random = np.random.default_rng(seed)
        self.floats = np.dtype(floats)
        self.float_type = helper.np_dtype_to_tensor_dtype(self.floats)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Adds a node of one output, and gives the output's name."""
        output = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def constant(self, values: np.ndarray) -> str:
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def number(self, value: float) -> str:
        return self.constant(np.array(value, self.floats))

    def filled(self, value: float, *shape: int) -> str:
        return self.constant(np.full(shape, value, self.floats))

    def normal(self, *shape: int, deviation: float) -> str:
        """The same numbers for every type, rounded to it."""
        return self.constant(self.random.normal(0, deviation, shape).astype(self.floats))

    def save(self, path: Path, inputs: dict[str, tuple[int, Shape]], output: tuple[str, str, Shape]) -> None:
        """`inputs` says type and shape of each; `output` a node's output, the name it gets, and its shape."""
        made, name, shape = output
        self.nodes.append(helper.make_node("Identity", [made], [name]))
        graph = helper.make_graph(
            self.nodes,
            self.name,
            [helper.make_tensor_value_info(name, *described) for name, described in inputs.items()],
            [helper.make_tensor_value_info(name, self.float_type, shape)],
            self.weights,
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            producer_name="scoria-loadtest",
            ir_version=IR_VERSION,
        )
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, path)

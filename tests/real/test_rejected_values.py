"""Values of the right type and shape that the model itself fails on: a 400, the fault being the request's."""

import json

import numpy as np
import onnx
import pytest

import wire
from refusals import Hostile, check_error
from zoo import numpy_dtype
from zoo.case import build, node

# Models that fail on some values of the right type and shape.
FAILING = {
    "gather": (node("Gather", ["x", "i"], "y"), [("x", "float32", ["n"]), ("i", "int64", ["k"])]),
    "reshape": (node("Reshape", ["x", "s"], "y"), [("x", "float32", ["n"]), ("s", "int64", ["r"])]),
    "add": (node("Add", ["a", "b"], "y"), [("a", "float32", ["n"]), ("b", "float32", ["m"])]),
    "matmul": (node("MatMul", ["a", "b"], "y"), [("a", "float32", ["n", "k"]), ("b", "float32", ["l", "m"])]),
    "concat": (node("Concat", ["a", "b"], "y", axis=0), [("a", "float32", ["n", "k"]), ("b", "float32", ["m", "l"])]),
    "tokens": (node("Cast", "x", "y", to=onnx.TensorProto.FLOAT), [("x", "string", ["n"])]),
    "divide": (node("Div", ["a", "b"], "y"), [("a", "int64", ["n"]), ("b", "int64", ["n"])]),
    "topk": (node("TopK", ["x", "k"], ["y", "i"]), [("x", "float32", ["n"]), ("k", "int64", [1])]),
    "gathernd": (node("GatherND", ["x", "i"], "y"), [("x", "float32", ["n", "m"]), ("i", "int64", ["k", 2])]),
    "scatter": (
        node("ScatterElements", ["x", "i", "u"], "y"),
        [("x", "float32", ["n"]), ("i", "int64", ["k"]), ("u", "float32", ["k"])],
    ),
    "expand": (node("Expand", ["x", "s"], "y"), [("x", "float32", ["n"]), ("s", "int64", ["r"])]),
    "slice": (
        node("Slice", ["x", "b", "e", "a", "s"], "y"),
        [("x", "float32", ["n"]), *((name, "int64", [1]) for name in "beas")],
    ),
    "squeeze": (node("Squeeze", ["x", "a"], "y"), [("x", "float32", ["n", "m"]), ("a", "int64", [1])]),
    "unsqueeze": (node("Unsqueeze", ["x", "a"], "y"), [("x", "float32", ["n"]), ("a", "int64", ["k"])]),
    "tile": (node("Tile", ["x", "r"], "y"), [("x", "float32", ["n"]), ("r", "int64", ["k"])]),
    "range": (node("Range", ["a", "b", "c"], "y"), [(name, "int64", []) for name in "abc"]),
    "onehot": (
        node("OneHot", ["i", "d", "v"], "y"),
        [("i", "int64", ["n"]), ("d", "int64", []), ("v", "float32", ["k"])],
    ),
    "cumsum": (node("CumSum", ["x", "a"], "y"), [("x", "float32", ["n"]), ("a", "int64", [])]),
    "split": (node("Split", ["x", "s"], ["y", "z"]), [("x", "float32", ["n"]), ("s", "int64", [2])]),
    "reduce": (node("ReduceSum", ["x", "a"], "y"), [("x", "float32", ["n"]), ("a", "int64", ["k"])]),
    "pad": (node("Pad", ["x", "p"], "y"), [("x", "float32", ["n"]), ("p", "int64", ["k"])]),
    "einsum": (
        node("Einsum", ["a", "b"], "y", equation="ij,jk->ik"),
        [("a", "float32", ["n", "k"]), ("b", "float32", ["l", "m"])],
    ),
    "where": (
        node("Where", ["c", "a", "b"], "y"),
        [("c", "bool", ["n"]), ("a", "float32", ["m"]), ("b", "float32", ["k"])],
    ),
    "conv": (
        node("Conv", ["x", "w"], "y"),
        [("x", "float32", ["n", "c", "h", "v"]), ("w", "float32", ["o", "i", "p", "q"])],
    ),
    "constantofshape": (node("ConstantOfShape", "s", "y"), [("s", "int64", ["r"])]),
    "sequenceat": (
        [node("SplitToSequence", "x", "q"), node("SequenceAt", ["q", "p"], "y")],
        [("x", "float32", ["n"]), ("p", "int64", [])],
    ),
}
INPUT_TYPES = {name: {key: numpy_dtype(dtype) for key, dtype, _ in inputs} for name, (_, inputs) in FAILING.items()}

VALUES = (
    ("gather", {"x": [1, 2], "i": [2]}),
    ("gather", {"x": [1, 2], "i": [-3]}),
    ("gather", {"x": [], "i": [0]}),
    ("gather", {"x": [1], "i": [9223372036854775807]}),
    ("reshape", {"x": [1, 2, 3], "s": [2, 2]}),
    ("reshape", {"x": [1, 2, 3], "s": [-1, -1]}),
    ("reshape", {"x": [1], "s": [-2]}),
    ("reshape", {"x": [1, 2, 3], "s": [0, 0, 0]}),
    ("reshape", {"x": [1, 2, 3], "s": [9223372036854775807, 9223372036854775807]}),
    ("add", {"a": [1, 2], "b": [1, 2, 3]}),
    ("add", {"a": [], "b": [3, 4]}),
    ("matmul", {"a": [[1, 2]], "b": [[1, 2]]}),
    ("concat", {"a": [[1, 2]], "b": [[1]]}),
    ("tokens", {"x": ["no number"]}),
    ("tokens", {"x": [""]}),
    ("divide", {"a": [1], "b": [0]}),
    ("topk", {"x": [1, 2], "k": [3]}),
    ("topk", {"x": [1, 2], "k": [-1]}),
    ("gathernd", {"x": [[1]], "i": [[0, 1]]}),
    ("scatter", {"x": [1], "i": [1], "u": [1]}),
    ("scatter", {"x": [1], "i": [-2], "u": [1]}),
    ("expand", {"x": [1, 2], "s": [3]}),
    ("expand", {"x": [1, 2], "s": [-5]}),
    ("slice", {"x": [1], "b": [0], "e": [1], "a": [5], "s": [1]}),
    ("slice", {"x": [1], "b": [0], "e": [1], "a": [0], "s": [0]}),
    ("squeeze", {"x": [[1, 2]], "a": [1]}),
    ("squeeze", {"x": [[1, 2]], "a": [7]}),
    ("unsqueeze", {"x": [1], "a": [9]}),
    ("unsqueeze", {"x": [1], "a": [0, 0]}),
    ("tile", {"x": [1], "r": [-1]}),
    ("tile", {"x": [1], "r": [1, 2]}),
    ("range", {"a": 0, "b": 5, "c": 0}),
    ("onehot", {"i": [0], "d": -1, "v": [0, 1]}),
    ("onehot", {"i": [0], "d": 2, "v": [0, 1, 2]}),
    ("cumsum", {"x": [1], "a": 4}),
    ("split", {"x": [1, 2, 3], "s": [1, 1]}),
    ("split", {"x": [1], "s": [2, -1]}),
    ("reduce", {"x": [1], "a": [3]}),
    ("pad", {"x": [1], "p": [1]}),
    ("pad", {"x": [1], "p": [-5, 0]}),
    ("einsum", {"a": [[1, 2]], "b": [[1, 2], [1, 2], [1, 2]]}),
    ("where", {"c": [True, False], "a": [1, 2, 3], "b": [1, 2]}),
    ("conv", {"x": [[[[1]]]], "w": [[[[1]], [[1]]]]}),
    ("conv", {"x": [[[[1]]]], "w": [[[[1, 2, 3]]]]}),
    ("constantofshape", {"s": [-1]}),
    ("sequenceat", {"x": [1, 2], "p": 5}),
)


@pytest.fixture(scope="module")
def failing(tmp_path_factory):
    """The folder of the models."""
    folder = tmp_path_factory.mktemp("failing")
    for name, (nodes, inputs) in FAILING.items():
        dtype = "int64" if name in ("divide", "range") else "float32"
        more = {"topk": [("i", "int64", None)], "split": [("z", dtype, None)]}.get(name, [])
        nodes = nodes if isinstance(nodes, list) else [nodes]
        onnx.save(build(nodes, inputs, [("y", dtype, None), *more]), folder / f"{name}.onnx")
    return folder


@pytest.mark.parametrize("engine", ["ort", "tract"])
def test_values_that_the_model_rejects(failing, serve, engine):
    with serve(failing, engine=engine) as server:
        client = Hostile(server)
        answers, wrong = 0, []
        for name, body in VALUES:
            feed = {key: np.array(value, INPUT_TYPES[name][key]) for key, value in body.items()}
            for form, media_type in ((json.dumps(body), wire.JSON), (wire.to_npz(feed), wire.NPZ)):
                status, _, content = client.score(name, form, media_type)
                # What tract does not load cannot be asked.
                if status == 503 and engine == "tract" and check_error(content)["code"] == "model_not_loaded":
                    continue
                answers += 1
                if status == 400:
                    # Whether the model likes the values of an example cannot be known; its form must be right.
                    assert check_error(content).get("example", feed).keys() in (feed.keys(), {"data"})
                else:
                    wrong.append(f"{name} {body} as {media_type}: {status} {content[:100]}")
        assert not wrong, "\n".join(wrong)
        assert answers > (80 if engine == "ort" else 20) and server.is_alive()

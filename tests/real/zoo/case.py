"""A generated model with the requests it is scored with, and the parts that cases are made of."""

import dataclasses
import zlib

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper

OPSET = 21
# What ONNX Runtime 1.31 reads for this operator set.
IR_VERSION = 10

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)

# Every element type that is served, by the name that raw bodies and messages use.
ONNX_TYPES = {
    "bool": TensorProto.BOOL,
    "int8": TensorProto.INT8,
    "int16": TensorProto.INT16,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "uint8": TensorProto.UINT8,
    "uint16": TensorProto.UINT16,
    "uint32": TensorProto.UINT32,
    "uint64": TensorProto.UINT64,
    "float16": TensorProto.FLOAT16,
    "bfloat16": TensorProto.BFLOAT16,
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "string": TensorProto.STRING,
}
TYPES = list(ONNX_TYPES)
FLOATS = ["float16", "bfloat16", "float32", "float64"]
SIGNED = ["int8", "int16", "int32", "int64"]
UNSIGNED = ["uint8", "uint16", "uint32", "uint64"]
INTEGERS = SIGNED + UNSIGNED
NUMBERS = INTEGERS + FLOATS

STRINGS = [
    "",
    "a",
    "é",
    "🦀",
    '"',
    "\\",
    "\n\t\r",
    "null",
    "1",
    "true",
    " ",
    "\u2028",
    "a" * 300,
    "Ω≈ç√",
    "\x1f\x7f",
    "日本語",
]


@dataclasses.dataclass
class Case:
    """One model. `feeds` are maps from input name to array."""

    name: str
    model: onnx.ModelProto
    feeds: list
    # Whether the answer must be the reference's to the bit.
    exact: bool = False


def numpy_dtype(dtype):
    """The NumPy type of the arrays of an element type; strings are objects."""
    return {"string": np.dtype(object), "bfloat16": BFLOAT16}.get(dtype) or np.dtype(dtype)


def type_name(array):
    """The element type of an array."""
    kind = array.dtype
    return "string" if kind.kind in "OU" else kind.name


def generator(*seed):
    """Random numbers that are the same in every run, and do not move when another case is added."""
    return np.random.default_rng(zlib.crc32(repr(seed).encode()))


def shape_of(dims, sizes=None, default=2):
    """A shape that fits declared dimensions: fixed ones as they are, symbols by `sizes`."""
    sizes = sizes or {}
    return tuple(dim if isinstance(dim, int) else sizes.get(dim, default) for dim in dims)


def array(rng, dtype, shape, low=-10, high=10):
    """Harmless values, small enough for arithmetic in most types."""
    kind = numpy_dtype(dtype)
    if dtype == "string":
        return np.array(rng.choice(np.array(STRINGS, dtype=object), size=shape), dtype=object).reshape(shape)
    if dtype == "bool":
        return np.asarray(rng.integers(0, 2, size=shape)).astype(bool).reshape(shape)
    if dtype in FLOATS:
        return np.asarray(rng.uniform(low, high, size=shape)).astype(kind).reshape(shape)
    return (
        np.asarray(rng.integers(max(low, 0) if dtype in UNSIGNED else low, high, size=shape))
        .astype(kind)
        .reshape(shape)
    )


def extreme(rng, dtype, shape, finite=True):
    """The ends of a type's range, and what is easily lost: negative zero, subnormal numbers, odd strings."""
    if dtype in ("string", "bool"):
        return array(rng, dtype, shape)
    kind = numpy_dtype(dtype)
    if dtype in FLOATS:
        limits = ml_dtypes.finfo(kind)
        values = [limits.max, limits.min, limits.tiny, -limits.tiny, limits.smallest_subnormal, limits.eps]
        values = [np.array(value, dtype=kind) for value in [*values, 0.0, -0.0, 1 / 3, -0.1, 1.0, 12345.678]]
        if not finite:
            values += [np.array(value, dtype=kind) for value in (np.nan, np.inf, -np.inf)]
    else:
        limits = np.iinfo(kind)
        values = [
            np.array(value, dtype=kind) for value in (limits.min, limits.max, limits.max - 1, limits.max // 2 + 1, 0, 1)
        ]
    pool = np.stack(values)
    return np.asarray(pool[rng.integers(0, len(pool), size=shape)]).astype(kind).reshape(shape)


def tensor_info(name, dtype, dims):
    """An input or output; `dims` of None states no shape at all."""
    return helper.make_tensor_value_info(name, ONNX_TYPES[dtype], dims)


def build(nodes, inputs, outputs, initializers=(), opset=OPSET, ml=False):
    """A model. `inputs` and `outputs` are `(name, dtype, dims)`, or value infos made elsewhere."""

    def info(spec):
        return tensor_info(*spec) if isinstance(spec, tuple) else spec

    graph = helper.make_graph(
        nodes,
        "graph",
        [info(spec) for spec in inputs],
        [info(spec) for spec in outputs],
        initializer=list(initializers),
    )
    opsets = [helper.make_opsetid("", opset)] + ([helper.make_opsetid("ai.onnx.ml", 4)] if ml else [])
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def constant(name, values, dtype="int64"):
    """An initializer."""
    values = np.asarray(values, dtype=numpy_dtype(dtype))
    return helper.make_tensor(name, ONNX_TYPES[dtype], values.shape, values.ravel().tolist())


def node(op, inputs, outputs, domain="", **attributes):
    """A node; inputs and outputs may be one name."""
    names = [[value] if isinstance(value, str) else value for value in (inputs, outputs)]
    return helper.make_node(op, *names, domain=domain, **attributes)

"""Models of one operator or a few, over the types that it takes."""

import numpy as np

from .case import (
    FLOATS,
    INTEGERS,
    NUMBERS,
    ONNX_TYPES,
    SIGNED,
    TYPES,
    Case,
    array,
    build,
    constant,
    extreme,
    generator,
    node,
)

RUN_FLOATS = ["float32", "float64", "float16"]


def simple(name, op, inputs, output, *, feeds=None, consts=(), exact=False, low=-10, high=10, **attributes):
    """One node. `inputs` maps names to `(dtype, dims, shapes)`; `output` is the type of its output."""
    rng = generator(name)
    specs = [(key, dtype, dims) for key, (dtype, dims, _) in inputs.items()]
    names = [*inputs, *(tensor.name for tensor in consts)]
    model = build([node(op, names, "y", **attributes)], specs, [("y", output, None)], consts)
    if feeds is None:
        count = len(next(iter(inputs.values()))[2])
        feeds = [
            {key: array(rng, dtype, shapes[index], low, high) for key, (dtype, _, shapes) in inputs.items()}
            for index in range(count)
        ]
    return Case(name, model, feeds, exact=exact)


def arithmetic():
    """Binary operators over all types, of equal shapes and broadcast."""
    pairs = [((2, 3), (2, 3)), ((2, 3), (3,)), ((4, 1, 3), (2, 1)), ((2, 3), ()), ((0, 3), (3,))]
    for op in ("Add", "Sub", "Mul", "Div", "Max", "Min", "Pow", "Mod", "Equal", "Less", "GreaterOrEqual", "PRelu"):
        for dtype in NUMBERS:
            for index, (left, right) in enumerate(pairs):
                if index > 1 and dtype not in ("float32", "int64"):
                    continue
                output = "bool" if op in ("Equal", "Less", "GreaterOrEqual") else dtype
                attributes = {"fmod": 1} if op == "Mod" and dtype in FLOATS else {}
                # Neither a division by zero nor a power beyond the type.
                low = 1 if op in ("Div", "Mod", "Pow") else -10
                dims = [f"d{axis}" for axis in range(len(left))], [f"e{axis}" for axis in range(len(right))]
                inputs = {"a": (dtype, dims[0], [left]), "b": (dtype, dims[1], [right])}
                yield simple(
                    f"{op.lower()}-{dtype}-{index}",
                    op,
                    inputs,
                    output,
                    low=low,
                    high=4 if op == "Pow" else 10,
                    **attributes,
                )
    for op in ("And", "Or", "Xor"):
        yield simple(
            f"{op.lower()}", op, {"a": ("bool", ["n", 3], [(2, 3)]), "b": ("bool", [3], [(3,)])}, "bool", exact=True
        )
    for dtype in ("uint8", "int32", "int64"):
        for op in ("BitwiseAnd", "BitwiseOr", "BitwiseXor"):
            yield simple(
                f"{op.lower()}-{dtype}",
                op,
                {"a": (dtype, ["n"], [(4,)]), "b": (dtype, ["n"], [(4,)])},
                dtype,
                exact=True,
            )
    yield simple(
        "equal-string", "Equal", {"a": ("string", ["n"], [(9,)]), "b": ("string", ["n"], [(9,)])}, "bool", exact=True
    )


def element_wise():
    """Unary operators, also where the answer is NaN or infinite."""
    ops = """
    Abs Neg Sqrt Exp Log Sigmoid Tanh Relu LeakyRelu Elu Selu Softplus Softsign Erf Ceil Floor Round Sign Reciprocal
    Sin Cos Tan Atan HardSigmoid HardSwish Gelu Mish Softmax LogSoftmax Hardmax Celu ThresholdedRelu Identity Not
    IsNaN IsInf BitwiseNot Size Shape
    """.split()
    for op in ops:
        dtypes = {"Not": ["bool"], "BitwiseNot": INTEGERS, "Size": TYPES, "Shape": TYPES}.get(op, FLOATS)
        if op in ("Abs", "Neg", "Sign", "Relu"):
            dtypes = FLOATS + SIGNED
        for dtype in dtypes:
            name = f"{op.lower()}-{dtype}"
            rng = generator(name)
            output = {"IsNaN": "bool", "IsInf": "bool", "Size": "int64", "Shape": "int64"}.get(op, dtype)
            model = build(
                [node(op, "x", "y")],
                [("x", dtype, ["n", 4])],
                [("y", output, ["k"] if op == "Shape" else [] if op == "Size" else ["n", 4])],
            )
            feeds = [array(rng, dtype, (3, 4)), extreme(rng, dtype, (2, 4)), extreme(rng, dtype, (2, 4), finite=False)]
            if dtype in FLOATS:
                feeds.append(np.zeros((1, 4), feeds[0].dtype))
            yield Case(name, model, [{"x": feed} for feed in feeds])


def casts():
    """Every type into every other, with values that both hold, and numbers from and to text."""
    for source in TYPES:
        for target in TYPES:
            name = f"cast-{source}-{target}"
            rng = generator(name)
            if (source, target) == ("string", "bfloat16"):
                # The reference cannot take the one where the other is.
                continue
            values = array(rng, source, (3, 3), 0, 100)
            if source == "string":
                values = np.array(["0", "1", "42", "7", "100", "3"], dtype=object)[rng.integers(0, 6, (3, 3))]
            model = build(
                [node("Cast", "x", "y", to=ONNX_TYPES[target])],
                [("x", source, ["n", "m"])],
                [("y", target, ["n", "m"])],
            )
            yield Case(name, model, [{"x": values}], exact=True)


def moves():
    """Operators that move elements without changing them, over all types."""
    shape, dims = (2, 3, 4), ["n", 3, 4]
    for dtype in TYPES:

        def one(label, op, *consts, output=dtype, **attributes):
            inputs = {"x": (dtype, dims, [shape, (1, 3, 4)])}
            return simple(f"{label}-{dtype}", op, inputs, output, consts=consts, exact=True, **attributes)

        yield one("transpose", "Transpose", perm=[2, 0, 1])
        yield one("transpose-back", "Transpose")
        yield one("reshape", "Reshape", constant("s", [0, -1]))
        yield one("flatten", "Flatten", axis=2)
        yield one("unsqueeze", "Unsqueeze", constant("s", [0, 3]))
        yield one(
            "slice",
            "Slice",
            constant("b", [2, 3]),
            constant("e", [0, -100]),
            constant("a", [1, 2]),
            constant("s", [-1, -2]),
        )
        yield one("slice-empty", "Slice", constant("b", [5]), constant("e", [9]), constant("a", [1]))
        if dtype != "string":
            # Of a row of strings ONNX Runtime 1.31 gathers the first one only.
            yield one("gather", "Gather", constant("i", [[2, 0], [-1, 1]]), axis=1)
        yield one("tile", "Tile", constant("r", [2, 1, 3]))
        yield one("expand", "Expand", constant("s", [2, 1, 3, 4]))
        yield one("pad", "Pad", constant("p", [0, 1, 0, 0, 0, 2]), mode="edge")
        name = f"concat-{dtype}"
        inputs = {"x": (dtype, dims, [shape]), "z": (dtype, dims, [shape])}
        yield simple(name, "Concat", inputs, dtype, exact=True, axis=1)
        rng = generator("split", dtype)
        model = build(
            [node("Split", "x", ["a", "b"], axis=1, num_outputs=2)],
            [("x", dtype, dims)],
            [("a", dtype, None), ("b", dtype, None)],
        )
        yield Case(f"split-{dtype}", model, [{"x": extreme(rng, dtype, shape)}], exact=True)
        inputs = {"c": ("bool", dims, [shape]), "x": (dtype, dims, [shape]), "z": (dtype, [], [()])}
        yield simple(f"where-{dtype}", "Where", inputs, dtype, exact=True)
        rng = generator("index", dtype)
        model = build(
            [node("Gather", ["x", "i"], "y")], [("x", dtype, ["n"]), ("i", "int64", ["k"])], [("y", dtype, ["k"])]
        )
        feed = {"x": array(rng, dtype, (4,)), "i": np.array([3, -4, 0], np.int64)}
        yield Case(f"gather-by-{dtype}", model, [feed], exact=True)
        model = build([node("NonZero", "x", "y")], [("x", dtype, ["n", 3])], [("y", "int64", [2, None])])
        if dtype in ("bool", "int32", "int64", "float32", "uint8"):
            yield Case(f"nonzero-{dtype}", model, [{"x": array(rng, dtype, (3, 3), 0, 2)}], exact=True)
        if dtype in ("float32", "float64", "int8", "int64", "string"):
            nodes = [node("Unique", "x", ["y", "first", "inverse", "counts"])]
            outs = [
                ("y", dtype, ["k"]),
                *((key, "int64", ["k"]) for key in ("first", "counts")),
                ("inverse", "int64", ["n"]),
            ]
            model = build(nodes, [("x", dtype, ["n"])], outs)
            yield Case(f"unique-{dtype}", model, [{"x": array(rng, dtype, (6,), 0, 3)}], exact=True)


def reductions():
    for op in ("Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "LogSumExp", "SumSquare"):
        for dtype in RUN_FLOATS + ["int32", "int64"]:
            for keep in (0, 1):
                for label, axes in (("all", None), ("last", [-1]), ("two", [0, 2])):
                    consts = [] if axes is None else [constant("axes", axes)]
                    inputs = {"x": (dtype, ["n", 3, 2], [(2, 3, 2), (1, 3, 2)])}
                    yield simple(
                        f"reduce{op.lower()}-{dtype}-{label}-{keep}",
                        f"Reduce{op}",
                        inputs,
                        dtype,
                        consts=consts,
                        low=-4,
                        high=4,
                        keepdims=keep,
                    )
    for dtype in RUN_FLOATS + ["int32", "int64"]:
        for op in ("ArgMax", "ArgMin"):
            yield simple(
                f"{op.lower()}-{dtype}", op, {"x": (dtype, ["n", 5], [(3, 5)])}, "int64", exact=True, axis=1, keepdims=0
            )
        rng = generator("topk", dtype)
        model = build(
            [node("TopK", ["x", "k"], ["v", "i"])],
            [("x", dtype, ["n", 6]), ("k", "int64", [1])],
            [("v", dtype, None), ("i", "int64", None)],
        )
        values = np.stack([rng.permutation(6) for _ in range(3)]).astype(dtype)
        yield Case(f"topk-{dtype}", model, [{"x": values, "k": np.array([k], np.int64)} for k in (0, 1, 6)], exact=True)
        yield simple(f"cumsum-{dtype}", "CumSum", {"x": (dtype, ["n", 4], [(2, 4)])}, dtype, consts=[constant("a", 1)])


def matrices():
    for dtype in ("float32", "float64", "float16", "int32", "uint32", "int64"):
        for index, (left, right) in enumerate(
            [((2, 3), (3, 4)), ((5, 2, 3), (3, 4)), ((3,), (3, 4)), ((3,), (3,)), ((2, 3), (3,))]
        ):
            dims = (
                [f"a{axis}" for axis in range(len(left) - 1)] + [3],
                [3] + [f"b{axis}" for axis in range(len(right) - 1)],
            )
            inputs = {"a": (dtype, dims[0], [left]), "b": (dtype, dims[1], [right])}
            yield simple(f"matmul-{dtype}-{index}", "MatMul", inputs, dtype)
        inputs = {"a": (dtype, ["n", 3], [(2, 3)]), "b": (dtype, [4, 3], [(4, 3)]), "c": (dtype, [4], [(4,)])}
        alpha = {"alpha": 0.5, "beta": 2.0} if dtype.startswith("float") else {}
        yield simple(f"gemm-{dtype}", "Gemm", inputs, dtype, transB=1, **alpha)
    inputs = {"a": ("float32", ["n", 3, 4], [(2, 3, 4)]), "b": ("float32", ["n", 4, 5], [(2, 4, 5)])}
    yield simple("einsum", "Einsum", inputs, "float32", equation="nij,njk->nki")
    yield simple(
        "matmulinteger",
        "MatMulInteger",
        {"a": ("uint8", ["n", 3], [(2, 3)]), "b": ("int8", [3, 2], [(3, 2)])},
        "int32",
        exact=True,
    )


def layers():
    """What networks are made of."""
    image = {"x": ("float32", ["n", 3, 8, 8], [(1, 3, 8, 8), (2, 3, 8, 8)])}
    rng = generator("layers")
    kernel = constant("w", rng.uniform(-1, 1, (4, 3, 3, 3)), "float32")
    bias = constant("b", rng.uniform(-1, 1, 4), "float32")
    yield simple("conv", "Conv", image, "float32", consts=[kernel, bias], pads=[1, 1, 1, 1])
    yield simple("conv-stride", "Conv", image, "float32", consts=[kernel], strides=[2, 2], dilations=[2, 2])
    up = constant("w", rng.uniform(-1, 1, (3, 2, 2, 2)), "float32")
    yield simple("convtranspose", "ConvTranspose", image, "float32", consts=[up], strides=[2, 2])
    for op in ("MaxPool", "AveragePool"):
        yield simple(op.lower(), op, image, "float32", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    for op in ("GlobalAveragePool", "GlobalMaxPool"):
        yield simple(op.lower(), op, image, "float32")
    three = [constant(name, rng.uniform(0.5, 1.5, 3), "float32") for name in ("s", "b", "m", "v")]
    yield simple("batchnormalization", "BatchNormalization", image, "float32", consts=three)
    yield simple("instancenormalization", "InstanceNormalization", image, "float32", consts=three[:2])
    yield simple("groupnormalization", "GroupNormalization", image, "float32", consts=three[:2], num_groups=3)
    scale = [constant(name, rng.uniform(0.5, 1.5, 8), "float32") for name in ("s", "b")]
    yield simple("layernormalization", "LayerNormalization", image, "float32", consts=scale)
    yield simple(
        "depthtospace",
        "DepthToSpace",
        {"x": ("float32", ["n", 8, 2, 2], [(1, 8, 2, 2)])},
        "float32",
        exact=True,
        blocksize=2,
    )
    yield simple("lrn", "LRN", image, "float32", size=3)
    yield simple("lpnormalization", "LpNormalization", image, "float32")
    yield simple("trilu", "Trilu", {"x": ("float32", ["n", 3, 3], [(2, 3, 3)])}, "float32", exact=True)
    scales = build(
        [node("Resize", ["x", "", "s"], "y", mode="linear")],
        [("x", "float32", ["n", 1, 4, 4])],
        [("y", "float32", None)],
        [constant("s", [1, 1, 2, 2], "float32")],
    )
    yield Case("resize", scales, [{"x": array(rng, "float32", (2, 1, 4, 4))}])
    for op, gates in (("LSTM", 4), ("GRU", 3), ("RNN", 1)):
        sizes = {"w": (1, gates * 5, 3), "r": (1, gates * 5, 5), "b": (1, 2 * gates * 5)}
        consts = [constant(name, rng.uniform(-1, 1, size), "float32") for name, size in sizes.items()]
        outs = ["y", "h", "c"] if op == "LSTM" else ["y", "h"]
        model = build(
            [node(op, ["x", "w", "r", "b"], outs, hidden_size=5)],
            [("x", "float32", ["t", "n", 3])],
            [(name, "float32", None) for name in outs],
            consts,
        )
        yield Case(op.lower(), model, [{"x": array(rng, "float32", shape, -1, 1)} for shape in ((4, 2, 3), (1, 1, 3))])
    yield simple(
        "onehot",
        "OneHot",
        {"i": ("int64", ["n"], [(4,)])},
        "float32",
        consts=[constant("d", 5), constant("v", [0, 1], "float32")],
        feeds=[{"i": np.array([0, 4, -1, 2], np.int64)}],
        exact=True,
    )
    yield simple(
        "quantize",
        "QuantizeLinear",
        {"x": ("float32", ["n", 3], [(2, 3)])},
        "uint8",
        consts=[constant("s", 0.1, "float32"), constant("z", 100, "uint8")],
        exact=True,
    )
    yield simple("dynamicquantize-shape", "Shape", image, "int64", exact=True, start=1)
    rng = generator("dynamicquantize")
    model = build(
        [node("DynamicQuantizeLinear", "x", ["q", "s", "z"])],
        [("x", "float32", ["n"])],
        [("q", "uint8", ["n"]), ("s", "float32", []), ("z", "uint8", [])],
    )
    yield Case("dynamicquantize", model, [{"x": array(rng, "float32", (7,))}])


def shapes_from_values():
    """Outputs whose shape is in the inputs' values."""
    yield simple(
        "constantofshape",
        "ConstantOfShape",
        {"s": ("int64", ["r"], [])},
        "float32",
        exact=True,
        feeds=[{"s": np.array(shape, np.int64)} for shape in ([2, 3], [0, 2], [], [1] * 6)],
    )
    for dtype in ("int32", "int64", "float32", "float64", "int16"):
        scalars = {name: (dtype, [], []) for name in ("a", "b", "c")}
        feeds = [
            dict(zip("abc", (np.array(value, dtype) for value in bounds)))
            for bounds in ((0, 5, 1), (5, 0, -2), (0, 0, 1))
        ]
        yield simple(f"range-{dtype}", "Range", scalars, dtype, feeds=feeds, exact=True)
    inputs = {"x": ("float32", ["n", 4], []), "s": ("int64", ["r"], [])}
    rng = generator("reshape")
    feeds = [
        {"x": array(rng, "float32", (2, 4)), "s": np.array(shape, np.int64)}
        for shape in ([8], [4, 2], [2, 2, 2], [-1, 1])
    ]
    yield simple("reshape-to", "Reshape", inputs, "float32", feeds=feeds, exact=True)
    feeds = [{"x": array(rng, "float32", (1, 4)), "s": np.array(shape, np.int64)} for shape in ([3, 4], [2, 1, 4])]
    yield simple("expand-to", "Expand", inputs, "float32", feeds=feeds, exact=True)
    feeds = [{"x": array(rng, "float32", (2, 4)), "s": np.array(repeats, np.int64)} for repeats in ([2, 3], [0, 1])]
    yield simple("tile-to", "Tile", inputs, "float32", feeds=feeds, exact=True)


def cases():
    for family in (arithmetic, element_wise, casts, moves, reductions, matrices, layers, shapes_from_values):
        yield from family()

"""Models that hand their inputs through: every element type, rank, kind of dimension and name."""

from .case import TYPES, Case, array, build, constant, extreme, generator, node, shape_of

ODD_NAMES = [
    "x",
    "data",
    "inputs",
    "Inputs",
    "instances",
    "input_data",
    "dataframe_split",
    "dataframe_records",
    "columns",
    "index",
    "outputs",
    "predictions",
    "Results",
    "a b",
    "a/b",
    "/leading",
    "trailing/",
    "a.b",
    ".",
    "..",
    "../up",
    "a\\b",
    "a:0",
    "naïve",
    "输入",
    "🦀",
    'quote"d',
    "it's",
    "{x}",
    "[0]",
    "a,b",
    "a;b",
    "#1",
    "%41",
    "x" * 200,
    "arr_0",
    "x.npy",
    " ",
    "\t",
    "0",
    "-1",
    "null",
    "true",
    "__proto__",
    "a\u0301",
    "A",
    "signature_name",
    "GlobalParameters",
    "__metadata__x",
    "$",
    "error",
]


def identities():
    """Each type at each rank, with all dimensions open, fixed, mixed, empty and unstated."""
    for dtype in TYPES:
        for rank in range(7):
            sizes = [3, 1, 2, 4, 1, 2][:rank]
            symbols = [f"d{axis}" for axis in range(rank)]
            mixed = [size if axis % 2 else symbol for axis, (size, symbol) in enumerate(zip(sizes, symbols))]
            kinds = {"fixed": sizes, "open": symbols, "mixed": mixed, "unnamed": [None] * rank, "unstated": None}
            for kind, dims in kinds.items():
                if kind in ("open", "mixed", "unnamed") and rank == 0 or kind == "mixed" and rank == 1:
                    continue
                yield identity(f"identity-{dtype}-{rank}-{kind}", dtype, dims, tuple(sizes))


def identity(name, dtype, dims, shape):
    rng = generator(name)
    model = build([node("Identity", "x", "y")], [("x", dtype, dims)], [("y", dtype, dims)])
    feeds = [array(rng, dtype, shape), extreme(rng, dtype, shape), extreme(rng, dtype, shape, finite=False)]
    return Case(name, model, [{"x": feed} for feed in feeds], exact=True)


def empties():
    """Dimensions of no size, fixed and open, in first and inner places."""
    shapes = [(0,), (0, 3), (2, 0), (0, 0), (2, 0, 3), (0, 2, 2), (1, 2, 0)]
    for dtype in TYPES:
        for index, shape in enumerate(shapes):
            for kind in ("fixed", "open"):
                name = f"empty-{dtype}-{index}-{kind}"
                dims = (
                    list(shape)
                    if kind == "fixed"
                    else [f"d{axis}" if size == 0 else size for axis, size in enumerate(shape)]
                )
                rng = generator(name)
                model = build([node("Identity", "x", "y")], [("x", dtype, dims)], [("y", dtype, dims)])
                yield Case(name, model, [{"x": array(rng, dtype, shape)}], exact=True)


def large():
    """Bodies of many frames."""
    for dtype in ("uint8", "float32", "int64", "string", "float16", "bool"):
        name = f"large-{dtype}"
        rng = generator(name)
        model = build([node("Identity", "x", "y")], [("x", dtype, ["n", 100])], [("y", dtype, ["n", 100])])
        # NumPy gives every string the room of the longest.
        most = 100 if dtype == "string" else 700
        yield Case(name, model, [{"x": extreme(rng, dtype, (rows, 100))} for rows in (1, most)], exact=True)


def mixtures():
    """Several inputs and outputs of different types and ranks, the outputs in another order than the inputs."""
    for number in range(60):
        name = f"mixture-{number}"
        rng = generator(name)
        count = int(rng.integers(2, 7))
        inputs = []
        for index in range(count):
            dtype, rank = rng.choice(TYPES), int(rng.integers(0, 4))
            dims = [rng.choice(["n", "m"]) if rng.random() < 0.5 else int(rng.integers(1, 4)) for _ in range(rank)]
            inputs.append((f"in{index}", str(dtype), [dim if isinstance(dim, int) else str(dim) for dim in dims]))
        if any(dtype == "bfloat16" for _, dtype, _ in inputs):
            # The reference cannot take both of these in one request.
            inputs = [(name, "int64" if dtype == "string" else dtype, dims) for name, dtype, dims in inputs]
        order = rng.permutation(count)[: int(rng.integers(1, count + 1))]
        outputs = [(f"out{index}", *inputs[index][1:]) for index in order]
        nodes = [node("Identity", f"in{index}", f"out{index}") for index in order]
        # What no output shows still has to be sent, and not to disturb the rest.
        feeds = [
            {key: extreme(rng, dtype, shape_of(dims, sizes)) for key, dtype, dims in inputs}
            for sizes in ({"n": 2, "m": 3}, {"n": 1, "m": 1})
        ]
        yield Case(name, build(nodes, inputs, outputs), feeds, exact=True)


def names():
    """Names that mean something to a dialect, an archive, a header or a shell; alone, and beside another."""
    for number, odd in enumerate(ODD_NAMES):
        rng = generator("name", odd)
        spec = (odd, "float32", ["n", 2])
        model = build([node("Identity", odd, odd + "_")], [spec], [(odd + "_", "float32", ["n", 2])])
        yield Case(f"name-{number}-in", model, [{odd: array(rng, "float32", (2, 2))}], exact=True)
        model = build([node("Identity", "value", odd)], [("value", "float32", ["n", 2])], [(odd, "float32", ["n", 2])])
        yield Case(f"name-{number}-out", model, [{"value": array(rng, "float32", (1, 2))}], exact=True)
        other = ODD_NAMES[(number + 1) % len(ODD_NAMES)]
        inputs = [spec, (other, "int32", ["n"])]
        nodes = [node("Identity", odd, "o1"), node("Identity", other, "o2")]
        model = build(nodes, inputs, [("o1", "float32", ["n", 2]), ("o2", "int32", ["n"])])
        feed = {odd: array(rng, "float32", (3, 2)), other: array(rng, "int32", (3,))}
        yield Case(f"name-{number}-two", model, [feed], exact=True)


def signatures():
    """Graphs whose signature takes some reading."""
    rng = generator("signatures")
    x = array(rng, "float32", (2, 3))
    floats = ("x", "float32", ["n", 3])
    plain = [("y", "float32", ["n", 3])]
    weight = constant("w", [1.0, 2.0, 3.0], "float32")
    yield Case(
        "no-inputs", build([node("Identity", "w", "y")], [], [("y", "float32", [3])], [weight]), [{}], exact=True
    )
    listed = build([node("Add", ["x", "w"], "y")], [floats, ("w", "float32", [3])], plain, [weight])
    yield Case("default-listed", listed, [{"x": x}])
    yield Case("input-is-output", build([node("Neg", "x", "y")], [floats], [floats, *plain]), [{"x": x}], exact=True)
    unused = build([node("Neg", "x", "y")], [floats, ("idle", "string", ["n"])], plain)
    yield Case("idle-input", unused, [{"x": x, "idle": array(rng, "string", (2,))}])
    constant_out = build(
        [node("Neg", "x", "y"), node("Identity", "w", "z")], [floats], [*plain, ("z", "float32", [3])], [weight]
    )
    yield Case("constant-output", constant_out, [{"x": x}])
    many = [(f"column {index}", "float32", ["n", 1]) for index in range(40)]
    joined = build([node("Concat", [spec[0] for spec in many], "y", axis=1)], many, [("y", "float32", ["n", 40])])
    yield Case("many-inputs", joined, [{name: array(rng, "float32", (4, 1)) for name, _, _ in many}], exact=True)
    split = [f"part {index}" for index in range(40)]
    parts = build(
        [node("Split", "x", split, axis=1, num_outputs=40)],
        [("x", "float32", ["n", 40])],
        [(name, "float32", ["n", 1]) for name in split],
    )
    yield Case("many-outputs", parts, [{"x": array(rng, "float32", (3, 40))}], exact=True)
    negative = build([node("Neg", "x", "y")], [("x", "float32", [-1, 3])], [("y", "float32", [-1, 3])])
    yield Case("negative-dimension", negative, [{"x": x}])


def cases():
    for family in (identities, empties, large, mixtures, names, signatures):
        yield from family()

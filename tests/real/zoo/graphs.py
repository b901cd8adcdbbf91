"""Control flow, sequences, maps, text and classical machine learning."""

import numpy as np
from onnx import TensorProto, helper

from .case import Case, array, build, generator, node

FLOAT = TensorProto.FLOAT


def sequence_info(name, dtype=FLOAT):
    return helper.make_tensor_sequence_value_info(name, dtype, None)


def control_flow():
    rng = generator("control")
    x = ("x", "float32", ["n"])

    def branch(op):
        info = helper.make_tensor_value_info("b", FLOAT, None)
        return helper.make_graph([node(op, ["x", "x"], "b")], op, [], [info])

    choice = node("If", "c", "y", then_branch=branch("Add"), else_branch=branch("Mul"))
    model = build([choice], [("c", "bool", []), x], [("y", "float32", ["n"])])
    yield Case("if", model, [{"c": np.array(c), "x": array(rng, "float32", (3,))} for c in (True, False)])

    body = helper.make_graph(
        [node("Add", ["state", "x"], "next"), node("Identity", "keep", "go"), node("Identity", "next", "seen")],
        "body",
        [
            helper.make_tensor_value_info(name, kind, shape)
            for name, kind, shape in (
                ("i", TensorProto.INT64, []),
                ("keep", TensorProto.BOOL, []),
                ("state", FLOAT, None),
            )
        ],
        [
            helper.make_tensor_value_info(name, kind, shape)
            for name, kind, shape in (("go", TensorProto.BOOL, []), ("next", FLOAT, None), ("seen", FLOAT, None))
        ],
    )
    loop = node("Loop", ["count", "", "x"], ["last", "all"], body=body)
    model = build([loop], [("count", "int64", []), x], [("last", "float32", ["n"]), ("all", "float32", ["k", "n"])])
    yield Case("loop", model, [{"count": np.array(count), "x": array(rng, "float32", (2,))} for count in (0, 1, 5)])

    body = helper.make_graph(
        [node("Add", ["state", "row"], "next"), node("Identity", "next", "seen")],
        "body",
        [helper.make_tensor_value_info(name, FLOAT, [3]) for name in ("state", "row")],
        [helper.make_tensor_value_info(name, FLOAT, [3]) for name in ("next", "seen")],
    )
    scan = node("Scan", ["start", "x"], ["last", "all"], body=body, num_scan_inputs=1)
    inputs = [("start", "float32", [3]), ("x", "float32", ["n", 3])]
    model = build([scan], inputs, [("last", "float32", [3]), ("all", "float32", ["n", 3])])
    yield Case("scan", model, [{"start": np.zeros(3, np.float32), "x": array(rng, "float32", (4, 3))}])


def sequences():
    rng = generator("sequences")
    x = ("x", "float32", ["n", 2])
    model = build([node("SplitToSequence", "x", "y", axis=0)], [x], [sequence_info("y")])
    yield Case("splittosequence", model, [{"x": array(rng, "float32", (rows, 2))} for rows in (1, 3)], exact=True)
    model = build([node("SplitToSequence", "x", "y", axis=0, keepdims=0)], [x], [sequence_info("y")])
    yield Case("splittosequence-rows", model, [{"x": array(rng, "float32", (3, 2))}], exact=True)
    for dtype, kind in (("int64", TensorProto.INT64), ("string", TensorProto.STRING), ("float64", TensorProto.DOUBLE)):
        model = build(
            [node("SequenceConstruct", ["a", "b"], "y")],
            [("a", dtype, ["n"]), ("b", dtype, ["m"])],
            [sequence_info("y", kind)],
        )
        feeds = [{"a": array(rng, dtype, (2,)), "b": array(rng, dtype, (size,))} for size in (2, 3, 0)]
        yield Case(f"sequenceconstruct-{dtype}", model, feeds, exact=True)
    model = build(
        [node("SequenceConstruct", ["x", "x"], "s"), node("SequenceLength", "s", "n"), node("Neg", "x", "z")],
        [x],
        [sequence_info("s"), ("n", "int64", []), ("z", "float32", ["n", 2])],
    )
    yield Case("sequence-beside-tensors", model, [{"x": array(rng, "float32", (2, 2))}], exact=True)
    model = build([node("SequenceEmpty", [], "y", dtype=FLOAT)], [], [sequence_info("y")])
    yield Case("sequenceempty", model, [{}], exact=True)
    model = build(
        [node("SequenceConstruct", ["x", "x"], "s"), node("ConcatFromSequence", "s", "y", axis=1)],
        [x],
        [("y", "float32", ["n", 4])],
    )
    yield Case("concatfromsequence", model, [{"x": array(rng, "float32", (2, 2))}], exact=True)


def text():
    words = np.array([["Hello", "WORLD", "é"], ["", "the", "🦀"]], dtype=object)
    model = build(
        [node("StringNormalizer", "x", "y", case_change_action="LOWER", locale="C", stopwords=["the"])],
        [("x", "string", ["n"])],
        [("y", "string", ["m"])],
    )
    yield Case("stringnormalizer", model, [{"x": row} for row in words], exact=True)
    model = build(
        [node("StringConcat", ["a", "b"], "y")],
        [("a", "string", ["n", 3]), ("b", "string", [3])],
        [("y", "string", ["n", 3])],
    )
    yield Case("stringconcat", model, [{"a": words, "b": words[0]}], exact=True)
    model = build(
        [node("StringSplit", "x", ["y", "n"])],
        [("x", "string", ["n"])],
        [("y", "string", ["n", "k"]), ("n", "int64", ["n"])],
    )
    yield Case("stringsplit", model, [{"x": np.array(["a b c", "", "one two"], dtype=object)}], exact=True)
    model = build(
        [node("RegexFullMatch", "x", "y", pattern="[a-z]+")], [("x", "string", ["n"])], [("y", "bool", ["n"])]
    )
    yield Case("regexfullmatch", model, [{"x": np.array(["abc", "A", ""], dtype=object)}], exact=True)
    counts = node(
        "TfIdfVectorizer",
        "x",
        "y",
        mode="TF",
        min_gram_length=1,
        max_gram_length=1,
        max_skip_count=0,
        ngram_counts=[0],
        ngram_indexes=[0, 1, 2],
        pool_strings=["a", "b", "é"],
    )
    model = build([counts], [("x", "string", ["n", "k"])], [("y", "float32", ["n", 3])])
    words = np.array([["a", "b", "a"], ["é", "x", ""]], dtype=object)
    yield Case("tfidfvectorizer", model, [{"x": words}], exact=True)
    labels = {"keys_strings": ["a", "é"], "values_int64s": [1, 2], "default_int64": -1}
    model = build(
        [node("LabelEncoder", "x", "y", domain="ai.onnx.ml", **labels)],
        [("x", "string", ["n"])],
        [("y", "int64", ["n"])],
        ml=True,
    )
    yield Case("labelencoder-string", model, [{"x": np.array(["a", "é", "?"], dtype=object)}], exact=True)
    labels = {"keys_int64s": [1, 2], "values_strings": ["one", "zwölf"], "default_string": "?"}
    model = build(
        [node("LabelEncoder", "x", "y", domain="ai.onnx.ml", **labels)],
        [("x", "int64", ["n"])],
        [("y", "string", ["n"])],
        ml=True,
    )
    yield Case("labelencoder-int64", model, [{"x": np.array([1, 2, 3], np.int64)}], exact=True)


def learned():
    """What scikit-learn exports, with ZipMap (the default of its converter) and without."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestRegressor
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.naive_bayes import GaussianNB
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler
    from sklearn.tree import DecisionTreeClassifier

    rng = generator("learned")
    x = rng.normal(size=(60, 4)).astype(np.float32)
    numbers = (x[:, 0] > 0).astype(np.int64) + (x[:, 1] > 0.5)
    words = np.array(["negative", "positive", "très"])[numbers]
    types = [("features", FloatTensorType([None, 4]))]
    rows = [{"features": x[:count]} for count in (1, 5)]
    for labels, kind in ((numbers, "int"), (words, "text")):
        classifiers = {
            "logistic": LogisticRegression(),
            "trees": GradientBoostingClassifier(n_estimators=5),
            "tree": DecisionTreeClassifier(max_depth=3),
            "bayes": GaussianNB(),
            "neighbours": KNeighborsClassifier(3),
            "network": MLPClassifier((5,), max_iter=5),
            "pipeline": make_pipeline(StandardScaler(), LogisticRegression()),
        }
        for name, classifier in classifiers.items():
            classifier.fit(x, labels)
            for zipmap in (True, False, "columns"):
                options = {id(classifier): {"zipmap": zipmap}}
                model = to_onnx(
                    classifier, initial_types=types, options=options, target_opset={"": 17, "ai.onnx.ml": 3}
                )
                yield Case(f"sklearn-{name}-{kind}-{zipmap}".lower(), model, rows)
    for name, regressor in (("ridge", Ridge()), ("forest", RandomForestRegressor(5))):
        model = to_onnx(regressor.fit(x, x[:, 0]), initial_types=types, target_opset={"": 17, "ai.onnx.ml": 3})
        yield Case(f"sklearn-{name}", model, rows)
    categories = np.array([["a", "x"], ["b", "y"], ["é", "x"]], dtype=object)
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(categories)
    model = to_onnx(encoder, initial_types=[("c", StringTensorType([None, 2]))], target_opset={"": 17, "ai.onnx.ml": 3})
    yield Case("sklearn-onehot", model, [{"c": categories}])


def cases():
    for family in (control_flow, sequences, text, learned):
        yield from family()

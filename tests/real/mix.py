"""Mixed traffic: many clients, all wires, hostile and ordinary rows at once, and each answer compared with the request run alone.

Whatever is joined with whatever, no answer may show it. `test_mixed_traffic.py` has the short form; `make mix` the long one.
"""

import collections
import dataclasses
import json
import pathlib
import re
import threading

import numpy as np
import onnx
import requests
from onnx import numpy_helper

import grpc_wire
import open_inference
import wire
from reference import Reference, Refused
from zoo.case import build, node

ROOT = pathlib.Path(__file__).resolve().parents[2]

CSV = "text/csv"

# How far the runtime's kernels for one and for several rows may be apart, relative to the largest number of a request and its
# answer: they add up in another order (Higham, "Accuracy and Stability of Numerical Algorithms", section 3.1).
ROUNDING = 1e-5

REQUESTS_OF_A_MODEL = 48

# How often a client asks again that is told to come back: models whose queue is full say so.
TRIES = 1_000


class Busy(Exception):
    """The queue was full."""


def insisted(send):
    """What a call gives that may have to be made again."""
    for _ in range(TRIES):
        try:
            return send()
        except Busy:
            continue
    raise AssertionError(f"turned away {TRIES} times")


@dataclasses.dataclass
class Request:
    """What is sent, and what it gives alone; None where the model itself refuses it."""

    model: str
    feed: dict
    expected: dict | None


def rows_of(kind, count, shape, rng):
    """Rows of one kind of numbers."""
    rows = rng.uniform(-2, 2, (count, *shape))
    match kind:
        case "tiny":
            rows *= 1e-3
        case "large":
            rows *= 1e3
        case "huge":
            rows *= 1e6
        case "equal":
            rows[:] = rng.integers(0, 8)
        case "zero":
            rows[:] = 0
        case "negative":
            rows = -3 - np.abs(rows)
        case "spread":
            rows *= 10.0 ** rng.uniform(-6, 6, rows.shape)
        case "nan":
            rows[..., 0] = np.nan
        case "infinite":
            rows[..., 0] = rng.choice([np.inf, -np.inf])
        case "subnormal":
            rows *= 1e-40
    return rows


KINDS = [
    "ordinary",
    "ordinary",
    "tiny",
    "large",
    "huge",
    "equal",
    "zero",
    "negative",
    "spread",
    "nan",
    "infinite",
    "subnormal",
]
TEXTS = ["", "a", "b", "long " * 60, "ä ö", "A-b"]


def feed_of(inputs, rng):
    """One request: one to five rows, each of a kind of its own."""
    rows = int(rng.integers(1, 6))
    feed = {}
    for name, dtype, shape in inputs:
        if dtype == "string":
            feed[name] = rng.choice(TEXTS, (rows, *shape)).astype(object)
        elif dtype.startswith(("int", "uint")):
            feed[name] = rng.integers(0, 4, (rows, *shape)).astype(dtype)
        else:
            parts = [rows_of(rng.choice(KINDS), 1, shape, rng) for _ in range(rows)]
            with np.errstate(over="ignore"):
                feed[name] = np.concatenate(parts).astype(dtype)
    return feed


def weights(rng, *shape):
    return rng.uniform(-0.8, 0.8, shape).astype(np.float32)


def generated(folder):
    """Writes small models, those that keep rows apart and those that do not; gives their inputs by name."""
    rng = np.random.default_rng(14)
    tensors = {
        "w": weights(rng, 4, 8), "v": weights(rng, 8, 3), "b": weights(rng, 8), "k": weights(rng, 2, 1, 3, 3),
        "table": weights(rng, 4, 3), "limit": np.float32(1.5), "axis0": np.array([0], np.int64),
        "q8": rng.integers(-20, 20, (4, 8)).astype(np.int8), "scale": np.float32(0.1), "zero": np.uint8(3),
        "flat": np.array([-1, 4], np.int64), "one": np.array([1], np.int64),
    }  # fmt: skip
    x = [("x", "float32", ["n", 4])]

    def save(name, nodes, inputs, outputs):
        model = build(nodes, inputs, outputs)
        used = {value for item in nodes for value in item.input}
        model.graph.initializer.extend(
            numpy_helper.from_array(array, key) for key, array in tensors.items() if key in used
        )
        onnx.save(model, folder / f"{name}.onnx")
        return {name: [(key, dtype, [3 if size == "s" else size for size in dims[1:]]) for key, dtype, dims in inputs]}

    models = {}
    layers = [node("MatMul", ["x", "w"], "a"), node("Relu", "a", "c"), node("MatMul", ["c", "v"], "y")]
    models |= save("mlp", layers, x, [("y", "float32", ["n", 3])])
    models |= save("softmax", [node("Softmax", "x", "y", axis=1)], x, [("y", "float32", ["n", 4])])
    models |= save(
        "table", [node("Gather", ["table", "i"], "y")], [("i", "int64", ["n"])], [("y", "float32", ["n", 3])]
    )
    models |= save("text", [node("Identity", "t", "y")], [("t", "string", ["n", 2])], [("y", "string", ["n", 2])])
    both = [("x", "float32", ["n", 4]), ("z", "int64", ["n", 4])]
    casts = [node("Cast", "z", "f", to=1), node("Mul", ["x", "f"], "y"), node("Identity", "z", "same")]
    models |= save("two", casts, both, [("y", "float32", ["n", 4]), ("same", "int64", ["n", 4])])
    images = [("x", "float32", ["n", 1, 6, 6])]
    pool = [node("Conv", ["x", "k"], "a"), node("Relu", "a", "c"), node("GlobalAveragePool", "c", "y")]
    models |= save("conv", pool, images, [("y", "float32", ["n", 2, 1, 1])])
    # These mix the rows of a run.
    fault = [
        node("Sub", ["x", "limit"], "a"),
        node("Relu", "a", "c"),
        node("ReduceMax", "c", "m"),
        node("Sub", ["x", "m"], "y"),
    ]
    models |= save("maximum", fault, [("x", "float32", ["n", 1])], [("y", "float32", ["n", 1])])
    dynamic = [
        node("DynamicQuantizeLinear", "x", ["q", "s", "z"]), node("MatMulInteger", ["q", "q8", "z"], "m"),
        node("Cast", "m", "f", to=1), node("Mul", ["f", "s"], "y"),
    ]  # fmt: skip
    models |= save("dynamic", dynamic, x, [("y", "float32", ["n", 8])])
    models |= save("batch-softmax", [node("Softmax", "x", "y", axis=0)], x, [("y", "float32", ["n", 4])])
    mean = [node("ReduceMean", ["x", "axis0"], "m"), node("Sub", ["x", "m"], "y")]
    models |= save("batch-mean", mean, x, [("y", "float32", ["n", 4])])
    return models


def bundled_inputs(path):
    """The inputs of a model file: name, type, shape of a row with small sizes where they are free."""
    graph = onnx.load(path, load_external_data=False).graph
    inputs = []
    for value in graph.input:
        tensor = value.type.tensor_type
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        name = "string" if tensor.elem_type == onnx.TensorProto.STRING else np.dtype(dtype).name
        inputs.append((value.name, name, [dim.dim_value or 3 for dim in tensor.shape.dim[1:]]))
    return inputs


def requests_of(name, path, inputs, rng):
    """Requests to a model with what each gives alone."""
    reference = Reference(onnx.load(path))
    found = []
    for _ in range(REQUESTS_OF_A_MODEL):
        feed = feed_of(inputs, rng)
        try:
            expected = reference.run(feed)
        except Refused:
            expected = None
        found.append(Request(name, feed, expected))
    return found


class Traffic:
    """Clients at work, what they sent and what was wrong. `requests` are lists by model."""

    def __init__(self, server, requests):
        self.server, self.requests = server, list(requests.values())
        self.sent = collections.Counter()
        self.differences = []
        self._lock = threading.Lock()

    def run(self, clients, each):
        """So many clients at once, each with so many requests."""
        threads = [threading.Thread(target=self._client, args=(number, each)) for number in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _client(self, number, each):
        rng = np.random.default_rng(number)
        connections = Connections(self.server)
        for turn in range(each):
            # Three of four clients ask one model at a time, so that there is something to join.
            models = len(self.requests)
            model = self.requests[turn * models // each if number % 4 else int(rng.integers(models))]
            request = model[int(rng.integers(len(model)))]
            wires = [wire_ for wire_ in WIRES if wire_.carries(request)]
            wire_ = wires[int(rng.integers(len(wires)))]
            problem = None
            try:
                wire_.check(connections, request)
            except Exception as error:  # whatever is wrong with one answer, the next is looked at too
                problem = f"{request.model} as {wire_.name}: {type(error).__name__}: {error}"[:500]
                connections = Connections(self.server)
            with self._lock:
                self.sent[wire_.name] += 1
                if problem:
                    self.differences.append(problem)

    def joined(self):
        """Per model: requests that were run, and runs."""
        text = requests.get(f"{self.server.admin}/metrics", timeout=60).text
        found = {}
        for kind, name, value in re.findall(
            r'^scoria_batch_size_(sum|count)\{.*?endpoint="([^"]+)".*?\} (\S+)$', text, re.M
        ):
            found.setdefault(name, {})[kind] = found.get(name, {}).get(kind, 0) + int(float(value))
        return {name: (counts["sum"], counts["count"]) for name, counts in found.items()}


class Connections:
    """A client's connections, one for each protocol."""

    def __init__(self, server):
        self.scoring = wire.Client(server)
        self.open_inference = open_inference.Client(server)
        self.grpc = grpc_wire.Client(server)
        self.base = server.base
        self.http = requests.Session()


def close(got, expected, feed):
    """Asserts that arrays by name are the expected ones but for rounding."""
    assert list(got) == list(expected), f"outputs {list(got)}, expected {list(expected)}"
    sizes = [np.abs(array[np.isfinite(array)]) for array in feed.values() if array.dtype.kind == "f"]
    size = max([1.0, *(float(array.max()) for array in sizes if array.size)])
    for name, wanted in expected.items():
        array = np.asarray(got[name])
        assert array.shape == wanted.shape, f"{name}: shape {array.shape}, expected {wanted.shape}"
        if wanted.dtype.kind != "f":
            assert np.array_equal(array, wanted), f"{name}: got {array}, expected {wanted}"
            continue
        array, finite = array.astype(np.float64), wanted[np.isfinite(wanted)].astype(np.float64)
        tolerance = ROUNDING * max(size, float(np.abs(finite).max()) if finite.size else 0.0)
        same = np.isclose(array, wanted.astype(np.float64), 0, tolerance, equal_nan=True)
        assert same.all(), f"{name}: got {array[~same]}, expected {wanted[~same]} for {feed}"


def numbers_of(value, like):
    """JSON's lists as an array; `null` is what JSON cannot carry, compared as NaN."""
    if like.dtype.kind != "f":
        return np.array(value, dtype=like.dtype).reshape(like.shape)
    return np.array(value, dtype=object).astype(float).reshape(like.shape)


def shown(expected):
    """What JSON shows of arrays: NaN for everything that is not finite."""
    return {
        name: np.where(np.isfinite(array), array, np.nan) if array.dtype.kind == "f" else array
        for name, array in expected.items()
    }


def check_json(value, request):
    got = {name: numbers_of(value[name], array) for name, array in request.expected.items()}
    close(got, shown(request.expected), request.feed)


class Wire:
    """One form of request; `name` says which."""

    name = ""

    def carries(self, request):
        return True

    def check(self, connections, request):
        """Sends, and asserts that the answer is right."""
        status, headers, answer = insisted(lambda: self._answer(connections, request))
        if request.expected is None:
            assert 400 <= status < 500, f"the model refuses this, the answer was {status}: {answer[:200]}"
            return
        assert status == 200, f"{status}: {answer[:300]}"
        self.compare(answer, headers, request)

    def _answer(self, connections, request):
        status, headers, answer = self.send(connections, request.feed, request.model)
        # Or this machine held the client up in the middle of its body.
        if status in (429, 408):
            raise Busy
        return status, headers, answer


class JsonByName(Wire):
    name = "JSON by name"

    def carries(self, request):
        return all(map(wire.is_finite, request.feed.values()))

    def send(self, connections, feed, model):
        return connections.scoring.post(model, json.dumps({key: wire.to_json(array) for key, array in feed.items()}))

    def compare(self, answer, _headers, request):
        check_json(wire.json_outputs(answer, list(request.expected)), request)


class JsonData(JsonByName):
    name = "JSON data"

    def carries(self, request):
        return super().carries(request) and len(request.feed) == 1

    def send(self, connections, feed, model):
        (array,) = feed.values()
        return connections.scoring.post(model, json.dumps({"data": wire.to_json(array)}))


class Predict(JsonByName):
    name = "TensorFlow :predict"

    def send(self, connections, feed, model):
        body = json.dumps({"inputs": {key: wire.to_json(array) for key, array in feed.items()}})
        answer = connections.http.post(f"{connections.base}/v1/models/{model}:predict", body)
        return answer.status_code, answer.headers, answer.content

    def compare(self, answer, _headers, request):
        value = json.loads(answer)["outputs"]
        check_json(value if len(request.expected) > 1 else {next(iter(request.expected)): value}, request)


class Csv(Wire):
    name = "CSV"

    def carries(self, request):
        arrays = [*request.feed.values(), *(request.expected or {}).values()]
        return (
            len(arrays) == 2
            and all(array.ndim == 2 and array.dtype.kind == "f" for array in arrays)
            and all(map(wire.is_finite, arrays))
        )

    def send(self, connections, feed, model):
        (array,) = feed.values()
        names = ",".join(f"c{number}" for number in range(array.shape[1]))
        lines = [",".join(repr(float(number)) for number in row) for row in array]
        return connections.scoring.post(model, "\n".join([names, *lines, ""]), CSV, Accept=CSV)

    def compare(self, answer, _headers, request):
        rows = [[float(cell) for cell in line.split(",")] for line in answer.decode().split("\n")[1:] if line]
        close({next(iter(request.expected)): np.array(rows)}, request.expected, request.feed)


class Npy(Wire):
    name = "npy"

    def carries(self, request):
        return len(request.feed) == 1 and len(request.expected or {}) < 2

    def send(self, connections, feed, model):
        return connections.scoring.post(model, wire.to_npy(*feed.values()), wire.NPY)

    def compare(self, answer, _headers, request):
        close({next(iter(request.expected)): wire.from_npy(answer)}, request.expected, request.feed)


class Raw(Wire):
    name = "raw"

    def send(self, connections, feed, model):
        body, shapes = wire.to_raw(feed)
        return connections.scoring.post(model, body, wire.RAW, x_scoria_shape=shapes)

    def compare(self, answer, headers, request):
        close(wire.from_raw(answer, headers, list(request.expected)), request.expected, request.feed)


class Safetensors(Wire):
    name = "safetensors"

    def carries(self, request):
        arrays = [*request.feed.values(), *(request.expected or {}).values()]
        return all(array.dtype != object for array in arrays)

    def send(self, connections, feed, model):
        return connections.scoring.post(model, wire.to_safetensors(feed), wire.SAFETENSORS)

    def compare(self, answer, _headers, request):
        got = wire.from_safetensors(answer)
        close({name: got[name] for name in request.expected}, request.expected, request.feed)


class OpenInferenceJson(JsonByName):
    name = "/v2 JSON"

    def send(self, connections, feed, model):
        return connections.open_inference.infer(model, *open_inference.json_request(feed))

    def compare(self, answer, headers, request):
        found = open_inference.outputs_of(answer, headers)
        got = {name: open_inference.array_of(*value) for name, value in found.items()}
        close(got, shown(request.expected), request.feed)


class OpenInferenceBinary(Wire):
    name = "/v2 binary"

    def send(self, connections, feed, model):
        return connections.open_inference.infer(model, *open_inference.binary_request(feed))

    def compare(self, answer, headers, request):
        close(open_inference.outputs_of(answer, headers), request.expected, request.feed)


class Grpc(Wire):
    name = "gRPC"

    def check(self, connections, request):
        got = insisted(lambda: self._answer(connections, request))
        if request.expected is None or got is None:
            assert request.expected is got, f"got {got}, expected {request.expected}"
        else:
            close(got, request.expected, request.feed)

    def _answer(self, connections, request):
        try:
            return connections.grpc.infer(request.model, request.feed)
        except grpc_wire.Failed as failed:
            if failed.args[0] == grpc_wire.RESOURCE_EXHAUSTED:
                raise Busy from failed
            return None


class GrpcStream(Wire):
    name = "gRPC stream"

    def check(self, connections, request):
        for got in insisted(lambda: self._answers(connections, request)):
            if request.expected is None or got is None:
                assert request.expected is got, f"got {got}, expected {request.expected}"
            else:
                close(got, request.expected, request.feed)

    def _answers(self, connections, request):
        answers = connections.grpc.stream(request.model, [request.feed] * 2)
        if any(isinstance(answer, str) and "try again" in answer for answer in answers):
            raise Busy
        return [None if isinstance(answer, str) else answer for answer in answers]


WIRES = [
    JsonByName(), JsonData(), Predict(), Csv(), Npy(), Raw(), Safetensors(), OpenInferenceJson(), OpenInferenceBinary(), Grpc(),
    GrpcStream(),
]  # fmt: skip

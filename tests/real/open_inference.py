"""Requests of the Open Inference Protocol put together by hand, and their answers taken apart: neither by a client library."""

import http.client
import json

import numpy as np

import wire
from zoo import BFLOAT16, numpy_dtype, type_name

JSON_LENGTH = "Inference-Header-Content-Length"

DATATYPES = {
    "bool": "BOOL",
    "string": "BYTES",
    "float16": "FP16",
    "bfloat16": "BF16",
    "float32": "FP32",
    "float64": "FP64",
    **{f"{kind}{bits}": f"{kind.upper()}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
}
TYPES = {datatype: name for name, datatype in DATATYPES.items()}


class Client:
    """One connection that is kept alive."""

    def __init__(self, server, timeout=60):
        self._connection = http.client.HTTPConnection(*server.host_and_port, timeout=timeout)

    def infer(self, model, body, headers):
        try:
            self._connection.request("POST", f"/v2/models/{model}/infer", body, headers)
            answer = self._connection.getresponse()
            return answer.status, answer.headers, answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise


def described(name, array, **more):
    return {"name": name, "datatype": DATATYPES[type_name(array)], "shape": list(array.shape), **more}


def json_request(feed, nested=False):
    """Body and headers; elements flat, or nested as the shape says."""

    def data(array):
        return wire.to_json(array if nested and array.ndim else array.reshape(-1))

    inputs = [described(name, array, data=data(array)) for name, array in feed.items()]
    return json.dumps({"id": "json", "inputs": inputs}).encode(), {}


def binary_request(feed):
    """Body and headers; the answer is wanted in binary form, too."""
    elements = {name: wire.to_raw({name: array})[0] for name, array in feed.items()}
    inputs = [
        described(name, array, parameters={"binary_data_size": len(elements[name])}) for name, array in feed.items()
    ]
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    return head + b"".join(elements.values()), {JSON_LENGTH: str(len(head))}


def outputs_of(answer, headers):
    """The outputs by name as `(array, is_json)`. All that must hold of every answer is checked on the way."""
    length = headers.get(JSON_LENGTH)
    head, rest = (answer, b"") if length is None else (answer[: int(length)], answer[int(length) :])
    reply = json.loads(head)
    assert set(reply) <= {"model_name", "model_version", "id", "outputs"}, reply.keys()
    found = {}
    for output in reply["outputs"]:
        dtype, shape = TYPES[output["datatype"]], tuple(output["shape"])
        if "data" in output:
            assert set(output) == {"name", "datatype", "shape", "data"}, output.keys()
            found[output["name"]] = (output["data"], dtype, shape)
            continue
        assert set(output) == {"name", "datatype", "shape", "parameters"}, output.keys()
        size = output["parameters"]["binary_data_size"]
        elements, rest = rest[:size], rest[size:]
        found[output["name"]] = from_bytes(elements, dtype, shape)
    assert not rest, f"{len(rest)} bytes are left over"
    return found


def from_bytes(elements, dtype, shape):
    layout = {"x-scoria-dtype": dtype, "x-scoria-shape": ",".join(map(str, shape))}
    return wire.from_raw(elements, layout, ["y"])["y"]


def array_of(data, dtype, shape):
    """A flat list of JSON values as an array; `null` is NaN, as JSON has none."""
    values = [np.nan if value is None else value for value in data]
    kind = numpy_dtype(dtype)
    if kind == BFLOAT16:
        return np.array(values, np.float64).astype(BFLOAT16).reshape(shape)
    return np.array(values, dtype=kind).reshape(shape)

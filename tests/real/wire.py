"""Arrays as request bodies of every dialect, and answers of every dialect as arrays."""

import http.client
import io
import json
import zipfile

import numpy as np
import safetensors
import safetensors.numpy

from zoo import BFLOAT16, numpy_dtype

JSON = "application/json"
NPY = "application/x-npy"
NPZ = "application/x-npz"
RAW = "application/octet-stream"
SAFETENSORS = "application/x-safetensors"


class Client:
    """One connection that is kept alive."""

    def __init__(self, server, timeout=60):
        self._connection = http.client.HTTPConnection(*server.host_and_port, timeout=timeout)

    def post(self, name, body, media_type=JSON, **headers):
        """Scores; gives status, headers and body. Header names are written with underscores."""
        headers = {"Content-Type": media_type, **{key.replace("_", "-"): value for key, value in headers.items()}}
        try:
            self._connection.request("POST", f"/api/v1/service/{name}/score", body, headers)
            answer = self._connection.getresponse()
            return answer.status, answer.headers, answer.read()
        except (OSError, http.client.HTTPException):
            # The next request opens another one.
            self._connection.close()
            raise


def is_finite(array):
    """Whether JSON can carry every element."""
    return array.dtype.kind in "OUbiu" or bool(np.isfinite(array.astype(np.float64)).all())


def to_json(array):
    """Nested lists. Narrow floats become the doubles that they are."""
    return array.astype(np.float64).tolist() if array.dtype == BFLOAT16 else array.tolist()


def to_npy(array):
    file = io.BytesIO()
    np.save(file, array.astype(str) if array.dtype == object else array)
    return file.getvalue()


def to_npz(feed, save=np.savez):
    file = io.BytesIO()
    save(file, **{name: array.astype(str) if array.dtype == object else array for name, array in feed.items()})
    return file.getvalue()


def to_npz_of(npy, name="x"):
    """An archive of one array file, whatever is in it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{name}.npy", npy)
    return file.getvalue()


def to_raw(feed):
    """The elements of all inputs, and the header that tells their shapes."""

    def elements(array):
        if array.dtype != object:
            return array.tobytes()
        texts = [text.encode() for text in array.ravel()]
        return b"".join(len(text).to_bytes(4, "little") + text for text in texts)

    shapes = ";".join(",".join(map(str, array.shape)) for array in feed.values())
    return b"".join(map(elements, feed.values())), shapes


def to_safetensors(feed):
    return safetensors.numpy.save(feed)


def from_npy(body):
    return _typed(np.load(io.BytesIO(body), allow_pickle=False))


def from_npz(body):
    with np.load(io.BytesIO(body), allow_pickle=False) as file:
        return {name: _typed(file[name]) for name in file.files}


def from_raw(body, headers, names):
    """The outputs of a raw answer, which must be used up."""
    # An empty header value means one scalar; the header is there for every answer.
    dtypes, shapes = headers["x-scoria-dtype"].split(";"), headers["x-scoria-shape"].split(";")
    assert len(dtypes) == len(shapes) == len(names)
    outputs, offset = {}, 0
    for name, dtype, shape in zip(names, dtypes, shapes):
        shape = tuple(int(size) for size in shape.split(",") if size)
        count = int(np.prod(shape))
        if dtype == "string":
            texts = []
            for _ in range(count):
                length = int.from_bytes(body[offset : offset + 4], "little")
                texts.append(body[offset + 4 : offset + 4 + length].decode())
                offset += 4 + length
            outputs[name] = np.array(texts, dtype=object).reshape(shape)
        else:
            kind = numpy_dtype(dtype)
            outputs[name] = np.frombuffer(body, kind, count, offset).reshape(shape) if count else np.empty(shape, kind)
            offset += count * kind.itemsize
    assert offset == len(body), f"{len(body) - offset} bytes are left over"
    return outputs


def from_safetensors(body):
    kinds = {
        "BOOL": "bool",
        "BF16": "bfloat16",
        **{
            f"{kind}{bits}": f"{word}{bits}"
            for kind, word in (("I", "int"), ("U", "uint"), ("F", "float"))
            for bits in (8, 16, 32, 64)
        },
    }
    outputs = {}
    for name, tensor in safetensors.deserialize(body):
        kind = numpy_dtype(kinds[tensor["dtype"]])
        outputs[name] = np.frombuffer(bytes(tensor["data"]), kind).reshape(tensor["shape"])
    return outputs


def _typed(array):
    # How bfloat16 looks to a NumPy that has not heard of it.
    if array.dtype == np.dtype("V2"):
        return array.view(BFLOAT16)
    return array.astype(object) if array.dtype.kind == "U" else array


def json_outputs(body, names):
    """A bare JSON answer by output name."""
    value = json.loads(body)
    return {names[0]: value} if len(names) == 1 else value


# What an answer to each envelope is wrapped in; those not listed are answered bare.
REPLY_KEYS = {
    "instances": "predictions",
    "dataframe_split": "predictions",
    "dataframe_records": "predictions",
    "inputs": "outputs",
    "Inputs": "Results",
}

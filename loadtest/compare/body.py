"""The forms of a request and of its answer: what is sent for a row, and the tensors in what comes back."""

import json
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from compare.model import Encoding, Feeds

Form = Literal["data", "v2", "raw"]

ENCODING_OF_FORM: dict[Form, Encoding] = {"data": "json", "v2": "json", "raw": "binary"}
# Of the Open Inference Protocol.
V2_DATATYPES = {"float32": "FP32", "int64": "INT64"}


@dataclass(frozen=True)
class Body:
    bytes: bytes
    content_type: str


def shortest(array: np.ndarray) -> Any:
    """Nested lists with each float in the fewest digits that give it back, 0.1 and not 0.10000000149011612."""
    if array.dtype == np.float32:
        return array.astype(str).astype(np.float64).tolist()
    return array.tolist()


def compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def encode(form: Form, feeds: Feeds) -> Body:
    match form:
        case "data" if len(feeds) == 1:
            (array,) = feeds.values()
            return Body(compact({"data": shortest(array)}), "application/json")
        case "data":
            return Body(compact({name: shortest(array) for name, array in feeds.items()}), "application/json")
        case "v2":
            inputs = [
                {
                    "name": name,
                    "shape": list(array.shape),
                    "datatype": V2_DATATYPES[array.dtype.name],
                    "data": shortest(array.ravel()),
                }
                for name, array in feeds.items()
            ]
            return Body(compact({"inputs": inputs}), "application/json")
        case "raw":
            if len(feeds) != 1:
                raise ValueError(f"a raw body holds one tensor, and this model takes {len(feeds)}")
            (array,) = feeds.values()
            return Body(
                np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes(), "application/octet-stream"
            )


def decode(form: Form, answer: bytes, outputs: list[str]) -> dict[str, np.ndarray]:
    """The answer's tensors by name. A raw one has lost its shape, and is compared flat."""
    match form:
        case "raw":
            (name,) = outputs
            return {name: np.frombuffer(answer, "<f4")}
        case "v2":
            named = {tensor["name"]: tensor for tensor in json.loads(answer)["outputs"]}
            return {name: np.asarray(tensor["data"]).reshape(tensor["shape"]) for name, tensor in named.items()}
        case "data":
            value = json.loads(answer)
            if len(outputs) == 1:
                return {outputs[0]: np.asarray(value)}
            return {name: np.asarray(array) for name, array in value.items()}

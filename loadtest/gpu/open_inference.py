"""The Open Inference Protocol with binary tensors: a JSON head, and the tensors' bytes behind it."""

import json
from dataclasses import dataclass

import numpy as np

HEAD_LENGTH = "Inference-Header-Content-Length"
MEDIA_TYPE = "application/octet-stream"
DATATYPES = {"float32": "FP32", "float16": "FP16", "int64": "INT64"}
DTYPES = {datatype: np.dtype(name).newbyteorder("<") for name, datatype in DATATYPES.items()}


@dataclass(frozen=True)
class Request:
    head_length: int
    content: bytes

    @property
    def headers(self) -> dict[str, str]:
        return {"Content-Type": MEDIA_TYPE, HEAD_LENGTH: str(self.head_length)}


def encode(feeds: dict[str, np.ndarray]) -> Request:
    """Asks for the answer in the same form."""
    inputs = [
        {
            "name": name,
            "shape": list(array.shape),
            "datatype": DATATYPES[array.dtype.name],
            "parameters": {"binary_data_size": array.nbytes},
        }
        for name, array in feeds.items()
    ]
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}, separators=(",", ":")).encode()
    tensors = [np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes() for array in feeds.values()]
    return Request(len(head), b"".join([head, *tensors]))


def decode(content: bytes, head_length: int) -> dict[str, np.ndarray]:
    """The tensors by name. Raises a ValueError or a KeyError for what is no answer of this form."""
    outputs, at = {}, head_length
    for tensor in json.loads(content[:head_length])["outputs"]:
        end = at + tensor["parameters"]["binary_data_size"]
        array = np.frombuffer(content[at:end], DTYPES[tensor["datatype"]])
        outputs[tensor["name"]] = array.reshape(tensor["shape"])
        at = end
    if at != len(content):
        raise ValueError(f"expected {at} bytes, got {len(content)}")
    return outputs

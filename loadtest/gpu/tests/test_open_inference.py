"""Bodies with binary tensors: what is written is what the protocol says, and what is read is what was written."""

import json

import numpy as np
import pytest

from gpu.open_inference import Request, decode, encode


def answer(**outputs):
    tensors = [
        {
            "name": name,
            "shape": list(array.shape),
            "datatype": {"float16": "FP16", "float32": "FP32"}[array.dtype.name],
            "parameters": {"binary_data_size": array.nbytes},
        }
        for name, array in outputs.items()
    ]
    head = json.dumps({"model_name": "m", "outputs": tensors}).encode()
    return head + b"".join(array.tobytes() for array in outputs.values()), len(head)


def test_a_request_has_a_head_and_the_tensors_behind_it():
    ids = np.array([[1, -2]], np.int64)
    image = np.array([[0.5, 2.0]], np.float16)
    request = encode({"ids": ids, "image": image})
    head = json.loads(request.content[: request.head_length])
    assert head["parameters"] == {"binary_data_output": True}
    assert [(one["name"], one["shape"], one["datatype"]) for one in head["inputs"]] == [
        ("ids", [1, 2], "INT64"),
        ("image", [1, 2], "FP16"),
    ]
    assert [one["parameters"]["binary_data_size"] for one in head["inputs"]] == [16, 4]
    assert request.content[request.head_length :] == ids.tobytes() + image.tobytes()
    assert request.headers["Inference-Header-Content-Length"] == str(request.head_length)


def test_an_answer_is_read_back():
    first, second = np.arange(6, dtype=np.float32).reshape(2, 3), np.array([[1.5]], np.float16)
    got = decode(*answer(first=first, second=second))
    assert list(got) == ["first", "second"]
    np.testing.assert_array_equal(got["first"], first)
    assert got["second"].dtype == np.float16 and got["second"] == 1.5


def test_an_answer_that_is_cut_short_is_none():
    content, head_length = answer(y=np.zeros((2, 2), np.float32))
    with pytest.raises(ValueError):
        decode(content[:-1], head_length)
    with pytest.raises(ValueError, match="expected"):
        decode(content + b"x", head_length)


def test_requests_of_the_same_shapes_have_heads_of_one_length():
    lengths = {encode({"x": np.full((32, 3), seed, np.float32)}).head_length for seed in range(4)}
    assert len(lengths) == 1
    assert isinstance(encode({"x": np.zeros((1, 1), np.float32)}), Request)

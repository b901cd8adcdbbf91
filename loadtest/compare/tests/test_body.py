"""Requests and answers in each form."""

import json

import numpy as np
import pytest

from compare.body import decode, encode

FLOATS = {"x": np.array([[0.1, -2.5]], np.float32)}
TOKENS = {"ids": np.array([[3, 4]], np.int64), "mask": np.array([[1, 0]], np.int64)}


def test_floats_are_written_in_the_digits_that_give_them_back():
    assert encode("data", FLOATS).bytes == b'{"data":[[0.1,-2.5]]}'


def test_several_inputs_go_by_name():
    assert encode("data", TOKENS).bytes == b'{"ids":[[3,4]],"mask":[[1,0]]}'


def test_v2_tensors_are_flat_and_typed():
    assert json.loads(encode("v2", TOKENS).bytes) == {
        "inputs": [
            {"name": "ids", "shape": [1, 2], "datatype": "INT64", "data": [3, 4]},
            {"name": "mask", "shape": [1, 2], "datatype": "INT64", "data": [1, 0]},
        ]
    }


def test_raw_is_the_tensors_bytes():
    body = encode("raw", FLOATS)
    assert body.content_type == "application/octet-stream"
    assert np.frombuffer(body.bytes, "<f4").tolist() == FLOATS["x"].ravel().tolist()
    with pytest.raises(ValueError, match="one tensor"):
        encode("raw", TOKENS)


def test_answers_are_read_in_each_form():
    assert decode("data", b"[[1.5]]", ["y"])["y"].tolist() == [[1.5]]
    assert decode("data", b'{"a": [1], "b": [2]}', ["a", "b"])["b"].tolist() == [2]
    assert decode("raw", np.float32([1.5]).tobytes(), ["y"])["y"].tolist() == [1.5]
    answer = {"outputs": [{"name": "y", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}
    assert decode("v2", json.dumps(answer).encode(), ["y"])["y"].tolist() == [[1, 2]]

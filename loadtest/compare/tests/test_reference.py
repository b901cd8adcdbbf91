"""What is a right answer, and what is not."""

import json

import numpy as np
import pytest

from compare.model import MODELS
from compare.reference import Reference, WrongAnswer, check_tensor


@pytest.fixture(scope="module")
def ridge():
    return Reference(MODELS["ridge"])


def answer_to(reference, index):
    return json.dumps(reference.expected[index]["progression"].tolist()).encode()


def test_the_models_own_answer_is_right(ridge):
    for index in range(len(ridge.rows)):
        ridge.check("data", index, answer_to(ridge, index))


def test_the_answer_to_another_row_is_wrong(ridge):
    with pytest.raises(WrongAnswer, match="row 0, output progression: differs"):
        ridge.check("data", 0, answer_to(ridge, 1))


@pytest.mark.parametrize("answer", [b"", b'{"detail": "no"}', b"[[NaN]]", b"[[1.0, 2.0]]", b"[]", b'[["a"]]'])
def test_what_is_no_answer_is_wrong(ridge, answer):
    with pytest.raises(WrongAnswer):
        ridge.check("data", 0, answer)


def test_rounding_is_forgiven_and_nothing_more():
    expected = np.array([[100.0, 0.0]], np.float32)
    check_tensor("here", expected, np.array([[100.05, 0.05]]))
    with pytest.raises(WrongAnswer, match="differs"):
        check_tensor("here", expected, np.array([[100.2, 0.0]]))
    with pytest.raises(WrongAnswer, match="shape"):
        check_tensor("here", expected, np.array([[100.0], [0.0]]))
    with pytest.raises(WrongAnswer, match="missing"):
        check_tensor("here", expected, None)

"""A real server in a process of its own, from its start to its end."""

import sys
from pathlib import Path

import pytest

from compare import peer
from compare.model import MODELS
from compare.reference import Reference, WrongAnswer
from compare.server import CannotServe, Server

RIDGE = MODELS["ridge"]
PROGRAM = Path(__file__).with_name("answering.py")


def answering(fault):
    described = {
        "title": "A",
        "path": "/score",
        "forms": ["data"],
        "command": [sys.executable, str(PROGRAM)],
        "environment": {"FAULT": fault},
    }
    return Server(peer.parse("answering", described), RIDGE)


@pytest.fixture(scope="module")
def reference():
    return Reference(RIDGE)


def test_one_that_answers_rightly_is_let_in_and_leaves_nothing_behind(reference):
    with answering("none") as server:
        assert server.start_ms > 0
        server.check(reference, "json")
        server.tree.freeze()
        server.tree.thaw()
        server.settle()
        scratch = server.scratch
        assert server.memory().rss_bytes > 0
    assert server.tree.members() == []
    assert not scratch.exists()


def test_one_that_was_stopped_can_be_ended():
    with answering("none") as server:
        server.tree.freeze()
    assert server.tree.members() == []


def test_wrong_answers_are_found(reference):
    with answering("wrong") as server, pytest.raises(WrongAnswer, match="row 0, output progression: differs"):
        server.check(reference, "json")


def test_errors_are_no_answers(reference):
    with answering("refuses") as server, pytest.raises(CannotServe, match="answered row 0 with 500"):
        server.check(reference, "json")


def test_one_that_ends_says_why():
    with pytest.raises(CannotServe, match="ended with 1: the model is not to my taste"), answering("ends"):
        pass


def test_what_it_does_not_speak_is_not_asked(reference):
    with answering("wrong") as server:
        server.check(reference, "binary")

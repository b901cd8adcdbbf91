"""The descriptions of the servers."""

import pytest

from compare import peer
from compare.model import MODELS
from compare.peer import BadPeer, Tuning

LEAST = {"title": "A", "path": "/a", "forms": ["data"], "command": ["a"]}


@pytest.mark.parametrize("name", peer.names())
def test_every_description_in_the_repository_is_valid(name):
    found = peer.load(name)
    assert found.form("json") is not None
    # All that is not built here has pins, of which its own package is one.
    assert (found.package is None) == (name in (peer.SCORIA, peer.BARE)) == (not found.requirements.exists())
    if found.package is not None:
        assert f"\n{found.package}==" in found.requirements.read_text()
    assert found.tunings.keys() <= {"default", *MODELS}


def test_tunings_are_the_models_own_and_else_the_default():
    found = peer.parse("a", {**LEAST, "tuning": {"default": {"threads": 2}, "ridge": {"workers": 3}}})
    assert found.tuning("ridge") == Tuning(workers=3, threads=2)
    assert found.tuning("gbt") == Tuning(workers=1, threads=2)


def test_cores_are_those_of_the_machine():
    found = peer.parse("a", {**LEAST, "tuning": {"default": {"workers": "cores"}}})
    assert found.tuning("gbt").workers == len(peer.CORES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tilte": "A"}, "unknown tilte; known are"),
        ({"forms": ["xml"]}, "expected forms out of"),
        ({"answers": "much"}, 'expected answers = "nothing"'),
        ({"tuning": {"default": {"speed": 1}}}, "unknown speed"),
        ({"tuning": {"default": {"workers": 0}}}, "expected a number"),
    ],
)
def test_mistakes_are_named(change, message):
    with pytest.raises(BadPeer, match=message):
        peer.parse("a", {**LEAST, **change})


def test_what_is_missing_is_named():
    with pytest.raises(BadPeer, match="forms must be given"):
        peer.parse("a", {key: value for key, value in LEAST.items() if key != "forms"})
    with pytest.raises(BadPeer, match="there is no peer 'nobody'; there are scoria, bare"):
        peer.load("nobody")

"""Models that the server has never seen, scored in every dialect, against ONNX Runtime's own Python package."""

import json
import re

import numpy as np
import onnx
import pytest
import requests

import wire
import zoo
from compare import check_binary, check_json
from reference import Reference, Refused
from zoo.case import generator

# Failures shown; the rest is counted.
SHOWN = 25

# Where tract computes something else than ONNX Runtime, and why that is left so.
TRACT_DEVIATES = {
    r"(relu-float64|celu-float32|hardmax-float32)": "NaN is not passed on",
    r"(softplus|hardswish|logsoftmax)-float\d+": "overflows near the end of the range",
    r"cast-(bool|float\d+)-string": "other digits, and false for 0: the standard leaves both open",
    r"reducelogsumexp-int\d+-.*": "an exponential of integers means nothing",
}


class Checker:
    """Scores one case in every dialect that can carry it, and notes what is wrong with the answers."""

    def __init__(self, server, scale):
        self.client = wire.Client(server)
        self.scale = scale
        self.failures = []
        self.answers = 0
        self.rejected = 0

    def check(self, case, reference):
        for number, feed in enumerate(case.feeds):
            feed = {name: feed[name] for name in reference.inputs}
            try:
                expected = reference.run(feed)
            except Refused:
                expected = None
            for label, body, media_type, headers, read in bodies(feed, expected, generator(case.name, number)):
                try:
                    self.score(case, label, body, media_type, headers, read, expected)
                except Exception as error:  # whatever is wrong with the answer, the next one is looked at too
                    self.failures.append(f"{case.name} feed {number} as {label}: {error}"[:600])

    def score(self, case, label, body, media_type, headers, read, expected):
        status, answered, answer = self.client.post(case.name, body, media_type, **headers)
        if expected is None:
            assert 400 <= status < 500, f"the reference refuses this, the answer was {status}: {answer[:200]}"
            self.rejected += 1
            return
        assert status == 200, f"{status}: {answer[:300]}"
        tensors_only = all(isinstance(value, np.ndarray) for value in expected.values())
        assert tensors_only or "json" in answered["content-type"]
        read(answer, answered, expected, case.exact, self.scale)
        self.answers += 1


def bodies(feed, expected, rng):
    """The request bodies: label, bytes, media type, headers, and the check of the answer."""
    expected = expected or {}
    arrays = all(isinstance(value, np.ndarray) for value in expected.values())
    if all(map(wire.is_finite, feed.values())) and not any(map(ambiguous_as_json, feed.values())):
        yield from json_bodies(feed, expected, rng)
    # No binary answer for what is no array.
    accept = {} if arrays else {"Accept": wire.JSON}
    several = len(expected) > 1

    def binary(read):
        return (lambda *arguments: check_binary_answer(read, *arguments)) if arrays else check_bare_json

    if len(feed) == 1:
        yield "npy", wire.to_npy(*feed.values()), wire.NPY, accept, binary(read_npz if several else read_npy)
    if not {"file", "allow_pickle", "args", "kwds"} & set(feed):
        yield "npz", wire.to_npz(feed), wire.NPZ, accept, binary(read_npz)
        yield "npz, compressed", wire.to_npz(feed, np.savez_compressed), wire.NPZ, accept, binary(read_npz)
    raw, shapes = wire.to_raw(feed)
    yield "raw", raw, wire.RAW, {"x_scoria_shape": shapes, **accept}, binary(read_raw)
    if any(array.dtype == object for array in feed.values()):
        return
    # Answers with strings cannot be safetensors either.
    strings_out = arrays and any(value.dtype == object for value in expected.values())
    accept = {"Accept": wire.NPZ} if strings_out else accept
    yield (
        "safetensors",
        wire.to_safetensors(feed),
        wire.SAFETENSORS,
        accept,
        binary(read_npz if strings_out else read_safetensors),
    )


def json_bodies(feed, expected, rng):
    values = {name: wire.to_json(array) for name, array in feed.items()}
    yield "json by name", json.dumps(values), wire.JSON, {}, check_bare_json
    # Other spellings of the same values: not escaped, spaced, the keys in another order.
    spaced = json.dumps(dict(reversed(values.items())), ensure_ascii=False, indent=2).encode()
    yield "json spaced", spaced, wire.JSON, {}, check_bare_json
    if not feed:
        return
    if len(feed) == 1:
        key = str(rng.choice(["data", "input_data", "instances", "inputs", "Inputs"]))
        payload = next(iter(values.values()))
        # A single value in an envelope of rows is no row.
        if key == "instances" and not isinstance(payload, list):
            key = "data"
        # An envelope's key that is the input's own name is just that.
        yield key, json.dumps({key: payload}), wire.JSON, {}, enveloped(None if key in feed else key)
    elif not set(feed) <= {"columns", "index", "data"}:
        key = str(rng.choice(["data", "input_data", "inputs", "Inputs"]))
        if key not in feed:
            yield key, json.dumps({key: values}), wire.JSON, {}, enveloped(key)
    if expected and all(isinstance(value, np.ndarray) for value in expected.values()):
        yield (
            "json to npz",
            json.dumps(values),
            wire.JSON,
            {"Accept": wire.NPZ},
            lambda *args: check_binary_answer(read_npz, *args),
        )


def ambiguous_as_json(array):
    """An empty list does not tell the sizes of the dimensions inside it."""
    return array.ndim > 1 and 0 in array.shape[:-1] and array.shape != (0,) * array.ndim


def check_bare_json(answer, _headers, expected, exact, scale):
    check_outputs(wire.json_outputs(answer, list(expected)), expected, exact, scale)


def enveloped(key):
    """The check of an answer to the envelope `key`."""
    wrapper = wire.REPLY_KEYS.get(key)

    def check(answer, headers, expected, exact, scale):
        if wrapper is None:
            return check_bare_json(answer, headers, expected, exact, scale)
        parsed = json.loads(answer)
        assert list(parsed) == [wrapper], f"keys {list(parsed)}, expected {wrapper}"
        value = parsed[wrapper]
        rows = isinstance(value, list) and len(expected) > 1
        if rows:
            # Row form: one object for each row.
            value = {name: [row[name] for row in value] for name in expected}
        elif len(expected) == 1:
            value = {next(iter(expected)): value}
        check_outputs(value, expected, exact, scale)

    return check


def check_outputs(got, expected, exact, scale):
    assert list(got) == list(expected), f"outputs {list(got)}, expected {list(expected)}"
    for name, value in expected.items():
        check_json(name, got[name], value, exact, scale)


def check_binary_answer(read, answer, headers, expected, exact, scale):
    check_binary(read(answer, headers, expected), expected, exact, scale)


def read_npy(answer, _headers, expected):
    return {next(iter(expected)): wire.from_npy(answer)}


def read_npz(answer, _headers, _expected):
    return wire.from_npz(answer)


def read_raw(answer, headers, expected):
    return wire.from_raw(answer, headers, list(expected))


def read_safetensors(answer, _headers, expected):
    # The format has no order.
    outputs = wire.from_safetensors(answer)
    assert outputs.keys() == expected.keys()
    return {name: outputs[name] for name in expected}


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """The cases, and the folder of their files."""
    folder = tmp_path_factory.mktemp("zoo")
    cases = zoo.cases()
    for case in cases.values():
        onnx.save(case.model, folder / f"{case.name}.onnx")
    return cases, folder


def states(server):
    return requests.get(f"{server.admin}/readyz", timeout=60).json()["endpoints"]


def score_all(server, cases, scale):
    """Scores what server and reference both run; gives the checker, the names served, and those refused only here."""
    served = {name for name, state in states(server).items() if state == "ready"}
    checker = Checker(server, scale)
    refused_here = []
    for name, case in cases.items():
        try:
            reference = Reference(case.model)
        except Refused:
            reference = None
        if name in served and reference:
            checker.check(case, reference)
        elif reference:
            refused_here.append(name)
    return checker, served, refused_here


def report(checker):
    shown = "\n".join(checker.failures[:SHOWN])
    assert not checker.failures, f"{len(checker.failures)} failures:\n{shown}"


def loads_not(case):
    try:
        Reference(case.model)
    except Refused:
        return True
    return False


def deviates(name):
    return any(re.fullmatch(pattern, name) for pattern in TRACT_DEVIATES)


def test_onnx_runtime(generated, serve):
    cases, folder = generated
    with serve(folder, engine="ort") as server:
        checker, served, refused = score_all(server, cases, scale=1.0)
        report(checker)
        refused += [name for name in served if loads_not(cases[name])]
        assert not refused, f"served by one of server and reference only: {refused}"
        assert server.is_alive()
    assert len(served) > 1500 and checker.answers > 15_000, (len(served), checker.answers)


def test_tract(generated, serve):
    cases, folder = generated
    with serve(folder, engine="tract") as server:
        comparable = {name: case for name, case in cases.items() if not deviates(name)}
        checker, served, refused = score_all(server, comparable, scale=10.0)
        report(checker)
        found = states(server)
        reasons = dict(re.findall(r"^\s*(\S+)  NOT SERVED: (.+)$", server.banner, re.M))
        for name in refused:
            assert found[name] == "failed" and reasons.get(name), f"{name}: {found[name]}, {reasons.get(name)}"
        assert server.is_alive()
    assert len(served) > 500, len(served)

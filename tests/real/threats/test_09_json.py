"""Threat 9: JSON that is deep, endless, ambiguous or no text. Each body is refused by a 400 that helps, and no value is changed."""

import json
import socket

import numpy as np
import pytest

from refusals import RIDGE, Hostile, check_error, statuses
from usage import Usage
from zoo.case import generator

MIB = 1024 * 1024

THREE = {"a": [[1, 2, 3], [4.5, -6, 7e2]], "b": [1, -2], "c": ["x\u00e9\n", "🦀"]}


BODIES = {
    "matrix": (
        {"x": [[0.5] * 10] * 2},
        RIDGE,
        {"instances": [[1] * 10]},
        {"dataframe_split": {"columns": list("abcdefghij"), "index": [0], "data": [[1] * 10]}},
    ),
    "three": (THREE, {"inputs": THREE}, {"dataframe_records": [{"a": [1, 2, 3], "b": 1, "c": "x"}]}),
    "one-int64": ({"data": [1, -2, 3]},),
    "one-string": ({"x": ["a", "b"]},),
    "scalar-float32": ({"x": 1.5},),
}


def test_json_cut_off_anywhere(hostile):
    for name, bodies in BODIES.items():
        for body in bodies:
            for ascii_only in (True, False):
                text = json.dumps(body, ensure_ascii=ascii_only).encode()
                assert hostile.score(name, text)[0] == 200, (name, text)
                for end in range(len(text)):
                    hostile.refuse(name, text[:end], code="malformed_body")


def test_json_with_random_damage(hostile):
    """What is still accepted must be JSON, and be answered with its own values."""
    rng = generator("damage")
    tokens = [
        b"[",
        b"]",
        b"{",
        b"}",
        b",",
        b":",
        b'"',
        b"\\",
        b"-",
        b"+",
        b".",
        b"e",
        b"0",
        b"9",
        b"1e999",
        b"null",
        b"true",
        b"NaN",
        b"\x00",
        b"\xff",
        b"\xef\xbb\xbf",
        b" ",
        b"\n",
        b"\\u0000",
        b"\\ud800",
        b"//",
        b"'",
        b"99999999999999999999",
        b"Infinity",
    ]
    accepted = refused = 0
    for name in ("matrix", "three", "one-int64", "one-string", "one-uint8", "one-bool", "scalar-float32"):
        body = json.dumps(BODIES.get(name, [{"x": [1, 2]}])[0] if name != "one-bool" else {"x": [True, False]}).encode()
        for _ in range(400):
            damaged = bytearray(body)
            for _ in range(int(rng.integers(1, 4))):
                at = int(rng.integers(0, len(damaged) + 1))
                match int(rng.integers(0, 4)):
                    case 0:
                        damaged[at:at] = tokens[int(rng.integers(0, len(tokens)))]
                    case 1:
                        del damaged[at : at + int(rng.integers(1, 4))]
                    case 2 if at < len(damaged):
                        damaged[at] = int(rng.integers(0, 256))
                    case _:
                        damaged[at:at] = damaged[at : at + int(rng.integers(1, 9))]
            status, _, content = hostile.score(name, bytes(damaged))
            if status == 200:
                accepted += 1
                check_echo(bytes(damaged), content)
            else:
                refused += 1
                assert status == 400, (name, bytes(damaged), status, content)
                hostile.check_example(name, check_error(content))
    assert accepted > 50 and refused > 1000, (accepted, refused)


def check_echo(body, content):
    """The models here answer what they were given, each output called as its input and `_`."""

    def no_repeats(pairs):
        assert len(dict(pairs)) == len(pairs), body
        return dict(pairs)

    def no_constant(word):
        raise AssertionError(f"{word} was accepted: {body}")

    sent = json.loads(body, object_pairs_hook=no_repeats, parse_constant=no_constant)
    got = json.loads(content)
    if set(sent) == {"a", "b", "c"}:
        sent = {f"{name}_": value for name, value in sent.items()}
    else:
        # Unknown keys are let pass beside an envelope only.
        sent = sent["data"] if "data" in sent else sent["x"]
    assert same(sent, got), (body, content)


def same(sent, got):
    if isinstance(sent, dict):
        return sent.keys() == got.keys() and all(same(value, got[key]) for key, value in sent.items())
    if isinstance(sent, list):
        return len(sent) == len(got) and all(map(same, sent, got))
    if isinstance(sent, float) or isinstance(got, float):
        return not isinstance(sent, (bool, str)) and (np.float32(sent) == np.float32(got) or sent == got)
    return type(sent) is type(got) and sent == got


def test_json_of_wrong_structure(hostile):
    good = json.dumps(RIDGE["data"])
    for body in (
        "",
        " ",
        "\n",
        "null",
        "1",
        '"x"',
        "[]",
        good,
        "{}",
        "[{}]",
        '{"x"}',
        '{"x":}',
        f'{{"x": {good},}}',
        f'{{"x": {good}}} x',
        f'{{"x": {good}}}{{}}',
        f"{{'x': {good}}}",
        f"{{x: {good}}}",
        f'{{"x": {good} /* no */}}',
        f'{{"x": {good}}}\x00',
        f'{{"x": {good}, "x": {good}}}',
        f'{{"x": {good}, "\\u0078": {good}}}',
        f'{{"data": {good}, "x": {good}}}',
        f'{{"data": {good}, "instances": {good}}}',
        f'{{"y": {good}}}',
        f'{{"X": {good}}}',
        f'{{"x": {good}, "y": 1}}',
        '{"x": [[NaN,1,1,1,1,1,1,1,1,1]]}',
        '{"x": [[Infinity,1,1,1,1,1,1,1,1,1]]}',
        '{"x": [[01,1,1,1,1,1,1,1,1,1]]}',
        '{"x": [[+1,1,1,1,1,1,1,1,1,1]]}',
        '{"x": [[.5,1,1,1,1,1,1,1,1,1]]}',
        '{"x": [[5.,1,1,1,1,1,1,1,1,1]]}',
        '{"x": [[0x1,1,1,1,1,1,1,1,1,1]]}',
        '{"x": [[1_0,1,1,1,1,1,1,1,1,1]]}',
        '{"x": [[1e,1,1,1,1,1,1,1,1,1]]}',
        '{"x": [[--1,1,1,1,1,1,1,1,1,1]]}',
        '{"x": [[1,1,1,1,1,1,1,1,1,1],]}',
        '{"dataframe_split": {"columns": ["a"], "data": [[1]]}}',
        f'{{"dataframe_split": {{"index": [1, 2], "data": {good}}}}}',
        '{"dataframe_split": []}',
        '{"dataframe_split": {"columns": ["a"]}}',
        '{"dataframe_records": {}}',
        '{"dataframe_records": [1]}',
        '{"dataframe_records": [{}]}',
        '{"instances": {}}',
        '{"input_data": {"columns": 1, "data": 2}}',
        '{"inputs": [{"name": "x", "shape": [1, 10], "datatype": "FP32", "data": [1]}]}',
    ):
        hostile.refuse("matrix", body.encode())
    for body in (
        {},
        {"a": [[1, 2, 3]]},
        {**THREE, "d": 1},
        {**THREE, "b": [1]},
        {**THREE, "b": [1.5, 2]},
        {**THREE, "c": [1, 2]},
        {"data": [[1, 2, 3]]},
        {"instances": [{"a": [1, 2, 3]}]},
    ):
        status, _, content = hostile.score("three", json.dumps(body))
        # Sizes that differ between inputs are the model's business, and this one does not care.
        if body == {**THREE, "b": [1]}:
            assert status in (200, 400)
        else:
            assert status == 400, (body, content)
            hostile.check_example("three", check_error(content))
    for text in (
        b'"\xff"',
        b'"\xc3"',
        b'"\xed\xa0\x80"',
        b'"\xf5\x80\x80\x80"',
        b'"\xc0\xaf"',
        b'"\\ud800"',
        b'"\\udc00\\ud800"',
        b'"\\x41"',
        b'"\\u12"',
        b'"\n"',
        b'"\x00"',
        b"'a'",
    ):
        hostile.refuse("one-string", b'{"x": [' + text + b"]}")
    # A character like any other, where it is written as JSON wants it.
    status, _, content = hostile.score("one-string", b'{"x": ["a\\u0000b"]}')
    assert (status, json.loads(content)) == (200, ["a\x00b"]), content


def test_json_nested_beyond_reason(hostile):
    for depth in (10, 100, 1_000, 100_000, 2_000_000):
        for open_, close in (("[", "]"), ('{"a":', "}")):
            hostile.refuse("matrix", '{"x": ' + open_ * depth + close * depth + "}")
            hostile.refuse("matrix", '{"x": ' + open_ * depth)
            hostile.refuse("matrix", '{"other": ' + open_ * depth + "1" + close * depth + "}")
            hostile.refuse("matrix", open_ * depth)


def test_json_with_many_keys(hostile):
    keys = ", ".join(f'"k{index}": 1' for index in range(200_000))
    hostile.refuse("matrix", f"{{{keys}}}")
    hostile.refuse("matrix", f'{{"x": [[{", ".join(["1" * 1000] * 10)}]]}}', code="lossy_number")
    hostile.refuse("one-int64", '{"x": [' + "9" * 5_000_000 + "]}", code="lossy_number")
    hostile.refuse("one-int64", '{"x": [0.' + "0" * 5_000_000 + "1]}", code="lossy_number")
    hostile.refuse("one-float16", '{"x": [1' + "0" * 5_000_000 + "]}", code="lossy_number")


def endless(server, begin, piece, total):
    """Streams a body of `total` bytes in chunks, until it is refused; gives the answer and how much was sent."""
    head = b"POST /api/v1/service/matrix/score HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"%x\r\n%s\r\n" % (len(piece), piece)
    sent = 0
    with socket.create_connection(server.host_and_port, timeout=20) as connection:
        try:
            connection.sendall(head + b"%x\r\n%s\r\n" % (len(begin), begin))
            while sent < total:
                connection.sendall(chunk)
                sent += len(piece)
        except OSError:
            # It was refused, and is told below.
            pass
        answer = b""
        try:
            while words := connection.recv(65536):
                answer += words
        except ConnectionResetError:
            pass
    return answer, sent


@pytest.mark.parametrize(
    "begin, piece",
    [
        (b'{"x": [[', b"9" * MIB),
        (b'{"x": ', b"[" * MIB),
        (b" ", b" " * MIB),
        (b'{"', b"k" * MIB),
        (b'{"x": [[', b"1," * (MIB // 2)),
    ],
    ids=["digits", "depth", "white space", "a key", "numbers"],
)
def test_a_gigabyte_of_json_is_refused_early_and_not_kept(hostile, served, figure, begin, piece):
    usage = Usage(served)
    usage.forget_peak()
    answer, sent = endless(served, begin, piece, 1024 * MIB)
    peak = usage.peak_growth_mib
    figure(f"refused after {sent // MIB} MiB were sent, RSS at most +{peak:.0f} MiB")
    assert statuses(answer) == [413], answer[:300]
    # The limit of a body, and what it takes to let it grow; then the kernel's buffers and the lingering close.
    assert peak <= 64 and sent < 300 * MIB


def test_depth_and_size_are_bounded_by_settings(serve, models):
    """The controls: what is refused by default is taken where the settings say so, and the other way round."""
    deep = '{"other": ' + "[" * 70 + "]" * 70 + ', "data": [[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]]}'
    for settings, expected in (({}, 400), ({"max_json_depth": 100}, 200)):
        with serve(models / "ridge", **settings) as server:
            assert Hostile(server).score("ridge", deep)[0] == expected
    long = json.dumps(RIDGE) + " " * 1000
    for settings, expected in (({}, 200), ({"max_body_bytes": 1000}, 413)):
        with serve(models / "ridge", **settings) as server:
            assert Hostile(server).score("ridge", long)[0] == expected

"""Requests that are wrong in every way: each is refused by a 4xx that helps, quickly, and nothing else comes of it."""

import fractions
import io
import json
import re
import struct
import zipfile

import ml_dtypes
import numpy as np
import onnx
import pytest

import wire
from refusals import ANSWER_MAX_S, Hostile, check_error, exchange, statuses
from zoo import numpy_dtype
from zoo.case import FLOATS, TYPES, build, generator, node

RIDGE = {"data": [[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]]}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server of small models that show what they were given."""
    from scoria_server import Server

    folder = tmp_path_factory.mktemp("hostile")

    def save(name, nodes, inputs, outputs):
        onnx.save(build(nodes, inputs, outputs), folder / f"{name}.onnx")

    for dtype in TYPES:
        save(f"one-{dtype}", [node("Identity", "x", "y")], [("x", dtype, ["n"])], [("y", dtype, ["n"])])
        save(f"scalar-{dtype}", [node("Identity", "x", "y")], [("x", dtype, [])], [("y", dtype, [])])
    save("matrix", [node("Identity", "x", "y")], [("x", "float32", ["n", 10])], [("y", "float32", ["n", 10])])
    inputs = [("a", "float32", ["n", 3]), ("b", "int64", ["n"]), ("c", "string", ["n"])]
    outputs = [(f"{name}_", dtype, dims) for name, dtype, dims in inputs]
    save("three", [node("Identity", name, f"{name}_") for name, _, _ in inputs], inputs, outputs)
    with Server(tmp_path_factory.mktemp("state"), folder) as server:
        assert "NOT SERVED" not in server.banner, server.banner
        yield server


@pytest.fixture
def hostile(served):
    """A client; after its test the same process must still answer well."""
    process = served.process.pid
    client = Hostile(served)
    yield client
    status, _, content = Hostile(served).score("matrix", json.dumps(RIDGE))
    assert (status, json.loads(content)) == (200, [[10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]])
    assert served.is_alive() and served.process.pid == process


THREE = {"a": [[1, 2, 3], [4.5, -6, 7e2]], "b": [1, -2], "c": ["x\u00e9\n", "🦀"]}
BODIES = {
    "matrix": ({"x": [[0.5] * 10] * 2}, RIDGE, {"instances": [[1] * 10]}, {"dataframe_split": {"columns": list("abcdefghij"), "index": [0], "data": [[1] * 10]}}),
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
    tokens = [b"[", b"]", b"{", b"}", b",", b":", b'"', b"\\", b"-", b"+", b".", b"e", b"0", b"9", b"1e999", b"null", b"true", b"NaN",
              b"\x00", b"\xff", b"\xef\xbb\xbf", b" ", b"\n", b"\\u0000", b"\\ud800", b"//", b"'", b"99999999999999999999", b"Infinity"]
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


NUMBERS = """
0 -0 1 -1 0.0 -0.0 0.9 -0.9 1.0 3.0 3.0000000000000000000000001 1e0 1e2 1.5e1 15e-1 10e-1 1E+2 127 128 -128 -129 255 256 300 32767 32768
-32768 -32769 65535 65536 2147483647 2147483648 -2147483648 -2147483649 4294967295 4294967296 9007199254740993 9223372036854775807
9223372036854775808 -9223372036854775808 -9223372036854775809 18446744073709551615 18446744073709551616 1e18 1e19 1e20 1e38 1e39 1e308
1e309 1e400 -1e400 1e-400 1e-45 1e-46 7e-46 5e-324 2e-324 65504 65519 65519.99 65520 65536.0 3.4028234663852886e38 3.4028235677973366e38
3.40282356e38 3.3895313892515355e38 3.4e38 0.1 0.30000000000000004 16777217 16777216.5 2049 2049.5 257 258 1.00390625 1.01171875
1e00000000000000000000000000000002 100000000000000000000e-18 0.00000000000000000000000000000000000000000000001e47 1e999999999999999999999
0e999999999999999999999 0.0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000001e-9999999999999
""".split()


def test_numbers_are_never_changed(hostile):
    """Each number in each type is either answered as the type's nearest to it, or refused where the type has none."""
    for dtype in TYPES:
        if dtype in ("bool", "string"):
            for number in NUMBERS:
                hostile.refuse(f"one-{dtype}", f'{{"x": [{number}]}}', code="wrong_type")
            continue
        for number in NUMBERS:
            expected = nearest(number, dtype)
            for body in (f'{{"x": [{number}]}}', f'{{"data": [1, {number}, 1]}}'):
                if expected is None:
                    hostile.refuse(f"one-{dtype}", body, code="lossy_number")
                    continue
                status, answered, content = hostile.score(f"one-{dtype}", body, Accept=wire.NPY)
                assert status == 200, (dtype, body, content)
                got = wire.from_npy(content)[len(body) > len(f'{{"x": [{number}]}}') and 1 or 0]
                assert got == expected and np.signbit(got) == np.signbit(expected), (dtype, number, got, expected)


def nearest(text, dtype):
    """The value of the type that a decimal stands for; None where it must be refused."""
    mantissa, _, exponent = text.lower().partition("e")
    # Exponents that no fraction could be written out for.
    if abs(int(exponent or 0)) > 10_000:
        value = fractions.Fraction(0) if float(mantissa) == 0 or int(exponent) < 0 else None
    else:
        value = fractions.Fraction(text)
    kind = numpy_dtype(dtype)
    if dtype not in FLOATS:
        if value is None or value.denominator != 1:
            return None
        if text.startswith("0.0000") and value == 0 and float(mantissa) != 0:
            return None
        return kind.type(int(value)) if np.iinfo(kind).min <= value <= np.iinfo(kind).max else None
    if value is None:
        return None
    limits = ml_dtypes.finfo(kind)
    largest = fractions.Fraction(float(limits.max))
    # Half a unit beyond the largest is where rounding would give infinity.
    if abs(value) >= largest + (largest - fractions.Fraction(float(np.nextafter(limits.max, kind.type(0))))) / 2:
        return None
    guess = np.array(float(value)).astype(kind)[()]
    guess = guess if np.isfinite(guess) else kind.type(limits.max) * (1 if value > 0 else -1)
    around = [np.nextafter(guess, kind.type(-np.inf)), guess, np.nextafter(guess, kind.type(np.inf))]
    around = [candidate for candidate in around if np.isfinite(candidate)]
    best = min(around, key=lambda candidate: (abs(fractions.Fraction(float(candidate)) - value), odd(candidate)))
    # Zero keeps the sign that was written.
    return np.copysign(best, kind.type(-1.0 if text.startswith("-") else 1.0))


def odd(value):
    return value.view(f"u{value.itemsize}") & 1


def test_json_of_wrong_types_and_shapes(hostile):
    wrong = ["null", "true", '"7"', "{}", "[]", "[[]]", "[[1]]", '[{"a": 1}]', "[1, [2]]", "[[1], 2]", "[null]", "[true, 1]", '["1"]', '[1, "a"]']
    fits = {
        "one-int64": {"[]"}, "one-float32": {"[]"}, "one-bool": {"[]"}, "one-string": {"[]", '["1"]'},
        "scalar-float32": set(), "scalar-string": {'"7"'}, "scalar-bool": {"true"}, "matrix": {"[]"},
    }
    for name, good in fits.items():
        for value in wrong:
            for body in (f'{{"x": {value}}}', f'{{"data": {value}}}'):
                if value in good:
                    assert hostile.score(name, body)[0] == 200, (name, body)
                else:
                    hostile.refuse(name, body)
    for rows in ("[[1,2,3,4,5,6,7,8,9]]", "[[1,2,3,4,5,6,7,8,9,10],[1]]", "[[1,2,3,4,5,6,7,8,9,10,11]]", "[1,2,3,4,5,6,7,8,9,10]", "[[[1,2,3,4,5,6,7,8,9,10]]]", "[[]]", "[[],[]]"):
        for key in ("x", "data", "instances", "inputs", "input_data", "Inputs"):
            hostile.refuse("matrix", f'{{"{key}": {rows}}}', code="wrong_shape")


def test_json_of_wrong_structure(hostile):
    good = json.dumps(RIDGE["data"])
    for body in (
        "", " ", "\n", "null", "1", '"x"', "[]", good, "{}", "[{}]", '{"x"}', '{"x":}', f'{{"x": {good},}}', f'{{"x": {good}}} x', f'{{"x": {good}}}{{}}',
        f"{{'x': {good}}}", f"{{x: {good}}}", f'{{"x": {good} /* no */}}', f'{{"x": {good}}}\x00', f'{{"x": {good}, "x": {good}}}',
        f'{{"x": {good}, "\\u0078": {good}}}', f'{{"data": {good}, "x": {good}}}', f'{{"data": {good}, "instances": {good}}}', f'{{"y": {good}}}', f'{{"X": {good}}}',
        f'{{"x": {good}, "y": 1}}', '{"x": [[NaN,1,1,1,1,1,1,1,1,1]]}', '{"x": [[Infinity,1,1,1,1,1,1,1,1,1]]}', '{"x": [[01,1,1,1,1,1,1,1,1,1]]}',
        '{"x": [[+1,1,1,1,1,1,1,1,1,1]]}', '{"x": [[.5,1,1,1,1,1,1,1,1,1]]}', '{"x": [[5.,1,1,1,1,1,1,1,1,1]]}', '{"x": [[0x1,1,1,1,1,1,1,1,1,1]]}',
        '{"x": [[1_0,1,1,1,1,1,1,1,1,1]]}', '{"x": [[1e,1,1,1,1,1,1,1,1,1]]}', '{"x": [[--1,1,1,1,1,1,1,1,1,1]]}', '{"x": [[1,1,1,1,1,1,1,1,1,1],]}',
        '{"dataframe_split": {"columns": ["a"], "data": [[1]]}}', f'{{"dataframe_split": {{"index": [1, 2], "data": {good}}}}}', '{"dataframe_split": []}',
        '{"dataframe_split": {"columns": ["a"]}}', '{"dataframe_records": {}}', '{"dataframe_records": [1]}', '{"dataframe_records": [{}]}', '{"instances": {}}',
        '{"input_data": {"columns": 1, "data": 2}}', '{"inputs": [{"name": "x", "shape": [1, 10], "datatype": "FP32", "data": [1]}]}',
    ):  # fmt: skip
        hostile.refuse("matrix", body.encode())
    for body in ({}, {"a": [[1, 2, 3]]}, {**THREE, "d": 1}, {**THREE, "b": [1]}, {**THREE, "b": [1.5, 2]}, {**THREE, "c": [1, 2]}, {"data": [[1, 2, 3]]}, {"instances": [{"a": [1, 2, 3]}]}):
        status, _, content = hostile.score("three", json.dumps(body))
        # Sizes that differ between inputs are the model's business, and this one does not care.
        if body == {**THREE, "b": [1]}:
            assert status in (200, 400)
        else:
            assert status == 400, (body, content)
            hostile.check_example("three", check_error(content))
    for text in (b'"\xff"', b'"\xc3"', b'"\xed\xa0\x80"', b'"\xf5\x80\x80\x80"', b'"\xc0\xaf"', b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\x41"', b'"\\u12"', b'"\n"', b'"\x00"', b'"\\u0000"', b"'a'"):
        hostile.refuse("one-string", b'{"x": [' + text + b"]}")


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


def npy(descr="<f4", order="False", shape="(1, 10)", data=b"\0" * 40, version=(1, 0), literal=None):
    text = literal if literal is not None else f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n"
    text = text if isinstance(text, bytes) else text.encode("latin1")
    length = struct.pack("<H" if version[0] == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + length + text + data


def test_npy_of_all_kinds(hostile):
    good = wire.to_npy(np.ones((2, 10), np.float32))
    assert hostile.score("matrix", good, wire.NPY)[0] == 200
    for end in range(len(good)):
        hostile.refuse("matrix", good[:end], wire.NPY)
    huge = "(" + "9" * 30 + ", 10)"
    bodies = [
        b"", b"\x93NUMPY", good + b"\0", good + good, b"\0" * 200, json.dumps(RIDGE).encode(), wire.to_npz({"x": np.ones((1, 10), np.float32)}),
        npy(descr="<f8", data=b"\0" * 80), npy(descr="|O"), npy(descr="<c8", data=b"\0" * 80), npy(descr="<M8[s]", data=b"\0" * 80), npy(descr=""),
        npy(descr="<f3"), npy(descr="f4; import os"), npy(descr="\xff"), npy(shape="(10,)"), npy(shape="(1, 1, 10)"), npy(shape="10"), npy(shape="(10)"),
        npy(shape="(-1, 10)"), npy(shape="(1, 10, )x"), npy(shape="(18446744073709551615, 10)"), npy(shape=huge), npy(shape="(1000000000, 10)"),
        npy(shape="(9223372036854775807, 10)"), npy(shape="()"), npy(order="None"), npy(order="1"), npy(version=(9, 9)), npy(version=(0, 0)), npy(version=(4, 0)),
        npy(literal="{}"), npy(literal="{'descr': '<f4'}"), npy(literal="__import__('os').system('true')"), npy(literal=b"\xff" * 60), npy(literal=""),
        npy(literal="{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1, 10)}"), npy(literal="(" * 5000), npy(data=b"\0" * 39),
        npy(data=b"\0" * 41), b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + b" " * 100, b"\x93NUMPY\x01\x00\x00\x00",
    ]  # fmt: skip
    for body in bodies:
        hostile.refuse("matrix", body, wire.NPY)
    # An archive is what this model needs.
    hostile.refuse("three", good, wire.NPY)
    # All that is a valid float, and no array of objects for strings.
    hostile.refuse("one-string", npy(descr="|O", shape="(1,)", data=b"\x80\x04N."), wire.NPY)
    hostile.refuse("one-string", npy(descr="<U1", shape="(1,)", data=b"\xff\xff\xff\xff"), wire.NPY)
    hostile.refuse("one-string", npy(descr="<U99999999999999999999", shape="(1,)", data=b""), wire.NPY)
    hostile.refuse("one-string", npy(descr="<U0", shape="(4000000000,)", data=b""), wire.NPY)
    hostile.refuse("one-bool", npy(descr="|b1", shape="(2,)", data=b"\x02\x01"), wire.NPY)


def archive(members, method=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as made:
        for name, data in members:
            made.writestr(name, data)
    return file.getvalue()


def test_npz_of_all_kinds(hostile):
    x = npy()
    good = archive([("x.npy", x)])
    assert hostile.score("matrix", good, wire.NPZ)[0] == 200
    for end in range(len(good)):
        hostile.refuse("matrix", good[:end], wire.NPZ)
    bomb = npy(shape="(500000000, 10)", data=b"\0" * 50_000_000)
    bodies = [
        b"", b"PK\x03\x04", b"PK\x05\x06" + b"\0" * 18, x, json.dumps(RIDGE).encode(), archive([]), archive([("y.npy", x)]), archive([("x", x)]), archive([("x.txt", x)]),
        archive([("../x.npy", x)]), archive([("/x.npy", x)]), archive([("x.npy", x), ("y.npy", x)]), archive([("x.npy", x[:50])]), archive([("x.npy", b"")]),
        archive([("x.npy", x + b"\0")]), archive([("x.npy", bomb)], zipfile.ZIP_DEFLATED), archive([("x.npy", x)], zipfile.ZIP_BZIP2), archive([("x.npy", x)], zipfile.ZIP_LZMA),
        archive([(f"{index}.npy", b"") for index in range(5000)]), archive([("x.npy", x), ("arr_0.npy", x)]), good.replace(x[-40:], b"\1" + x[-39:]),
    ]  # fmt: skip
    with pytest.warns(UserWarning):
        bodies.append(archive([("x.npy", x), ("x.npy", x)]))
    for body in bodies:
        hostile.refuse("matrix", body, wire.NPZ)
    rng = generator("npz")
    good = wire.to_npz({"x": np.ones((3, 10), np.float32)}, np.savez_compressed)
    expected = [[1.0] * 10] * 3
    for _ in range(400):
        damaged = bytearray(good)
        damaged[int(rng.integers(0, len(damaged)))] = int(rng.integers(0, 256))
        status, _, content = hostile.score("matrix", bytes(damaged), wire.NPZ, Accept=wire.JSON)
        # A byte that nothing depends on, as a date, may be anything.
        assert status == 400 or (status == 200 and json.loads(content) == expected), (status, content[:200])


def test_safetensors_of_all_kinds(hostile):
    good = wire.to_safetensors({"x": np.ones((1, 10), np.float32)})
    assert hostile.score("matrix", good, wire.SAFETENSORS)[0] == 200
    for end in range(len(good)):
        hostile.refuse("matrix", good[:end], wire.SAFETENSORS)

    def made(header, data=b"\0" * 40):
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + data

    entry = {"dtype": "F32", "shape": [1, 10], "data_offsets": [0, 40]}
    bodies = [
        b"", b"\0" * 8, b"\xff" * 16, struct.pack("<Q", 2**63) + b"{}", struct.pack("<Q", 100) + b"{}", good + b"\0", made({}), made([]), made(b""), made(b"{"), made(b"\xff\xff"),
        made({"y": entry}), made({"x": entry, "y": entry}), made({"x": {**entry, "dtype": "F64"}}), made({"x": {**entry, "dtype": "F8_E4M3"}}), made({"x": {**entry, "dtype": 1}}),
        made({"x": {**entry, "shape": [10]}}), made({"x": {**entry, "shape": [1, -10]}}), made({"x": {**entry, "shape": [2, 10]}}), made({"x": {**entry, "shape": [1, 10.5]}}),
        made({"x": {**entry, "shape": [2**62, 10]}}), made({"x": {**entry, "data_offsets": [0, 41]}}, b"\0" * 41), made({"x": {**entry, "data_offsets": [4, 44]}}, b"\0" * 44),
        made({"x": {**entry, "data_offsets": [40, 0]}}), made({"x": {**entry, "data_offsets": [0, 2**63]}}), made({"x": {**entry, "data_offsets": [0]}}), made({"x": {**entry, "more": 1}}),
        made({"x": None}), made({"x": entry, "__metadata__": {"a": 1}}), made(b'{"x": %s, "x": %s}' % ((json.dumps(entry).encode(),) * 2)), made({"x": entry}, b"\0" * 39),
        made(b'{"x":' * 100_000),
    ]  # fmt: skip
    for body in bodies:
        hostile.refuse("matrix", body, wire.SAFETENSORS)
    hostile.refuse("one-string", good, wire.SAFETENSORS)
    hostile.refuse("one-bool", made({"x": {"dtype": "BOOL", "shape": [2], "data_offsets": [0, 2]}}, b"\2\1"), wire.SAFETENSORS)


def test_raw_of_all_kinds(hostile):
    row = b"\0" * 40
    for body, shape in (
        (b"", "1,10"), (row[:39], None), (row + b"\0", None), (row, "10"), (row, "1,1,10"), (row, "2,10"), (row, "1,10;1"), (row, ""), (row, "-1,10"), (row, "+1,10"),
        (row, "1.0,10"), (row, "a"), (row, "1 10"), (row, "1,,10"), (row, ";"), (row, "[1,10]"), (row, "1,10,"), (row, "99999999999999999999,10"),
        (row, "18446744073709551615,10"), (row, "1844674407370955162,10"), (row, "0x1,10"), (row, "١,10"), (row, "1," * 5000 + "10"),
    ):  # fmt: skip
        headers = {} if shape is None else {"x_scoria_shape": shape.encode()}
        hostile.refuse("matrix", body, wire.RAW, **headers)
    hostile.refuse("three", row, wire.RAW)
    hostile.refuse("three", row, wire.RAW, x_scoria_shape="1,3;1;1")
    for text in (b"", b"\1\0\0", b"\2\0\0\0a", b"\xff\xff\xff\xffa", b"\1\0\0\0\xff", b"\1\0\0\0ab"):
        hostile.refuse("one-string", text, wire.RAW, x_scoria_shape="1")
    hostile.refuse("one-string", b"", wire.RAW, x_scoria_shape="4000000000")
    hostile.refuse("one-bool", b"\2", wire.RAW)


def test_media_types(hostile):
    body = json.dumps(RIDGE)
    for media_type in ("text/html", "application/xml", "image/png", "application/x-arrow", "*/*", "json", "", ";", "application/jsonx", "multipart/form-data; boundary=x", "é".encode()):
        hostile.refuse("matrix", body, media_type, status=415)
    for media_type in ("application/json; charset=utf-8", "APPLICATION/JSON", "text/plain", "application/x-www-form-urlencoded", "application/vnd.api+json", " application/json "):
        assert hostile.score("matrix", body, media_type)[0] == 200, media_type
    for accept in ("text/html", "*/*", "application/xml", "", ";;;,,,", "é".encode(), "application/x-npy;q=0"):
        assert hostile.score("matrix", body, Accept=accept)[0] == 200, accept
    # No strings in a safetensors file.
    hostile.refuse("one-string", '{"x": ["a"]}', status=406, Accept=wire.SAFETENSORS)


def test_paths_and_methods(hostile):
    body = json.dumps(RIDGE)
    paths = [
        "/api/v1/service/matrix/score/", "/api/v1/service/matrix", "/api/v1/service//score", "/api/v1/service/../score", "/api/v1/service/./matrix/score", "/api/v1/service/matrix/../matrix/score",
        "/api/v1/service/matrix%2Fscore", "/api/v1/service/%2e%2e/score", "/api/v1/service/matri%78/score", "/api/v1/service/matrix%00/score", "/api/v1/service/Matrix/score", "/API/v1/service/matrix/score",
        "//api/v1/service/matrix/score", "/api/v1/service/nothing/score", "/api/v1/service/" + "a" * 20_000 + "/score", "/%", "/%zz", "/\\", "/etc/passwd", "/score/..", "/metrics", "/api/v1/service",
        "/api/v1/service/matrix/score;x", "/api/v1/service/matrix /score".replace(" ", "%20"), "/v1/models/matrix:predict", "/score",
    ]  # fmt: skip
    for path in paths:
        for method in ("POST", "GET", "PUT"):
            status, _, content = hostile.request(method, path, body if method != "GET" else None)
            assert status in (404, 405), (method, path, status)
            check_error(content)
    for method in ("PUT", "DELETE", "PATCH", "TRACE", "BREW", "PROPFIND"):
        status, headers, content = hostile.request(method, "/api/v1/service/matrix/score", body)
        assert status == 405 and "POST" in headers["allow"], (method, status)
        check_error(content)
    for query in ("data=1", "data=[[1]]", "x=%ff", "x=[[1", "=", "&&&", "data=" + "[" * 10_000, "%", "a=%zz"):
        status, _, content = hostile.request("GET", f"/api/v1/service/matrix/score?{query}")
        assert status == 400, (query, status)
        hostile.check_example("matrix", check_error(content))


def test_headers(hostile):
    body = json.dumps(RIDGE)
    for timeout in ("-1", "abc", "0", "", "1.5", "99999999999999999999999", "1e3", "١", "0x10", "+5 5"):
        hostile_status, _, content = hostile.score("matrix", body, x_scoria_timeout_ms=timeout.encode())
        assert hostile_status == 400, (timeout, hostile_status)
        assert check_error(content)["code"] == "bad_timeout"
    status, _, content = hostile.score("matrix", body, azureml_model_deployment="nothing")
    assert status == 404 and check_error(content)["code"] == "unknown_deployment"
    for name in ("x-request-id", "x-ms-request-id", "x-ms-client-request-id"):
        status, _, content = hostile.score("matrix", body, **{name: "x" * 101})
        assert status == 431, (name, status)
        check_error(content)
    for name, value in (("traceparent", "garbage"), ("origin", "null"), ("x-request-id", "é"), ("expect", "nonsense"), ("x-scoria-shape", "garbage")):
        status, _, content = hostile.score("matrix", body, **{name: value.encode()})
        assert status == 200 or 400 <= status < 500, (name, status, content)


def test_keys(serve, models):
    with serve(models / "ridge", models / "wine", auth="key") as server:
        key, client = server.key("ridge"), Hostile(server)
        body = json.dumps(RIDGE)
        odd = [None, "", "Bearer", "Bearer ", "Bearer  ", "bearer", key, f"Basic {key}", f"Token {key}", f"Bearer {key[:-1]}", f"Bearer {key}x", f"Bearer {key} {key}", f'Bearer "{key}"',
               f"Bearer: {key}", f"Bearer,{key}", "Bearer " + "x" * 20_000, "Bearer \xff\xfe", f"Bearer {key.upper()}", f"Bearer {key.lower()}", "Negotiate abc", "Bearer null", "Bearer undefined"]
        for value in odd:
            headers = {} if value is None else {"Authorization": value.encode("latin1")}
            status, answered, content = client.request("POST", "/api/v1/service/ridge/score", body, headers)
            assert status == 401 and answered["www-authenticate"] == "Bearer", (value, status)
            check_error(content)
            assert key.encode() not in content
        status, _, content = client.request("POST", "/api/v1/service/ridge/score", body, {"Authorization": f"Bearer {server.key('wine')}"})
        assert status == 403, status
        check_error(content)
        # Refused before the body is read, however wrong that is.
        status, _, _ = client.request("POST", "/api/v1/service/ridge/score", "garbage", {})
        assert status == 401
        for value in (f"Bearer {key}", f"bearer {key}", f"BEARER  {key} ", f"Bearer {server.key('ridge', 'secondary')}"):
            status, _, content = client.request("POST", "/api/v1/service/ridge/score", body, {"Authorization": value})
            assert status == 200, (value, content)
        # Twice the header is no key, or the first of them; never the second alone.
        request = f"POST /score HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer wrong\r\nAuthorization: Bearer {key}\r\nContent-Length: 0\r\n\r\n"
        assert set(statuses(exchange(server, request.encode(), half_close=False))) <= {400, 401, 404}


def test_http_that_is_none(hostile, served):
    """Broken requests on bare connections: refused or hung up on, and never taken for something else."""
    head = b"POST /api/v1/service/matrix/score HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    body = json.dumps(RIDGE).encode()
    length = b"Content-Length: %d\r\n" % len(body)
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n"
    broken = [
        b"", b"\r\n", b"\r\n\r\n", b"GARBAGE\r\n\r\n", b"\x00" * 100, b"\x16\x03\x01\x02\x00\x01\x00" * 10, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"POST  / HTTP/1.1\r\n\r\n",
        head + b"Content-Length: -1\r\n\r\n" + body, head + b"Content-Length: abc\r\n\r\n" + body, head + b"Content-Length: 99999999999999999999999\r\n\r\n" + body,
        head + b"Content-Length: 18446744073709551615\r\n\r\n" + body, head + length + b"Content-Length: 5\r\n\r\n" + body, head + b"Content-Length: 5, 6\r\n\r\n" + body,
        head + b"Content-Length: 1000\r\n\r\n" + body, head + b"Content-Length: +5\r\n\r\n" + body, head + b"Content-Length: 0x10\r\n\r\n" + body,
        head + length + b"Bad Header: 1\r\n\r\n" + body, head + length + b"X: a\x00b\r\n\r\n" + body, head + length + b"X" + b"\r\n\r\n" + body, head + length + b": x\r\n\r\n" + body,
        head + length + b"X: " + b"a" * 100_000 + b"\r\n\r\n" + body, head + length + b"".join(b"X%d: a\r\n" % index for index in range(5000)) + b"\r\n" + body,
        chunked + b"zz\r\n" + body, chunked + b"-1\r\n" + body, chunked + b"ffffffffffffffffff\r\n" + body, chunked + b"5\r\n" + body + b"\r\n0\r\n\r\n", chunked + b"%x\r\n" % len(body) + body,
        chunked + b"1000\r\n" + body, chunked + b"0\r\n", chunked + b"0\r\n\r\n", head + b"Transfer-Encoding: gzip\r\n\r\n" + body, head + b"Transfer-Encoding: chunked, gzip\r\n\r\n" + body,
        head.replace(b"HTTP/1.1", b"HTTP/1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", head + length + b"\r\n" + body[:-1], head, head + length, b"POST",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 1000, b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", b"PRI", b"POST http:// HTTP/1.1\r\nHost: a\r\n\r\n",
        head.replace(b"matrix", b"mat\x00rix") + length + b"\r\n" + body, head.replace(b"matrix", b"mat rix") + length + b"\r\n" + body, head.replace(b"Host: a\r\n", b"") + length + b"\r\n" + body,
        head + b"Host: b\r\n" + length + b"\r\n" + body, head + b" folded: x\r\n" + length + b"\r\n" + body,
    ]  # fmt: skip
    for payload in broken:
        # A client that ends its half is taken to have left, so that it may get no answer; one that stays must get its refusal.
        for half_close, timeout in ((True, ANSWER_MAX_S), (False, 0.3)):
            answer = exchange(served, payload, timeout, half_close)
            codes = statuses(answer)
            assert all(400 <= code < 500 for code in codes), (payload[:200], answer[:300])
            assert len(codes) <= 2, (payload[:200], answer)
    # Both lengths at once are how requests are smuggled: whatever follows must not be a request of its own.
    smuggled = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
    both = head + b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % (5 + len(smuggled)) + smuggled
    answer = exchange(served, both, 0.3, half_close=False)
    assert 200 not in statuses(answer), answer[:300]


def test_pipelined_requests_are_answered_in_order(hostile, served):
    body = json.dumps(RIDGE).encode()
    request = b"POST /api/v1/service/%s/score HTTP/1.1\r\nHost: a\r\nX-Request-Id: %d\r\nContent-Length: %d\r\n\r\n%s"
    payload = b"".join(request % (b"matrix" if index % 3 else b"nothing", index, len(body), body) for index in range(30))
    last = payload.rindex(b"X-Request-Id")
    answer = exchange(served, payload[:last] + b"Connection: close\r\n" + payload[last:], half_close=False)
    assert statuses(answer) == [200 if index % 3 else 404 for index in range(30)], answer[:500]
    ids = re.findall(rb"\r\nx-request-id: (\d+)\r\n", answer)
    assert ids == [b"%d" % index for index in range(30)]


def test_a_body_too_large_is_refused_while_it_is_still_being_sent(hostile, served):
    """The refusal must reach a client that does not look before it has sent everything."""
    size = 40 * 1024 * 1024
    chunk = b"1," * 32 * 1024
    for announced in (True, False):
        head = b"POST /api/v1/service/matrix/score HTTP/1.1\r\nHost: a\r\n"
        head += b"Content-Length: %d\r\n\r\n" % size if announced else b"Transfer-Encoding: chunked\r\n\r\n"
        frame = chunk if announced else b"%x\r\n%s\r\n" % (len(chunk), chunk)
        answer = exchange(served, head + frame * (size // len(chunk)), timeout=10)
        assert statuses(answer) == [413], answer[:300]
        error = check_error(answer.split(b"\r\n\r\n", 1)[1])
        assert error["code"] == "body_too_large"
    # Asked first, it is told without having sent anything.
    head = b"POST /api/v1/service/matrix/score HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % size
    answer = exchange(served, head, half_close=False)
    assert statuses(answer) == [413], answer[:300]

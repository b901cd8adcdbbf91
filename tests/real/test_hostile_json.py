"""JSON that is wrong in every way: each body is refused by a 400 that helps, and no number is ever changed."""

import fractions
import json

import ml_dtypes
import numpy as np

import wire
from refusals import RIDGE, check_error
from zoo import numpy_dtype
from zoo.case import FLOATS, TYPES, generator

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


NUMBERS = """
0 -0 1 -1 0.0 -0.0 0.9 -0.9 1.0 3.0 3.0000000000000000000000001 1e0 1e2 1.5e1 15e-1 10e-1 1E+2 127 128 -128 -129 255
256 300 32767 32768 -32768 -32769 65535 65536 2147483647 2147483648 -2147483648 -2147483649 4294967295 4294967296
9007199254740993 9223372036854775807 9223372036854775808 -9223372036854775808 -9223372036854775809
18446744073709551615 18446744073709551616 1e18 1e19 1e20 1e38 1e39 1e308 1e309 1e400 -1e400 1e-400 1e-45 1e-46 7e-46
5e-324 2e-324 65504 65519 65519.99 65520 65536.0 3.4028234663852886e38 3.4028235677973366e38 3.40282356e38
3.3895313892515355e38 3.4e38 0.1 0.30000000000000004 16777217 16777216.5 2049 2049.5 257 258 1.00390625 1.01171875
1e00000000000000000000000000000002 100000000000000000000e-18 0.00000000000000000000000000000000000000000000001e47
1e999999999999999999999 0e999999999999999999999
0.0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000001e-9999999999999
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
            for position, body in enumerate((f'{{"x": [{number}]}}', f'{{"data": [1, {number}, 1]}}')):
                if expected is None:
                    hostile.refuse(f"one-{dtype}", body, code="lossy_number")
                    continue
                status, _, content = hostile.score(f"one-{dtype}", body, Accept=wire.NPY)
                assert status == 200, (dtype, body, content)
                got = wire.from_npy(content)[position]
                assert got == expected and np.signbit(got) == np.signbit(expected), (dtype, number, got, expected)


def nearest(text, dtype):
    """The value of the type that a decimal stands for; None where it must be refused."""
    mantissa, _, exponent = text.lower().partition("e")
    if abs(int(exponent or 0)) <= 10_000 or float(mantissa) == 0:
        value = fractions.Fraction(text if float(mantissa) else mantissa)
    elif int(exponent) < 0:
        # No fraction could be written out for it; any that is as good as nothing will do.
        value = fractions.Fraction(1, 10**400)
    else:
        return None
    kind = numpy_dtype(dtype)
    if dtype not in FLOATS:
        if value.denominator != 1:
            return None
        return kind.type(int(value)) if np.iinfo(kind).min <= value <= np.iinfo(kind).max else None
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
    wrong = [
        "null",
        "true",
        '"7"',
        "{}",
        "[]",
        "[[]]",
        "[[1]]",
        '[{"a": 1}]',
        "[1, [2]]",
        "[[1], 2]",
        "[null]",
        "[true, 1]",
        '["1"]',
        '[1, "a"]',
    ]
    fits = {
        "one-int64": {"[]"},
        "one-float32": {"[]"},
        "one-bool": {"[]"},
        "one-string": {"[]", '["1"]'},
        "scalar-float32": set(),
        "scalar-string": {'"7"'},
        "scalar-bool": {"true"},
        "matrix": {"[]"},
    }
    for name, good in fits.items():
        for value in wrong:
            for body in (f'{{"x": {value}}}', f'{{"data": {value}}}'):
                if value in good:
                    assert hostile.score(name, body)[0] == 200, (name, body)
                else:
                    hostile.refuse(name, body)
    for rows in (
        "[[1,2,3,4,5,6,7,8,9]]",
        "[[1,2,3,4,5,6,7,8,9,10],[1]]",
        "[[1,2,3,4,5,6,7,8,9,10,11]]",
        "[1,2,3,4,5,6,7,8,9,10]",
        "[[[1,2,3,4,5,6,7,8,9,10]]]",
        "[[]]",
        "[[],[]]",
    ):
        for key in ("x", "data", "instances", "inputs", "input_data", "Inputs"):
            hostile.refuse("matrix", f'{{"{key}": {rows}}}', code="wrong_shape")


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
        b'"\\u0000"',
        b"'a'",
    ):
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

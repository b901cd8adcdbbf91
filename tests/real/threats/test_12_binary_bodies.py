"""Binary bodies that are wrong in every way: each is refused by a 400 that helps."""

import io
import json
import struct
import zipfile

import numpy as np
import pytest

import wire
from refusals import RIDGE
from zoo.case import generator


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
        b"",
        b"\x93NUMPY",
        good + b"\0",
        good + good,
        b"\0" * 200,
        json.dumps(RIDGE).encode(),
        wire.to_npz({"x": np.ones((1, 10), np.float32)}),
        npy(descr="<f8", data=b"\0" * 80),
        npy(descr="|O"),
        npy(descr="<c8", data=b"\0" * 80),
        npy(descr="<M8[s]", data=b"\0" * 80),
        npy(descr=""),
        npy(descr="<f3"),
        npy(descr="f4; import os"),
        npy(descr="\xff"),
        npy(shape="(10,)"),
        npy(shape="(1, 1, 10)"),
        npy(shape="10"),
        npy(shape="(10)"),
        npy(shape="(-1, 10)"),
        npy(shape="(1, 10, )x"),
        npy(shape="(18446744073709551615, 10)"),
        npy(shape=huge),
        npy(shape="(1000000000, 10)"),
        npy(shape="(9223372036854775807, 10)"),
        npy(shape="()"),
        npy(order="None"),
        npy(order="1"),
        npy(version=(9, 9)),
        npy(version=(0, 0)),
        npy(version=(4, 0)),
        npy(literal="{}"),
        npy(literal="{'descr': '<f4'}"),
        npy(literal="__import__('os').system('true')"),
        npy(literal=b"\xff" * 60),
        npy(literal=""),
        npy(literal="{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1, 10)}"),
        npy(literal="(" * 5000),
        npy(data=b"\0" * 39),
        npy(data=b"\0" * 41),
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + b" " * 100,
        b"\x93NUMPY\x01\x00\x00\x00",
    ]
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
        b"",
        b"PK\x03\x04",
        b"PK\x05\x06" + b"\0" * 18,
        x,
        json.dumps(RIDGE).encode(),
        archive([]),
        archive([("y.npy", x)]),
        archive([("x", x)]),
        archive([("x.txt", x)]),
        archive([("../x.npy", x)]),
        archive([("/x.npy", x)]),
        archive([("x.npy", x), ("y.npy", x)]),
        archive([("x.npy", x[:50])]),
        archive([("x.npy", b"")]),
        archive([("x.npy", x + b"\0")]),
        archive([("x.npy", bomb)], zipfile.ZIP_DEFLATED),
        archive([("x.npy", x)], zipfile.ZIP_BZIP2),
        archive([("x.npy", x)], zipfile.ZIP_LZMA),
        archive([(f"{index}.npy", b"") for index in range(5000)]),
        archive([("x.npy", x), ("arr_0.npy", x)]),
        good.replace(x[-40:], b"\1" + x[-39:]),
    ]
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
        b"",
        b"\0" * 8,
        b"\xff" * 16,
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 100) + b"{}",
        good + b"\0",
        made({}),
        made([]),
        made(b""),
        made(b"{"),
        made(b"\xff\xff"),
        made({"y": entry}),
        made({"x": entry, "y": entry}),
        made({"x": {**entry, "dtype": "F64"}}),
        made({"x": {**entry, "dtype": "F8_E4M3"}}),
        made({"x": {**entry, "dtype": 1}}),
        made({"x": {**entry, "shape": [10]}}),
        made({"x": {**entry, "shape": [1, -10]}}),
        made({"x": {**entry, "shape": [2, 10]}}),
        made({"x": {**entry, "shape": [1, 10.5]}}),
        made({"x": {**entry, "shape": [2**62, 10]}}),
        made({"x": {**entry, "data_offsets": [0, 41]}}, b"\0" * 41),
        made({"x": {**entry, "data_offsets": [4, 44]}}, b"\0" * 44),
        made({"x": {**entry, "data_offsets": [40, 0]}}),
        made({"x": {**entry, "data_offsets": [0, 2**63]}}),
        made({"x": {**entry, "data_offsets": [0]}}),
        made({"x": {**entry, "more": 1}}),
        made({"x": None}),
        made({"x": entry, "__metadata__": {"a": 1}}),
        made(b'{"x": %s, "x": %s}' % ((json.dumps(entry).encode(),) * 2)),
        made({"x": entry}, b"\0" * 39),
        made(b'{"x":' * 100_000),
    ]
    for body in bodies:
        hostile.refuse("matrix", body, wire.SAFETENSORS)
    hostile.refuse("one-string", good, wire.SAFETENSORS)
    hostile.refuse(
        "one-bool", made({"x": {"dtype": "BOOL", "shape": [2], "data_offsets": [0, 2]}}, b"\2\1"), wire.SAFETENSORS
    )


def test_raw_of_all_kinds(hostile):
    row = b"\0" * 40
    for body, shape in (
        (b"", "1,10"),
        (row[:39], None),
        (row + b"\0", None),
        (row, "10"),
        (row, "1,1,10"),
        (row, "2,10"),
        (row, "1,10;1"),
        (row, ""),
        (row, "-1,10"),
        (row, "+1,10"),
        (row, "1.0,10"),
        (row, "a"),
        (row, "1 10"),
        (row, "1,,10"),
        (row, ";"),
        (row, "[1,10]"),
        (row, "1,10,"),
        (row, "99999999999999999999,10"),
        (row, "18446744073709551615,10"),
        (row, "1844674407370955162,10"),
        (row, "0x1,10"),
        (row, "١,10"),
        (row, "1," * 5000 + "10"),
    ):
        headers = {} if shape is None else {"x_scoria_shape": shape.encode()}
        hostile.refuse("matrix", body, wire.RAW, **headers)
    hostile.refuse("three", row, wire.RAW)
    hostile.refuse("three", row, wire.RAW, x_scoria_shape="1,3;1;1")
    for text in (b"", b"\1\0\0", b"\2\0\0\0a", b"\xff\xff\xff\xffa", b"\1\0\0\0\xff", b"\1\0\0\0ab"):
        hostile.refuse("one-string", text, wire.RAW, x_scoria_shape="1")
    hostile.refuse("one-string", b"", wire.RAW, x_scoria_shape="4000000000")
    hostile.refuse("one-bool", b"\2", wire.RAW)

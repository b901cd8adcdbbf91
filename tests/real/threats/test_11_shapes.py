"""Threat 11: shapes that lie, or that nobody has memory for. Each is refused before anything is allocated."""

import json
import struct
import time

import wire
from refusals import Hostile
from usage import Usage


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


# Sizes whose product is more than can be counted, or had.
SIZES = (
    [2**32, 2**32],
    [2**63, 10],
    [2**64 - 1, 10],
    [2**62, 2**62, 2**62],
    [10**12, 10],
    [0, 10**18],
    [10**18, 0],
    [1] * 1000,
    [2] * 64,
    [1] * 65,
    [1, 10, 1],
    [-1, 10],
    [-(2**63), 10],
    [-10, -1],
    [2**64, 10],
    [2**128, 10],
    [1, 11],
    [3, 10],
)
ROW = bytes(40)


def npy(shape):
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({', '.join(map(str, shape))},), }}\n".encode()
    return b"\x93NUMPY\x02\x00" + struct.pack("<I", len(text)) + text + ROW


def safetensors(shape):
    header = json.dumps({"x": {"dtype": "F32", "shape": shape, "data_offsets": [0, 40]}}).encode()
    return struct.pack("<Q", len(header)) + header + ROW


def test_shapes_that_lie_are_refused_before_anything_is_allocated(hostile, served, figure):
    usage = Usage(served)
    usage.forget_peak()
    longest = 0
    for shape in SIZES:
        for body, media_type, headers in (
            (npy(shape), wire.NPY, {}),
            (safetensors(shape), wire.SAFETENSORS, {}),
            (ROW, wire.RAW, {"x_scoria_shape": ",".join(map(str, shape))}),
            (wire.to_npz_of(npy(shape)), wire.NPZ, {}),
        ):
            begun = time.monotonic()
            hostile.refuse("matrix", body, media_type, **headers)
            longest = max(longest, time.monotonic() - begun)
    peak = usage.peak_growth_mib
    figure(f"{4 * len(SIZES)} bodies, RSS at most +{peak:.1f} MiB, the slowest refused after {1000 * longest:.1f} ms")
    assert peak <= 8


def test_ranks_and_elements_are_bounded_by_settings(serve, row_model):
    """The controls."""
    rows = ",".join(["[1,2,3,4,5,6,7,8,9,10]"] * 10)
    for settings, status in (({}, 200), ({"max_elements": 99}, 400), ({"max_rank": 1}, 400)):
        with serve(row_model, **settings) as server:
            client = Hostile(server)
            assert client.score("row", f'{{"data": [{rows}]}}')[0] == status
            assert client.score("row", bytes(400), wire.RAW)[0] == status

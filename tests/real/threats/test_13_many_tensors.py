"""Threat 13: more inputs than a model has, by the hundred thousand (CVE-2026-24146 in another server)."""

import json
import struct
import zipfile
import io

import pytest

import wire
from usage import Usage

COUNT = 200_000
ENTRY = {"dtype": "F32", "shape": [1, 10], "data_offsets": [0, 40]}


def safetensors(entries):
    header = ("{" + ",".join(entries) + "}").encode()
    return struct.pack("<Q", len(header)) + header + bytes(40)


def archive(names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for name in names:
            made.writestr(name, b"")
    return file.getvalue()


def named(count):
    return ", ".join(f'"k{index}": 1' for index in range(count))


BODIES = {
    "JSON inputs": (lambda: f"{{{named(COUNT)}}}", wire.JSON),
    "JSON inputs of one name": (lambda: "{" + ", ".join(['"x": 1'] * COUNT) + "}", wire.JSON),
    "JSON envelopes": (lambda: "{" + ", ".join(['"data": 1'] * COUNT) + "}", wire.JSON),
    "JSON records": (lambda: f'{{"dataframe_records": [{{{named(COUNT)}}}]}}', wire.JSON),
    "JSON columns": (
        lambda: json.dumps({"dataframe_split": {"columns": [f"k{index}" for index in range(COUNT)], "data": [[1]]}}),
        wire.JSON,
    ),
    "JSON columns of one name": (
        lambda: json.dumps({"dataframe_split": {"columns": ["k"] * COUNT, "data": [[1] * COUNT]}}),
        wire.JSON,
    ),
    "npz members": (lambda: archive(f"k{index}.npy" for index in range(20_000)), wire.NPZ),
    "safetensors entries": (
        lambda: safetensors(f'"k{i}": {json.dumps(ENTRY)}' for i in range(14_000)),
        wire.SAFETENSORS,
    ),
    "safetensors entries of one name": (lambda: safetensors([f'"x": {json.dumps(ENTRY)}'] * 14_000), wire.SAFETENSORS),
    "raw shapes": (lambda: bytes(40), wire.RAW),
}


@pytest.mark.parametrize("name", BODIES)
def test_more_tensors_than_the_model_has_are_refused_at_little_cost(hostile, served, figure, name):
    make, media_type = BODIES[name]
    body = make()
    usage = Usage(served)
    usage.forget_peak()
    headers = {"x_scoria_shape": ";".join(["1,10"] * 5_000)} if media_type == wire.RAW else {}
    # An answer that takes long fails in here.
    hostile.refuse("matrix", body, media_type, **headers)
    cpu, peak = usage.cpu_growth_seconds, usage.peak_growth_mib
    figure(f"{len(body) / 1e6:.1f} MB: {cpu:.2f} CPU-s, RSS at most +{peak:.1f} MiB")
    assert cpu <= usage.slowness and peak <= 64

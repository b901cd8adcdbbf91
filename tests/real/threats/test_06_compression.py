"""Threat 6: bodies that unpack to more than was sent."""

import gzip
import io
import json
import zipfile
import zlib

import numpy as np
import pytest

import wire
from refusals import Hostile, check_error
from usage import Usage

GOOD = json.dumps({"data": [[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]]}).encode()
MIB = 1024 * 1024


def test_compressed_bodies_are_refused(serve, row_model):
    """None is unpacked, not even one that is right."""
    with serve(row_model) as server:
        client = Hostile(server)
        for coding in (
            "gzip",
            "deflate",
            "br",
            "zstd",
            "x-gzip",
            "compress",
            "gzip, gzip",
            "identity, gzip",
            "GZIP",
            "",
            "é",
        ):
            bodies = {"gzip": gzip.compress(GOOD), "deflate": zlib.compress(GOOD)}
            for body in (GOOD, bodies.get(coding, GOOD)):
                headers = {"Content-Encoding": coding.encode("latin1"), "Content-Type": wire.JSON}
                status, _, content = client.request("POST", "/api/v1/service/row/score", body, headers)
                assert (status, check_error(content)["code"]) == (415, "unsupported_content_encoding"), coding
        for coding in ("identity", "Identity"):
            assert client.score("row", GOOD, content_encoding=coding)[0] == 200


def test_inference_requests_unpack_to_no_more_than_a_body_may_be(serve, row_model):
    """Where the operator allows it, on /v2: what unpacks to more is refused at that length, and held no longer."""
    with serve(row_model, request_compression="true", max_body_bytes=MIB) as server:
        client = Hostile(server)
        request = {"inputs": [{"name": "x", "shape": [1, 10], "datatype": "FP32", "data": list(range(10))}]}
        good = json.dumps(request).encode()
        usage = Usage(server)
        usage.forget_peak()
        for pack, coding in ((gzip.compress, "gzip"), (zlib.compress, "deflate")):
            for plain, expected in (
                (good, 200),
                (good + b" " * MIB, 413),
                (b"[" * (256 * MIB), 413),
                (bytes(256 * MIB), 413),
            ):
                status, _, content = client.request(
                    "POST", "/v2/models/row/infer", pack(plain), {"Content-Encoding": coding}
                )
                assert status == expected, (coding, len(plain), content[:200])
        assert usage.peak_growth_mib < 64


def bomb(rows, fill):
    """An archive of an array that says it has so many rows and is filled from one byte."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (rows, 10)})
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("x.npy", header.getvalue() + bytes(fill))
    return file.getvalue()


# 400 MB of zeros in 400 KB; with an honest header, with one that says less, and with one that says more.
BOMBS = {"honest": 10_000_000, "modest": 1, "boastful": 2_000_000_000}


@pytest.mark.parametrize("name", BOMBS)
def test_archives_are_unpacked_within_the_limits_only(serve, row_model, bystander, figure, name):
    body = bomb(BOMBS[name], 400_000_000)
    with serve(row_model) as server, bystander(server):
        usage = Usage(server)
        usage.forget_peak()
        status, _, content = Hostile(server).score("row", body, wire.NPZ)
        peak = usage.peak_growth_mib
    figure(f"{len(body)} bytes that unpack to 400 MB: {status}, RSS at most +{peak:.1f} MiB")
    assert status == 400 and check_error(content)["code"] in ("too_many_elements", "malformed_body"), content
    assert peak <= 80


def test_an_archive_of_the_same_kind_within_the_limits_is_served(serve, row_model):
    """The control, and the setting."""
    body = bomb(100_000, 4_000_000)
    for settings, status in (({}, 200), ({"max_elements": 999_999}, 400)):
        with serve(row_model, **settings) as server:
            assert Hostile(server).score("row", body, wire.NPZ)[0] == status

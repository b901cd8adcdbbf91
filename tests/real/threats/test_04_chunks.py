"""Threat 4: chunked bodies whose framing costs more than their content (CVE-2025-23310 and 23311 in another server)."""

import json

import pytest

from kinds import HEAD
from refusals import check_error, exchange, statuses
from usage import Usage

BEGUN = HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
ROWS = 30_000
MIB = 1024 * 1024

RSS_GROWTH_MAX_MIB = 32
# Twice what three million frames cost, beyond the bytes that they are, where `usage.yardstick` takes what it should.
CPU_MAX_S = 3


def tiny_chunks(content):
    return b"".join(b"1\r\n%c\r\n" % byte for byte in content)


def test_three_megabytes_in_chunks_of_a_byte_cost_what_they_are_worth(serve, row_model, bystander, figure):
    row = b"[10,9,8,7,6,5,4,3,2,1.000000000000000000000000000000000000000000000000000000000000000000000000000]"
    content = b'{"data":[' + b",".join([row] * ROWS) + b"]}"
    assert len(content) > 2.9e6
    payload = BEGUN + tiny_chunks(content) + b"0\r\n\r\n"
    with serve(row_model, max_body_bytes=32 * MIB) as server, bystander(server):
        # As many bytes that are no frames: what reading them costs on this machine now, and the good client meanwhile.
        plain = b"%s%*s%s" % (content[:9], len(payload) - len(content), b"", content[9:])
        head = HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(plain)
        usage = Usage(server)
        assert statuses(exchange(server, head + plain, timeout=60, half_close=False)) == [200]
        reference = usage.cpu_growth_seconds
        usage = Usage(server)
        usage.forget_peak()
        answer = exchange(server, payload, timeout=60, half_close=False)
        cpu, peak = usage.cpu_growth_seconds - reference, usage.peak_growth_mib
        slowness = usage.slowness
    assert statuses(answer) == [200] and json.loads(answer.split(b"\r\n\r\n", 1)[1])[0][0] == 10.0
    figure(f"{len(content)} chunks: {cpu:.2f} CPU-s beyond the {reference:.2f} of as many bytes, at a slowness of {slowness:.1f}, RSS at most +{peak:.1f} MiB")
    assert cpu <= CPU_MAX_S * slowness and peak <= RSS_GROWTH_MAX_MIB


@pytest.mark.parametrize("limit, status", [(100_000, 413), (16 * MIB, 400)])
def test_tiny_chunks_count_against_the_limit_of_bodies(serve, row_model, limit, status):
    with serve(row_model, max_body_bytes=limit) as server:
        answer = exchange(server, BEGUN + tiny_chunks(b"[" * 200_000) + b"0\r\n\r\n", timeout=30, half_close=False)
        assert statuses(answer) == [status], answer[:300]
        check_error(answer.split(b"\r\n\r\n", 1)[1])


ATTACKS = {
    "an extension of 1 MB": BEGUN + b"1;a=" + b"a" * MIB + b"\r\n1\r\n0\r\n\r\n",
    "extensions of 1 MB in all": BEGUN + b"1;a=".join([b""] + [b"a" * 1000 + b"\r\n \r\n"] * 1000) + b"0\r\n\r\n",
    "trailers of 1 MB": BEGUN
    + b"1\r\n1\r\n0\r\n"
    + b"".join(b"X-%d: %s\r\n" % (i, b"a" * 1000) for i in range(1000))
    + b"\r\n",
    "10,000 trailers": BEGUN + b"1\r\n1\r\n0\r\n" + b"".join(b"X-%d: a\r\n" % i for i in range(10_000)) + b"\r\n",
    "a size that is endless": BEGUN + b"0" * MIB + b"1\r\n1\r\n0\r\n\r\n",
    "a size of almost 2^64": BEGUN + b"fffffffffffffffe\r\n" + b" " * MIB,
}


@pytest.mark.parametrize("name", ATTACKS)
def test_what_is_around_chunks_is_bounded(serve, row_model, bystander, name):
    with serve(row_model, body_timeout_ms=2_000) as server, bystander(server):
        usage = Usage(server)
        usage.forget_peak()
        codes = statuses(exchange(server, ATTACKS[name], timeout=10, half_close=False))
        cpu, peak = usage.cpu_growth_seconds, usage.peak_growth_mib
        assert peak <= RSS_GROWTH_MAX_MIB and cpu <= CPU_MAX_S * usage.slowness
    assert len(codes) <= 1 and all(400 <= code < 500 for code in codes), codes

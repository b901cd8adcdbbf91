"""Threat 3: heads that are too long, and too many headers. Refused, and by a setting that can be raised."""

import http.client

import httpx
import pytest

from kinds import SCORE
from refusals import exchange, statuses

BODY = b'{"data": [[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]]}'


def head(*lines, target=SCORE):
    lines = [f"POST {target} HTTP/1.1", "Host: a", "Connection: close", f"Content-Length: {len(BODY)}", *lines, "", ""]
    return "\r\n".join(lines).encode() + BODY


def headers(count):
    return [f"X-{index}: a" for index in range(count)]


# By name: the request, and a setting that lets it pass. Three headers are there anyway.
HEADS = {
    "101 headers": (head(*headers(98)), {"max_headers": 200}),
    "a header of 64 KiB": (head("X: " + "a" * 65_536), {"max_header_bytes": 131_072}),
    "a header's name of 40 KB": (head("X" * 40_000 + ": a"), {"max_header_bytes": 131_072}),
    "many headers of 64 KiB": (
        head(*(f"X-{index}: {'a' * 1000}" for index in range(65))),
        {"max_header_bytes": 131_072},
    ),
    "a query of 64 KiB": (head(target=f"{SCORE}?{'a' * 65_000}"), {"max_header_bytes": 131_072}),
}


@pytest.mark.parametrize("name", HEADS)
def test_a_head_beyond_the_limit_is_refused_and_within_it_served(serve, row_model, name):
    request, settings = HEADS[name]
    outcomes = []
    for given in ({}, settings):
        with serve(row_model, **given) as server:
            outcomes.append(statuses(exchange(server, request, half_close=False)))
    assert outcomes[0] in ([431], [414]), outcomes
    assert outcomes[1] == [200]


def test_heads_just_within_the_limits_are_served(serve, row_model):
    with serve(row_model) as server:
        for request in (head(*headers(96)), head("X: " + "a" * 32_000)):
            assert statuses(exchange(server, request, half_close=False)) == [200]


def test_http2_heads_have_the_same_limits(serve, row_model):
    for given, expected in (({}, {431}), ({"max_header_bytes": 131_072, "max_headers": 200}, {200})):
        with serve(row_model, **given) as server, httpx.Client(http1=False, http2=True) as client:
            for more in ({"x": "a" * 40_000}, {f"x-{index}": "a" for index in range(150)}):
                try:
                    status = client.post(f"{server.base}{SCORE}", content=BODY, headers=more).status_code
                except httpx.RemoteProtocolError:
                    # The stream is reset, or the connection ended, rather than answered.
                    status = 431
                assert {status} == expected, (given, status)


def test_the_admin_port_has_the_same_limits(serve, row_model):
    with serve(row_model) as server:
        host, port = server.admin.removeprefix("http://").split(":")
        for more in ({"X": "a" * 65_536}, {f"X-{index}": "a" for index in range(99)}):
            connection = http.client.HTTPConnection(host, int(port), timeout=10)
            connection.request("GET", "/livez", headers=more)
            assert connection.getresponse().status == 431
            connection.close()

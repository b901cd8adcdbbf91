"""Threat 29: requests that make metrics grow without end, or write lines of their own into the log."""

import json
import random
import re
import string

import pytest
import requests

from refusals import exchange

REQUESTS = 100_000
PIPELINED = 500
SERIES_MAX = 5_000


def series(server):
    text = requests.get(f"{server.admin}/metrics", timeout=10).text
    return {line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")}


def request(rng):
    """A random method, path, model, media type, id and key."""
    word = "".join(rng.choices(string.ascii_letters + string.digits + "%-._~", k=rng.randint(1, 30)))
    method = rng.choice(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", word.strip("%.~") or "X"])
    path = rng.choice(
        [f"/{word}", f"/api/v1/service/{word}/score", f"/api/v1/service/row/{word}", "/score", f"/score?{word}"]
    )
    headers = [f"Host: {rng.choice(['a', word.replace('%', '')])}", f"X-Request-Id: {word}", f"User-Agent: {word}"]
    headers += rng.choice(
        [[], [f"Content-Type: {word}"], [f"azureml-model-deployment: {word}"], [f"Authorization: Bearer {word}"]]
    )
    return "\r\n".join([f"{method} {path} HTTP/1.1", *headers, "Content-Length: 0", "", ""]).encode()


def send_all(server, payloads):
    """Pipelined over one connection after the other; what closes one early only leaves the rest of its batch out."""
    for at in range(0, len(payloads), PIPELINED):
        exchange(server, b"".join(payloads[at : at + PIPELINED]), timeout=10)


def test_random_requests_add_no_series(serve, row_model, bystander, figure):
    rng = random.Random(29)
    with serve(row_model, log_sample_per_second=0) as server, bystander(server):
        # Codes and stages that have not occurred yet do add theirs, once.
        send_all(server, [request(rng) for _ in range(5_000)])
        before = series(server)
        send_all(server, [request(rng) for _ in range(REQUESTS)])
        after = series(server)
        counted = counted_requests(server)
        names = {name for name in after - before}
    figure(f"{counted:.0f} requests were counted, {len(after)} series")
    assert counted > REQUESTS / 2
    assert len(after) < SERIES_MAX and not names, names


def counted_requests(server):
    text = requests.get(f"{server.admin}/metrics", timeout=10).text
    found = re.findall(r"^scoria_(?:unrouted_)?requests_total(?:\{.*\})? (\S+)$", text, re.M)
    return sum(map(float, found))


INJECTED = (
    "\\n",
    "%0a",
    "%0d%0a",
    '"',
    '","level":"ERROR","message":"injected',
    "\\u000a",
    "\x1b[2J",
    "\x7f",
    "\xe9",
    "\u2028",
    "\x85",
    "{}",
    "\\",
    "%00",
    "\t",
)


@pytest.mark.parametrize("log_format", ["json", "human"])
def test_no_request_writes_a_line_of_its_own(serve, row_model, figure, log_format):
    settings = {"log_sample_per_second": 1_000_000, "log_level": "debug", "log_format": log_format}
    with serve(row_model, **settings) as server:
        for text in INJECTED:
            raw = text.encode("utf-8", "surrogateescape")
            for where in (
                b"GET /x%s HTTP/1.1\r\nHost: a\r\n\r\n" % raw,
                b"GET /api/v1/service/row/score?%s HTTP/1.1\r\nHost: a\r\n\r\n" % raw,
                b"%s / HTTP/1.1\r\nHost: a\r\n\r\n" % raw,
                b"GET / HTTP/1.1\r\nHost: a%s\r\n\r\n" % raw,
                b"GET /x HTTP/1.1\r\nHost: a\r\nX-Request-Id: %s\r\n\r\n" % raw,
                b"GET /x HTTP/1.1\r\nHost: a\r\nX-Ms-Client-Request-Id: a%s\r\n\r\n" % raw,
                b"GET /x HTTP/1.1\r\nHost: a\r\nTraceparent: %s\r\n\r\n" % raw,
                b"POST /score HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\nContent-Length: 0\r\n\r\n" % raw,
                b"POST /score HTTP/1.1\r\nHost: a\r\nazureml-model-deployment: %s\r\n\r\n" % raw,
            ):
                exchange(server, where, timeout=0.2)
    lines = server.stderr.split("\n")
    assert lines.pop() == ""
    figure(f"{len(lines)} lines")
    assert len(lines) > 50
    for line in lines:
        assert not re.search(r"[\x00-\x1f\x7f]", line), ascii(line)
        if log_format == "json":
            entry = json.loads(line)
            assert entry["message"] != "injected" and entry["level"] != "ERROR", line
        else:
            # Nor what some terminals take for controls or for ends of lines, which JSON's readers do not.
            assert not re.search(r"[\x80-\x9f\u2028\u2029]", line), ascii(line)
            assert re.match(r"\d{4}-\d\d-\d\dT\S+Z\s+(DEBUG|INFO|WARN) ", line), ascii(line)

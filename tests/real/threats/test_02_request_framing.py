"""Threat 2: requests that two programs read differently, so that one of them lets a second request through.

Each vector goes to the server alone, where its outcome must be the one written here, and through nginx and HAProxy, where no
request may reach the server that the proxy did not send. Sources: RFC 9112, sections 2.2, 3, 5, 6, 7 and 11; the smuggling
vectors of RUSTSEC-2021-0020, 2021-0078 and 2021-0079 (hyper), and of CVE-2019-20372, CVE-2021-40346 and CVE-2023-25725 (the
proxies).
"""

import collections
import json
import re

import pytest

from proxies import HAProxy, Nginx
from raw_vectors import VECTORS, Outcome
from refusals import ANSWER_MAX_S, RIDGE, exchange, statuses
from scoria_server import Server, wait_until

SILENCE_S = 0.3
LAST = b"GET /vector-last/first HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def logged(tmp_path_factory, row_model):
    """A server that logs every request."""
    with Server(tmp_path_factory.mktemp("state"), row_model, log_sample_per_second=1_000_000) as server:
        yield server


def test_there_are_enough_vectors():
    assert len(VECTORS) >= 60


@pytest.mark.parametrize("name", VECTORS)
def test_a_vector_has_its_one_outcome(logged, name):
    vector = VECTORS[name]
    answer = exchange(logged, vector.payload, timeout=SILENCE_S, half_close=False)
    codes = statuses(answer)
    match vector.outcome:
        case Outcome.REFUSED:
            assert len(codes) <= 1 and all(400 <= code < 500 for code in codes), (codes, answer[:300])
        case Outcome.ANSWERED:
            assert codes == [vector.status], (codes, answer[:300])
        case Outcome.ANSWERED_TWICE:
            assert codes == [vector.status] * 2, (codes, answer[:300])
        case Outcome.WAITED_FOR:
            assert codes == [], (codes, answer[:300])
    assert logged.is_alive()


@pytest.mark.parametrize("proxy", [Nginx, HAProxy])
def test_no_proxy_lets_a_hidden_request_through(logged, tmp_path, figure, proxy):
    """What reaches the server is what the proxy passed on, by name and number, for every vector."""
    run = proxy.__name__.lower().encode()
    with proxy(tmp_path, logged.host_and_port) as front:
        refused = 0
        for index, vector in enumerate(VECTORS.values()):
            answer = exchange(front, vector.marked(b"%s-%d" % (run, index)), timeout=SILENCE_S, half_close=False)
            refused += all(code >= 400 and code != 404 for code in statuses(answer))
        # When the last one is in both logs, so are all before it.
        last = LAST.replace(b"last", run + b"-last")
        assert statuses(exchange(front, last, half_close=False)) == [404]
        wait_until(lambda: marks(front.passed(), run)["last", "first"], what="the last request in the proxy's log")
        wait_until(lambda: marks(logged.err_lines, run)["last", "first"], what="the last request in the server's log")
        passed, seen = marks(front.passed(), run), marks(logged.err_lines, run)
    names = [*VECTORS, "last"]
    extra = {(names[int(index)], which): count for (index, which), count in (seen - passed).items()}
    assert not extra, f"requests that the proxy did not send: {extra}"
    figure(
        f"{len(VECTORS)} vectors, {refused} refused by one of the two; {seen.total()} requests came through, 0 hidden"
    )
    assert seen.total() > 15


def marks(lines, run):
    """How often each of a run's requests is in a log."""
    found = re.findall(rf"/vector-{run.decode()}-(\d+|last)/(first|second)", "".join(lines))
    return collections.Counter(found)


def test_what_is_hardly_http_is_refused_or_hung_up_on(hostile, served):
    """Broken requests on bare connections: refused or hung up on, and never taken for something else."""
    head = b"POST /api/v1/service/matrix/score HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    body = json.dumps(RIDGE).encode()
    length = b"Content-Length: %d\r\n" % len(body)
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n"
    broken = [
        b"",
        b"\r\n",
        b"\r\n\r\n",
        b"GARBAGE\r\n\r\n",
        b"\x00" * 100,
        b"\x16\x03\x01\x02\x00\x01\x00" * 10,
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST  / HTTP/1.1\r\n\r\n",
        head + b"Content-Length: -1\r\n\r\n" + body,
        head + b"Content-Length: abc\r\n\r\n" + body,
        head + b"Content-Length: 99999999999999999999999\r\n\r\n" + body,
        head + b"Content-Length: 18446744073709551615\r\n\r\n" + body,
        head + length + b"Content-Length: 5\r\n\r\n" + body,
        head + b"Content-Length: 5, 6\r\n\r\n" + body,
        head + b"Content-Length: 1000\r\n\r\n" + body,
        head + b"Content-Length: +5\r\n\r\n" + body,
        head + b"Content-Length: 0x10\r\n\r\n" + body,
        head + length + b"Bad Header: 1\r\n\r\n" + body,
        head + length + b"X: a\x00b\r\n\r\n" + body,
        head + length + b"X" + b"\r\n\r\n" + body,
        head + length + b": x\r\n\r\n" + body,
        head + length + b"X: " + b"a" * 100_000 + b"\r\n\r\n" + body,
        head + length + b"".join(b"X%d: a\r\n" % index for index in range(5000)) + b"\r\n" + body,
        chunked + b"zz\r\n" + body,
        chunked + b"-1\r\n" + body,
        chunked + b"ffffffffffffffffff\r\n" + body,
        chunked + b"5\r\n" + body + b"\r\n0\r\n\r\n",
        chunked + b"%x\r\n" % len(body) + body,
        chunked + b"1000\r\n" + body,
        chunked + b"0\r\n",
        chunked + b"0\r\n\r\n",
        head + b"Transfer-Encoding: gzip\r\n\r\n" + body,
        head + b"Transfer-Encoding: chunked, gzip\r\n\r\n" + body,
        head.replace(b"HTTP/1.1", b"HTTP/1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        head + length + b"\r\n" + body[:-1],
        head,
        head + length,
        b"POST",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 1000,
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        b"PRI",
        b"POST http:// HTTP/1.1\r\nHost: a\r\n\r\n",
        head.replace(b"matrix", b"mat\x00rix") + length + b"\r\n" + body,
        head.replace(b"matrix", b"mat rix") + length + b"\r\n" + body,
        head.replace(b"Host: a\r\n", b"") + length + b"\r\n" + body,
        head + b"Host: b\r\n" + length + b"\r\n" + body,
        head + b" folded: x\r\n" + length + b"\r\n" + body,
    ]
    for payload in broken:
        # A client that ends its half is taken to have left and may get no answer; one that stays must get its refusal.
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
    payload = b"".join(
        request % (b"matrix" if index % 3 else b"nothing", index, len(body), body) for index in range(30)
    )
    last = payload.rindex(b"X-Request-Id")
    answer = exchange(served, payload[:last] + b"Connection: close\r\n" + payload[last:], half_close=False)
    assert statuses(answer) == [200 if index % 3 else 404 for index in range(30)], answer[:500]
    ids = re.findall(rb"\r\nx-request-id: (\d+)\r\n", answer)
    assert ids == [b"%d" % index for index in range(30)]

"""Requests that are wrong around their bodies: refused by a 4xx or hung up on, quickly, and nothing more."""

import json
import re

import wire
from refusals import ANSWER_MAX_S, RIDGE, Hostile, check_error, exchange, statuses


def test_media_types(hostile):
    body = json.dumps(RIDGE)
    for media_type in (
        "text/html",
        "application/xml",
        "image/png",
        "application/x-arrow",
        "*/*",
        "json",
        "",
        ";",
        "application/jsonx",
        "multipart/form-data; boundary=x",
        "é".encode(),
    ):
        hostile.refuse("matrix", body, media_type, status=415)
    for media_type in (
        "application/json; charset=utf-8",
        "APPLICATION/JSON",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/vnd.api+json",
        " application/json ",
    ):
        assert hostile.score("matrix", body, media_type)[0] == 200, media_type
    for accept in ("text/html", "*/*", "application/xml", "", ";;;,,,", "é".encode(), "application/x-npy;q=0"):
        assert hostile.score("matrix", body, Accept=accept)[0] == 200, accept
    # No strings in a safetensors file.
    hostile.refuse("one-string", '{"x": ["a"]}', status=406, Accept=wire.SAFETENSORS)


def test_paths_and_methods(hostile):
    body = json.dumps(RIDGE)
    paths = [
        "/api/v1/service/matrix/score/",
        "/api/v1/service/matrix",
        "/api/v1/service//score",
        "/api/v1/service/../score",
        "/api/v1/service/./matrix/score",
        "/api/v1/service/matrix/../matrix/score",
        "/api/v1/service/matrix%2Fscore",
        "/api/v1/service/%2e%2e/score",
        "/api/v1/service/matri%78/score",
        "/api/v1/service/matrix%00/score",
        "/api/v1/service/Matrix/score",
        "/API/v1/service/matrix/score",
        "//api/v1/service/matrix/score",
        "/api/v1/service/nothing/score",
        "/api/v1/service/" + "a" * 20_000 + "/score",
        "/%",
        "/%zz",
        "/\\",
        "/etc/passwd",
        "/score/..",
        "/metrics",
        "/api/v1/service",
        "/api/v1/service/matrix/score;x",
        "/api/v1/service/matrix /score".replace(" ", "%20"),
        "/v1/models/matrix:predict",
        "/score",
    ]
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
    for name, value in (
        ("traceparent", "garbage"),
        ("origin", "null"),
        ("x-request-id", "é"),
        ("expect", "nonsense"),
        ("x-scoria-shape", "garbage"),
    ):
        status, _, content = hostile.score("matrix", body, **{name: value.encode()})
        assert status == 200 or 400 <= status < 500, (name, status, content)


def test_keys(serve, models):
    with serve(models / "ridge", models / "wine", auth="key") as server:
        key, client = server.key("ridge"), Hostile(server)
        body = json.dumps(RIDGE)
        odd = [
            None,
            "",
            "Bearer",
            "Bearer ",
            "Bearer  ",
            "bearer",
            key,
            f"Basic {key}",
            f"Token {key}",
            f"Bearer {key[:-1]}",
            f"Bearer {key}x",
            f"Bearer {key} {key}",
            f'Bearer "{key}"',
            f"Bearer: {key}",
            f"Bearer,{key}",
            "Bearer " + "x" * 20_000,
            "Bearer \xff\xfe",
            f"Bearer {key.upper()}",
            f"Bearer {key.lower()}",
            "Negotiate abc",
            "Bearer null",
            "Bearer undefined",
        ]
        for value in odd:
            headers = {} if value is None else {"Authorization": value.encode("latin1")}
            status, answered, content = client.request("POST", "/api/v1/service/ridge/score", body, headers)
            assert status == 401 and answered["www-authenticate"] == "Bearer", (value, status)
            check_error(content)
            assert key.encode() not in content
        status, _, content = client.request(
            "POST", "/api/v1/service/ridge/score", body, {"Authorization": f"Bearer {server.key('wine')}"}
        )
        assert status == 403, status
        check_error(content)
        # Refused before the body is read, however wrong that is.
        status, _, _ = client.request("POST", "/api/v1/service/ridge/score", "garbage", {})
        assert status == 401
        for value in (
            f"Bearer {key}",
            f"bearer {key}",
            f"BEARER  {key} ",
            f"Bearer {server.key('ridge', 'secondary')}",
        ):
            status, _, content = client.request("POST", "/api/v1/service/ridge/score", body, {"Authorization": value})
            assert status == 200, (value, content)
        # Twice the header is no key, or the first of them; never the second alone.
        request = "POST /score HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n"
        request += f"Authorization: Bearer wrong\r\nAuthorization: Bearer {key}\r\n\r\n"
        assert set(statuses(exchange(server, request.encode(), half_close=False))) <= {400, 401, 404}


def test_http_that_is_none(hostile, served):
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
    head = (
        b"POST /api/v1/service/matrix/score HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
        % size
    )
    answer = exchange(served, head, half_close=False)
    assert statuses(answer) == [413], answer[:300]

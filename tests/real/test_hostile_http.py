"""Requests that are wrong around their bodies: refused by a 4xx that helps, quickly, and nothing more."""

import json

import wire
from refusals import RIDGE, check_error, exchange, statuses


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


def test_headers(hostile):
    body = json.dumps(RIDGE)
    for timeout in ("-1", "abc", "0", "", "1.5", "1e3", "١", "0x10", "+5 5"):
        hostile_status, _, content = hostile.score("matrix", body, x_scoria_timeout_ms=timeout.encode())
        assert hostile_status == 400, (timeout, hostile_status)
        assert check_error(content)["code"] == "bad_timeout"
    # More than can be counted is a whole number all the same, and longer than the endpoint allows.
    assert hostile.score("matrix", body, x_scoria_timeout_ms=b"9" * 23)[0] == 200
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

"""Threat 22: names that are paths, or that look like another name. None leads anywhere, on a URL or on the command line."""

import json
import os
import re
import subprocess

import pytest

from refusals import RIDGE, Hostile, check_error, exchange, statuses


def test_odd_paths_lead_nowhere(hostile):
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
        "/score",
    ]
    for path in paths:
        for method in ("POST", "GET", "PUT"):
            status, _, content = hostile.request(method, path, body if method != "GET" else None)
            assert status in (404, 405), (method, path, status)
            check_error(content)
    # Other servers' clients get refusals in the form that they know.
    for path in ("/v1/models/matri:predict", "/v1/models/matrix:explain", "/v1/models/matrix/../matrix:predict"):
        status, _, content = hostile.request("POST", path, body)
        assert status in (404, 405) and json.loads(content)["error"], (path, status)
    for method in ("PUT", "DELETE", "PATCH", "TRACE", "BREW", "PROPFIND"):
        status, headers, content = hostile.request(method, "/api/v1/service/matrix/score", body)
        assert status == 405 and "POST" in headers["allow"], (method, status)
        check_error(content)
    for query in ("data=1", "data=[[1]]", "x=%ff", "x=[[1", "=", "&&&", "data=" + "[" * 10_000, "%", "a=%zz"):
        status, _, content = hostile.request("GET", f"/api/v1/service/matrix/score?{query}")
        assert status == 400, (query, status)
        hostile.check_example("matrix", check_error(content))


# From the six bypasses of one traversal fix (CVE-2023-1177, 2356, 2780, CVE-2024-1560, 1593, 3573), and what file systems and
# eyes confuse.
NAMES = (
    """
.. ../x ../../etc/passwd ..%2fx %2e%2e%2fx ..%252fx %252e%252e/x ..%c0%afx ..%5cx ..\\x x;y x%3by ;x x/../y x//y ./x x. .x
-x x%00 x%00.onnx x%0a x%0d%0ay x%20 %20x x%09 X r0w row. row%20 row%2e r%6fw r%C3%B6w %EF%BD%92ow %D1%80ow row%E2%80%8B
CON NUL nul.onnx row:$DATA row::$DATA ~ ~root $HOME `id` $(id) {row} [row] * ? row? row# row& row=row row+row row@row row%
""".split()
    + ["a" * 65, "a" * 300, "a" * 20_000]
)


def test_a_name_that_is_not_exactly_one_of_ours_is_unknown(serve, row_model, figure):
    with serve(row_model) as server:
        for name in NAMES:
            for leaf in ("score", "swagger.json", "openapi.json"):
                target = f"/api/v1/service/{name}/{leaf}".encode()
                head = b"GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % target
                answer = exchange(server, head, half_close=False)
                codes = statuses(answer)
                # A mark of the URI's own ends the path before its leaf; then it is no known path either.
                assert codes and codes[0] in (400, 404, 431) and len(codes) == 1, (name, answer[:200])
                assert b"root:" not in answer and b"onnx" not in answer.lower().replace(b"onnxruntime", b"?"), answer
        host, port = server.admin.removeprefix("http://").split(":")
        # Here the name ends the path, so that a query or a fragment may follow it.
        for name in (name for name in NAMES if re.split("[?#]", name)[0] != "row"):
            request = f"GET /api/v1/service/{name} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
            codes = statuses(exchange(At(host, int(port)), request, half_close=False))
            assert codes and codes[0] in (400, 404, 431), (name, codes)
    figure(f"{len(NAMES)} names in four places each")


def test_the_letter_case_of_a_name_is_no_name_of_its_own(serve, row_model):
    with serve(row_model) as server:
        for name in ("row", "rOW", "ROW", "roW"):
            head = f"GET /api/v1/service/{name}/swagger.json HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
            assert statuses(exchange(server, head, half_close=False)) == [200], name


class At:
    """An address, as `exchange` wants it."""

    def __init__(self, *host_and_port):
        self.host_and_port = host_and_port


@pytest.mark.parametrize(
    "name", ["..", "../x", "a/b", "A", "-a", ".a", "a b", "a;b", "é", "a\n", "", "a" * 65, "%2e%2e", "a\\b", "~"]
)
def test_a_model_cannot_be_given_such_a_name(tmp_path, row_model, name):
    state = tmp_path / "state"
    command = [
        os.environ["SCORIA_BIN"],
        "serve",
        f"{name}={row_model}",
        "--state-dir",
        state,
        "--listen",
        "127.0.0.1:0",
    ]
    ran = subprocess.run(
        [*map(str, command), "--admin-listen", "127.0.0.1:0"], capture_output=True, text=True, timeout=30
    )
    assert ran.returncode in (1, 2) and ran.stderr, (ran.returncode, ran.stderr)
    assert sorted(path.name for path in tmp_path.iterdir()) in ([], ["state"])


def test_the_longest_and_oddest_name_that_is_allowed_is_served(serve, row_model):
    """The control."""
    for name in ("a" * 64, "0", "a.b-c_d", "a..b"):
        with serve(f"{name}={row_model}") as server:
            status, _, content = Hostile(server).score(name, json.dumps(RIDGE))
            assert status == 200, content

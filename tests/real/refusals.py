"""What every refusal must look like, whoever is refused."""

import http.client
import json
import re
import socket
import time

ANSWER_MAX_S = 2.0

# A good body for a model of rows of ten.
RIDGE = {"data": [[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]]}


class Hostile:
    """Sends what must be refused, and checks how. Counts what it sent."""

    def __init__(self, server, default_headers=None):
        self.server = server
        self.headers = default_headers or {}
        self.sent = 0
        self._valid_examples = set()
        self._connection = None

    def request(self, method, path, body=None, headers=None):
        """One request over a kept-alive connection; gives status, headers and body, and bounds the time."""
        for _ in range(2):
            fresh = self._connection is None
            if fresh:
                self._connection = http.client.HTTPConnection(*self.server.host_and_port, timeout=10)
            started = time.monotonic()
            try:
                self._connection.request(method, path, body, {**self.headers, **(headers or {})})
                answer = self._connection.getresponse()
                content = answer.read()
            except (OSError, http.client.HTTPException):
                self._connection.close()
                self._connection = None
                # A connection that the server ended after an earlier refusal is no news.
                if fresh:
                    raise
                continue
            took = time.monotonic() - started
            assert took < ANSWER_MAX_S, f"{method} {path} took {took:.1f} s"
            if answer.will_close:
                self._connection.close()
                self._connection = None
            self.sent += 1
            return answer.status, answer.headers, content
        raise AssertionError("the loop above returns or raises")

    def score(self, name, body, media_type="application/json", **headers):
        headers = {key.replace("_", "-"): value for key, value in headers.items()}
        path = f"/api/v1/service/{name}/score"
        return self.request("POST", path, body, {"Content-Type": media_type, **headers})

    def refuse(self, name, body, media_type="application/json", *, status=400, code=None, **headers):
        """The body must be refused, with an example that is not."""
        got, _, content = self.score(name, body, media_type, **headers)
        shown = body if len(body) < 200 else f"{body[:200]}…"
        assert got == status, f"{name} {media_type} {headers} {shown!r}: {got} {content[:200]!r}"
        error = check_error(content)
        assert code is None or error["code"] == code, f"{name} {shown!r}: {error}"
        if status == 400:
            self.check_example(name, error)
        return error

    def check_example(self, name, error):
        """A 400 shows a body that this model takes."""
        assert "example" in error, f"{name}: no example in {error}"
        example = json.dumps(error["example"])
        if (name, example) in self._valid_examples:
            return
        status, _, content = self.score(name, example)
        assert status == 200, f"{name}: its own example {example} got {status} {content[:200]!r}"
        self._valid_examples.add((name, example))


def check_error(content):
    """The form of every refusal; gives its inner object."""
    body = json.loads(content)
    assert set(body) == {"error", "message"}, body
    error = body["error"]
    assert isinstance(error["code"], str) and error["code"], body
    assert isinstance(error["message"], str) and error["message"] == body["message"], body
    assert set(error) <= {"code", "message", "path", "expected", "got", "example"}, body
    internals = re.search(r"0x[0-9a-f]{6,}|/src/|\.rs:|\.cc:|onnxruntime", error["message"])
    assert not internals, f"internals in {error['message']}"
    return error


def exchange(server, payload, timeout=ANSWER_MAX_S, half_close=True):
    """Bytes on a bare connection; everything that comes back until the server closes or is silent."""
    with socket.create_connection(server.host_and_port, timeout=timeout) as connection:
        try:
            connection.sendall(payload)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            # Refused before everything was sent; what was said about it is read below.
            half_close = True
        answer = b""
        started = time.monotonic()
        try:
            while chunk := connection.recv(65536):
                answer += chunk
        except TimeoutError:
            assert not half_close, (
                f"no end after {time.monotonic() - started:.1f} s of {payload[:200]!r}; came: {answer[:200]!r}"
            )
        except ConnectionResetError:
            pass
        return answer


def statuses(answer):
    """The status of every HTTP/1 answer in these bytes."""
    return [int(code) for code in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answer)]

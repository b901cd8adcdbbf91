"""Clients that people have: Azure's consumer example, requests, httpx, curl, and load during a stop."""

import contextlib
import io
import json
import socket
import subprocess
import threading
import time
import types

import httpx
import numpy as np
import pytest
import requests
import safetensors.numpy

import wire
from scoria_server import wait_until

# From the documentation of Azure Machine Learning, "Consume web services", not changed in any character.
CONSUMER = """\
import requests
import json

headers = {'Content-Type':'application/json'}

if service.auth_enabled:
    headers['Authorization'] = 'Bearer '+service.get_keys()[0]

print(headers)
    
test_sample = json.dumps({'data': [
    [1,2,3,4,5,6,7,8,9,10], 
    [10,9,8,7,6,5,4,3,2,1]
]})

response = requests.post(service.scoring_uri, data=test_sample, headers=headers)
print(response.status_code)
print(response.elapsed)
print(response.json())
"""

ROWS = np.array([range(1, 11), range(10, 0, -1)], np.float32)


@pytest.fixture
def ridge(serve, models):
    with serve(models / "ridge", auth="key") as server:
        yield server


def authorized(server, media_type=wire.JSON, name="ridge"):
    return {"Content-Type": media_type, "Authorization": f"Bearer {server.key(name)}"}


def samples(models):
    """The bundled models' sample requests and answers, by name."""

    def read(path):
        return json.loads(path.read_text())

    folders = [path.parent for path in models.glob("*/1/sample_input.json")]
    return {
        folder.parent.name: (read(folder / "sample_input.json"), read(folder / "sample_output.json"))
        for folder in folders
    }


def assert_same(answer, expected):
    """The same JSON value, but for the last digits of floats."""
    if isinstance(expected, dict):
        assert list(answer) == list(expected)
        for key in expected:
            assert_same(answer[key], expected[key])
    elif np.array(expected).dtype.kind == "f":
        np.testing.assert_allclose(answer, expected, rtol=1e-4, atol=1e-4)
    else:
        assert answer == expected


def known_scores(models):
    """The bundled ridge's answer to ROWS by another program."""
    import onnxruntime

    session = onnxruntime.InferenceSession(models / "ridge" / "1" / "model.onnx")
    return session.run(None, {"features": ROWS})[0]


def test_consumer_of_the_documentation(ridge, models):
    service = types.SimpleNamespace(
        auth_enabled=True,
        scoring_uri=ridge.score_uri("ridge"),
        get_keys=lambda: (ridge.key("ridge"), ridge.key("ridge", "secondary")),
    )
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(CONSUMER, {"service": service})
    _headers, status, _elapsed, answer = printed.getvalue().splitlines()
    assert status == "200"
    np.testing.assert_allclose(json.loads(answer), known_scores(models), rtol=1e-5)


@pytest.mark.parametrize("slot", ["primary", "secondary"])
def test_either_key_opens_both_routes(ridge, slot):
    headers = {"Authorization": f"Bearer {ridge.key('ridge', slot)}"}
    for uri in (ridge.score_uri("ridge"), f"{ridge.base}/score"):
        assert requests.post(uri, json={"data": ROWS.tolist()}, headers=headers).status_code == 200
        assert requests.post(uri, json={"data": ROWS.tolist()}).status_code == 401


def test_binary_bodies(ridge, models):
    uri, scores = ridge.score_uri("ridge"), known_scores(models)

    def post(body, media_type):
        answer = requests.post(uri, data=body, headers=authorized(ridge, media_type))
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, media_type), answer.text
        return answer.content

    np.testing.assert_allclose(np.load(io.BytesIO(post(wire.to_npy(ROWS), wire.NPY))), scores, rtol=1e-5)
    for save in (np.savez, np.savez_compressed):
        answer = np.load(io.BytesIO(post(wire.to_npz({"features": ROWS}, save), wire.NPZ)))
        assert answer.files == ["progression"]
        np.testing.assert_allclose(answer["progression"], scores, rtol=1e-5)
    answer = safetensors.numpy.load(post(wire.to_safetensors({"features": ROWS}), wire.SAFETENSORS))
    assert list(answer) == ["progression"]
    np.testing.assert_allclose(answer["progression"], scores, rtol=1e-5)


def test_printed_curl_commands(serve, models):
    with serve(models, auth="key") as server:
        lines = server.curl_lines()
        expected = samples(models)
        assert len(lines) == len(expected) == 4
        for line in lines:
            (name,) = [name for name in expected if f"/service/{name}/score" in line]
            # As it was printed, from a folder where the server is not.
            done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, cwd="/", timeout=60)
            assert done.returncode == 0 and not done.stderr, (line, done.stderr)
            assert_same(json.loads(done.stdout), expected[name][1])


def test_http2_prior_knowledge(serve, models):
    with serve(models, auth="key") as server, httpx.Client(http1=False, http2=True) as client:
        for name, (body, expected) in samples(models).items():
            answer = client.post(server.score_uri(name), json=body, headers=authorized(server, name=name))
            assert (answer.status_code, answer.http_version) == (200, "HTTP/2")
            assert_same(answer.json(), expected)
        # An error is no end of the connection.
        refused = client.post(server.score_uri("ridge"), content=b"{", headers=authorized(server))
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "malformed_body")
        assert client.post(server.score_uri("ridge"), content=b"{").status_code == 401


def test_one_connection_for_many_requests(ridge):
    with requests.Session() as session:
        session.headers.update(authorized(ridge))
        ports = set()
        for number in range(200):
            body, status = ("[", 400) if number % 10 == 9 else ('{"data": [[1,2,3,4,5,6,7,8,9,10]]}', 200)
            answer = session.post(ridge.score_uri("ridge"), data=body, stream=True)
            assert answer.status_code == status
            # Reading the body gives the connection back, so its port is noted before.
            ports.add(answer.raw.connection.sock.getsockname()[1])
            answer.json()
    assert len(ports) == 1, ports


def test_keys_outlive_the_server(serve, models, tmp_path):
    names = ["ridge", "wine"]

    def keys(server):
        return {(name, slot): server.key(name, slot) for name in names for slot in ("primary", "secondary")}

    folder = tmp_path / "shared"
    with serve(models, auth="key", state_dir=folder) as first:
        before = keys(first)
        # Another server of the same folder, at the same time.
        with serve(models, auth="key", state_dir=folder) as second:
            assert keys(second) == before
            for server in (first, second):
                body = {"data": ROWS.tolist()}
                assert (
                    requests.post(server.score_uri("ridge"), json=body, headers=authorized(server)).status_code == 200
                )
    with serve(models, auth="key", state_dir=folder) as third:
        assert keys(third) == before
    assert len(set(before.values())) == len(before)


class Poster(threading.Thread):
    """Posts one request after the other over a session, until the connection fails."""

    def __init__(self, server, body, expected):
        super().__init__()
        self.server, self.body, self.expected = server, body, expected
        self.spans = []
        self.wrong = []
        self.failed_at = None
        self.accepted_after_failure = None

    def run(self):
        with requests.Session() as session:
            while not self.wrong:
                begun = time.monotonic()
                try:
                    answer = session.post(self.server.score_uri("text-encoder"), json=self.body, timeout=30)
                except requests.ConnectionError:
                    self.failed_at = begun
                    self.accepted_after_failure = accepts(self.server)
                    return
                self.spans.append((begun, time.monotonic()))
                if answer.status_code != 200 or answer.content != self.expected:
                    self.wrong.append((answer.status_code, answer.text[:200]))


def accepts(server):
    try:
        socket.create_connection(server.host_and_port, timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def test_stop_under_load_loses_nothing(serve, models):
    body = {"input_ids": [[97] * 96] * 4, "attention_mask": [[1] * 96] * 4}
    with serve(models / "text-encoder", drain_delay_ms=300, queue_max_wait_ms=30_000) as server:
        first = requests.post(server.score_uri("text-encoder"), json=body)
        assert first.status_code == 200
        posters = [Poster(server, body, first.content) for _ in range(8)]
        for poster in posters:
            poster.start()
        wait_until(lambda: all(len(poster.spans) >= 5 for poster in posters), 60, "load")
        stopped = time.monotonic()
        assert server.stop() == 0
        for poster in posters:
            poster.join(30)
    for poster in posters:
        assert not poster.is_alive() and not poster.wrong, poster.wrong
        # What had begun before the signal was answered, and who was turned away came after the doors had closed.
        assert poster.failed_at > stopped and poster.accepted_after_failure is False
    spans = [span for poster in posters for span in poster.spans]
    assert any(begun < stopped < ended for begun, ended in spans), "nothing was in flight at the signal"

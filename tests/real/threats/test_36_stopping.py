"""Threat 36: SIGTERM under load. What has begun is answered, and whoever asks is told."""

import concurrent.futures
import json
import re
import signal
import socket
import threading
import time

import hpack
import pytest
import requests

import frames
from scoria_server import wait_until

IN_FLIGHT = 150
# Few enough for one connection's streams.
STREAMS = 80
ROUNDS = 3
# So long a run that most requests still wait when the last one arrives, however fast the machine is.
SIZE = 1_000
BODY = json.dumps({"shape": [SIZE, SIZE]})
EXPECTED = SIZE / 4
UNHURRIED = {"queue_max_wait_ms": 60_000, "workers": 1, "drain_timeout_ms": 60_000}


def begun(server):
    """How many requests have reached the endpoint, and how many of them are not answered yet."""
    text = requests.get(f"{server.admin}/metrics", timeout=10).text
    in_flight = re.search(r'^scoria_requests_in_flight\{.*endpoint="slow"\} (\d+)$', text, re.M)
    answered = re.findall(r'^scoria_requests_total\{.*endpoint="slow"\} (\d+)$', text, re.M)
    return sum(map(int, answered)) + int(in_flight[1]), int(in_flight[1])


def http1(server):
    """Many requests at once, each over a connection of its own; gives the statuses."""

    def post():
        answer = requests.post(server.score_uri("slow"), BODY, timeout=60)
        return answer.status_code, answer.json()

    with concurrent.futures.ThreadPoolExecutor(IN_FLIGHT) as pool:
        answers = [pool.submit(post) for _ in range(IN_FLIGHT)]
        return [future.result() for future in answers]


def http2(server):
    """Many requests at once over two connections.

    By hand, since python-h2 takes every frame after the server's GOAWAY for an error, those of the answers too.
    """
    answers = []
    for _ in range(2):
        connection = socket.create_connection(server.host_and_port, timeout=60)
        length = ("content-length", str(len(BODY)))
        hello = frames.OPENING
        for stream in range(1, 2 * STREAMS, 2):
            hello += frames.request(stream, "POST", "/api/v1/service/slow/score", length, end=False)
            hello += frames.frame(frames.DATA, frames.END_STREAM, stream, BODY.encode())
        connection.sendall(hello)
        answers.append(connection)
    return [answer for connection in answers for answer in read_streams(connection)]


def read_streams(connection):
    """Status and body of each stream, to the end of the connection; pings are answered, as every client does."""
    received, seen, decoder, statuses, bodies = b"", 0, hpack.Decoder(), {}, {}
    while words := connection.recv(65536):
        received += words
        complete = list(frames.parse(received))
        for kind, flags, stream, payload in complete[seen:]:
            if kind == frames.HEADERS:
                statuses[stream] = int(dict(decoder.decode(payload))[":status"])
            elif kind == frames.DATA:
                bodies[stream] = bodies.get(stream, b"") + payload
            elif kind == frames.PING and not flags & frames.ACK:
                connection.sendall(frames.frame(frames.PING, frames.ACK, 0, payload))
        seen = len(complete)
    connection.close()
    return [(status, json.loads(bodies[stream])) for stream, status in statuses.items()]


@pytest.mark.parametrize("send, count", [(http1, IN_FLIGHT), (http2, 2 * STREAMS)], ids=["HTTP/1.1", "HTTP/2"])
def test_what_is_in_flight_at_sigterm_is_answered(serve, slow_model, figure, send, count):
    most = 0
    for _ in range(ROUNDS):
        with serve(slow_model, **UNHURRIED) as server:
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                sent = pool.submit(send, server)
                wait_until(lambda: begun(server)[0] == count, 30, "every request's arrival")
                most = max(most, begun(server)[1])
                server.process.send_signal(signal.SIGTERM)
                answers = sent.result()
            assert server.process.wait(30) == 0
            assert [status for status, _ in answers] == [200] * count
            assert all(abs(body - EXPECTED) < 0.1 for _, body in answers)
    figure(f"{ROUNDS} times SIGTERM with up to {most} in flight: 0 of {ROUNDS * count} lost")
    assert most >= 100


def test_clients_that_heed_readiness_never_notice(serve, row_model, bystander, figure):
    """The readiness probe says 503 at once, and while balancers take notice everything is served."""
    with serve(row_model, drain_delay_ms=3_000) as server:
        with bystander(server) as good:
            begun = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            wait_until(lambda: requests.get(f"{server.admin}/readyz", timeout=5).status_code == 503, 2, "readiness 503")
            told = time.monotonic() - begun
            assert requests.get(f"{server.base}/readyz", timeout=5).status_code == 503
            assert requests.get(f"{server.admin}/livez", timeout=5).status_code == 200
            good.next_phase()
        assert server.process.wait(30) == 0
    figure(f"readiness said 503 after {1000 * told:.0f} ms; 0 errors of {good.requests} requests")


def test_a_second_sigterm_ends_it_at_once(serve, slow_model):
    server = serve(slow_model, drain_delay_ms=60_000)
    with pytest.raises(AssertionError, match="ended with 1"), server:
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: requests.get(f"{server.admin}/readyz", timeout=5).status_code == 503, 5, "readiness 503")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(5) == 1


def test_a_drain_has_an_end(serve, slow_model):
    """The control: with less time than the queue needs, what is left is cut off, and the end is still in order."""
    with serve(slow_model, **UNHURRIED | {"drain_timeout_ms": 100}) as server:
        outcomes = []

        def post():
            try:
                outcomes.append(requests.post(server.score_uri("slow"), BODY, timeout=60).status_code)
            except requests.ConnectionError:
                outcomes.append("cut off")

        clients = [threading.Thread(target=post) for _ in range(IN_FLIGHT)]
        for client in clients:
            client.start()
        wait_until(lambda: begun(server)[0] >= IN_FLIGHT // 2, 30, "load")
        assert server.stop() == 0
        for client in clients:
            client.join()
    assert "cut off" in outcomes or 503 in outcomes, outcomes

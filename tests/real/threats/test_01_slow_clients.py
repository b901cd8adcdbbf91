"""Threat 1: clients that are slow to say or to take, or that say nothing."""

import concurrent.futures
import re
import socket
import subprocess
import threading
import time

import numpy as np
import pytest
import requests

import frames
import wire
from crowd import Crowd
from kinds import KINDS, SCORE
from scoria_server import wait_until
from usage import Usage

CROWD = 10_000
HELD_S = 3
RSS_GROWTH_MAX_MIB = 250
# A request in progress holds a page of its body and its own state besides, and HTTP/2 a stream.
IN_PROGRESS_RSS_GROWTH_MAX_MIB = 320

# Each kind is closed after one of these at the latest.
SHORT = {
    "header_timeout_ms": 1_000,
    "keep_alive_timeout_ms": 1_000,
    "body_timeout_ms": 1_000,
    "write_timeout_ms": 1_000,
}
LONG = {key: 600_000 for key in SHORT} | {"min_transfer_bytes_per_s": 0}
FEW = 20

MIB = 1024 * 1024
# Larger than what the buffers of a socket hold, at either end.
ANSWER = np.zeros((8 * MIB // 40, 10), np.float32)


def connections(server):
    """How many are open, as the server counts them."""
    text = requests.get(f"{server.admin}/metrics", timeout=10).text
    return int(re.search(r'^scoria_connections\{port="scoring"\} (\d+)$', text, re.M).group(1))


def hold_few_of_each(server, seconds):
    """How many of each kind are still open after so long."""

    def hold(kind):
        with Crowd(server, FEW, kind.hello) as crowd:
            crowd.hold(seconds, kind.drip)
            return crowd.open

    with concurrent.futures.ThreadPoolExecutor(len(KINDS)) as pool:
        return dict(zip(KINDS, pool.map(hold, KINDS.values())))


def test_slow_and_silent_clients_are_closed(serve, row_model, bystander):
    # HTTP/2 connections that are idle are told so first, and have the time of a head to go by themselves.
    seconds = 4
    with serve(row_model, **SHORT) as server, bystander(server):
        assert hold_few_of_each(server, seconds) == dict.fromkeys(KINDS, 0)


def test_slow_and_silent_clients_stay_where_the_limits_are_loose(serve, row_model):
    """The control: it is the limits that close them."""
    with serve(row_model, **LONG) as server:
        assert hold_few_of_each(server, 4) == dict.fromkeys(KINDS, FEW)


@pytest.mark.parametrize("name", KINDS)
def test_ten_thousand_slow_clients_cost_little_and_hinder_nobody(serve, row_model, bystander, figure, name):
    kind = KINDS[name]
    # Room for them all, and for the bodies that they announce: what they take is the question, not who is refused.
    room = {"max_connections": CROWD + 500, "max_in_flight": CROWD + 500, "max_in_flight_bytes": 2 * CROWD * 100_000}
    with serve(row_model, **LONG, **room) as server, bystander(server) as good:
        usage = Usage(server)
        begun = time.monotonic()
        good.next_phase()
        with Crowd(server, CROWD, kind.hello) as crowd:
            opened = time.monotonic() - begun
            good.next_phase()
            crowd.hold(HELD_S, kind.drip)
            # One request of each sort again, while they are all there.
            good.next_phase()
            grown, cpu = usage.rss_growth_mib, usage.cpu_growth_seconds
            assert crowd.open == CROWD, f"{crowd.closed} were closed: {crowd.first_words[:200]}"
            # The good client has some as well.
            assert CROWD < connections(server) < CROWD + 10
    alone, _, held, _ = good.p99_ms
    figure(
        f"opened in {opened:.1f} s, RSS +{grown:.0f} MiB, {cpu:.1f} CPU-s; good client's p99 {held:.0f} ms, "
        f"{held / alone:.1f} times that before, 0 errors of {good.requests}"
    )
    assert grown <= (IN_PROGRESS_RSS_GROWTH_MAX_MIB if "body" in name else RSS_GROWTH_MAX_MIB)


@pytest.mark.parametrize("name", ["slow head", "HTTP/2 slow head"])
def test_ten_thousand_slow_heads_are_closed_in_time(serve, row_model, bystander, figure, name):
    """All of them soon after the limit, not one after the other."""
    kind, limit_s = KINDS[name], 8
    room = {"max_connections": CROWD + 500, "header_timeout_ms": 1000 * limit_s}
    with serve(row_model, **room) as server, bystander(server):
        with Crowd(server, CROWD, kind.hello) as crowd:
            opened = time.monotonic()
            crowd.hold(limit_s + 5, kind.drip, until_closed=True)
            took = time.monotonic() - opened
            assert crowd.open == 0, f"{crowd.open} are still there"
    figure(f"all closed {took:.1f} s after the last was opened; the limit is {limit_s} s")


def test_room_is_made_for_good_clients_when_silent_ones_hold_every_connection(serve, row_model, bystander, figure):
    with serve(row_model, **LONG, max_connections=300) as server:
        with Crowd(server, 300, KINDS["silent"].hello) as crowd:
            wait_until(lambda: connections(server) > 290, what="a full house")
            with bystander(server) as good:
                good.next_phase()
            crowd.hold(0.5)
            assert 0 < crowd.closed < 300
    figure(f"{good.requests} requests of the good client were served, {crowd.closed} silent clients had to go")


def read_nothing(server, count):
    """Connections that ask for a large answer and take none of it; HTTP/1.1, and HTTP/2 with no window."""
    body = ANSWER.tobytes()
    head = f"POST {SCORE} HTTP/1.1\r\nHost: test\r\nContent-Type: {wire.RAW}\r\nContent-Length: {len(body)}\r\n\r\n"
    asked = [("content-type", wire.RAW), ("content-length", "40")]
    hello = frames.PREFACE + frames.settings(s4=0) + frames.request(1, "POST", SCORE, *asked, end=False)
    hello += frames.frame(frames.DATA, frames.END_STREAM, 1, ANSWER[:1].tobytes())
    readers = []
    for index in range(count):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(server.host_and_port)
        connection.sendall(hello if index % 2 else head.encode() + body)
        readers.append(connection)
    return readers


def test_clients_that_do_not_take_their_answer_are_closed(serve, row_model, bystander):
    for settings, is_closed in ((SHORT, True), (LONG, False)):
        settings = settings | {"body_timeout_ms": 60_000}
        with serve(row_model, **settings) as server, bystander(server):
            readers = read_nothing(server, 10)
            if is_closed:
                # What the good client has open stays.
                wait_until(lambda: connections(server) < 4, what="the end of the slow readers")
            else:
                with pytest.raises(AssertionError):
                    wait_until(lambda: connections(server) < 10, 3)
            for reader in readers:
                reader.close()


def test_a_reader_that_takes_its_answer_by_spoonfuls_is_closed(serve, row_model):
    body = ANSWER.tobytes()
    outcomes = {}
    for slowest in (1_000_000, 0):
        settings = LONG | {"write_timeout_ms": 500, "min_transfer_bytes_per_s": slowest}
        if slowest == 0:
            settings["write_timeout_ms"] = LONG["write_timeout_ms"]
        with serve(row_model, **settings) as server:
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(10)
            connection.connect(server.host_and_port)
            head = f"POST {SCORE} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Type: {wire.RAW}\r\n"
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            taken, pause = 0, threading.Event()
            try:
                # For three seconds a spoonful at a time, about 200 kB in each second; then all the rest.
                for _ in range(150):
                    taken += len(connection.recv(4096))
                    pause.wait(0.02)
                while words := connection.recv(1 << 20):
                    taken += len(words)
            except ConnectionResetError:
                pass
            connection.close()
            outcomes[slowest] = taken > len(body)
    assert outcomes == {1_000_000: False, 0: True}


def test_a_body_slower_than_the_least_rate_is_refused(serve, row_model, bystander):
    """After five seconds of grace; in time for a body, but too slow."""
    slow = KINDS["slow body"]
    for rate, expected in ((1024, 0), (0, FEW)):
        with serve(row_model, **LONG | {"min_transfer_bytes_per_s": rate}) as server, bystander(server):
            with Crowd(server, FEW, slow.hello) as crowd:
                crowd.hold(8, slow.drip, until_closed=True)
                assert crowd.open == expected
            assert rate == 0 or b"body_too_slow" in crowd.first_words and b" 408 " in crowd.first_words


@pytest.mark.parametrize("mode", ["-H", "-B", "-X"])
def test_slowhttptest_does_not_take_the_service_away(serve, row_model, bystander, figure, tmp_path, mode):
    """Slow heads, slow bodies and slow reading, by somebody else's program."""
    with serve(row_model, max_connections=2_000, header_timeout_ms=3_000, body_timeout_ms=3_000) as server:
        with bystander(server):
            ran = subprocess.run(
                [
                    *("slowhttptest", mode, "-c", "1500", "-r", "1000", "-l", "8", "-p", "3", "-i", "1", "-x", "10"),
                    *(
                        "-g",
                        "-o",
                        tmp_path / "report",
                        "-u",
                        f"{server.base}{SCORE if mode == '-B' else '/openapi.json'}",
                    ),
                ],
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert ran.returncode == 0, ran.stdout + ran.stderr
    # Its own probe asks all the time whether the server still answers; the last column says so.
    seconds = (tmp_path / "report.csv").read_text().splitlines()[1:]
    available = [int(line.split(",")[-1]) > 0 for line in seconds]
    figure(f"answered its probe in {sum(available)} of {len(available)} seconds")
    assert len(available) >= 3 and all(available), seconds

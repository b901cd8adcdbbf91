"""Three replicas of one registry behind HAProxy: update, rolling restart, and the death of one, under load."""

import json
import socket
import subprocess
import threading
import time

import pytest
import requests

from desk import Desk
from scoria_server import Server, wait_until

REPLICAS = 3
CLIENTS = 8
BODY = json.dumps({"data": [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]]})

CONFIG = """
global
    maxconn 1000
defaults
    mode http
    timeout connect 1s
    timeout client 30s
    timeout server 30s
    # Only what has not reached a server is sent to another.
    retries 3
    option redispatch 1
    retry-on conn-failure
frontend clients
    bind 127.0.0.1:{front}
    default_backend replicas
backend replicas
    option httpchk GET /readyz
    default-server check inter 100ms fall 1 rise 1
{servers}
"""


def free_ports(count):
    """Ports that nobody had a moment ago."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports


class Load:
    """Clients that ask one request after the other. Every failure is kept with what it was."""

    def __init__(self, url):
        self.url = url
        self.answered = 0
        self.failures = []
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(CLIENTS)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _ask(self):
        session = requests.Session()
        while not self._stop.is_set():
            try:
                answer = session.post(self.url, BODY, timeout=30)
                failure = None if answer.status_code == 200 else f"{answer.status_code}: {answer.text}"
            except requests.RequestException as error:
                failure = repr(error)
            with self._lock:
                self.answered += failure is None
                if failure:
                    self.failures.append(failure)

    def take_failures(self):
        with self._lock:
            failures, self.failures = self.failures, []
        return failures

    def wait_for_more(self, count):
        aim = self.answered + count
        wait_until(lambda: self.answered >= aim, 30, f"{count} more answers")


@pytest.fixture
def desk(tmp_path, models):
    desk = Desk(tmp_path)
    for _ in range(2):
        desk.run("register", "ridge", models / "ridge" / "1")
    desk.run("deploy", "ridge:1", "--endpoint", "house")
    return desk


def version(admin):
    """The version that a replica answers with, if it is done with every change."""
    told = requests.get(f"{admin}/api/v1/service/house", timeout=10).json()
    settled = all(state["state"] == "ready" for state in told["states"])
    return told["deployments"][0]["model"]["version"] if settled else None


def test_update_rolling_restart_and_death_under_load(desk, tmp_path):
    front, *ports = free_ports(1 + REPLICAS)
    servers = "".join(f"    server r{n} 127.0.0.1:{port}\n" for n, port in enumerate(ports))
    config = tmp_path / "haproxy.cfg"
    config.write_text(CONFIG.format(front=front, servers=servers))

    def replica(number):
        settings = {"registry": desk.registry, "listen": f"127.0.0.1:{ports[number]}", "drain_delay_ms": 500}
        return Server(tmp_path / f"replica{number}", **settings)

    replicas = [replica(number).__enter__() for number in range(REPLICAS)]
    proxy = subprocess.Popen(["haproxy", "-db", "-f", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{front}/api/v1/service/house/score"
    try:

        def is_up():
            try:
                return requests.post(url, BODY, timeout=5).status_code == 200
            except requests.ConnectionError:
                return False

        wait_until(is_up, 30, "an answer through HAProxy")
        # Whoever has not been looked at yet counts as up.
        time.sleep(0.5)
        with Load(url) as load:
            load.wait_for_more(200)
            desk.run("update", "house/blue", "--model", "ridge:2")
            for server in replicas:
                wait_until(lambda: version(server.admin) == 2, 10, "version 2 on every replica")
            load.wait_for_more(200)
            assert load.take_failures() == [], "while the model was updated"

            for number, server in enumerate(replicas):
                assert server.stop() == 0, server.stderr
                replicas[number] = replica(number).__enter__()
                load.wait_for_more(100)
                time.sleep(0.5)
            assert load.take_failures() == [], "while the replicas were restarted one after the other"

            replicas[0].process.kill()
            load.wait_for_more(500)
            failures = load.take_failures()
            assert len(failures) <= CLIENTS, f"more than could be in flight on the one that died: {failures}"
            replicas[0].stop()
            replicas[0] = replica(0).__enter__()
            load.wait_for_more(200)
            assert load.take_failures() == [], "after it came back"
            assert version(replicas[0].admin) == 2
    finally:
        proxy.terminate()
        proxy.wait(10)
        for server in replicas:
            server.stop()

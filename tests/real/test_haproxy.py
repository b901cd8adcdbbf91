"""HAProxy's checks, which ask by `OPTIONS` unless they are told otherwise."""

import csv
import io
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from scoria_server import Server

MODEL = Path(__file__).parents[2] / "models/ridge"
CHECK_TIMEOUT_S = 30

CONFIGURATION = """
global
    stats socket {socket} level operator
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
    default-server check inter 100ms rise 1 fall 1
"""


def configuration(server, path, checks):
    text = CONFIGURATION.format(socket=path)
    for port, base in (("scoring", server.base), ("admin", server.admin)):
        for name, check in checks.items():
            text += f"backend {port}-{name}\n    {check}\n    server one {urlsplit(base).netloc}\n"
    return text


def states(path):
    """What the checks of each backend came to; nothing before the first ones have ended."""
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(str(path))
        control.sendall(b"show stat\n")
        text = b"".join(iter(lambda: control.recv(65536), b"")).decode()
    rows = csv.DictReader(io.StringIO(text.removeprefix("# ")))
    return {row["pxname"]: (row["check_status"], row["check_code"]) for row in rows if row["svname"] == "one"}


def checked(path, process):
    """Looks until every check has ended once: HAProxy tells nobody by itself."""
    deadline = time.monotonic() + CHECK_TIMEOUT_S
    while time.monotonic() < deadline:
        assert process.poll() is None, process.stderr.read()
        if path.exists():
            found = states(path)
            if found and all(status not in ("", "INI") and not status.startswith("*") for status, _ in found.values()):
                return found
        time.sleep(0.05)
    raise AssertionError(f"some checks never ended: {states(path)}")


@pytest.fixture
def haproxy(tmp_path):
    processes = []

    def start(text):
        (tmp_path / "haproxy.cfg").write_text(text)
        command = ["haproxy", "-db", "-f", str(tmp_path / "haproxy.cfg")]
        processes.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


def test_checks_by_options_find_the_server_well_on_both_ports(tmp_path, haproxy):
    checks = {
        "default": "option httpchk",
        "ready": "option httpchk /readyz",
        "get": "option httpchk GET /livez",
        "head": "option httpchk HEAD /",
        "star": "option httpchk OPTIONS *",
        "version": "option httpchk OPTIONS /healthz HTTP/1.1\\r\\nHost:\\ balancer.example",
    }
    with Server(tmp_path / "state", MODEL) as server:
        control = tmp_path / "control"
        process = haproxy(configuration(server, control, checks))
        found = checked(control, process)
    assert len(found) == 2 * len(checks)
    assert set(found.values()) == {("L7OK", "200")}, found

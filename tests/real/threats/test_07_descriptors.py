"""Threat 7: a process that has no file descriptors left."""

import json
import subprocess

import requests

from kinds import ROW
from crowd import Crowd
from kinds import KINDS
from scoria_server import Server, wait_until
from usage import Usage

DESCRIPTORS = 64
CLIENTS = 200
# Fewer than the kernel keeps for a server that does not accept them.
BACKLOG = 100


class Limited(Server):
    """A server that may have few descriptors, whatever it asks for."""

    def __init__(self, *args, **settings):
        super().__init__(*args, **settings)
        self.command = ["prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}", *self.command]


def probe(server):
    """Whether each of the admin port's answers comes, over connections of their own."""
    return [requests.get(f"{server.admin}{path}", timeout=5).status_code for path in ("/livez", "/readyz", "/metrics")]


def test_without_descriptors_it_does_not_spin_and_the_admin_port_answers(tmp_path, row_model, figure):
    with Limited(tmp_path / "state", row_model) as server:
        with Crowd(server, CLIENTS, KINDS["silent"].hello) as crowd:
            assert probe(server) == [200] * 3
            usage = Usage(server)
            crowd.hold(3)
            share = usage.cpu_growth_seconds / 3
            assert usage.descriptors <= DESCRIPTORS
            assert probe(server) == [200] * 3
        figure(f"{CLIENTS} clients, {DESCRIPTORS} descriptors: {share:.1%} of a processor")
        assert share < 0.05
        # And when they have left, whoever comes is served.
        uri, body = server.score_uri("row"), json.dumps({"data": ROW})
        wait_until(lambda: answers(uri, body), what="an answer after the attack")
        for _ in range(50):
            assert requests.post(uri, body, timeout=10).json() == ROW


def refusals(server):
    """How often the log says that there was no descriptor for a client."""
    return sum("cannot accept" in line for line in server.err_lines)


def answers(uri, body):
    try:
        return requests.post(uri, body, timeout=2).status_code == 200
    except requests.RequestException:
        return False


def test_descriptors_taken_away_while_it_runs_are_survived(serve, row_model, figure):
    """Accepting itself fails (EMFILE), which the limits set at the start cannot foresee."""
    with serve(row_model) as server:
        usage = Usage(server)
        least = usage.descriptors + 4
        subprocess.run(["prlimit", f"--pid={server.process.pid}", f"--nofile={least}:{least}"], check=True)
        with Crowd(server, BACKLOG, KINDS["silent"].hello) as crowd:
            wait_until(lambda: refusals(server), what="a word about it in the log")
            usage = Usage(server)
            before = refusals(server)
            crowd.hold(3)
            share, lines = usage.cpu_growth_seconds / 3, (refusals(server) - before) / 3
        figure(f"{share:.1%} of a processor, {lines:.0f} log lines in a second")
        assert share < 0.05 and lines <= 15
        uri, body = server.score_uri("row"), json.dumps({"data": ROW})
        wait_until(lambda: answers(uri, body), what="an answer after the attack")
        assert probe(server) == [200] * 3


def test_with_descriptors_enough_all_are_accepted(serve, row_model):
    """The control."""
    with serve(row_model) as server, Crowd(server, CLIENTS, KINDS["idle"].hello) as crowd:
        crowd.hold(1)
        assert crowd.open == CLIENTS and Usage(server).descriptors > CLIENTS
        assert refusals(server) == 0

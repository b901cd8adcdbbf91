"""Things outside of a server that hang, and what is measured meanwhile."""

import contextlib
import fcntl
import http.client
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time

import requests

from scoria_server import wait_until

PIPE_BYTES = 4096
# What a probe may take, besides what the machine takes for an exchange of a few bytes between two processes.
PROBE_MAX_S = 0.1
# An exit may take so much longer than the drain.
EXIT_SPARE_S = 1.0
PAUSE_S = 0.01


def free_ports(count):
    """Ports that nobody had a moment ago."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports


class Server:
    """`scoria serve` on ports that are known beforehand, since its banner may not be read. `before` is put before the command."""

    def __init__(self, folder, *models, stdout=None, stderr=None, before=(), env=None, **settings):
        scoring, admin = free_ports(2)
        self.host_and_port, self.admin_host_and_port = ("127.0.0.1", scoring), ("127.0.0.1", admin)
        self.base, self.admin = f"http://127.0.0.1:{scoring}", f"http://127.0.0.1:{admin}"
        self.settings = {"auth": "none", "engine": "ort", "drain_delay_ms": 0, "drain_timeout_ms": 1_000, **settings}
        self.settings |= {"listen": f"127.0.0.1:{scoring}", "admin_listen": f"127.0.0.1:{admin}", "state_dir": folder}
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in self.settings.items()]
        self.command = [*before, os.environ["SCORIA_BIN"], "serve", *map(str, models), *flags]
        self.is_traced = bool(before)
        self.log_path = folder / "log"
        self.stdout, self.stderr, self.environment = stdout, stderr, {**os.environ, **(env or {})}

    def __enter__(self):
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                self.command, stdout=self.stdout or log, stderr=self.stderr or log, env=self.environment
            )
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self.process.kill()
        self.process.wait()

    @property
    def pid(self):
        """Of the server itself, not of what traces it."""
        if not self.is_traced:
            return self.process.pid
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as file:
            return int(file.read().split()[0])

    def wait_until_it_scores(self, name="row"):
        """Whether everything else is loaded or not."""

        def does():
            with contextlib.suppress(requests.RequestException):
                return requests.post(self.score_uri(name), '{"data": [[1,2,3,4,5,6,7,8,9,10]]}', timeout=5).ok

        wait_until(does, 60, f"an answer of '{name}'")
        return self

    def score_uri(self, name):
        return f"{self.base}/api/v1/service/{name}/score"

    def metric(self, name):
        """The sum of a metric's series."""
        text = requests.get(f"{self.admin}/metrics", timeout=10).text
        series = [line for line in text.splitlines() if line.partition(" ")[0].partition("{")[0] == name]
        return sum(float(line.rpartition(" ")[2]) for line in series)

    def stop(self):
        """SIGTERM, and the exit code; it has to come in time."""
        limit = (self.settings["drain_delay_ms"] + self.settings["drain_timeout_ms"]) / 1000 + EXIT_SPARE_S
        begun = time.monotonic()
        pid = self.pid
        with Reference() as reference:
            os.kill(pid, signal.SIGTERM)
            # A tracer outlives the process that it holds a thread of.
            code = self._wait_for_end_of(pid) if self.is_traced else self.process.wait(60)
            took = time.monotonic() - begun
        assert took <= limit + reference.slowest_s, f"{took:.2f} s to end, of {limit:.2f} s"
        return code

    def _wait_for_end_of(self, pid):
        """Gives the code that it ended with, as the kernel keeps it until the tracer has been told."""

        def fields():
            with open(f"/proc/{pid}/stat") as file:
                return file.read().rpartition(")")[2].split()

        wait_until(lambda: fields()[0] == "Z", 60, "the end of the server")
        return os.waitstatus_to_exitcode(int(fields()[-1]))

    @property
    def log(self):
        return self.log_path.read_text()


def stalled_pipe(is_full=False):
    """The ends of a pipe of 4 KiB that nobody reads."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    if is_full:
        os.write(writer, b"\n" * PIPE_BYTES)
    return reader, writer


class Reference:
    """What the machine takes for an exchange between two processes that have nothing else to do."""

    ECHO = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"

    def __enter__(self):
        self._process = subprocess.Popen(
            [sys.executable, "-c", self.ECHO], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self._exchange()
        self.times = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()
        self._process.stdin.close()
        self._process.wait()

    def _exchange(self):
        begun = time.monotonic()
        self._process.stdin.write("echo\n")
        assert self._process.stdout.readline() == "echo\n"
        return time.monotonic() - begun

    def _run(self):
        while not self._ended.wait(PAUSE_S):
            self.times.append(self._exchange())

    @property
    def slowest_s(self):
        return max(self.times, default=0)


class Probes:
    """Asks both ports how the server is, all the while; at the end no answer may have been wrong or late."""

    PATHS = ("/livez", "/readyz")

    def __init__(self, server, ready=200):
        self.expected = {"/livez": 200, "/readyz": ready, "/metrics": 200}
        self.addresses = {"scoring": server.host_and_port, "admin": server.admin_host_and_port}
        self.times, self.wrong = [], []
        self._ended = threading.Event()

    def __enter__(self):
        self.reference = Reference().__enter__()
        self._threads = [threading.Thread(target=self._run, args=(port,)) for port in self.addresses]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind, error, trace):
        self._ended.set()
        for thread in self._threads:
            thread.join()
        self.reference.__exit__()
        if kind is None:
            assert not self.wrong, self.wrong[:5]
            assert self.times, "nothing was asked"
            limit = PROBE_MAX_S + self.reference.slowest_s
            assert self.slowest_s <= limit, f"{self.slowest_s:.3f} s of at most {limit:.3f} s"

    def _run(self, port):
        paths = (*self.PATHS, "/metrics") if port == "admin" else self.PATHS
        while not self._ended.wait(PAUSE_S):
            for path in paths:
                connection = http.client.HTTPConnection(*self.addresses[port], timeout=10)
                begun = time.monotonic()
                try:
                    connection.request("GET", path)
                    answer = connection.getresponse()
                    answer.read()
                    if answer.status != self.expected[path]:
                        self.wrong.append(f"{port} {path}: {answer.status}")
                except (OSError, http.client.HTTPException) as error:
                    self.wrong.append(f"{port} {path}: {error!r}")
                finally:
                    connection.close()
                self.times.append(time.monotonic() - begun)

    @property
    def slowest_s(self):
        return max(self.times)


class Silence:
    """A port that accepts, reads and never answers. Before a `target`, it forwards everything until `stall` is called."""

    def __init__(self, target=None):
        self.target, self.is_stalled = target, target is None
        self.taken = 0
        self._connections = []

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        for connection in (self._listener, *self._connections):
            connection.close()

    def stall(self):
        self.is_stalled, self.taken = True, 0

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._connections.append(client)
                threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def _forward(self, client):
        selector = selectors.DefaultSelector()
        selector.register(client, selectors.EVENT_READ)
        ends = {}
        with contextlib.suppress(OSError, KeyError):
            if self.target is not None:
                store = socket.create_connection(("127.0.0.1", self.target))
                self._connections.append(store)
                selector.register(store, selectors.EVENT_READ)
                ends = {client: store, store: client}
            while True:
                for key, _ in selector.select():
                    words = key.fileobj.recv(65536)
                    if not words:
                        raise OSError("its end")
                    if key.fileobj is client:
                        self.taken += 1
                    if not self.is_stalled:
                        ends[key.fileobj].sendall(words)
        for end in ends:
            end.close()

"""A real server in a process of its own, on free ports."""

import os
import queue
import re
import signal
import subprocess
import threading
import time

START_TIMEOUT_S = 120
EXIT_TIMEOUT_S = 30


class Server:
    """`scoria serve`, from its banner to its exit. Use it in a `with` block, which checks that it ends well."""

    def __init__(self, state_dir, *models, auth="none", engine="ort", env=None, **settings):
        settings = {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0", "drain_delay_ms": 0, **settings}
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
        command = [os.environ["SCORIA_BIN"], "serve", *map(str, models), "--state-dir", str(state_dir)]
        self.state_dir = state_dir
        self.command = [*command, "--auth", auth, "--engine", engine, *flags]
        self.environment = {**os.environ, **(env or {})}
        self.banner = ""
        self.out_lines = []
        self.err_lines = []

    def __enter__(self):
        self.process = subprocess.Popen(
            self.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment
        )
        self._started = queue.Queue()
        self._readers = [
            threading.Thread(target=self._read_out, daemon=True),
            threading.Thread(target=self._read_err, daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        try:
            loaded = self._started.get(timeout=START_TIMEOUT_S)
        except queue.Empty:
            loaded = False
        if not loaded:
            self.process.kill()
            raise AssertionError(f"no banner; standard error was:\n{self.stderr}")
        self.banner = self.stdout
        self.admin = re.search(r"^\s*admin\s+(https?://[^/]+)", self.banner, re.M).group(1)
        score = re.search(r"^\s.*\s(https?://[^/\s]+)/api/v1/service/", self.banner, re.M)
        self.base = score.group(1) if score else None
        return self

    def __exit__(self, kind, error, trace):
        code = self.stop()
        # What went wrong first is what the reader needs to see.
        if kind is None:
            assert code == 0, f"the server ended with {code}; standard error was:\n{self.stderr}"

    def _read_out(self):
        for line in self.process.stdout:
            self.out_lines.append(line)
            # The banner's last line.
            if re.match(r"\s*admin\s+https?://", line):
                self._started.put(True)
        self._started.put(False)

    def _read_err(self):
        for line in self.process.stderr:
            self.err_lines.append(line)

    def stop(self):
        """Asks the server to end, and gives its exit code; None if it had to be killed."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(EXIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = None
        for reader in self._readers:
            reader.join()
        return code

    @property
    def stdout(self):
        return "".join(self.out_lines)

    @property
    def stderr(self):
        return "".join(self.err_lines)

    @property
    def host_and_port(self):
        host, port = self.base.partition("://")[2].split(":")
        return host, int(port)

    def score_uri(self, name):
        """The scoring URI of an endpoint."""
        return f"{self.base}/api/v1/service/{name}/score"

    def key(self, name, slot="primary"):
        """The key that the server handed over for an endpoint."""
        with open(f"{self.state_dir}/keys/{name}.{slot}.key") as file:
            return file.read().strip()

    def curl_lines(self):
        """The commands that the banner says will work."""
        return re.findall(r"^\s*try\s+(curl .*)$", self.banner, re.M)

    def is_alive(self):
        return self.process.poll() is None


def wait_until(condition, seconds=10, what="the condition"):
    """Waits for something that cannot be waited on."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come about within {seconds} s"
        time.sleep(0.005)

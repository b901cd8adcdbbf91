"""One server of one model, from its start to its end. It is stopped (SIGSTOP) whenever another one is measured."""

import http.client
import os
import socket
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from compare.body import Body, encode
from compare.installation import last_line
from compare.layout import LOGS, PEERS, PROGRAMS
from compare.model import Encoding, Model
from compare.peer import CORES, Peer
from compare.process_tree import Memory, ProcessTree
from compare.reference import Reference

# For the first answer too.
ANSWER_TIMEOUT_S = 90
END_TIMEOUT_S = 20
POLL_S = 0.002
# From an answer until whoever gave it sleeps again.
SETTLE_S = 0.01


class CannotServe(Exception):
    """A server ended, or gave no answer in time, or refused a request that it should take."""


class Server:
    """Use it in a `with` block, after which nothing of it is left."""

    def __init__(self, peer: Peer, model: Model) -> None:
        self.peer = peer
        self.model = model
        self.log = LOGS / f"{model.name}-{peer.name}.log"
        self.first_body = encode(peer.forms[0], model.rows()[0])
        self.start_ms = 0.0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
            ports = free_ports(3)
            self.port = ports[0]
            values = self._values(ports)
            LOGS.mkdir(parents=True, exist_ok=True)
            out = stack.enter_context(self.log.open("wb"))
            command = [part.format(**values) for part in self.peer.command]
            begun = time.perf_counter()
            try:
                self.process = subprocess.Popen(
                    command,
                    cwd=self.scratch,
                    env=self._environment(values),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    start_new_session=True,
                )
            except OSError as error:
                raise CannotServe(str(error)) from error
            self.tree = ProcessTree(self.process.pid)
            stack.callback(self._end)
            bearer = self.peer.bearer_file
            self.bearer_file = None if bearer is None else Path(bearer.format(**values))
            self._wait_for_answer()
            self.start_ms = (time.perf_counter() - begun) * 1000
            self._open = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.peer.path}"

    def check(self, reference: Reference, encoding: Encoding) -> None:
        """Compares its answer to each row with the model's: asked one by one, and all at once, when rows may be joined."""
        form = self.peer.form(encoding)
        if form is None or not self.peer.scores:
            return
        bodies = [encode(form, row) for row in reference.rows]
        for index, body in enumerate(bodies):
            status, answer = self.post(body)
            if status != 200:
                raise CannotServe(f"answered row {index} with {status}: {answer[:200]!r}")
            reference.check(form, index, answer)
        with ThreadPoolExecutor(len(bodies)) as pool:
            for index, (status, answer) in enumerate(pool.map(self.post, bodies)):
                # It may refuse what comes at once; the tables count that.
                if status == 200:
                    reference.check(form, index, answer)

    def settle(self) -> None:
        """Waits until what the generator left in flight is done, so that nothing is stopped with a lock in its hands.

        Queues are first in, first out: once a request is answered, those before it are. Triton gives up, and ends, when it
        waits too long for a lock.
        """
        self._wait_for_answer()
        time.sleep(SETTLE_S)

    def post(self, body: Body) -> tuple[int, bytes]:
        headers = {"Content-Type": body.content_type}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_TIMEOUT_S)
        try:
            if self.bearer_file is not None:
                headers["Authorization"] = f"Bearer {self.bearer_file.read_text().strip()}"
            connection.request("POST", self.peer.path, body.bytes, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise CannotServe(f"no answer: {error!r}") from error
        finally:
            connection.close()

    def memory(self) -> Memory:
        return self.tree.memory()

    def _values(self, ports: list[int]) -> dict[str, str]:
        tuning = self.peer.tuning(self.model.name)
        return {
            "port": str(ports[0]),
            "second_port": str(ports[1]),
            "third_port": str(ports[2]),
            "model": str(self.model.path),
            "folder": str(self.peer.folder),
            "bin": str(self.peer.venv / "bin"),
            "programs": str(PROGRAMS),
            "scratch": str(self.scratch),
            "cores": str(len(CORES)),
            "workers": str(tuning.workers),
            "threads": str(tuning.threads),
        }

    def _environment(self, values: dict[str, str]) -> dict[str, str]:
        """What its description says, and for the servers in Python what they share (see loadtest/peers/scorer.py)."""
        shared = {
            key.upper(): values[key] for key in ("port", "second_port", "third_port", "model", "workers", "threads")
        }
        own = {key: value.format(**values) for key, value in self.peer.environment.items()}
        return {**os.environ, **shared, "PYTHONPATH": str(PEERS), "ORT_DISABLE_TELEMETRY": "1", **own}

    def _wait_for_answer(self) -> None:
        """Asks until a row is answered: a port that is open is not yet a model that is loaded."""
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        last = "nothing"
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                said = last_line(self.log.read_text(errors="replace"))
                raise CannotServe(f"ended with {self.process.returncode}: {said}")
            try:
                status, answer = self.post(self.first_body)
                if status == 200:
                    return
                last = f"{status}: {answer[:200]!r}"
            except CannotServe as error:
                last = str(error)
            time.sleep(POLL_S)
        raise CannotServe(f"not answered within {ANSWER_TIMEOUT_S} s; at last: {last}")

    def _end(self) -> None:
        """Asks first, so that what it holds outside of its memory is given back."""
        self.tree.thaw()
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(END_TIMEOUT_S)
        self.tree.kill()
        self.process.wait()


def free_ports(count: int) -> list[int]:
    """Ports that nobody has just now. All are held until the last one is found, so that they differ."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for held in sockets:
            held.bind(("127.0.0.1", 0))
        return [held.getsockname()[1] for held in sockets]

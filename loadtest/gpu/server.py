"""Scoria with one model, from its start to its end."""

import http.client
import json
import re
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from compare.server import free_ports
from gpu.open_inference import HEAD_LENGTH, Request
from gpu.plan import Plan
from gpu.provider import Provider
from gpu.subject import Subject

# An engine of TensorRT may be built meanwhile.
READY_TIMEOUT_S = 600
ANSWER_TIMEOUT_S = 60
END_TIMEOUT_S = 30
POLL_S = 0.05
LOG_TAIL = 2_000
# Requests of 32 images are 19 MB each, and many are in flight.
BODY_BYTES_MAX = 1 << 28
IN_FLIGHT_BYTES_MAX = 1 << 34
ELEMENTS_MAX = 1 << 28
# What is measured is what the server can do, and not whom it would refuse.
QUEUE_WAIT_MAX_MS = 30_000


class CannotServe(Exception):
    """A server ended, did not become ready, ran the model elsewhere than it was told to, or refused a request."""


class Server:
    """Use it in a `with` block, after which nothing of it is left."""

    def __init__(self, plan: Plan, path: Path, subject: Subject, provider: Provider, rows_max: int) -> None:
        self.plan = plan
        self.path = path
        self.provider = provider
        self.rows_max = rows_max
        self.subject = subject
        self.name = subject.full_name

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
            self.log = scratch / "log"
            ports = free_ports(2)
            self.address, self.admin = (f"127.0.0.1:{port}" for port in ports)
            out = stack.enter_context(self.log.open("wb"))
            begun = time.perf_counter()
            self.process = subprocess.Popen(
                self._command(scratch), stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
            stack.callback(self._end)
            self._wait_until_ready()
            self.start_s = time.perf_counter() - begun
            self._wait_for_provider()
            self._open = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    @property
    def url(self) -> str:
        return f"http://{self.address}/v2/models/{self.name}/infer"

    def post(self, request: Request) -> tuple[int, bytes]:
        """The length of the answer's head, and all of it."""
        connection = http.client.HTTPConnection(self.address, timeout=ANSWER_TIMEOUT_S)
        try:
            connection.request("POST", f"/v2/models/{self.name}/infer", request.content, request.headers)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != 200:
                raise CannotServe(f"answered {answer.status}: {content[:300]!r}")
            return int(answer.headers[HEAD_LENGTH]), content
        except (OSError, http.client.HTTPException) as error:
            raise CannotServe(f"no answer: {error!r}; {self._said()}") from error
        finally:
            connection.close()

    def metric(self, name: str) -> float | None:
        """The sum over a metric's series; None if it has none."""
        found = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", self._metrics(), re.MULTILINE)
        values = [float(value) for value in found]
        return sum(values) if values else None

    def _command(self, scratch: Path) -> list[str]:
        plan = self.plan
        return [
            str(plan.scoria), "serve", f"{self.name}={self.path}", "--listen", self.address,
            "--admin-listen", self.admin,
            "--state-dir", str(scratch / "state"), "--auth", "none", "--drain-delay-ms", "0", "--engine", "ort",
            "--ort-lib", str(plan.ort_lib), "--max-batch", str(self.rows_max),
            "--max-body-bytes", str(BODY_BYTES_MAX), "--max-in-flight-bytes", str(IN_FLIGHT_BYTES_MAX),
            "--max-elements", str(ELEMENTS_MAX), "--queue-max-wait-ms", str(QUEUE_WAIT_MAX_MS),
            *self.provider.server_flags(self.subject, self.rows_max), *plan.server_flags,
        ]  # fmt: skip

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise CannotServe(f"ended with {self.process.returncode}; {self._said()}")
            try:
                with urllib.request.urlopen(f"http://{self.admin}/readyz", timeout=ANSWER_TIMEOUT_S):
                    return
            except urllib.error.HTTPError as error:
                if json.loads(error.read())["endpoints"].get(self.name) == "failed":
                    raise CannotServe(f"could not load the model; {self._said()}") from error
            except OSError:
                pass
            time.sleep(POLL_S)
        raise CannotServe(f"not ready within {READY_TIMEOUT_S} s; {self._said()}")

    def _wait_for_provider(self) -> None:
        """A server may be ready by one provider while it prepares a better one."""
        deadline = time.monotonic() + READY_TIMEOUT_S
        while (got := self._provider()) != self.provider.name:
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise CannotServe(f"runs the model by {got} where {self.provider.name} was asked for; {self._said()}")
            time.sleep(POLL_S)

    def _provider(self) -> str | None:
        found = re.search(r'^scoria_model_info{.*provider="([^"]*)".*} 1$', self._metrics(), re.MULTILINE)
        return found and found[1]

    def _metrics(self) -> str:
        with urllib.request.urlopen(f"http://{self.admin}/metrics", timeout=ANSWER_TIMEOUT_S) as answer:
            return str(answer.read(), "utf-8")

    def _said(self) -> str:
        return f"it said: {self.log.read_text(errors='replace').strip()[-LOG_TAIL:]}"

    def _end(self) -> None:
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(END_TIMEOUT_S)
        self.process.kill()
        self.process.wait()

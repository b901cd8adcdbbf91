"""The load generator, `loadtest run`, with bodies of the Open Inference Protocol in binary."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from compare.generator import GRACE_S, SCHEMA, CannotMeasure, duration
from gpu.meter import Meter, Reading
from gpu.open_inference import HEAD_LENGTH, MEDIA_TYPE, encode
from gpu.plan import Plan
from gpu.server import Server
from gpu.subject import Subject

# So that no cache of answers helps; with 32 images each, 77 MB of them.
BODIES = 4
# Of a measurement's time.
WARM_UP = 0.5


@dataclass(frozen=True)
class Load:
    """Requests of so many rows over so many connections; open at a rate, otherwise each follows an answer."""

    rows: int
    connections: int
    rate_per_s: float | None = None


@dataclass(frozen=True)
class Served:
    """The server under one load in one round."""

    rows_per_s: float
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    # Not answered, or with another status than 2xx.
    errors: int
    server_cores: float
    generator_cores: float
    gpu: Reading


class Generator:
    def __init__(self, plan: Plan, subject: Subject, folder: Path) -> None:
        """Its bodies are written into `folder`, once for each number of rows."""
        self.plan = plan
        self.subject = subject
        self.folder = folder
        self.flags: dict[int, list[str]] = {}

    def measure(self, server: Server, load: Load) -> Served:
        threads = max(1, min(4, (os.cpu_count() or 1) // 2, load.connections))
        seconds = self.plan.seconds
        # The answers were checked when the server was started.
        command = [
            str(self.plan.loadtest), "run", "--url", server.url, *self._bodies(load.rows), "--skip-check",
            "--connections", str(load.connections), "--threads", str(threads), "--duration", duration(seconds),
            "--warm-up", duration(seconds * WARM_UP), "--timeout", "60s",
            "--server-pid", str(server.process.pid), "-o", "json",
        ]  # fmt: skip
        if load.rate_per_s is not None:
            command += ["--rate", f"{load.rate_per_s:.3f}"]
        with Meter() as meter:
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + GRACE_S)
            except subprocess.TimeoutExpired as error:
                raise CannotMeasure(f"the generator did not end within {GRACE_S} s more than it was to run") from error
        if done.returncode != 0:
            raise CannotMeasure(f"the generator ended with {done.returncode}: {done.stderr.strip()[-300:]}")
        return parse(done.stdout, load, meter.reading())

    def _bodies(self, rows: int) -> list[str]:
        if rows not in self.flags:
            self.flags[rows] = self._write(rows)
        return self.flags[rows]

    def _write(self, rows: int) -> list[str]:
        requests = [encode(self.subject.rows(rows, seed)) for seed in range(BODIES)]
        # The generator sends the same headers with each: heads that differ in nothing are of one length.
        (head_length,) = {request.head_length for request in requests}
        flags = ["--content-type", MEDIA_TYPE, "--header", f"{HEAD_LENGTH.lower()}: {head_length}"]
        for index, request in enumerate(requests):
            path = self.folder / f"{rows}-rows-{index}"
            path.write_bytes(request.content)
            flags += ["--body", str(path)]
        return flags


def parse(text: str, load: Load, gpu: Reading) -> Served:
    document = json.loads(text)
    if document["schema"] != SCHEMA:
        raise CannotMeasure(f"expected the generator to speak {SCHEMA}, got {document['schema']}")
    (run,) = document["runs"]
    requests = run["requests"]
    if requests["ok"] == 0:
        raise CannotMeasure(f"no request was answered: {requests['by_status']}, {requests['by_failure']}")
    return Served(
        rows_per_s=run["throughput_per_s"] * load.rows,
        requests_per_s=run["throughput_per_s"],
        p50_ms=run["latency_us"]["p50"] / 1e3,
        p99_ms=run["latency_us"]["p99"] / 1e3,
        errors=requests["refused"] + requests["failed"],
        server_cores=run["server"]["cores"],
        generator_cores=run["generator"]["cores"],
        gpu=gpu,
    )

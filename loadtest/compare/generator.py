"""The load generator, `loadtest run`: one closed loop against one server, and what of its account is kept."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compare.body import Form, encode
from compare.layout import PROGRAMS
from compare.model import Cell, Model
from compare.server import Server

SCHEMA = "scoria-loadtest/1"
# On top of the time that is measured: warming up, and what is in flight at the end.
GRACE_S = 120
# The kernel tells CPU time in ticks; less than one is taken for one, as nothing can be divided by none.
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class CannotMeasure(Exception):
    """The generator gave no result, or one that tells of no answered request."""


@dataclass(frozen=True)
class Measurement:
    """One server under one load in one round."""

    requests_per_s: float
    cpu_us_per_request: float
    p50_us: float
    p99_us: float
    # Not answered, or with another status than 2xx.
    errors: int
    generator_cpu_us_per_request: float
    # Cores of the machine that were busy with something else than the server and the generator.
    foreign_cores: float


class Generator:
    def __init__(self, model: Model, folder: Path) -> None:
        """Its bodies are written into `folder`, once for each form."""
        self.model = model
        self.folder = folder
        self.flags: dict[Form, list[str]] = {}

    def measure(self, server: Server, cell: Cell) -> Measurement:
        # The answers were checked when the server was started.
        command = [
            str(PROGRAMS / "loadtest"), "run", "--url", server.url, *self._bodies(server, cell), "--skip-check",
            "--connections", str(cell.connections), "--duration", duration(cell.seconds),
            "--warm-up", duration(cell.warm_up_seconds), "--timeout", "60s",
            "--server-pid", str(server.process.pid), "-o", "json",
        ]  # fmt: skip
        if server.bearer_file is not None:
            command += ["--bearer-file", str(server.bearer_file)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=cell.seconds + GRACE_S)
        except subprocess.TimeoutExpired as error:
            raise CannotMeasure(f"the generator did not end within {GRACE_S} s more than it was to run") from error
        if done.returncode != 0:
            raise CannotMeasure(f"the generator ended with {done.returncode}: {done.stderr.strip()[-300:]}")
        return parse(json.loads(done.stdout))

    def _bodies(self, server: Server, cell: Cell) -> list[str]:
        form = server.peer.form(cell.encoding)
        assert form is not None, "a server is measured only where it has a form for it"
        if form not in self.flags:
            self.flags[form] = self._write(form)
        return self.flags[form]

    def _write(self, form: Form) -> list[str]:
        bodies = [encode(form, row) for row in self.model.rows()]
        flags = ["--content-type", bodies[0].content_type]
        for index, body in enumerate(bodies):
            path = self.folder / f"{form}-{index}"
            path.write_bytes(body.bytes)
            flags += ["--body", str(path)]
        return flags


def duration(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"


def parse(document: dict[str, Any]) -> Measurement:
    if document["schema"] != SCHEMA:
        raise CannotMeasure(f"expected the generator to speak {SCHEMA}, got {document['schema']}")
    (run,) = document["runs"]
    requests = run["requests"]
    if requests["ok"] == 0:
        raise CannotMeasure(f"no request was answered: {requests['by_status']}, {requests['by_failure']}")
    return Measurement(
        requests_per_s=run["throughput_per_s"],
        # Not by the generator's own division, which is by answers of any status: to refuse is cheap.
        cpu_us_per_request=max(run["server"]["cpu_s"], TICK_S) / requests["ok"] * 1e6,
        p50_us=run["latency_us"]["p50"],
        p99_us=run["latency_us"]["p99"],
        errors=requests["refused"] + requests["failed"],
        generator_cpu_us_per_request=max(run["generator"]["cpu_s"], TICK_S) / requests["ok"] * 1e6,
        foreign_cores=run["busy"]["foreign_cores"],
    )

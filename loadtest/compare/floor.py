"""The model without a server: ONNX Runtime called in a process of its own, with inputs and outputs bound beforehand.

`python -m compare.floor MODEL-NAME` is that process. It reads one task a line and writes one result a line, both JSON. Spinning is
on, as it is by default: this is the least time that the model takes, at whatever cost.
"""

import dataclasses
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
import onnxruntime

from compare.layout import LOADTEST
from compare.model import MODELS, Feeds, Model
from compare.peer import CORES
from compare.process_tree import ProcessTree

BATCHES = (1, 8, 32)
SECONDS = 0.1
# A first run pays for memory that the batch before did not need. It is not counted, unless it takes so long that this does not show.
LONG_RUN_S = 1.0


@dataclass(frozen=True)
class Task:
    batch: int
    threads: int


@dataclass(frozen=True)
class FloorMeasurement:
    rows_per_s: float
    run_p50_us: float
    cpu_us_per_row: float


def tasks() -> list[Task]:
    return [Task(batch, threads) for threads in sorted({1, len(CORES)}) for batch in BATCHES]


class Floor:
    """The process, stopped between tasks like the servers are. Use it in a `with` block."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "compare.floor", self.model.name],
            cwd=LOADTEST,
            env={**os.environ, "ORT_DISABLE_TELEMETRY": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.tree = ProcessTree(self.process.pid)
        # The first runs of a session are slow; they are not counted.
        for task in tasks():
            self.measure(task)
        self.tree.freeze()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.tree.kill()
        self.process.communicate()

    def measure(self, task: Task) -> FloorMeasurement:
        assert self.process.stdin is not None and self.process.stdout is not None, "both are pipes"
        print(json.dumps(dataclasses.asdict(task)), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"ONNX Runtime ended while it ran {self.model.name} with {task}")
        return FloorMeasurement(**json.loads(answer))


def bind(session: onnxruntime.InferenceSession, rows: list[Feeds], batch: int) -> onnxruntime.IOBinding:
    binding = session.io_binding()
    for name in rows[0]:
        joined = np.concatenate([rows[index % len(rows)][name] for index in range(batch)])
        binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(joined))
    for value in session.get_outputs():
        binding.bind_output(value.name)
    return binding


def run(session: onnxruntime.InferenceSession, binding: onnxruntime.IOBinding, batch: int) -> FloorMeasurement:
    cpu, times = timed(session, binding, seconds=0)
    if sum(times) < LONG_RUN_S:
        cpu, times = timed(session, binding, SECONDS)
    rows = batch * len(times)
    return FloorMeasurement(
        rows_per_s=rows / sum(times), run_p50_us=float(np.median(times)) * 1e6, cpu_us_per_row=cpu / rows * 1e6
    )


def timed(
    session: onnxruntime.InferenceSession, binding: onnxruntime.IOBinding, seconds: float
) -> tuple[float, list[float]]:
    """Runs for so long, and once at least: the CPU time of all of it, and the time of each run."""
    times: list[float] = []
    cpu_begun = time.process_time()
    begun = now = time.perf_counter()
    while now - begun < seconds or not times:
        session.run_with_iobinding(binding)
        before, now = now, time.perf_counter()
        times.append(now - before)
    return time.process_time() - cpu_begun, times


def main() -> None:
    model = MODELS[sys.argv[1]]
    rows = model.rows()
    sessions: dict[int, onnxruntime.InferenceSession] = {}
    for line in sys.stdin:
        task = Task(**json.loads(line))
        if task.threads not in sessions:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = task.threads
            options.inter_op_num_threads = 1
            sessions[task.threads] = onnxruntime.InferenceSession(
                str(model.path), options, providers=["CPUExecutionProvider"]
            )
        session = sessions[task.threads]
        result = run(session, bind(session, rows, task.batch), task.batch)
        print(json.dumps(dataclasses.asdict(result)), flush=True)


if __name__ == "__main__":
    main()

"""ONNX Runtime called in this process: what the GPU gives without a server."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime

from gpu.provider import CPU, Provider
from gpu.subject import Feeds, Subject

# Where inputs and outputs lie: bound on the GPU beforehand, which is the most there is to be had, or in the host's arrays, which are
# copied to the GPU for every run and back, as a server has to.
Placement = Literal["device", "host"]

Run = Callable[[], object]

THREADS = (1, 2)
WARM_UP_RUNS = 3


class CannotRun(Exception):
    """ONNX Runtime refused the model or a run, or would run it elsewhere than it was told to."""


@dataclass(frozen=True)
class Way:
    """How rows are run: so many in a run, from so many threads at once."""

    batch: int
    threads: int
    placement: Placement = "device"


@dataclass(frozen=True)
class Runs:
    rows_per_s: float
    # The median over all runs.
    run_ms: float


class InProcess:
    def __init__(self, path: Path, subject: Subject, provider: Provider, rows_max: int) -> None:
        self.subject = subject
        self.device = "cpu" if provider == CPU else "cuda"
        options = onnxruntime.SessionOptions()
        # Threads that look out for work between runs would take cores from the server that is measured next.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            providers = provider.python_list(subject, rows_max)
            self.session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:
            raise CannotRun(f"ONNX Runtime cannot load {path.name} on {provider.name}: {error}") from error
        got = self.session.get_providers()[0]
        if got != provider.python_name:
            raise CannotRun(
                f"ONNX Runtime's Python package runs {path.name} by {got} where {provider.python_name} was asked for: it "
                "is not onnxruntime-gpu, or does not find CUDA (see deploy/onnxruntime/cuda.py)"
            )

    def measure(self, way: Way, seconds: float) -> Runs:
        """Runs for so long, and once for each thread at least."""
        try:
            runs = [self._run(way) for _ in range(way.threads)]
            # As many at the same time as later: each of them has memory of its own, which is allocated now.
            for _ in range(WARM_UP_RUNS):
                self._timed(runs, way, 0)
            return self._timed(runs, way, seconds)
        except Exception as error:
            # ONNX Runtime's exceptions have no class in common; a batch that does not fit into memory is one of them.
            raise CannotRun(f"{way.batch} rows: {str(error).splitlines()[0]}") from error

    def _run(self, way: Way) -> Run:
        feeds = self.subject.rows(way.batch)
        if way.placement == "host":
            return lambda: self.session.run(None, feeds)
        binding = self.session.io_binding()
        for name, array in feeds.items():
            binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(array, self.device, 0))
        for value in self.session.get_outputs():
            binding.bind_output(value.name, self.device)
        return lambda: self.session.run_with_iobinding(binding)

    def _timed(self, runs: list[Run], way: Way, seconds: float) -> Runs:
        times: list[list[float]] = [[] for _ in runs]
        failures: list[Exception] = []
        begun = time.perf_counter()

        def loop(run: Run, own: list[float]) -> None:
            now = time.perf_counter()
            try:
                while now - begun < seconds or not own:
                    run()
                    before, now = now, time.perf_counter()
                    own.append(now - before)
            except Exception as error:
                failures.append(error)

        threads = [threading.Thread(target=loop, args=pair) for pair in zip(runs, times, strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.perf_counter() - begun
        if failures:
            raise failures[0]
        all_times = [one for own in times for one in own]
        return Runs(len(all_times) * way.batch / took, float(np.median(all_times)) * 1e3)


def reference(path: Path, feeds: Feeds) -> dict[str, np.ndarray]:
    """What the processor answers to these rows."""
    session = onnxruntime.InferenceSession(str(path), providers=[CPU.python_name])
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))

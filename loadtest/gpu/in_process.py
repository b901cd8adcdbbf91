"""ONNX Runtime called in this process, inputs and outputs bound beforehand: what the GPU gives without a server."""

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime

from gpu.provider import CPU, Provider
from gpu.subject import Feeds, Subject

# Where inputs and outputs lie. From the host they are copied to the GPU for every run, and back, as a server has to.
Placement = Literal["host", "device"]

THREADS = (1, 2)
WARM_UP_RUNS = 3


class CannotRun(Exception):
    """ONNX Runtime refused the model or a run, or would run it elsewhere than it was told to."""


@dataclass(frozen=True)
class Way:
    """How rows are run: so many in a run, from so many threads at once."""

    batch: int
    threads: int
    placement: Placement = "host"


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
            bindings = [self._bind(way) for _ in range(way.threads)]
            for binding in bindings * WARM_UP_RUNS:
                self.session.run_with_iobinding(binding)
            return self._timed(bindings, way, seconds)
        except Exception as error:
            # ONNX Runtime's exceptions have no class in common; a batch that does not fit into memory is one of them.
            raise CannotRun(f"{way.batch} rows: {str(error).splitlines()[0]}") from error

    def _bind(self, way: Way) -> onnxruntime.IOBinding:
        device = self.device if way.placement == "device" else "cpu"
        binding = self.session.io_binding()
        for name, array in self.subject.rows(way.batch).items():
            binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(array, device, 0))
        for value in self.session.get_outputs():
            binding.bind_output(value.name, device)
        return binding

    def _timed(self, bindings: list[onnxruntime.IOBinding], way: Way, seconds: float) -> Runs:
        times: list[list[float]] = [[] for _ in bindings]
        failures: list[Exception] = []
        begun = time.perf_counter()

        def loop(binding: onnxruntime.IOBinding, own: list[float]) -> None:
            now = time.perf_counter()
            try:
                while now - begun < seconds or not own:
                    self.session.run_with_iobinding(binding)
                    before, now = now, time.perf_counter()
                    own.append(now - before)
            except Exception as error:
                failures.append(error)

        threads = [threading.Thread(target=loop, args=pair) for pair in zip(bindings, times, strict=True)]
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

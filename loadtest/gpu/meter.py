"""What the GPU tells of itself while something is measured: by `nvidia-ml-py`, and nothing without that package."""

import statistics
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

try:
    import pynvml
except ImportError:
    pynvml = None

INTERVAL_S = 0.1
KIBIBYTE = 1024


@dataclass(frozen=True)
class Gpu:
    name: str
    driver: str
    memory_bytes: int


@dataclass(frozen=True)
class Reading:
    """Means over a measurement; None for what the GPU did not tell."""

    utilization: float | None = None
    # The most that was seen.
    memory_used_bytes: float | None = None
    power_watts: float | None = None
    # Over the bus, by the driver's own short samples.
    to_gpu_bytes_per_s: float | None = None
    from_gpu_bytes_per_s: float | None = None


def first_gpu() -> Gpu | None:
    """None without a GPU, its driver, or the package."""
    if pynvml is None:
        return None
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        return Gpu(
            pynvml.nvmlDeviceGetName(handle),
            pynvml.nvmlSystemGetDriverVersion(),
            pynvml.nvmlDeviceGetMemoryInfo(handle).total,
        )
    except pynvml.NVMLError:
        return None


class Meter:
    """Reads the first GPU while its `with` block runs. Without one, its reading is empty."""

    def __init__(self) -> None:
        self.samples: dict[str, list[float]] = {}
        self.stopped = threading.Event()
        self.thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if first_gpu() is not None:
            self.thread = threading.Thread(target=self._sample, args=(pynvml.nvmlDeviceGetHandleByIndex(0),))
            self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopped.set()
        if self.thread is not None:
            self.thread.join()

    def reading(self) -> Reading:
        means = {name: statistics.fmean(values) for name, values in self.samples.items()}
        if "memory_used_bytes" in self.samples:
            means["memory_used_bytes"] = max(self.samples["memory_used_bytes"])
        return Reading(**means)

    def _sample(self, handle: Any) -> None:
        throughput = pynvml.nvmlDeviceGetPcieThroughput
        sources: dict[str, Callable[[], float]] = {
            "utilization": lambda: pynvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100,
            "memory_used_bytes": lambda: pynvml.nvmlDeviceGetMemoryInfo(handle).used,
            "power_watts": lambda: pynvml.nvmlDeviceGetPowerUsage(handle) / 1000,
            "to_gpu_bytes_per_s": lambda: throughput(handle, pynvml.NVML_PCIE_UTIL_RX_BYTES) * KIBIBYTE,
            "from_gpu_bytes_per_s": lambda: throughput(handle, pynvml.NVML_PCIE_UTIL_TX_BYTES) * KIBIBYTE,
        }
        while not self.stopped.wait(INTERVAL_S):
            for name, read in sources.items():
                try:
                    self.samples.setdefault(name, []).append(read())
                except pynvml.NVMLError:
                    self.samples.setdefault(name, [])
        self.samples = {name: values for name, values in self.samples.items() if values}

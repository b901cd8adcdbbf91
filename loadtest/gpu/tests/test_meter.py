"""Readings of a GPU that a stand-in for NVIDIA's package tells of, and of none."""

import threading
from types import SimpleNamespace

import pytest

from gpu import meter
from gpu.meter import Meter, Reading, first_gpu


class Refused(Exception):
    pass


class Driver:
    """Answers like `pynvml`, with other numbers each time, and does not know what power is."""

    NVMLError = Refused
    NVML_PCIE_UTIL_RX_BYTES, NVML_PCIE_UTIL_TX_BYTES = 1, 2

    def __init__(self):
        self.asked = 0
        self.is_enough = threading.Event()

    def nvmlInit(self):
        pass

    def nvmlDeviceGetHandleByIndex(self, index):
        return index

    def nvmlDeviceGetName(self, handle):
        return "A GPU"

    def nvmlSystemGetDriverVersion(self):
        return "580.1"

    def nvmlDeviceGetMemoryInfo(self, handle):
        return SimpleNamespace(total=8 << 30, used=self.asked * 1000)

    def nvmlDeviceGetUtilizationRates(self, handle):
        self.asked += 1
        if self.asked > 2:
            self.is_enough.set()
        return SimpleNamespace(gpu=50)

    def nvmlDeviceGetPowerUsage(self, handle):
        raise Refused("not supported")

    def nvmlDeviceGetPcieThroughput(self, handle, direction):
        return {1: 2048, 2: 1024}[direction]


@pytest.fixture
def driver(monkeypatch):
    driver = Driver()
    monkeypatch.setattr(meter, "pynvml", driver)
    monkeypatch.setattr(meter, "INTERVAL_S", 0)
    return driver


def test_what_is_read_is_averaged_and_the_most_memory_is_kept(driver):
    assert first_gpu() == meter.Gpu("A GPU", "580.1", 8 << 30)
    with Meter() as reader:
        assert driver.is_enough.wait(60)
    reading = reader.reading()
    assert reading.utilization == 0.5
    assert reading.memory_used_bytes == driver.asked * 1000
    assert (reading.to_gpu_bytes_per_s, reading.from_gpu_bytes_per_s) == (2 << 20, 1 << 20)
    assert reading.power_watts is None


def test_without_a_gpu_nothing_is_read(monkeypatch):
    monkeypatch.setattr(meter, "pynvml", None)
    assert first_gpu() is None
    with Meter() as reader:
        pass
    assert reader.reading() == Reading()


def test_a_driver_that_refuses_is_no_gpu(driver, monkeypatch):
    def refuse():
        raise Refused("driver not loaded")

    monkeypatch.setattr(driver, "nvmlInit", refuse)
    assert first_gpu() is None

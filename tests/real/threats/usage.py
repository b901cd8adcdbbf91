"""What a server uses, as the kernel counts it."""

import os
import re
import time

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
MIB = 1024 * 1024


# What a processor takes for `yardstick` when nobody else wants its caches. Limits in seconds are for such a one.
YARDSTICK_S = 0.023


def yardstick():
    """What a fixed piece of work takes a processor, now and here."""

    def once():
        begun = time.process_time()
        sum(number for number in range(1_000_000))
        return time.process_time() - begun

    return sorted(once() for _ in range(5))[2]


class Usage:
    """Memory, processor time and descriptors of a process, and how they have grown since this was made."""

    def __init__(self, server):
        self._folder = f"/proc/{server.process.pid}"
        self._rss = self.rss_bytes
        self._cpu = self.cpu_seconds
        self._yardstick = yardstick()

    @property
    def rss_bytes(self):
        return self._status("VmRSS") * 1024

    @property
    def peak_rss_bytes(self):
        """The most since `forget_peak`, or since the process began."""
        return self._status("VmHWM") * 1024

    def forget_peak(self):
        """Begins a new peak (proc(5), clear_refs)."""
        with open(f"{self._folder}/clear_refs", "w") as file:
            file.write("5")

    @property
    def cpu_seconds(self):
        with open(f"{self._folder}/stat") as file:
            # The second field is a name, which may hold anything; the last bracket ends it.
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND

    @property
    def slowness(self):
        """How many times longer a processor takes here than where the limits were found, before or after; never less than 1."""
        return max(self._yardstick, yardstick(), YARDSTICK_S) / YARDSTICK_S

    @property
    def descriptors(self):
        return len(os.listdir(f"{self._folder}/fd"))

    @property
    def rss_growth_mib(self):
        return (self.rss_bytes - self._rss) / MIB

    @property
    def peak_growth_mib(self):
        return (self.peak_rss_bytes - self._rss) / MIB

    @property
    def cpu_growth_seconds(self):
        return self.cpu_seconds - self._cpu

    def _status(self, key):
        with open(f"{self._folder}/status") as file:
            return int(re.search(rf"^{key}:\s+(\d+) kB$", file.read(), re.M).group(1))

"""On what the measurement was made: processor, cores, kernel, and the revision of the repository."""

import os
import platform
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import onnxruntime

from compare.layout import ROOT
from compare.peer import CORES


@dataclass(frozen=True)
class Machine:
    processor: str
    cores: int
    memory_bytes: int
    kernel: str
    python: str
    onnxruntime: str
    commit: str

    @property
    def slug(self) -> str:
        """For a file's name: `amd-epyc-2-cores`."""
        words = re.sub(r"\([^)]*\)", "", self.processor).lower()
        return re.sub(r"[^a-z0-9]+", "-", f"{words} {self.cores} cores").strip("-")


def this_machine() -> Machine:
    return Machine(
        processor=processor(),
        cores=len(CORES),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        onnxruntime=onnxruntime.__version__,
        commit=commit(),
    )


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.machine()


def commit() -> str:
    """Of the working tree, with a mark where that has changes; "unknown" without git, or in a copy without its history."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"

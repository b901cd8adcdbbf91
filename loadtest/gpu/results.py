"""The results as they are kept: every number of every round."""

import dataclasses
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from compare.machine import Machine
from gpu.generator import Load, Served
from gpu.in_process import Runs, Way
from gpu.meter import Gpu, Reading

FORMAT = 1


@dataclass
class Check:
    """The server's answers beside the processor's: the largest difference, as a part of the largest number expected."""

    rows: int
    difference: float
    tolerance: float

    @property
    def is_passed(self) -> bool:
        return self.difference <= self.tolerance


@dataclass
class Tried:
    """One way of the sweep; `failure` where it could not be run, as when its batch does not fit into memory."""

    way: Way
    runs: Runs | None = None
    failure: str | None = None


@dataclass
class Round:
    in_process: Runs
    # While that ran.
    in_process_gpu: Reading
    # The same runs on arrays of the host.
    with_copies: Runs
    # By the titles of `Trial.loads`.
    served: dict[str, Served] = field(default_factory=dict)


@dataclass
class Trial:
    """One model by one provider."""

    model: str
    title: str
    precision: str
    provider: str
    row_bytes: int
    check: Check | None = None
    sweep: list[Tried] = field(default_factory=list)
    best: Way | None = None
    start_s: float | None = None
    # The server's own, after the last round; None if the driver does not tell.
    server_gpu_memory_bytes: float | None = None
    loads: dict[str, Load] = field(default_factory=dict)
    rounds: list[Round] = field(default_factory=list)
    failure: str | None = None

    @property
    def is_good(self) -> bool:
        return self.failure is None and self.check is not None and self.check.is_passed


@dataclass
class Results:
    date: str
    machine: Machine
    # None for a dry run.
    gpu: Gpu | None
    seconds: float
    # What the server runs, in its own words.
    runtime: str
    # Why it was not measured, or None if it was.
    tensorrt: str | None
    trials: list[Trial] = field(default_factory=list)

    @property
    def stem(self) -> str:
        name = "dry-run-on-cpu" if self.gpu is None else self.gpu.name
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        return f"{self.date[:10]}-{slug}"

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.stem}.json"
        path.write_text(json.dumps({"format": FORMAT, **dataclasses.asdict(self)}, indent=1) + "\n")
        return path

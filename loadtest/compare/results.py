"""The results as they are kept: every number of every round, so that tables and intervals can be made again from the file."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compare.floor import FloorMeasurement, Task
from compare.generator import Measurement
from compare.machine import Machine
from compare.model import Cell
from compare.peer import Tuning

FORMAT = 1


@dataclass
class ServerRecord:
    name: str
    title: str
    version: str | None
    tuning: Tuning
    # From exec to the first right answer; None if there was none.
    start_ms: float | None = None
    # After the last round.
    rss_bytes: int | None = None
    pss_bytes: int | None = None
    # Why it is not in the tables, or not in all.
    failure: str | None = None


@dataclass
class CellRecord:
    cell: Cell
    # In each round, by the server's name; a server that failed is missing from then on.
    rounds: list[dict[str, Measurement]] = field(default_factory=list)


@dataclass
class FloorRecord:
    task: Task
    rounds: list[FloorMeasurement] = field(default_factory=list)


@dataclass
class ModelRecord:
    name: str
    title: str
    servers: list[ServerRecord]
    cells: list[CellRecord]
    floors: list[FloorRecord]


@dataclass
class Results:
    date: str
    machine: Machine
    models: list[ModelRecord] = field(default_factory=list)

    @property
    def stem(self) -> str:
        return f"{self.date[:10]}-{self.machine.slug}"

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.stem}.json"
        path.write_text(json.dumps({"format": FORMAT, **dataclasses.asdict(self)}, indent=1) + "\n")
        return path


def read(path: Path) -> Results:
    raw = json.loads(path.read_text())
    if raw.get("format") != FORMAT:
        raise ValueError(f"{path}: expected results of format {FORMAT}, got {raw.get('format')}")
    models = [read_model(model) for model in raw["models"]]
    return Results(raw["date"], Machine(**raw["machine"]), models)


def read_model(raw: dict[str, Any]) -> ModelRecord:
    servers = [ServerRecord(**{**server, "tuning": Tuning(**server["tuning"])}) for server in raw["servers"]]
    cells = [
        CellRecord(
            Cell(**record["cell"]),
            [{name: Measurement(**value) for name, value in measured.items()} for measured in record["rounds"]],
        )
        for record in raw["cells"]
    ]
    floors = [
        FloorRecord(Task(**record["task"]), [FloorMeasurement(**value) for value in record["rounds"]])
        for record in raw["floors"]
    ]
    return ModelRecord(raw["name"], raw["title"], servers, cells, floors)

"""All servers of one model, side by side: started, checked, measured in rounds, weighed and ended.

A round measures every server once under every load, in an order drawn anew, so that the numbers that are divided by each other were
taken within seconds. Whoever is not being measured is stopped. A server that fails is left out from then on, with the reason.
"""

import random
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from compare.floor import Floor, tasks
from compare.generator import CannotMeasure, Generator
from compare.installation import version
from compare.model import Model
from compare.peer import Peer
from compare.reference import Reference, WrongAnswer
from compare.results import CellRecord, FloorRecord, ModelRecord, ServerRecord
from compare.server import CannotServe, Server

SEED = 1


class Contest:
    def __init__(self, model: Model, peers: dict[Peer, str | None], rounds: int) -> None:
        """`peers` says of each why it cannot take part, or None."""
        self.model = model
        self.rounds = rounds
        self.random = random.Random(SEED)
        self.reference = Reference(model)
        self.servers: dict[str, Server] = {}
        self.peers = peers
        self.records = {
            peer.name: ServerRecord(
                peer.name,
                peer.title,
                version(peer) if failure is None else None,
                peer.tuning(model.name),
                failure=failure,
            )
            for peer, failure in peers.items()
        }
        self.cells = [CellRecord(cell) for cell in model.cells]
        self.floors = [FloorRecord(task) for task in tasks()]

    def run(self) -> ModelRecord:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            generator = Generator(self.model, folder)
            floor = stack.enter_context(Floor(self.model))
            for peer in self.peers:
                if self.records[peer.name].failure is None:
                    self._start(peer, stack)
            for number in range(self.rounds):
                say(f"{self.model.name}: round {number + 1} of {self.rounds}")
                self._measure_floor(floor)
                for record in self.cells:
                    self._measure_cell(generator, record)
            for name, server in self.servers.items():
                memory = server.memory()
                self.records[name].rss_bytes = memory.rss_bytes
                self.records[name].pss_bytes = memory.pss_bytes
        return ModelRecord(self.model.name, self.model.title, list(self.records.values()), self.cells, self.floors)

    def _start(self, peer: Peer, stack: ExitStack) -> None:
        record = self.records[peer.name]
        say(f"{self.model.name}: starting {peer.name}")
        try:
            # One that cannot take part is ended at once; the others stay until the end.
            with ExitStack() as own:
                server = own.enter_context(Server(peer, self.model))
                for encoding in {cell.encoding for cell in self.model.cells}:
                    server.check(self.reference, encoding)
                stack.push(own.pop_all())
        except (CannotServe, WrongAnswer) as error:
            self._fail(peer.name, str(error))
        else:
            record.start_ms = server.start_ms
            self.servers[peer.name] = server
            server.tree.freeze()

    def _measure_floor(self, floor: Floor) -> None:
        floor.tree.thaw()
        for record in self.floors:
            record.rounds.append(floor.measure(record.task))
        floor.tree.freeze()

    def _measure_cell(self, generator: Generator, record: CellRecord) -> None:
        names = [name for name, server in self.servers.items() if server.peer.form(record.cell.encoding) is not None]
        self.random.shuffle(names)
        # Batches end in step with the generator's start; a start that is drawn keeps the measured time from always holding as
        # many of them.
        cell = replace(record.cell, warm_up_seconds=record.cell.warm_up_seconds * self.random.uniform(1, 2))
        measured = {}
        for name in names:
            server = self.servers[name]
            server.tree.thaw()
            try:
                measured[name] = generator.measure(server, cell)
                server.settle()
            except (CannotMeasure, CannotServe) as error:
                self._fail(name, f"{record.cell.title}: {error}")
                del self.servers[name]
            server.tree.freeze()
        record.rounds.append(measured)

    def _fail(self, name: str, reason: str) -> None:
        say(f"{self.model.name}: {name} is out: {reason}")
        self.records[name].failure = reason


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)

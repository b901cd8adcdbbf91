"""`python -m compare.trial`: which workers and threads suit a peer best, model by model.

Its findings are what the peers' `[tuning]` tables hold. It takes the flags of the comparison; `--rounds` is how often each
way is tried.
"""

import dataclasses
import sys
import tempfile
from pathlib import Path

from compare.generator import CannotMeasure, Generator
from compare.installation import CannotInstall, install
from compare.interval import figure, geometric_mean
from compare.model import Cell, Model
from compare.peer import BARE, CORES, SCORIA, Peer, Tuning
from compare.plan import parser, plan
from compare.server import CannotServe, Server

# The load that the peers should be good at: the first one at which they can use every core.
CONNECTIONS_MIN = 8


def ways() -> list[Tuning]:
    cores = len(CORES)
    return list(dict.fromkeys([Tuning(1, 1), Tuning(cores, 1), Tuning(1, cores)]))


def main() -> int:
    asked = plan(parser().parse_args())
    for model in asked.models:
        cell = next(cell for cell in model.cells if cell.encoding == "json" and cell.connections >= CONNECTIONS_MIN)
        for peer in asked.peers:
            if peer.name in (SCORIA, BARE):
                continue
            try:
                install(peer)
            except CannotInstall as error:
                print(f"{model.name} {peer.name}: {error}")
                continue
            for tuning in ways():
                tuned = dataclasses.replace(peer, tunings={"default": tuning})
                found = tried(tuned, model, cell, asked.rounds)
                print(
                    f"{model.name}, {cell.title}: {peer.name} {tuning.workers} x {tuning.threads}: {found}", flush=True
                )
    return 0


def tried(peer: Peer, model: Model, cell: Cell, rounds: int) -> str:
    try:
        with tempfile.TemporaryDirectory() as folder, Server(peer, model) as server:
            generator = Generator(model, Path(folder))
            measured = [generator.measure(server, cell) for _ in range(rounds)]
    except (CannotServe, CannotMeasure) as error:
        return str(error)
    rate = geometric_mean([one.requests_per_s for one in measured])
    cpu = geometric_mean([one.cpu_us_per_request for one in measured])
    return f"{figure(rate)} req/s, {figure(cpu)} us of CPU"


if __name__ == "__main__":
    sys.exit(main())

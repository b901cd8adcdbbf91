"""What is to be compared, as asked for on the command line."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from compare import peer
from compare.layout import RESULTS
from compare.model import DEFAULT_MODELS, MODELS, Model
from compare.peer import BARE, SCORIA, Peer

ROUNDS = 10


@dataclass(frozen=True)
class Plan:
    models: tuple[Model, ...]
    # Scoria and the bare server are always among them.
    peers: tuple[Peer, ...]
    rounds: int
    output: Path


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="compare", description="Measures Scoria beside other servers of the same models, and prints ratios."
    )
    all_peers = [name for name in peer.names() if name not in (SCORIA, BARE)]
    parser.add_argument("--models", type=listed, default=DEFAULT_MODELS, help=f"out of {', '.join(MODELS)}")
    parser.add_argument("--peers", type=listed, default=tuple(all_peers), help=f"out of {', '.join(all_peers)}")
    parser.add_argument("--rounds", type=positive, default=ROUNDS, help=f"default {ROUNDS}")
    parser.add_argument("--seconds", type=positive_seconds, help="of each measurement; by default what the load needs")
    parser.add_argument("--output", type=Path, default=RESULTS, help="the folder for the results")
    parser.add_argument(
        "--report", type=Path, metavar="RESULTS.json", help="only write the tables of earlier results again"
    )
    return parser


def plan(arguments: argparse.Namespace) -> Plan:
    unknown = [name for name in arguments.models if name not in MODELS]
    if unknown:
        raise SystemExit(f"compare: there is no model {', '.join(unknown)}; there are {', '.join(MODELS)}")
    asked = [name for name in arguments.peers if name not in (SCORIA, BARE)]
    try:
        peers = tuple(peer.load(name) for name in (SCORIA, BARE, *asked))
    except peer.BadPeer as error:
        raise SystemExit(f"compare: {error}") from error
    models = tuple(MODELS[name] for name in arguments.models)
    if arguments.seconds is not None:
        models = tuple(model.measured_for(arguments.seconds) for model in models)
    return Plan(models, peers, arguments.rounds, arguments.output)


def listed(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


def positive_seconds(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise ValueError(text)
    return value

"""What is to be measured, as asked for on the command line."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from compare.layout import LOADTEST, PROGRAMS, RESULTS
from compare.plan import listed, positive, positive_seconds
from gpu.subject import NAMES, PRECISIONS

ROUNDS = 10
SECONDS = 2.0
WORK = LOADTEST / ".gpu"


@dataclass(frozen=True)
class Plan:
    scoria: Path
    loadtest: Path
    # A file, or the folder that it lies in together with the providers' libraries.
    ort_lib: Path
    server_flags: tuple[str, ...]
    # All as it would be, but on the processor and with tiny models: to see that it runs. Its figures say nothing.
    is_dry: bool
    models: tuple[str, ...]
    precisions: tuple[str, ...]
    has_tensorrt: bool
    has_recorded: bool
    rounds: int
    seconds: float
    output: Path

    # Rows of a request, and connections with a request of one row each: what the goals speak of.
    @property
    def rows(self) -> int:
        return 4 if self.is_dry else 32

    @property
    def connections(self) -> int:
        return 16 if self.is_dry else 256

    @property
    def batches(self) -> tuple[int, ...]:
        """What is tried in-process, to find the best."""
        return (1, 4, 16) if self.is_dry else (1, 8, 32, 64, 128, 256)

    @property
    def made(self) -> Path:
        """Where models are kept from run to run."""
        return WORK / ("tiny-models" if self.is_dry else "models")


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gpu.sh",
        allow_abbrev=False,
        description="Measures Scoria on a GPU beside ONNX Runtime called in-process on the same GPU.",
    )
    parser.add_argument("--scoria", type=Path, default=PROGRAMS / "scoria", help="the server; by default it is built")
    parser.add_argument("--loadtest", type=Path, default=PROGRAMS / "loadtest", help="the load generator, likewise")
    parser.add_argument("--ort-lib", type=Path, help="the server's ONNX Runtime; default: that of the Python package")
    parser.add_argument(
        "--python", metavar="PYTHON", help="a Python that has what gpu/requirements.txt names; gpu.sh reads it"
    )
    parser.add_argument(
        "--server-flag",
        action="append",
        default=[],
        metavar="FLAG",
        help="one more flag of `scoria serve`, as --server-flag=--workers=2",
    )
    parser.add_argument(
        "--dry-run-on-cpu",
        action="store_true",
        help="without a GPU, with tiny models: shows that it runs, and measures nothing",
    )
    parser.add_argument("--models", type=one_of(NAMES), default=NAMES, help=f"out of {', '.join(NAMES)}")
    parser.add_argument(
        "--precisions",
        type=one_of(tuple(PRECISIONS)),
        default=tuple(PRECISIONS),
        help=f"out of {', '.join(PRECISIONS)}",
    )
    parser.add_argument(
        "--without-tensorrt", action="store_true", help="even where it is present; its engines take minutes"
    )
    parser.add_argument("--recorded", action="store_true", help="also with the server's runs recorded and replayed")
    parser.add_argument("--rounds", type=positive, default=ROUNDS, help=f"default {ROUNDS}")
    parser.add_argument(
        "--seconds", type=positive_seconds, default=SECONDS, help=f"of each measurement; default {SECONDS:g}"
    )
    parser.add_argument(
        "--output", type=Path, help=f"the folder for the results; default {RESULTS}, or {WORK} for a dry run"
    )
    return parser


def plan(arguments: argparse.Namespace, package_library: Path) -> Plan:
    """`package_library` is where ONNX Runtime's Python package keeps its own library."""
    is_dry = arguments.dry_run_on_cpu
    return Plan(
        scoria=arguments.scoria,
        loadtest=arguments.loadtest,
        ort_lib=arguments.ort_lib or package_library,
        server_flags=tuple(arguments.server_flag),
        is_dry=is_dry,
        models=arguments.models,
        precisions=arguments.precisions,
        has_tensorrt=not arguments.without_tensorrt,
        has_recorded=arguments.recorded,
        rounds=arguments.rounds,
        seconds=arguments.seconds,
        output=arguments.output or (WORK if is_dry else RESULTS),
    )


def one_of(known: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    """Reads a list, of which each has to be known."""

    def read(text: str) -> tuple[str, ...]:
        names = listed(text)
        unknown = [name for name in names if name not in known]
        if unknown or not names:
            raise argparse.ArgumentTypeError(f"expected some of {', '.join(known)}, got '{text}'")
        return names

    return read

"""One model by one provider: made, checked, swept for its best batch, measured in rounds with a server and without.

A round measures everything once, in an order drawn anew, so that the numbers that are divided by each other were taken
within seconds. The server is idle while ONNX Runtime runs in this process, and this process while the server is
measured.
"""

import random
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from compare.generator import CannotMeasure
from gpu.generator import Generator, Load, Served
from gpu.in_process import THREADS, CannotRun, InProcess, Runs, Way, reference
from gpu.meter import Meter, Reading
from gpu.open_inference import decode, encode
from gpu.plan import Plan
from gpu.provider import Provider
from gpu.results import Check, Round, Trial, Tried
from gpu.server import CannotServe, Server
from gpu.subject import Subject

SEED = 1
# Of a measurement's time, for each way of the sweep.
SWEEP = 0.25
# Batches that are in flight, so that one is copied while another runs and a third is on its way.
BATCHES_IN_FLIGHT = 4
CONNECTIONS_MIN = 8

FULL = "requests of several rows"
SINGLE = "requests of one row"
HALF_FULL = "requests of several rows, half of that rate"
HALF_SINGLE = "requests of one row, half of that rate"


def run(plan: Plan, subject: Subject, provider: Provider) -> Trial:
    trial = Trial(subject.name, subject.title, subject.precision, provider.title, subject.row_bytes)
    say(f"{subject.full_name}, {provider.title}: making it, and starting the server")
    try:
        Contest(plan, subject, provider, trial).run()
    except (CannotRun, CannotServe, CannotMeasure) as error:
        say(f"{subject.full_name}, {provider.title}: is out: {error}")
        trial.failure = str(error)
    return trial


class Contest:
    def __init__(self, plan: Plan, subject: Subject, provider: Provider, trial: Trial) -> None:
        self.plan = plan
        self.subject = subject
        self.provider = provider
        self.trial = trial
        self.random = random.Random(SEED)

    def run(self) -> None:
        plan, trial = self.plan, self.trial
        plan.made.mkdir(parents=True, exist_ok=True)
        path = self.subject.make(plan.made)
        in_process = InProcess(path, self.subject, self.provider, max(plan.batches))
        best = self._sweep(in_process)
        trial.best = best
        rows_max = max(best.batch, plan.rows)
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            generator = Generator(plan, self.subject, folder)
            server = stack.enter_context(Server(plan, path, self.subject, self.provider, rows_max))
            trial.start_s = server.start_s
            trial.check = self._check(server, path)
            trial.loads = {
                FULL: Load(plan.rows, max(CONNECTIONS_MIN, BATCHES_IN_FLIGHT * rows_max // plan.rows)),
                SINGLE: Load(1, plan.connections),
            }
            for number in range(plan.rounds):
                say(f"{self.subject.full_name}, {self.provider.title}: round {number + 1} of {plan.rounds}")
                trial.rounds.append(self._round(in_process, best, generator, server))
            trial.server_gpu_memory_bytes = server.metric("scoria_gpu_process_memory_used_bytes")

    def _sweep(self, in_process: InProcess) -> Way:
        for batch in self.plan.batches:
            for threads in THREADS:
                tried = Tried(Way(batch, threads))
                try:
                    tried.runs = in_process.measure(tried.way, self.plan.seconds * SWEEP)
                except CannotRun as error:
                    tried.failure = str(error)
                self.trial.sweep.append(tried)
        ran = [(tried.runs.rows_per_s, tried.way) for tried in self.trial.sweep if tried.runs is not None]
        if not ran:
            raise CannotRun(f"no batch could be run in-process: {self.trial.sweep[0].failure}")
        return max(ran, key=lambda one: one[0])[1]

    def _check(self, server: Server, path: Path) -> Check:
        """The answers to rows that come together, and to each by itself, beside the processor's."""
        rows = self.plan.rows
        feeds = self.subject.rows(rows)
        expected = reference(path, feeds)
        alone = [{name: array[row : row + 1] for name, array in feeds.items()} for row in range(rows)]
        singles = [answer(server, row) for row in alone]
        joined = {name: np.concatenate([single[name] for single in singles]) for name in expected}
        differences = [difference(got, expected) for got in (answer(server, feeds), joined)]
        return Check(rows, max(differences), self.subject.tolerance)

    def _round(self, in_process: InProcess, best: Way, generator: Generator, server: Server) -> Round:
        runs: dict[str, tuple[Runs, Reading]] = {}
        served: dict[str, Served] = {}

        def run(title: str, way: Way) -> None:
            with Meter() as meter:
                measured = in_process.measure(way, self.plan.seconds)
            runs[title] = measured, meter.reading()

        def serve(title: str, half: str) -> None:
            load = self.trial.loads[title]
            served[title] = generator.measure(server, load)
            # Requests that wait for a connection count from when they were meant to be sent.
            served[half] = generator.measure(server, replace(load, rate_per_s=served[title].requests_per_s / 2))

        steps = [
            lambda: run("device", best),
            lambda: run("host", replace(best, placement="host")),
            lambda: serve(FULL, HALF_FULL),
            lambda: serve(SINGLE, HALF_SINGLE),
        ]
        self.random.shuffle(steps)
        for step in steps:
            step()
        (device, gpu), (host, _) = runs["device"], runs["host"]
        return Round(device, gpu, host, served)


def answer(server: Server, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    head_length, content = server.post(encode(feeds))
    try:
        return decode(content, head_length)
    except (ValueError, KeyError) as error:
        raise CannotServe(f"{content[:120]!r} cannot be read as an answer: {error!r}") from error


def difference(got: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> float:
    """The largest, as a part of the largest number expected of the same output."""
    parts = []
    for name, array in expected.items():
        if name not in got or got[name].shape != array.shape or got[name].dtype != array.dtype:
            raise CannotServe(f"output {name}: expected {array.dtype}{list(array.shape)}, got {got.get(name)!r:.100}")
        off_by = np.abs(got[name].astype(np.float64) - array.astype(np.float64)).max()
        # What is no number is as far off as can be.
        off_by = np.inf if np.isnan(off_by) else off_by
        parts.append(float(off_by / max(float(np.abs(array.astype(np.float64)).max()), 1e-6)))
    return max(parts)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)

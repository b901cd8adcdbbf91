"""The tables of a results file, in Markdown."""

from collections.abc import Callable
from statistics import fmean

from compare.interval import ROUNDS_MIN, figure, geometric_mean, ratio
from compare.report import table
from gpu.generator import Served
from gpu.meter import Reading
from gpu.results import Results, Round, Trial
from gpu.trial import FULL, HALF_FULL, HALF_SINGLE, SINGLE

GIGABYTE = 1e9
# What is aimed at: of the rows per second in-process, at the best batch, all data on the GPU.
GOALS = {FULL: 0.95, SINGLE: 0.80}


def render(results: Results) -> str:
    parts = [head(results), *(render_trial(trial) for trial in results.trials)]
    return "\n\n".join(parts) + "\n"


def head(results: Results) -> str:
    machine = results.machine
    rounds = max((len(trial.rounds) for trial in results.trials), default=0)
    place = f"{machine.processor}, {machine.cores} cores, {machine.memory_bytes / 2**30:.0f} GiB, {machine.kernel}."
    if results.gpu is None:
        title = f"# A dry run on the processor, {results.date[:10]}"
        lines = [
            "**No GPU. Tiny models on the processor, to see that the script runs: none of these figures says anything.**",
            place,
        ]
    else:
        gpu = results.gpu
        title = f"# Scoria on {gpu.name}, {results.date[:10]}"
        lines = [f"{gpu.name}, {gpu.memory_bytes / 2**30:.0f} GiB, driver {gpu.driver}. {place}"]
    lines.append(
        f"The server runs {results.runtime}; in-process, ONNX Runtime {machine.onnxruntime}, Python {machine.python}. "
        f"Revision {machine.commit}. Written by `loadtest/gpu.sh`; [what is measured and how](../gpu/README.md)."
    )
    lines.append(
        f"Interleaved rounds: {rounds}, of {figure(results.seconds)} s for each figure. Rates are geometric means over "
        "the rounds, percentiles and the GPU's readings are means of the rounds'. A ratio is taken within each round; in "
        "brackets is its 95 % interval. TensorRT: " + (results.tensorrt or "measured") + "."
    )
    if rounds < ROUNDS_MIN:
        lines.append(f"Fewer than {ROUNDS_MIN} rounds: a trial. The intervals are narrower than they claim.")
    return "\n\n".join([title, *lines])


def render_trial(trial: Trial) -> str:
    parts = [f"## {trial.model}, {trial.precision}, {trial.provider}: {trial.title}"]
    if trial.failure is not None:
        parts.append(f"**Failed:** {trial.failure}")
    if trial.check is not None:
        check = trial.check
        verdict = "within" if check.is_passed else "**beyond**"
        parts.append(
            f"Right: {check.rows} rows, together and one by one, differ from the processor's answers by "
            f"{check.difference:.2g} of the largest number at most, {verdict} the {check.tolerance:g} that is allowed."
        )
    if trial.rounds:
        parts += [render_rates(trial), render_latencies(trial), render_copies(trial)]
    if trial.sweep:
        parts.append(render_sweep(trial))
    return "\n\n".join(parts)


def render_rates(trial: Trial) -> str:
    rounds, best = trial.rounds, trial.best
    assert best is not None, "there are no rounds without it"
    in_process = [one.in_process.rows_per_s for one in rounds]
    copied = [one.with_copies.rows_per_s for one in rounds]
    way = f"batch {best.batch}, {best.threads} thread{'s' if best.threads > 1 else ''}"
    rows = [
        row(
            f"in-process, {way}, data on the GPU",
            in_process,
            in_process,
            None,
            [one.in_process_gpu for one in rounds],
            None,
        ),
        row("in-process, the same, with copies to the GPU and back", copied, in_process, None, None, None),
    ]
    for title, name in ((FULL, "Scoria, {} rows x {}"), (SINGLE, "Scoria, {} row x {}")):
        load = trial.loads[title]
        served = [one.served[title] for one in rounds]
        rates = [one.rows_per_s for one in served]
        name = name.format(load.rows, f"{load.connections} connections")
        rows.append(row(name, rates, in_process, GOALS[title], [one.gpu for one in served], served))
    columns = [
        "what",
        "rows/s",
        "÷ in-process",
        "goal",
        "GPU busy",
        "GPU memory GB",
        "power W",
        "server cores",
        "errors",
    ]
    text = table(columns, rows)
    if trial.server_gpu_memory_bytes is not None:
        memory = trial.server_gpu_memory_bytes / GIGABYTE
        text += f"\n\nThe server itself had {memory:.2f} GB of the GPU's memory at the end"
        return f"{text}, and was ready {trial.start_s:.1f} s after its start."
    return f"{text}\n\nThe server was ready {trial.start_s:.1f} s after its start."


def row(
    what: str,
    rates: list[float],
    to: list[float],
    goal: float | None,
    gpu: list[Reading] | None,
    served: list[Served] | None,
) -> list[str]:
    return [
        what,
        figure(geometric_mean(rates)),
        "1" if rates is to else str(ratio(rates, to)),
        "" if goal is None else f"{goal:.2f}",
        mean_of(gpu, lambda one: one.utilization, 1),
        mean_of(gpu, lambda one: one.memory_used_bytes, GIGABYTE),
        mean_of(gpu, lambda one: one.power_watts, 1),
        "" if served is None else figure(fmean([one.server_cores for one in served])),
        "" if served is None else str(sum(one.errors for one in served)),
    ]


def mean_of(readings: list[Reading] | None, value: Callable[[Reading], float | None], unit: float) -> str:
    found = [one for one in map(value, readings or []) if one is not None]
    return figure(fmean(found) / unit) if found else ""


def render_latencies(trial: Trial) -> str:
    rows = []
    for title, is_half in ((FULL, False), (HALF_FULL, True), (SINGLE, False), (HALF_SINGLE, True)):
        served = [one.served[title] for one in trial.rounds]
        load = trial.loads[SINGLE if title in (SINGLE, HALF_SINGLE) else FULL]
        rows.append(
            [
                f"{load.rows} x {load.connections} connections, "
                + ("open loop, half of its capacity" if is_half else "closed loop"),
                figure(geometric_mean([one.requests_per_s for one in served])),
                figure(fmean([one.p50_ms for one in served])),
                figure(fmean([one.p99_ms for one in served])),
                str(sum(one.errors for one in served)),
            ]
        )
    return table(["Scoria, rows of a request", "requests/s", "p50 ms", "p99 ms", "errors"], rows)


def render_copies(trial: Trial) -> str:
    """What going to the GPU and back takes of a run, and what went over the bus."""
    device = fmean([one.in_process.run_ms for one in trial.rounds])
    host = fmean([one.with_copies.run_ms for one in trial.rounds])
    text = (
        f"Copies: a run of the best batch takes {figure(device)} ms in-process with inputs and outputs on the GPU, "
        f"{figure(host)} ms with both in arrays of the host. A row's inputs are {trial.row_bytes:,} bytes."
    )
    bus = [render_bus(name, of, trial.rounds) for name, of in (("in-process", None), ("the server", FULL))]
    return " ".join([text, *filter(None, bus)])


def render_bus(name: str, title: str | None, rounds: list[Round]) -> str | None:
    readings = [one.in_process_gpu if title is None else one.served[title].gpu for one in rounds]
    to_gpu = mean_of(readings, lambda one: one.to_gpu_bytes_per_s, GIGABYTE)
    from_gpu = mean_of(readings, lambda one: one.from_gpu_bytes_per_s, GIGABYTE)
    return f"Over the bus with {name}: {to_gpu} GB/s to the GPU, {from_gpu} GB/s back." if to_gpu and from_gpu else None


def render_sweep(trial: Trial) -> str:
    rows = [
        [
            str(tried.way.batch),
            str(tried.way.threads),
            "" if tried.runs is None else figure(tried.runs.rows_per_s),
            "" if tried.runs is None else figure(tried.runs.run_ms),
            (tried.failure or ("best" if tried.way == trial.best else "")).replace("|", "\\|"),
        ]
        for tried in trial.sweep
    ]
    title = "In-process, inputs and outputs bound on the GPU, once for each batch:"
    return f"{title}\n\n{table(['batch', 'threads', 'rows/s', 'run p50 ms', ''], rows)}"

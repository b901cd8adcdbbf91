"""The tables of a results file, in Markdown."""

from compare.interval import ROUNDS_MIN, Ratio, figure, geometric_mean, ratio
from compare.model import Cell
from compare.peer import BARE, SCORIA
from compare.results import CellRecord, FloorRecord, ModelRecord, Results, ServerRecord

MEGABYTE = 1_000_000
# Where a row costs ONNX Runtime less than this, a server is held against the bare one: what it adds is not small beside the row.
IN_PROCESS_ROW_MIN_US = 100
IN_PROCESS_COLUMN = 4
# What the rest of the machine may take of it in any one measurement.
FOREIGN_CORES_MAX = 0.1


class Series:
    """What was measured of each server in one cell, in the rounds that all of its servers finished."""

    def __init__(self, record: CellRecord) -> None:
        rounds = record.rounds
        self.names = [name for name in (rounds[0] if rounds else {}) if all(name in measured for measured in rounds)]
        self.rounds = rounds

    def of(self, name: str, key: str) -> list[float]:
        return [float(getattr(measured[name], key)) for measured in self.rounds]

    def mean(self, name: str, key: str) -> float:
        return geometric_mean(self.of(name, key))

    def ratio(self, name: str, other: str, key: str) -> Ratio:
        return ratio(self.of(name, key), self.of(other, key))

    def median(self, name: str, key: str) -> float:
        values = sorted(self.of(name, key))
        middle = len(values) // 2
        return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2

    def errors(self, name: str) -> int:
        return int(sum(self.of(name, "errors")))

    def best_peer(self) -> str | None:
        """The one with the most requests per second."""
        peers = [name for name in self.names if name not in (SCORIA, BARE)]
        return max(peers, key=lambda name: self.mean(name, "requests_per_s"), default=None)


def render(results: Results) -> str:
    machine = results.machine
    rounds = max((len(record.rounds) for model in results.models for record in model.cells), default=0)
    head = f"""# Scoria and its peers, {results.date[:10]}

{machine.processor}, {machine.cores} cores, {machine.memory_bytes / 2**30:.0f} GiB, {machine.kernel}. ONNX Runtime
{machine.onnxruntime}, Python {machine.python}. Revision {machine.commit}. Written by `make compare`;
[what is measured and how](../compare/README.md).

{rounds} interleaved rounds. A request carries one row; each connection is kept and has one request at a time. Rates and CPU
are geometric means over the rounds, percentiles are medians of the rounds' percentiles. A ratio is taken within each round;
in brackets is its 95 % interval (bootstrap over the rounds). CPU is that of the server's processes alone, for each
request answered with 2xx; the generator shares the cores. The "best peer" has the most requests per second of all but Scoria
and the bare server."""
    if rounds < ROUNDS_MIN:
        head += f"\n\nFewer than {ROUNDS_MIN} rounds: a trial. The intervals are narrower than they claim."
    return "\n\n".join([head, *(render_model(model) for model in results.models)]) + "\n"


def render_model(model: ModelRecord) -> str:
    parts = [f"## {model.name}: {model.title}"]
    parts += [render_cell(record, model) for record in model.cells]
    parts += [render_floors(model.floors), render_servers(model.servers)]
    return "\n\n".join(parts)


def render_cell(record: CellRecord, model: ModelRecord) -> str:
    series = Series(record)
    titles = {server.name: server.title for server in model.servers}
    best = series.best_peer()
    floor = floor_of(record.cell, model.floors)
    order = sorted(series.names, key=lambda name: -series.mean(name, "requests_per_s"))
    columns = ["server", "req/s", "÷ bare", "÷ best peer", "CPU µs/req", "CPU ÷ bare", "p50 ms", "p99 ms", "errors"]
    rows = []
    for name in order:
        row = [
            bold(titles[name], name == SCORIA),
            figure(series.mean(name, "requests_per_s")),
            text_of(series, name, BARE, "requests_per_s"),
            "" if name == BARE else text_of(series, name, best, "requests_per_s"),
            figure(series.mean(name, "cpu_us_per_request")),
            text_of(series, name, BARE, "cpu_us_per_request"),
            figure(series.median(name, "p50_us") / 1000),
            figure(series.median(name, "p99_us") / 1000),
            str(series.errors(name)),
        ]
        if floor is not None:
            row.insert(IN_PROCESS_COLUMN, "" if name == BARE else in_process(series, name, floor))
        rows.append(row)
    if floor is not None:
        columns.insert(IN_PROCESS_COLUMN, "÷ in-process")
    parts = [f"### {model.name}, {record.cell.title}", table(columns, rows)]
    if floor is not None:
        parts[0] += f"\n\nIn-process is ONNX Runtime at batch {floor.task.batch} on {floor.task.threads} threads."
    notes = notes_of(series, titles, best)
    return "\n\n".join([*parts, *notes])


def notes_of(series: Series, titles: dict[str, str], best: str | None) -> list[str]:
    notes = []
    if best is not None and SCORIA in series.names:
        cpu = series.ratio(SCORIA, best, "cpu_us_per_request")
        notes.append(f"CPU of Scoria ÷ CPU of the best peer ({titles[best]}): {cpu}.")
    if series.names:
        foreign = [series.of(name, "foreign_cores") for name in series.names]
        most = max(max(values) for values in foreign)
        beside = SCORIA if SCORIA in series.names else series.names[0]
        generator = series.median(beside, "generator_cpu_us_per_request")
        notes.append(
            f"The generator took {figure(generator)} µs of CPU for a request to {titles[beside]}. What else ran on the "
            f"machine took at most {most:.2f} cores in a measurement."
        )
        if most > FOREIGN_CORES_MAX:
            notes.append("**Disturbed: the machine was not quiet enough for these numbers to be relied on.**")
    return notes


def floor_of(cell: Cell, floors: list[FloorRecord]) -> FloorRecord | None:
    """The batch that could be made of what is in flight, on all cores; None where it says nothing about a server."""
    most_threads = max((floor.task.threads for floor in floors), default=0)
    for floor in floors:
        is_asked = floor.task.threads == most_threads and floor.task.batch == min(cell.connections, 32)
        if is_asked and floor.rounds and 1e6 / rows_per_s(floor) >= IN_PROCESS_ROW_MIN_US:
            return floor
    return None


def rows_per_s(floor: FloorRecord) -> float:
    return geometric_mean([measured.rows_per_s for measured in floor.rounds])


def render_floors(floors: list[FloorRecord]) -> str:
    rows = [
        [
            str(floor.task.batch),
            str(floor.task.threads),
            figure(geometric_mean([measured.run_p50_us for measured in floor.rounds])),
            figure(rows_per_s(floor)),
            figure(geometric_mean([measured.cpu_us_per_row for measured in floor.rounds])),
        ]
        for floor in floors
        if floor.rounds
    ]
    title = "In-process: ONNX Runtime called from Python with bound inputs and outputs, spinning on."
    return f"{title}\n\n{table(['batch', 'threads', 'run p50 µs', 'rows/s', 'CPU µs/row'], rows)}"


def render_servers(servers: list[ServerRecord]) -> str:
    rows = [
        [
            server.title,
            server.version or "",
            "" if server.name in (SCORIA, BARE) else f"{server.tuning.workers} x {server.tuning.threads}",
            "" if server.start_ms is None else f"{server.start_ms:,.0f}",
            "" if server.rss_bytes is None else f"{server.rss_bytes / MEGABYTE:,.0f}",
            "" if server.pss_bytes is None else f"{server.pss_bytes / MEGABYTE:,.0f}",
            (server.failure or "").replace("|", "\\|"),
        ]
        for server in servers
    ]
    header = ["server", "version", "workers x threads", "exec to first answer, ms", "RSS MB", "PSS MB", "failed"]
    return table(header, rows)


def in_process(series: Series, name: str, floor: FloorRecord) -> str:
    return str(ratio(series.of(name, "requests_per_s"), [measured.rows_per_s for measured in floor.rounds]))


def text_of(series: Series, name: str, other: str | None, key: str) -> str:
    if other is None or other not in series.names:
        return ""
    return "1" if name == other else str(series.ratio(name, other, key))


def bold(text: str, really: bool) -> str:
    return f"**{text}**" if really else text


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

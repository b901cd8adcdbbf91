"""The tables, from results written and read again."""

from dataclasses import replace

import pytest

from compare import report, results
from compare.floor import FloorMeasurement, Task
from compare.generator import Measurement
from compare.machine import Machine
from compare.model import Cell
from compare.peer import Tuning
from compare.results import CellRecord, FloorRecord, ModelRecord, Results, ServerRecord


def measurement(requests_per_s, cpu_us):
    return Measurement(
        requests_per_s,
        cpu_us,
        p50_us=500.0,
        p99_us=2000.0,
        errors=0,
        generator_cpu_us_per_request=3.0,
        foreign_cores=0.01,
    )


def record(name, title, **rest):
    return ServerRecord(name, title, rest.pop("version", None), Tuning(1, 1), **rest)


@pytest.fixture
def found():
    machine = Machine("Processor (R) X", 2, 8 << 30, "Linux 6", "3.11.7", "1.31.1", "abc")
    rounds = [
        {
            "scoria": measurement(900.0 * slow, 20.0),
            "bare": measurement(1000.0 * slow, 10.0),
            "slow": measurement(90.0 * slow, 200.0),
            "slower": measurement(50.0 * slow, 100.0),
        }
        for slow in (1.0, 0.5, 2.0)
    ]
    servers = [
        record("scoria", "Scoria", start_ms=40.4, rss_bytes=30_000_000, pss_bytes=20_000_000),
        record("bare", "bare hyper server", start_ms=10.0),
        record("slow", "Slow", version="1.0", start_ms=1234.5),
        record("slower", "Slower", version="1.0", start_ms=1234.5),
        record("broken", "Broken", failure="not installed: no | such package"),
    ]
    floors = [
        FloorRecord(Task(batch, threads), [FloorMeasurement(1800.0 * slow, 10.0, 11.0) for slow in (1.0, 0.5, 2.0)])
        for threads in (1, 2)
        for batch in (1, 8, 32)
    ]
    model = ModelRecord("m", "a model", servers, [CellRecord(Cell("json", 128, 0.6, 0.15), rounds)], floors)
    return Results("2026-11-21T10:00:00+00:00", machine, [model])


def test_results_come_back_as_they_were_written(found, tmp_path):
    path = found.write(tmp_path)
    assert path.name == "2026-11-21-processor-x-2-cores.json"
    assert results.read(path) == found


def test_results_of_another_format_are_refused(found, tmp_path):
    path = found.write(tmp_path)
    path.write_text(path.read_text().replace('"format": 1', '"format": 7'))
    with pytest.raises(ValueError, match="expected results of format 1, got 7"):
        results.read(path)


def test_a_line_holds_rates_and_ratios(found):
    lines = report.render(found).splitlines()
    (scoria,) = [line for line in lines if line.startswith("| **Scoria** | 900")]
    cells = [cell.strip() for cell in scoria.strip("|").split("|")]
    # Rate, to bare, to the best peer, to ONNX Runtime in-process, CPU, to bare, p50, p99, errors.
    assert cells[1:] == [
        "900", "0.900 [0.900, 0.900]", "10.0 [10.0, 10.0]", "0.500 [0.500, 0.500]",
        "20.0", "2.00 [2.00, 2.00]", "0.500", "2.00", "0",
    ]  # fmt: skip


def test_the_best_peer_has_the_most_requests_not_the_least_cpu(found):
    text = report.render(found)
    assert "CPU of Scoria ÷ CPU of the best peer (Slow): 0.100 [0.100, 0.100]." in text


def test_the_floor_is_that_of_the_largest_batch_on_all_cores(found):
    assert "ONNX Runtime at batch 32 on 2 threads" in report.render(found)


def test_a_model_that_costs_next_to_nothing_is_not_held_against_it(found):
    for floor in found.models[0].floors:
        floor.rounds = [FloorMeasurement(1e6, 10.0, 1.0) for _ in floor.rounds]
    assert "÷ in-process" not in report.render(found)


def test_a_machine_that_was_not_quiet_is_reported(found):
    assert "Disturbed" not in report.render(found)
    rounds = found.models[0].cells[0].rounds
    rounds[1]["slow"] = replace(rounds[1]["slow"], foreign_cores=0.4)
    assert "at most 0.40 cores" in report.render(found)
    assert "Disturbed" in report.render(found)


def test_a_server_that_failed_is_named_with_its_reason(found):
    (line,) = [line for line in report.render(found).splitlines() if line.startswith("| Broken")]
    assert line.endswith("| not installed: no \\| such package |")


def test_a_server_that_failed_on_the_way_is_not_compared(found):
    del found.models[0].cells[0].rounds[-1]["slow"]
    assert "| Slow | 1.0" in report.render(found)
    assert "best peer (Slower)" in report.render(found)

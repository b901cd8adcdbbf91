"""The tables, and what they say where something is missing or wrong."""

import json

import pytest

from compare.machine import Machine
from gpu import report
from gpu.generator import Load, Served
from gpu.in_process import Runs, Way
from gpu.meter import Gpu, Reading
from gpu.results import Check, Results, Round, Trial, Tried
from gpu.trial import FULL, HALF_FULL, HALF_SINGLE, SINGLE

MACHINE = Machine("Processor (R) X", 16, 128 << 30, "Linux 6", "3.12.3", "1.31.1", "abc")
READING = Reading(utilization=0.9, memory_used_bytes=5e9, to_gpu_bytes_per_s=12e9, from_gpu_bytes_per_s=1e9)


def served(rows_per_s, requests_per_s, errors=0):
    return Served(rows_per_s, requests_per_s, 5.0, 9.0, errors, 2.0, 1.0, READING)


@pytest.fixture
def found():
    trial = Trial("resnet50", "ResNet-50", "fp32", "cuda", 602_112, Check(32, 5e-5, 1e-3))
    trial.sweep = [Tried(Way(64, 2), Runs(1000.0, 64.0)), Tried(Way(256, 1), failure="256 rows: out of memory | here")]
    trial.best, trial.start_s, trial.server_gpu_memory_bytes = Way(64, 2), 4.0, 3e9
    trial.loads = {FULL: Load(32, 8), SINGLE: Load(1, 256)}
    for slow in (1.0, 0.9, 1.1):
        rates = {FULL: served(960 * slow, 30.0), SINGLE: served(850 * slow, 850.0, 2)}
        halves = {HALF_FULL: served(480 * slow, 15.0), HALF_SINGLE: served(425 * slow, 425.0)}
        trial.rounds.append(Round(Runs(1000 * slow, 64.0), READING, Runs(900 * slow, 71.0), rates | halves))
    failed = Trial("mlp", "an MLP", "fp16", "cuda", 2048, failure="no answer")
    gpu = Gpu("NVIDIA H200", "580.159", 143 << 30)
    return Results(
        "2026-11-27T10:00:00+00:00",
        MACHINE,
        gpu,
        2.0,
        "ONNX Runtime 1.31.1",
        "not present: libnvinfer",
        [trial, failed],
    )


def test_ratios_are_of_the_same_round_and_stand_beside_their_goals(found):
    text = report.render(found)
    assert text.startswith("# Scoria on NVIDIA H200, 2026-11-27\n")
    lines = {line.split(" | ")[0].lstrip("| "): line for line in text.splitlines()}
    assert "| 0.960 [0.960, 0.960] | 0.95 | 0.900 | 5.00 |" in lines["Scoria, 32 rows x 8 connections"]
    assert "| 0.850 [0.850, 0.850] | 0.80 |" in lines["Scoria, 1 row x 256 connections"]
    assert lines["Scoria, 1 row x 256 connections"].endswith("| 6 |")
    assert "| 0.900 [0.900, 0.900] |" in lines["in-process, the same, with copies to the GPU and back"]
    assert "12.0 GB/s to the GPU, 1.00 GB/s back" in text and "3.00 GB of the GPU's memory" in text
    assert "| 64 | 2 | 1,000 | 64.0 | best |" in text and "out of memory \\| here" in text
    assert "TensorRT: not present: libnvinfer." in text and "a trial" in text
    assert "**Failed:** no answer" in text


def test_a_wrong_answer_is_said_and_is_not_good(found):
    trial, failed = found.trials
    assert trial.is_good and not failed.is_good
    trial.check = Check(32, 0.5, 1e-3)
    assert not trial.is_good
    assert "**beyond** the 0.001" in report.render(found)


def test_a_dry_run_says_that_it_tells_nothing(found, tmp_path):
    found.gpu = None
    text = report.render(found)
    assert text.startswith("# A dry run on the processor") and "none of these figures says anything" in text
    path = found.write(tmp_path)
    assert path.name == "2026-11-27-dry-run-on-cpu.json"
    kept = json.loads(path.read_text())
    assert kept["format"] == 1 and kept["trials"][0]["rounds"][0]["served"][FULL]["rows_per_s"] == 960


def test_results_are_named_after_the_gpu(found, tmp_path):
    assert found.write(tmp_path).name == "2026-11-27-nvidia-h200.json"

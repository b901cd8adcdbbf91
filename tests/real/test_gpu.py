"""GPUs, where there are none: metrics by a stand-in for the driver's library, `make gpu`, a dry run of gpu.sh."""

import ctypes
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest
import requests

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
RIDGE_BODY = {"data": [[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]]}
RIDGE_ANSWER = -307.94867
DRIVER_LIBRARY = "libnvidia-ml.so.1"
# NVML_ERROR_DRIVER_NOT_LOADED of nvml.h.
DRIVER_NOT_LOADED = 9


@pytest.fixture(scope="session")
def driver(tmp_path_factory):
    """A folder with the stand-in, for LD_LIBRARY_PATH."""
    folder = tmp_path_factory.mktemp("driver")
    library = folder / DRIVER_LIBRARY
    subprocess.run(["cc", "-shared", "-fPIC", "-Wall", "-Werror", "-o", library, HERE / "gpu/nvml.c"], check=True)
    return str(folder)


def has_driver():
    try:
        ctypes.CDLL(DRIVER_LIBRARY)
    except OSError:
        return False
    return True


def metrics(server):
    answer = requests.get(f"{server.admin}/metrics")
    assert answer.status_code == 200
    return answer.text


def of_gpus(text):
    """The lines of samples that speak of a GPU."""
    return [line for line in text.splitlines() if re.match(r"(scoria_gpu_|nv_gpu_|nv_energy)", line)]


def test_metrics_are_what_the_drivers_library_says(serve, models, driver):
    with serve(models / "ridge", env={"LD_LIBRARY_PATH": driver}) as server:
        text = metrics(server)
        own = '{gpu="0",uuid="GPU-stand-in"}'
        # In the order of their names' declaration; the lost GPU has none, and what is not told is not there.
        assert of_gpus(text) == [
            f"scoria_gpu_utilization_ratio{own} 0.75",
            f"scoria_gpu_memory_used_bytes{own} {3 << 30}",
            f"scoria_gpu_memory_total_bytes{own} {80 << 30}",
            f"scoria_gpu_process_memory_used_bytes{own} 312",
            f"scoria_gpu_temperature_celsius{own} 54",
            f"scoria_gpu_power_watts{own} 312.5",
            f"scoria_gpu_energy_joules_total{own} 123.457",
        ]
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        # Read anew each time, and once when the server started.
        assert f"scoria_gpu_energy_joules_total{own} 123.458" in metrics(server)


def test_tritons_names_are_there_if_asked_for(serve, models, driver):
    with serve(models / "ridge", env={"LD_LIBRARY_PATH": driver}, triton_metrics="true") as server:
        lines = [line for line in of_gpus(metrics(server)) if line.startswith("nv_")]
    assert lines == [
        'nv_gpu_utilization{gpu_uuid="GPU-stand-in"} 0.75',
        f'nv_gpu_memory_used_bytes{{gpu_uuid="GPU-stand-in"}} {3 << 30}',
        f'nv_gpu_memory_total_bytes{{gpu_uuid="GPU-stand-in"}} {80 << 30}',
        'nv_gpu_power_usage{gpu_uuid="GPU-stand-in"} 312.5',
        'nv_energy_consumption{gpu_uuid="GPU-stand-in"} 123.457',
    ]


def test_a_driver_that_refuses_is_said_once_and_breaks_nothing(serve, models, driver):
    environment = {"LD_LIBRARY_PATH": driver, "NVML_INIT": str(DRIVER_NOT_LOADED)}
    with serve(models / "ridge", env=environment) as server:
        for _ in range(3):
            text = metrics(server)
            assert "scoria_requests_in_flight" in text and not of_gpus(text)
    assert server.stderr.count("no metrics of GPUs") == 1 and "nvidia-smi" in server.stderr


def test_a_machine_without_a_driver_has_no_metrics_of_gpus(serve, models):
    if has_driver():
        pytest.skip("this machine has NVIDIA's driver")
    with serve(models / "ridge", triton_metrics="true") as server:
        text = metrics(server)
        assert "gpu" not in text and "nv_inference_count" in text
    assert "GPU" not in server.stderr


def asked(*arguments, **environment):
    """What deploy/onnxruntime/cuda.py says."""
    command = [sys.executable, ROOT / "deploy/onnxruntime/cuda.py", *arguments]
    environment = {"LD_LIBRARY_PATH": "", **os.environ, **environment}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=60)
    return done.stdout


CUDA = [
    "libcudart.so.13",
    "libcublas.so.13",
    "libcublasLt.so.13",
    "libcurand.so.10",
    "libcufft.so.12",
    "libnvrtc.so.13",
]
CUDNN = "libcudnn.so.9"


def test_what_cuda_needs_is_found_where_the_loader_and_where_pip_has_it(tmp_path):
    known, packages = tmp_path / "known", tmp_path / "packages"
    folders = {known: CUDA[:1], packages / "nvidia/cu13/lib": CUDA[1:], packages / "nvidia/cudnn/lib": [CUDNN]}
    folders[packages / "tensorrt_libs"] = ["libnvinfer.so.10"]
    for folder, names in folders.items():
        folder.mkdir(parents=True)
        for name in names:
            (folder / name).touch()
    environment = {"LD_LIBRARY_PATH": str(known), "PYTHONPATH": str(packages)}
    said = asked(**environment)
    for folder, names in folders.items():
        for name in names:
            assert re.search(rf"^ +{re.escape(name)} +{re.escape(str(folder))}$", said, re.M), said
    assert re.search(r"^ +libnvonnxparser.so.10 +missing$", said, re.M)
    assert "pip install 'tensorrt-cu13-libs<11'" in said and "pip install nvidia" not in said
    # What the loader finds by itself is not told to it.
    path = asked("--path", **environment).strip().split(":")
    assert path == [str(packages / part) for part in ("nvidia/cu13/lib", "nvidia/cudnn/lib", "tensorrt_libs")]
    assert f'export LD_LIBRARY_PATH="{":".join(path)}:$LD_LIBRARY_PATH"' in said


def test_what_is_missing_is_said_with_a_way_to_get_it(tmp_path):
    said = asked(LD_LIBRARY_PATH=str(tmp_path), PYTHONPATH="")
    missing = re.findall(r"^ +(\S+) +missing$", said, re.M)
    if CUDNN in missing:
        assert "nvidia-cudnn-cu13" in said
    if "libcuda.so.1" in missing:
        assert "driver, 580 or later" in said
    assert ("All is there" in said) == (not set(missing) & {*CUDA, CUDNN, "libcuda.so.1", DRIVER_LIBRARY}), said


def library_of_make(folder, *variables):
    """The library that the Makefile has the server use, in a folder with another repository's files."""
    command = ["make", "--no-print-directory", "-f", ROOT / "Makefile", "--eval", "shown: ; @echo $$SCORIA_ORT_LIB"]
    environment = {name: value for name, value in os.environ.items() if name != "SCORIA_ORT_LIB"}
    done = subprocess.run(
        [*command, "shown", *variables], cwd=folder, capture_output=True, text=True, check=True, env=environment
    )
    return pathlib.Path(done.stdout.strip()).relative_to(folder).parent


def test_what_make_gpu_has_fetched_is_used_from_then_on(tmp_path):
    assert library_of_make(tmp_path) == pathlib.Path(".onnxruntime")
    fetched = tmp_path / ".onnxruntime/gpu"
    fetched.mkdir(parents=True)
    version = re.search(r"^ORT_VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.M).group(1)
    (fetched / f"libonnxruntime.so.{version}").touch()
    assert library_of_make(tmp_path) == pathlib.Path(".onnxruntime/gpu")
    assert library_of_make(tmp_path, "ORT=cpu") == pathlib.Path(".onnxruntime")


def test_the_runtime_with_cuda_is_whole_and_serves_on_the_processor(serve, models, tmp_path):
    """256 MB from PyPI, as `make gpu` fetches them."""
    folder = tmp_path / "gpu"
    subprocess.run([ROOT / "deploy/onnxruntime/fetch.sh", folder, "gpu"], check=True, timeout=500)
    names = {path.name for path in folder.iterdir()}
    providers = {f"libonnxruntime_providers_{kind}.so" for kind in ("shared", "cuda", "tensorrt")}
    assert providers < names and "LICENSE" in names, names
    with serve(models / "ridge", ort_lib=str(folder)) as server:
        answer = requests.post(server.score_uri("ridge"), json=RIDGE_BODY)
        assert answer.json() == [[pytest.approx(RIDGE_ANSWER, rel=1e-5)]]


@pytest.fixture(scope="session")
def generator():
    subprocess.run(["cargo", "build", "--release", "--locked", "--package", "scoria-loadtest"], cwd=ROOT, check=True)
    return ROOT / "target/release/loadtest"


def measure(*arguments, **environment):
    command = [ROOT / "loadtest/gpu.sh", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, **environment})


def test_the_measuring_script_runs_whole_on_the_processor(generator, tmp_path):
    programs = ["--scoria", os.environ["SCORIA_BIN"], "--loadtest", generator, "--python", sys.executable]
    short = ["--rounds", 2, "--seconds", 0.1, "--output", tmp_path]
    done = measure("--dry-run-on-cpu", *programs, "--ort-lib", os.environ["SCORIA_ORT_LIB"], *short)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("*-dry-run-on-cpu.json")
    found = json.loads(path.read_text())
    assert found["gpu"] is None and found["runtime"].startswith("ONNX Runtime ")
    trials = {(trial["model"], trial["precision"]): trial for trial in found["trials"]}
    assert set(trials) == {(model, kind) for model in ("resnet50", "bert-base", "mlp") for kind in ("fp32", "fp16")}
    for trial in trials.values():
        assert trial["failure"] is None and trial["check"]["difference"] <= trial["check"]["tolerance"]
        assert len(trial["rounds"]) == 2 and trial["best"] in [tried["way"] for tried in trial["sweep"]]
        for measured in trial["rounds"]:
            assert len(measured["served"]) == 4 and measured["in_process"]["rows_per_s"] > 0
            assert all(one["rows_per_s"] > 0 for one in measured["served"].values())
    assert "none of these figures says anything" in path.with_suffix(".md").read_text()


def test_without_a_gpu_nothing_is_measured(tmp_path):
    # Its `nvidia-smi` is found first.
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed' >&2\nexit 9\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    done = measure("--output", tmp_path, PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert (done.returncode, done.stdout) == (3, "")
    assert "no NVIDIA GPU was found" in done.stderr and "--dry-run-on-cpu" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["nvidia-smi"]


@pytest.mark.parametrize("flags", [["--models", "vgg"], ["--precisions", "fp8"], ["--rounds", "0"], ["--round"]])
def test_a_mistake_on_the_command_line_is_told(flags):
    done = measure("--dry-run-on-cpu", "--python", sys.executable, "--scoria", "x", "--loadtest", "x", *flags)
    assert done.returncode == 2 and "gpu.sh: error: " in done.stderr, done.stderr

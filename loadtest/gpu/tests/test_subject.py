"""The models: the same numbers in both precisions, and answers that the tolerances are meant for."""

import numpy as np
import onnx
import pytest

from gpu.in_process import THREADS, CannotRun, InProcess, Way, reference
from gpu.provider import CPU, CUDA, TENSORRT
from gpu.subject import NAMES, PRECISIONS, full, subjects
from gpu.trial import CannotServe, difference

TINY = subjects(NAMES, tuple(PRECISIONS), is_tiny=True)


@pytest.mark.parametrize("subject", TINY, ids=lambda one: one.full_name)
def test_a_model_takes_its_rows_and_any_number_of_them(subject, tmp_path):
    path = subject.make(tmp_path)
    onnx.checker.check_model(path, full_check=True)
    one, several = (reference(path, subject.rows(count)) for count in (1, 5))
    for name, array in several.items():
        assert array.dtype == PRECISIONS[subject.precision] and array.shape[0] == 5 and one[name].shape[0] == 1
        assert np.isfinite(array).all()
    # What was made is kept.
    made = path.stat().st_mtime_ns
    assert subject.make(tmp_path).stat().st_mtime_ns == made


@pytest.mark.parametrize("name", NAMES)
def test_both_precisions_are_one_model(name, tmp_path):
    """Their weights are the same numbers, rounded: the answers differ by rounding."""
    single, half = subjects((name,), ("fp32", "fp16"), is_tiny=True)
    rows = half.rows(4)
    expected = reference(single.make(tmp_path), {key: widened(array) for key, array in rows.items()})
    got = {key: widened(array) for key, array in reference(half.make(tmp_path), rows).items()}
    assert difference(got, expected) <= half.tolerance


def widened(array):
    return array.astype(np.float32) if array.dtype == np.float16 else array


def test_full_models_have_the_shapes_that_they_are_called_after():
    rows = {name: {key: array.shape for key, array in subject.rows(2).items()} for name, subject in full().items()}
    assert rows["resnet50"] == {"image": (2, 3, 224, 224)}
    assert set(rows["bert-base"].values()) == {(2, 128)} and len(rows["bert-base"]) == 3
    assert rows["mlp"] == {"features": (2, 1024)}


def test_a_difference_is_a_part_of_the_largest_number():
    expected = {"y": np.array([[10.0, 0.1]], np.float32)}
    assert difference({"y": np.array([[10.0, 0.2]], np.float32)}, expected) == pytest.approx(0.01)
    assert difference({"y": np.array([[np.nan, 0.1]], np.float32)}, expected) == np.inf
    for wrong in (np.zeros((2, 2), np.float32), np.zeros((1, 2), np.float16)):
        with pytest.raises(CannotServe, match="expected float32"):
            difference({"y": wrong}, expected)


def test_in_process_runs_are_counted(tmp_path):
    subject = TINY[0]
    session = InProcess(subject.make(tmp_path), subject, CPU, 8)
    for threads in THREADS:
        runs = session.measure(Way(4, threads), seconds=0.01)
        assert runs.rows_per_s > 0 and runs.run_ms > 0


def test_what_is_not_run_on_the_gpu_is_no_measurement_of_it(tmp_path):
    """The package for the processor, or a machine without CUDA, falls back in silence."""
    subject = TINY[0]
    if not runs_on_a_gpu(subject, tmp_path):
        with pytest.raises(CannotRun, match="CUDAExecutionProvider was asked for|cannot load"):
            InProcess(subject.make(tmp_path), subject, CUDA, 8)


def runs_on_a_gpu(subject, folder):
    try:
        InProcess(subject.make(folder), subject, CUDA, 8)
    except CannotRun:
        return False
    return True


def test_the_server_gets_what_the_package_gets():
    subject = next(one for one in TINY if one.full_name == "bert-base-fp16")
    assert CPU.server_flags(subject, 16) == ["--providers", "cpu"]
    assert CUDA.server_flags(subject, 16) == ["--providers", "cuda", "--provider-options", "cuda.use_tf32=0"]
    providers, listed = TENSORRT.server_flags(subject, 16)[1::2]
    assert providers == "tensorrt,cuda" and "tensorrt.trt_fp16_enable=1," in listed
    assert "tensorrt.trt_profile_max_shapes=input_ids:16x8,attention_mask:16x8,token_type_ids:16x8," in listed
    (name, options), (second, _) = TENSORRT.python_list(subject, 16)
    assert (name, second) == ("TensorrtExecutionProvider", "CUDAExecutionProvider")
    assert options["trt_profile_min_shapes"] == "input_ids:1x8,attention_mask:1x8,token_type_ids:1x8"

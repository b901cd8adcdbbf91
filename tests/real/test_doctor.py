"""`scoria doctor` on files as people export them, against what ONNX Runtime's own package says of the same files."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVR, LinearSVC

from scoria_server import wait_until
from zoo import graphs
from zoo.case import build, constant, node

# ONNX Runtime's name of an element type, and ours.
TYPES = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16", "tensor(string)": "string"}
TYPES |= {f"tensor({name})": name for name in ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32")}
TYPES |= {"tensor(uint64)": "uint64", "tensor(bfloat16)": "bfloat16"}


def command(*arguments, engine="ort"):
    return [os.environ["SCORIA_BIN"], "doctor", *map(str, arguments), "--engine", engine, "-o", "json"]


def doctor(*arguments, engine="ort"):
    """The reports; the exit code must be theirs."""
    done = subprocess.run(command(*arguments, engine=engine), capture_output=True, text=True, timeout=300)
    reports = json.loads(done.stdout)["models"]
    assert done.returncode == (0 if all(report["servable"] for report in reports) else 1), done.stderr
    return reports


def report_on(model, tmp_path, **settings):
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    (report,) = doctor(path, **settings)
    return report


def problems(report):
    return [(problem["severity"], problem["code"]) for problem in report["problems"]]


def assert_same_signature(report, path):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for ours, theirs in [("inputs", session.get_inputs()), ("outputs", session.get_outputs())]:
        mine = report["signature"][ours]
        assert [value["name"] for value in mine] == [value.name for value in theirs]
        for value, known in zip(mine, theirs):
            if known.type not in TYPES:
                assert value["dtype"] is None and known.type.startswith("seq("), (value, known.type)
                continue
            assert value["dtype"] == TYPES[known.type]
            # Its API does not tell an undeclared shape from a scalar's.
            assert (value["dims"] or []) == known.shape, value


@pytest.fixture(scope="module")
def iris():
    x, y = load_iris(return_X_y=True)
    return x.astype(np.float32), y


def export(model, iris, **options):
    return to_onnx(model.fit(*iris), initial_types=[("x", FloatTensorType([None, 4]))], target_opset=17, **options)


CLASSIFIERS = [
    make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
    RandomForestClassifier(5, max_depth=4, random_state=0),
]


@pytest.mark.parametrize("classifier", CLASSIFIERS, ids=["linear", "forest"])
def test_classifier_as_exported_by_default_is_told_to_leave_zipmap_out(classifier, iris, tmp_path):
    report = report_on(export(classifier, iris), tmp_path)
    assert ("warning", "map_output") in problems(report)
    (found,) = [problem for problem in report["problems"] if problem["code"] == "map_output"]
    assert "zipmap" in found["remedy"]
    assert report["servable"] and not report["batching"]["safe"]
    assert_same_signature(report, tmp_path / "m.onnx")


@pytest.mark.parametrize("classifier", CLASSIFIERS, ids=["linear", "forest"])
def test_remedy_for_zipmap_mends_it(classifier, iris, tmp_path):
    report = report_on(export(classifier, iris, options={"zipmap": False}), tmp_path)
    assert "map_output" not in dict(map(reversed, problems(report))), problems(report)
    assert report["engines"][0]["runs"] and report["servable"]
    evidence = report["batching"]["evidence"]
    assert evidence == "same" or "rounded" in evidence
    assert_same_signature(report, tmp_path / "m.onnx")


@pytest.mark.parametrize(
    "model",
    [
        *CLASSIFIERS,
        GradientBoostingClassifier(n_estimators=5),
        MLPClassifier((5,), max_iter=50),
        GaussianNB(),
        LinearSVC(),
        KMeans(3, n_init=1),
        make_pipeline(MinMaxScaler(), PCA(2), Ridge()),
        GradientBoostingRegressor(n_estimators=5),
        SVR(),
    ],
    ids=lambda model: type(model[-1] if isinstance(model, Pipeline) else model).__name__,
)
def test_rows_of_an_unnamed_dimension_are_joined_where_the_operators_prove_that_they_may_be(model, iris, tmp_path):
    model = export(model, iris, options={"zipmap": False} if hasattr(model, "predict_proba") else None)
    assert not model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    report = report_on(model, tmp_path)
    assert report["batching"]["safe"] and report["batching"]["row_wise"] == "proven", report["batching"]
    assert "rows_may_mix" not in dict(map(reversed, problems(report)))


def test_what_is_not_proven_runs_alone_whatever_its_dimensions_are_called(tmp_path):
    # The greatest of all rows, which shows in large ones only.
    nodes = [
        node("Sub", ["x", "limit"], "above"),
        node("Relu", "above", "excess"),
        node("ReduceMax", "excess", "most", keepdims=0),
        node("Sub", ["x", "most"], "y"),
    ]
    limit = numpy_helper.from_array(np.float32([1.5]), "limit")
    for dimension in ("batch", None):
        model = build(nodes, [("x", "float32", [dimension, 1])], [("y", "float32", [dimension, 1])], [limit])
        report = report_on(model, tmp_path)
        assert not report["batching"]["safe"] and "ReduceMax" in str(report["batching"]["row_wise"])
        assert "ReduceMax" in report["batching"]["reason"] and "differs" in report["batching"]["evidence"]
        assert ("warning", "rows_affect_each_other") in problems(report)


def torch_like(training):
    """A small convolutional network, named and shaped as PyTorch's exporter does."""
    rng = np.random.default_rng(0)
    weights = {
        "conv.weight": rng.normal(size=(4, 3, 3, 3)),
        "conv.bias": rng.normal(size=4),
        "bn.weight": np.ones(4),
        "bn.bias": np.zeros(4),
        "bn.running_mean": np.zeros(4),
        "bn.running_var": np.ones(4),
        "fc.weight": rng.normal(size=(2, 4)),
        "fc.bias": rng.normal(size=2),
    }
    normalised = ["/bn/Output", "/bn/mean", "/bn/var"] if training else ["/bn/Output"]
    nodes = [
        node("Conv", ["input", "conv.weight", "conv.bias"], "/conv/Output", pads=[1, 1, 1, 1]),
        node(
            "BatchNormalization",
            ["/conv/Output", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"],
            normalised,
            training_mode=int(training),
        ),
        node("Relu", "/bn/Output", "/relu/Output"),
        node("GlobalAveragePool", "/relu/Output", "/pool/Output"),
        node("Flatten", "/pool/Output", "/flatten/Output"),
        node("Gemm", ["/flatten/Output", "fc.weight", "fc.bias"], "output", transB=1),
    ]
    initializers = [numpy_helper.from_array(values.astype(np.float32), name) for name, values in weights.items()]
    inputs = [("input", "float32", ["batch", 3, 16, 16])]
    return build(nodes, inputs, [("output", "float32", ["batch", 2])], initializers)


def test_network_for_inference_is_well(tmp_path):
    report = report_on(torch_like(training=False), tmp_path)
    assert problems(report) == [] and report["batching"]["safe"]
    assert_same_signature(report, tmp_path / "m.onnx")
    counted = {operator["name"]: operator["count"] for operator in report["operators"]}
    assert counted["Conv"] == 1 and sum(counted.values()) == 6
    assert report["initializers"]["bytes"] == 4 * (4 * 27 + 5 * 4 + 8 + 2)


def test_network_in_training_mode_is_found_out(tmp_path):
    report = report_on(torch_like(training=True), tmp_path)
    (found,) = [p for p in report["problems"] if p["code"] in ("random_output", "rows_affect_each_other")]
    assert found["severity"] == "warning" and "model.eval()" in found["remedy"]
    assert not report["batching"]["safe"]


def test_external_weights_in_the_folder_are_accepted_and_a_link_to_them_is_not(tmp_path):
    model = torch_like(training=False)
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    (report,) = doctor(tmp_path / "m.onnx")
    assert [(data["location"], data["accepted"]) for data in report["external_data"]] == [("weights.bin", True)]
    assert report["batching"]["safe"] and report["memory"]["files_bytes"] > report["initializers"]["bytes"]
    (tmp_path / "weights.bin").rename(tmp_path / "elsewhere.bin")
    (tmp_path / "weights.bin").symlink_to("elsewhere.bin")
    (report,) = doctor(tmp_path / "m.onnx")
    assert problems(report) == [("error", "external_data_refused")] and report["engines"] == []


def test_weights_in_a_hub_cache_are_loaded_where_the_operator_names_it(tmp_path):
    model = torch_like(training=False)
    cache = tmp_path / "hub/models--owner--name"
    blobs, snapshot = cache / "blobs", cache / "snapshots/0123abc"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    onnx.save(model, snapshot / "model.onnx", save_as_external_data=True, location="model.onnx_data", size_threshold=0)
    for name in ("model.onnx", "model.onnx_data"):
        (snapshot / name).rename(blobs / f"sha256-of-{name}")
        (snapshot / name).symlink_to(f"../../blobs/sha256-of-{name}")
    (report,) = doctor(snapshot / "model.onnx")
    assert problems(report) == [("error", "external_data_refused")] and report["engines"] == []
    assert "--external-data-folders" in report["problems"][0]["remedy"]
    (report,) = doctor(snapshot / "model.onnx", f"--external-data-folders={tmp_path / 'hub'}")
    assert report["servable"] and report["engines"][0]["loads"], report
    (tmp_path / "elsewhere").write_bytes((blobs / "sha256-of-model.onnx_data").read_bytes())
    (snapshot / "model.onnx_data").unlink()
    (snapshot / "model.onnx_data").symlink_to(tmp_path / "elsewhere")
    (report,) = doctor(snapshot / "model.onnx", f"--external-data-folders={tmp_path / 'hub'}")
    assert problems(report) == [("error", "external_data_refused")] and report["engines"] == []


def test_an_input_of_size_0_is_told_with_a_command_that_mends_it(tmp_path):
    path = tmp_path / "model.onnx"
    onnx.save(build([node("Neg", "x", "y")], [("x", "float32", [0, 3])], [("y", "float32", [0, 3])]), path)
    (report,) = doctor(path)
    (remedy,) = [problem["remedy"] for problem in report["problems"] if problem["code"] == "zero_size"]
    command = remedy.split(": ", 1)[1].replace("python ", f"{sys.executable} ", 1)
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    (report,) = doctor(path)
    assert report["servable"] and "zero_size" not in dict(map(reversed, problems(report))), report


def test_signatures_are_the_runtimes_own(tmp_path):
    cases = list(graphs.cases())
    for case in cases:
        (tmp_path / f"{case.name.lower()}.onnx").write_bytes(case.model.SerializeToString())
    reports = doctor(tmp_path)
    assert len(reports) == len(cases) >= 5
    for report in reports:
        assert report["engines"][0]["loads"], report
        assert_same_signature(report, report["path"])


def bomb(elements):
    """Asks for memory that no request has anything to do with."""
    nodes = [
        node("ConstantOfShape", "size", "huge"),
        node("ReduceSum", "huge", "sum", keepdims=0),
        node("Add", ["x", "sum"], "y"),
    ]
    dims = ["n", 3]
    return build(nodes, [("x", "float32", dims)], [("y", "float32", dims)], [constant("size", [elements])], opset=17)


@pytest.mark.parametrize("engine", ["ort", "tract"])
def test_memory_bomb_leaves_the_doctor_alive(engine, tmp_path):
    report = report_on(bomb(2**40), tmp_path, engine=engine)
    probe = report["engines"][0]
    assert not probe["runs"] and report["problems"], report
    if engine == "ort":
        assert ("warning", "lacks_memory") in problems(report)


def endless():
    body = helper.make_graph(
        [node("Identity", "go", "on"), node("Identity", "v", "w")],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, ["n", 3]),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("w", TensorProto.FLOAT, ["n", 3]),
        ],
    )
    loop = node("Loop", ["times", "go", "x"], "y", body=body)
    constants = [constant("times", 2**62), constant("go", True, "bool")]
    return build([loop], [("x", "float32", ["n", 3])], [("y", "float32", ["n", 3])], constants, opset=17)


def children(pid):
    return pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGILL, signal.SIGKILL])
def test_engine_that_dies_takes_nothing_with_it(number, tmp_path):
    (tmp_path / "m.onnx").write_bytes(endless().SerializeToString())
    process = subprocess.Popen(command(tmp_path / "m.onnx"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: children(process.pid), 60, "a process that tries the model out")
    (child,) = children(process.pid)
    os.kill(int(child), number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    (report,) = json.loads(out)["models"]
    assert problems(report) == [("error", "kills_engine")]
    assert report["engines"][0]["failure"]["cause"] == {"signal": number}


def test_doctor_that_is_killed_leaves_no_probe_behind(tmp_path):
    (tmp_path / "m.onnx").write_bytes(endless().SerializeToString())
    process = subprocess.Popen(command(tmp_path / "m.onnx"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def is_at_work():
        # The runtime is in its memory, so that the child has put itself under limits.
        return any("onnxruntime" in pathlib.Path(f"/proc/{child}/maps").read_text() for child in children(process.pid))

    wait_until(is_at_work, 60, "a process that tries the model out")
    (child,) = children(process.pid)
    process.kill()
    process.wait()

    def is_gone():
        try:
            # A dead process that nobody has asked after is still listed.
            return pathlib.Path(f"/proc/{child}/stat").read_text().split()[2] == "Z"
        except FileNotFoundError:
            return True

    wait_until(is_gone, 30, "the end of the probe")


def test_probe_is_confined(tmp_path):
    (tmp_path / "m.onnx").write_bytes(endless().SerializeToString())
    process = subprocess.Popen(command(tmp_path / "m.onnx"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:

        def is_at_work():
            return any("onnxruntime" in pathlib.Path(f"/proc/{pid}/maps").read_text() for pid in children(process.pid))

        wait_until(is_at_work, 60, "a process that tries the model out")
        (child,) = children(process.pid)
        limits = {}
        for line in pathlib.Path(f"/proc/{child}/limits").read_text().splitlines()[1:]:
            limits[line[:26].strip()] = line[26:].split()[:2]
        assert limits["Max core file size"] == ["0", "0"] and limits["Max file size"] == ["0", "0"]
        for name in ("Max cpu time", "Max address space"):
            assert limits[name][0] == limits[name][1] != "unlimited"
        assert pathlib.Path(f"/proc/{child}/oom_score_adj").read_text().strip() == "1000"
    finally:
        process.kill()
        process.wait()

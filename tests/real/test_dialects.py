"""Other servers' requests as their documentation shows them: MLflow, TensorFlow Serving, KServe v1; and a Triton repository."""

import csv
import io
import json
import os
import shutil
import uuid

import numpy as np
import onnx
import pytest
import requests
from zoo.case import build, node

JSON = {"Content-Type": "application/json"}
CSV = {"Content-Type": "text/csv"}


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A repository of two models that give back what they get: a matrix, and one input for each column."""
    folder = tmp_path_factory.mktemp("repository")

    def save(name, nodes, inputs, outputs):
        version = folder / name / "1"
        version.mkdir(parents=True)
        onnx.save(build(nodes, inputs, outputs), version / "model.onnx")

    save("matrix", [node("Identity", "x", "y")], [("x", "float32", ["n", 3])], [("y", "float32", ["n", 3])])
    columns = [("age", "float64"), ("visits", "int64"), ("sex", "string"), ("new", "bool")]
    inputs = [(name, dtype, ["n", 1]) for name, dtype in columns]
    outputs = [(f"{name}_out", dtype, ["n", 1]) for name, dtype in columns]
    save("columns", [node("Identity", name, f"{name}_out") for name, _ in columns], inputs, outputs)
    return folder


@pytest.fixture(params=["matrix", "columns"])
def served(request, serve, repository):
    with serve(repository / request.param) as server:
        server.model = request.param
        yield server


def post(server, path, body, headers):
    body = body if isinstance(body, (str, bytes)) else json.dumps(body)
    return requests.post(server.base + path, data=body, headers=headers, timeout=10)


ROWS = [[5.1, 3.5, 1.4], [4.9, 3.0, 1.4]]
RECORDS = [
    {"age": 38.0, "visits": 3, "sex": "female", "new": True},
    {"age": 22.5, "visits": 0, "sex": 'male, "old"', "new": False},
]


def frame(model):
    if model == "matrix":
        return {"columns": ["a", "b", "c"], "index": [0, 1], "data": ROWS}
    return {"columns": list(RECORDS[0]), "index": [0, 1], "data": [list(record.values()) for record in RECORDS]}


def expected(model):
    if model == "matrix":
        return np.array(ROWS, np.float32).tolist()
    return [{f"{name}_out": [value] for name, value in record.items()} for record in RECORDS]


def close(got, wanted):
    if isinstance(wanted, list) and isinstance(wanted[0], list):
        np.testing.assert_allclose(got, wanted, rtol=1e-6)
    else:
        assert got == wanted


def test_mlflows_documented_requests(served):
    """`mlflow models serve`, "Deploy MLflow model as a local inference server": one request of each form."""
    split = frame(served.model)
    records = [dict(zip(split["columns"], row)) for row in split["data"]]
    bodies = [{"dataframe_split": split}, {"dataframe_split": {**split, "index": [7, 8]}, "params": {"max_answers": 3}}]
    bodies.append({"dataframe_records": records})
    for body in bodies:
        answer = post(served, "/invocations", body, JSON)
        assert answer.status_code == 200, answer.text
        assert list(answer.json()) == ["predictions"]
        close(answer.json()["predictions"], expected(served.model))
    assert requests.get(served.base + "/ping", timeout=10).status_code == 200
    assert requests.get(served.base + "/health", timeout=10).status_code == 200
    assert requests.get(served.base + "/version", timeout=10).text.startswith("scoria/")


def test_mlflows_tensors(served):
    if served.model == "matrix":
        bodies = [{"inputs": ROWS}, {"instances": ROWS}, {"inputs": {"x": ROWS}}]
        answers = [expected("matrix")] * 3
    else:
        columns = {name: [[record[name]] for record in RECORDS] for name in RECORDS[0]}
        bodies, answers = [{"inputs": columns}], [{f"{name}_out": value for name, value in columns.items()}]
    for body, answer in zip(bodies, answers):
        got = post(served, "/invocations", body, JSON)
        assert got.status_code == 200, got.text
        close(got.json()["predictions"], answer)


def test_csv_both_ways(served):
    split = frame(served.model)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(split["columns"])
    writer.writerows(split["data"])
    answer = post(served, "/invocations", text.getvalue(), CSV)
    assert answer.status_code == 200, answer.text
    close(answer.json()["predictions"], expected(served.model))
    answer = post(served, "/invocations", text.getvalue(), {**CSV, "Accept": "text/csv"})
    assert answer.headers["Content-Type"] == "text/csv"
    header, *rows = csv.reader(io.StringIO(answer.text))
    if served.model == "matrix":
        assert header == ["y_0", "y_1", "y_2"]
        np.testing.assert_allclose([[float(cell) for cell in row] for row in rows], ROWS, rtol=1e-6)
    else:
        assert header == [f"{name}_out" for name in RECORDS[0]]
        assert rows == [["38.0", "3", "female", "true"], ["22.5", "0", 'male, "old"', "false"]]


def test_errors_are_those_that_mlflows_clients_read(served):
    for body, headers in [({"dataframe_split": {"columns": ["z"], "data": [[1]]}}, JSON), ("z\n1\n", CSV), ("{", JSON)]:
        answer = post(served, "/invocations", body, headers)
        assert answer.status_code == 400
        assert set(answer.json()) == {"error_code", "message"} and answer.json()["error_code"] == "BAD_REQUEST"


def test_tensorflow_servings_documented_requests(served):
    """TensorFlow Serving's `api_rest.md`: row and column format, status and metadata."""
    base = f"/v1/models/{served.model}"
    if served.model == "matrix":
        rows, columns = ROWS, ROWS
        outputs = expected("matrix")
    else:
        rows = [{name: [value] for name, value in record.items()} for record in RECORDS]
        columns = {name: [[record[name]] for record in RECORDS] for name in RECORDS[0]}
        outputs = {f"{name}_out": value for name, value in columns.items()}
    for path in [base, f"{base}/versions/1"]:
        answer = post(served, f"{path}:predict", {"signature_name": "serving_default", "instances": rows}, {})
        assert list(answer.json()) == ["predictions"], answer.text
        close(answer.json()["predictions"], expected(served.model))
        answer = post(served, f"{path}:predict", {"inputs": columns}, {})
        assert list(answer.json()) == ["outputs"], answer.text
        close(answer.json()["outputs"], outputs)
        status = requests.get(served.base + path, timeout=10).json()
        assert status["model_version_status"][0]["state"] == "AVAILABLE" and status["ready"] is True
        definition = requests.get(f"{served.base}{path}/metadata", timeout=10).json()["metadata"]["signature_def"]
        assert definition["signature_def"]["serving_default"]["method_name"] == "tensorflow/serving/predict"
    answer = post(served, f"{base}/versions/2:predict", {"instances": rows}, {})
    assert (answer.status_code, list(answer.json())) == (404, ["error"])


def test_a_triton_repository_with_its_configuration(serve, repository, tmp_path):
    """A `config.pbtxt` as Triton's documentation writes them, and what it says holds."""
    shutil.copytree(repository / "matrix", tmp_path / "models" / "matrix")
    (tmp_path / "models/matrix/labels.txt").write_text("setosa\nversicolor\nvirginica\n")
    (tmp_path / "models/matrix/config.pbtxt").write_text(
        """
        name: "matrix"
        backend: "onnxruntime"
        max_batch_size: 8
        input { name: "x" data_type: TYPE_FP32 dims: [ 3 ] }
        output { name: "y" data_type: TYPE_FP32 dims: [ 3 ] label_filename: "labels.txt" }
        dynamic_batching { preferred_batch_size: [ 4, 8 ] max_queue_delay_microseconds: 200 }
        instance_group [ { count: 1 kind: KIND_CPU } ]
        """
    )
    with serve(tmp_path / "models", triton_metrics="true") as server:
        config = requests.get(f"{server.base}/v2/models/matrix/config", timeout=10).json()
        assert config["dynamic_batching"]["preferred_batch_size"] == [8]
        assert config["dynamic_batching"]["max_queue_delay_microseconds"] == 200
        assert config["instance_group"][0]["count"] == 1
        body = {
            "inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [0.1, 0.7, 0.2]}],
            "outputs": [{"name": "y", "parameters": {"classification": 2}}],
        }
        answer = post(server, "/v2/models/matrix/infer", body, {}).json()
        assert answer["outputs"][0]["data"] == ["0.700000:1:versicolor", "0.200000:2:virginica"]
        metrics = requests.get(f"{server.admin}/metrics", timeout=10).text
        assert 'nv_inference_request_success{model="matrix",version="1"} 1' in metrics
        assert "preferred_batch_size" in server.stderr and "config.pbtxt:7:" in server.stderr


def test_shared_memory_by_plain_requests(serve, repository):
    name = f"scoria-real-{uuid.uuid4().hex}"
    path = f"/dev/shm/{name}"
    rows = np.array(ROWS, np.float32)
    with open(path, "wb") as file:
        file.write(rows.tobytes() + bytes(rows.nbytes))
    try:
        with serve(repository / "matrix", system_shared_memory="true") as server:
            for region, offset in [("in", 0), ("out", rows.nbytes)]:
                asked = {"key": f"/{name}", "offset": offset, "byte_size": rows.nbytes}
                answer = post(server, f"/v2/systemsharedmemory/region/{region}/register", asked, {})
                assert (answer.status_code, answer.content) == (200, b"")
            place = lambda region: {"shared_memory_region": region, "shared_memory_byte_size": rows.nbytes}
            body = {
                "inputs": [{"name": "x", "shape": [2, 3], "datatype": "FP32", "parameters": place("in")}],
                "outputs": [{"name": "y", "parameters": place("out")}],
            }
            assert post(server, "/v2/models/matrix/infer", body, {}).status_code == 200
            with open(path, "rb") as file:
                file.seek(rows.nbytes)
                np.testing.assert_array_equal(np.frombuffer(file.read(), np.float32).reshape(2, 3), rows)
            os.truncate(path, 5)
            assert post(server, "/v2/models/matrix/infer", body, {}).status_code == 400
            assert requests.get(f"{server.base}/v2/health/live", timeout=10).status_code == 200
    finally:
        os.unlink(path)

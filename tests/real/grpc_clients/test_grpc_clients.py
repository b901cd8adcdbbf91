"""gRPC as other people's clients speak it: tritonclient (plain, asyncio, streams), kserve, health checking."""

import asyncio
import pathlib
import queue
import subprocess
import sys
import time
import urllib.request

import grpc
import numpy as np
import onnx
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.utils import InferenceServerException

from authority import Authority
from scoria_server import wait_until
from zoo.case import build, node

ROW = np.array([[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]], np.float32)


def tensor(name, array, datatype):
    wrapped = triton.InferInput(name, list(array.shape), datatype)
    wrapped.set_data_from_numpy(array)
    return wrapped


def features(rows=ROW):
    return [tensor("features", rows, "FP32")]


def address(server):
    return "{}:{}".format(*server.host_and_port)


@pytest.fixture
def server(serve, models):
    with serve(models) as server:
        yield server


@pytest.fixture
def client(server):
    with triton.InferenceServerClient(address(server)) as client:
        yield client


@pytest.fixture
def slow(serve, tmp_path):
    """A server of a model that takes long, and its inputs: some hundred products of large matrices."""
    size, count = 700, 300
    nodes = [node("MatMul", [f"h{i}", "w"], f"h{i + 1}") for i in range(count)]
    weights = onnx.numpy_helper.from_array(np.eye(size, dtype=np.float32), "w")
    dims = ["n", size]
    model = build(nodes, [("h0", "float32", dims)], [(f"h{count}", "float32", dims)], initializers=[weights])
    onnx.save(model, tmp_path / "slow.onnx")
    with serve(tmp_path / "slow.onnx") as server:
        yield server, [tensor("h0", np.zeros((4 * size, size), np.float32), "FP32")]


def metric(server, series):
    text = urllib.request.urlopen(f"{server.admin}/metrics", timeout=30).read().decode()
    return next((float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(series + " ")), 0.0)


def test_tritonclient_finds_everything_that_it_asks_for(client):
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("ridge", "1")
    assert not client.is_model_ready("nobody")
    assert "statistics" in client.get_server_metadata().extensions
    metadata = client.get_model_metadata("ridge")
    assert [(i.name, i.datatype, list(i.shape)) for i in metadata.inputs] == [("features", "FP32", [-1, 10])]
    config = client.get_model_config("ridge", as_json=True)["config"]
    assert config["backend"] == "onnxruntime" and config["input"][0]["data_type"] == "TYPE_FP32"
    assert {model.name for model in client.get_model_repository_index().models} >= {"ridge", "digits", "wine"}
    client.infer("ridge", features())
    stats = client.get_inference_statistics("ridge").model_stats[0]
    assert (stats.inference_count, stats.inference_stats.success.count) == (1, 1)
    assert client.get_trace_settings(as_json=True)["settings"]["trace_level"]["value"] == ["OFF"]
    assert client.get_log_settings(as_json=True)["settings"]["log_error"]["bool_param"]
    assert client.update_log_settings({"log_verbose_level": 1}).settings["log_verbose_level"].uint32_param == 1
    client.unregister_system_shared_memory()
    client.unregister_cuda_shared_memory()
    assert not client.get_system_shared_memory_status().regions and not client.get_cuda_shared_memory_status().regions
    with pytest.raises(InferenceServerException, match="repository_mode"):
        client.load_model("ridge")


@pytest.mark.parametrize("algorithm", [None, "gzip", "deflate"])
def test_tritonclient_infers_packed_or_not(client, algorithm):
    rows = np.repeat(ROW, 1000, axis=0)
    answer = client.infer("ridge", features(rows), request_id="r", compression_algorithm=algorithm)
    assert answer.get_response().id == "r"
    got = answer.as_numpy("progression")
    assert got.shape == (1000, 1) and np.ptp(got) == 0
    np.testing.assert_allclose(client.infer("ridge", features()).as_numpy("progression")[0], got[0])


def test_tritonclient_classifies_and_chooses_outputs(client):
    image = np.zeros((1, 64), np.float32)
    metadata = client.get_model_metadata("digits")
    name, shape = metadata.inputs[0].name, [max(size, 1) for size in metadata.inputs[0].shape]
    inputs = [tensor(name, np.resize(image, shape), metadata.inputs[0].datatype)]
    probabilities = next(output.name for output in metadata.outputs if output.datatype == "FP32")
    asked = [triton.InferRequestedOutput(probabilities, class_count=3)]
    classes = client.infer("digits", inputs, outputs=asked).as_numpy(probabilities).ravel()
    assert len(classes) == 3
    values = [float(text.decode().split(":")[0]) for text in classes]
    assert values == sorted(values, reverse=True)


def test_tritonclient_sends_texts(client):
    metadata = client.get_model_metadata("text-encoder")
    name = metadata.inputs[0].name
    texts = np.array(["good morning", "日本語"], dtype=object).reshape([2, 1][: len(metadata.inputs[0].shape)])
    if metadata.inputs[0].datatype == "BYTES":
        assert len(client.infer("text-encoder", [tensor(name, texts, "BYTES")]).as_numpy(metadata.outputs[0].name)) == 2


def test_tritonclient_is_told_what_is_wrong(client):
    for inputs, status, words in [
        (features(ROW[:, :9].copy()), "INVALID_ARGUMENT", "dimension 1 must be 10, got 9"),
        ([tensor("features", ROW.astype(np.float64), "FP64")], "INVALID_ARGUMENT", "datatype FP32"),
        ([tensor("x", ROW, "FP32")], "INVALID_ARGUMENT", "no input 'x'"),
    ]:
        with pytest.raises(InferenceServerException) as caught:
            client.infer("ridge", inputs)
        assert status in caught.value.status() and words in caught.value.message(), caught.value
    with pytest.raises(InferenceServerException, match="unknown model: 'nobody'") as caught:
        client.infer("nobody", features())
    assert "NOT_FOUND" in caught.value.status()


def test_deadlines_and_cancellation_reach_the_model(slow):
    server, inputs = slow
    with triton.InferenceServerClient(address(server)) as client:
        begun = time.monotonic()
        with pytest.raises(InferenceServerException, match="(?i)deadline"):
            client.infer("slow", inputs, client_timeout=0.3)
        assert time.monotonic() - begun < 5
        answers = queue.Queue()
        calls = [
            client.async_infer("slow", inputs, callback=lambda result, error: answers.put(error)) for _ in range(2)
        ]
        in_flight = 'scoria_requests_in_flight{deployment="default",endpoint="slow"}'
        wait_until(lambda: metric(server, in_flight) == 2, what="two requests in flight")
        for call in calls:
            call.cancel()
        for _ in calls:
            assert "CANCELLED" in str(answers.get(timeout=30).status())
        wait_until(lambda: metric(server, in_flight) == 0, 30, "nobody in flight")
        assert server.is_alive()


def test_streams_keep_their_order_and_survive_errors(client):
    answers = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    for number in range(200):
        rows = ROW[:, :9].copy() if number % 50 == 7 else ROW + np.float32(number)
        client.async_stream_infer("ridge", features(rows), request_id=str(number), enable_empty_final_response=True)
    for number in range(200):
        result, error = answers.get(timeout=30)
        if number % 50 == 7:
            assert "dimension 1" in error.message()
        else:
            assert error is None and result.get_response().id == str(number)
    client.stop_stream()
    assert answers.empty()


def test_streams_can_be_cancelled(slow):
    server, inputs = slow
    with triton.InferenceServerClient(address(server)) as client:
        answers = queue.Queue()
        client.start_stream(lambda result, error: answers.put(error))
        client.async_stream_infer("slow", inputs)
        in_flight = 'scoria_requests_in_flight{deployment="default",endpoint="slow"}'
        wait_until(lambda: metric(server, in_flight) == 1, what="a request in flight")
        client.stop_stream(cancel_requests=True)
        wait_until(lambda: metric(server, in_flight) == 0, 30, "nobody in flight")


def test_asyncio(server):
    async def run():
        async with triton_aio.InferenceServerClient(address(server)) as client:
            assert await client.is_server_ready()
            answers = await asyncio.gather(*(client.infer("ridge", features()) for _ in range(50)))
            assert len({answer.as_numpy("progression").tobytes() for answer in answers}) == 1

            async def requests():
                for number in range(20):
                    yield {"model_name": "ridge", "inputs": features(), "request_id": str(number)}

            ids = [result.get_response().id async for result, error in client.stream_infer(requests())]
            assert ids == [str(number) for number in range(20)]

    asyncio.run(run())


def test_large_messages_both_ways(serve, tmp_path):
    model = build([node("Identity", "x", "y")], [("x", "float32", ["n"])], [("y", "float32", ["n"])])
    onnx.save(model, tmp_path / "echo.onnx")
    array = np.random.default_rng(1).standard_normal(12_000_000, np.float32)
    with serve(tmp_path / "echo.onnx", max_body_bytes=64 << 20) as server:
        with triton.InferenceServerClient(address(server)) as client:
            answer = client.infer("echo", [tensor("x", array, "FP32")])
            assert answer.as_numpy("y").tobytes() == array.tobytes()
            with pytest.raises(InferenceServerException, match="longer than") as caught:
                client.infer("echo", [tensor("x", np.resize(array, 17_000_000), "FP32")])
            assert "RESOURCE_EXHAUSTED" in caught.value.status()
            assert client.is_server_live()


def test_keys(serve, models):
    with serve(models, auth="key") as server:
        with triton.InferenceServerClient(address(server)) as client:
            assert client.is_server_live() and client.is_model_ready("ridge")
            for key, status in [(None, "UNAUTHENTICATED"), ("x", "UNAUTHENTICATED"), ("digits", "PERMISSION_DENIED")]:
                bearer = server.key("digits") if key == "digits" else key
                headers = {"authorization": f"Bearer {bearer}"} if key else None
                with pytest.raises(InferenceServerException) as caught:
                    client.infer("ridge", features(), headers=headers)
                assert status in caught.value.status()
            headers = {"authorization": f"Bearer {server.key('ridge')}"}
            assert client.infer("ridge", features(), headers=headers).as_numpy("progression").shape == (1, 1)


def test_tls(serve, models, tmp_path):
    authority = Authority(tmp_path / "authority")
    certificate, key = authority.issue("server")
    with serve(models / "ridge", tls_cert=certificate, tls_key=key, auth="key") as server:
        host, port = server.host_and_port
        roots = authority.path.read_bytes()
        credentials = grpc.composite_channel_credentials(
            grpc.ssl_channel_credentials(roots), grpc.access_token_call_credentials(server.key("ridge"))
        )
        client = triton.InferenceServerClient(f"{host}:{port}", ssl=True, creds=credentials)
        assert client.infer("ridge", features()).as_numpy("progression").shape == (1, 1)
        answers = queue.Queue()
        client.start_stream(lambda result, error: answers.put((result, error)))
        client.async_stream_infer("ridge", features())
        assert answers.get(timeout=30)[1] is None
        client.stop_stream()
        client.close()


def test_kserve(server):
    # In a process of its own: both clients bring the protocol's messages, which can be loaded once.
    script = pathlib.Path(__file__).parent / "kserve_client.py"
    run = subprocess.run([sys.executable, script, address(server)], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr


def test_health_checking(server):
    with grpc.insecure_channel(address(server)) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for service in ["", "inference.GRPCInferenceService", "ridge"]:
            answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError) as caught:
            stub.Check(health_pb2.HealthCheckRequest(service="nobody"), timeout=10)
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND
        watch = stub.Watch(health_pb2.HealthCheckRequest(service="ridge"), timeout=30)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        server.stop()
        with pytest.raises(grpc.RpcError) as caught:
            for answer in watch:
                assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE

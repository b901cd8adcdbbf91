"""The clients that Triton's and KServe's users have, unchanged: `tritonclient` over HTTP, and KServe's own."""

import asyncio
import json

import numpy as np
import onnx
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from tritonclient.utils import InferenceServerException

from zoo.case import build, node

ROWS = np.arange(20, dtype=np.float32).reshape(2, 10)


@pytest.fixture
def ridge(serve, models):
    with serve(models / "ridge", request_compression="true", response_compression_min_bytes=1) as server:
        yield server


@pytest.fixture(scope="module")
def echoes(tmp_path_factory):
    """Models that give back what they get, one for each kind of element that clients treat by itself."""
    folder = tmp_path_factory.mktemp("echoes")
    for dtype in ("string", "bool", "float16", "int64", "uint8"):
        model = build([node("Identity", "x", "y")], [("x", dtype, ["n", 2])], [("y", dtype, ["n", 2])])
        onnx.save(model, folder / f"echo-{dtype}.onnx")
    return folder


def url(server):
    return "{}:{}".format(*server.host_and_port)


def expected_of(server):
    with triton.InferenceServerClient(url(server)) as client:
        return infer(client, binary=True)


def infer(client, binary, model="ridge", **options):
    wanted = triton.InferInput("features", list(ROWS.shape), "FP32")
    wanted.set_data_from_numpy(ROWS, binary_data=binary)
    outputs = [triton.InferRequestedOutput("progression", binary_data=binary)]
    return client.infer(model, [wanted], outputs=outputs, **options).as_numpy("progression")


def test_tritonclient_reads_what_there_is(ridge):
    with triton.InferenceServerClient(url(ridge)) as client:
        assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("ridge")
        assert not client.is_model_ready("nobody")
        assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
        metadata = client.get_model_metadata("ridge", "1")
        assert metadata["inputs"] == [{"name": "features", "datatype": "FP32", "shape": [-1, 10]}]
        assert client.get_model_config("ridge")["input"][0]["dims"] == [10]
        assert [model["name"] for model in client.get_model_repository_index()] == ["ridge"]
        assert client.get_log_settings()["log_info"] is True
        assert client.update_log_settings({"log_verbose_level": 1})["log_verbose_level"] == 1
        assert client.get_trace_settings("ridge")["trace_level"] == ["OFF"]
        infer(client, binary=True)
        statistics = client.get_inference_statistics("ridge")["model_stats"][0]
        assert (statistics["inference_count"], statistics["execution_count"]) == (2, 1)
        with pytest.raises(InferenceServerException, match="unknown model"):
            client.get_model_metadata("nobody")


@pytest.mark.parametrize("packed", [None, "gzip", "deflate"])
@pytest.mark.parametrize("binary", [True, False])
def test_tritonclient_infers(ridge, binary, packed):
    expected = expected_of(ridge)
    assert expected.shape == (2, 1)
    with triton.InferenceServerClient(url(ridge)) as client:
        options = {"request_compression_algorithm": packed, "response_compression_algorithm": packed}
        got = infer(client, binary, request_id="7", priority=1, timeout=5_000_000, **options)
        assert np.allclose(got, expected)
        plain = triton.InferInput("features", list(ROWS.shape), "FP32").set_data_from_numpy(ROWS)
        answer = client.infer("ridge", [plain], request_id="8", **options)
        assert answer.get_response()["id"] == "8"
        assert np.allclose(answer.as_numpy("progression"), expected), "no outputs listed"
        classes = triton.InferRequestedOutput("progression", class_count=1, binary_data=binary)
        answer = client.infer("ridge", [plain], outputs=[classes])
        assert answer.as_numpy("progression").shape == (2, 1)
        pending = [client.async_infer("ridge", [plain]) for _ in range(4)]
        assert all(np.allclose(each.get_result().as_numpy("progression"), expected) for each in pending)
        with pytest.raises(InferenceServerException, match="must be 10"):
            wrong = triton.InferInput("features", [1, 3], "FP32").set_data_from_numpy(ROWS[:1, :3])
            client.infer("ridge", [wrong])


def test_tritonclient_infers_concurrently(ridge):
    expected = expected_of(ridge)

    async def run():
        async with triton_aio.InferenceServerClient(url(ridge)) as client:
            assert await client.is_server_ready()

            async def one(binary):
                wanted = triton_aio.InferInput("features", list(ROWS.shape), "FP32")
                wanted.set_data_from_numpy(ROWS, binary_data=binary)
                output = triton_aio.InferRequestedOutput("progression", binary_data=binary)
                return (await client.infer("ridge", [wanted], outputs=[output])).as_numpy("progression")

            return await asyncio.gather(*(one(bool(number % 2)) for number in range(40)))

    assert all(np.allclose(got, expected) for got in asyncio.run(run()))


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("datatype, values", [
    ("BYTES", np.array([["é", ""], ['"\\', "日本語"]], dtype=object)),
    ("BOOL", np.array([[True, False], [False, True]])),
    ("INT64", np.array([[-(2**63), 2**63 - 1]])),
    ("UINT8", np.array([[0, 255]], np.uint8)),
    ("FP16", np.array([[0.5, -65504]], np.float16)),
])
def test_every_kind_of_element_comes_back(serve, echoes, datatype, values, binary):
    name = {"BYTES": "string", "BOOL": "bool", "INT64": "int64", "UINT8": "uint8", "FP16": "float16"}[datatype]
    if datatype == "FP16" and not binary:
        # tritonclient itself sends halves in binary form only.
        binary = True
    with serve(echoes) as server, triton.InferenceServerClient(url(server)) as client:
        wanted = triton.InferInput("x", list(values.shape), datatype)
        wanted.set_data_from_numpy(values, binary_data=binary)
        output = triton.InferRequestedOutput("y", binary_data=binary)
        got = client.infer(f"echo-{name}", [wanted], outputs=[output]).as_numpy("y")
        if datatype == "BYTES":
            got = np.vectorize(lambda text: text.decode() if isinstance(text, bytes) else text, otypes=[object])(got)
        assert got.shape == values.shape and (got == values).all()


def test_a_raw_request_is_the_elements_alone(ridge):
    with triton.InferenceServerClient(url(ridge)) as client:
        wanted = triton.InferInput("features", [1, 10], "FP32").set_data_from_numpy(ROWS[:1])
        expected = client.infer("ridge", [wanted]).as_numpy("progression")
        answer = client._post(
            request_uri="v2/models/ridge/infer", request_body=ROWS[:1].tobytes(),
            headers={"Inference-Header-Content-Length": "0"}, query_params=None,
        )
        length = int(answer.get("Inference-Header-Content-Length"))
        head = json.loads(answer.read(length))
        assert head["outputs"][0]["parameters"]["binary_data_size"] == 4
        assert np.allclose(np.frombuffer(answer.read(), np.float32), expected.ravel())


def test_keys_and_repository_control(serve, models, tmp_path):
    state = tmp_path / "state"
    options = {"repository_mode": "explicit", "model_repository": models, "auth": "key", "state_dir": state}
    with serve(models / "wine", **options) as server, triton.InferenceServerClient(url(server)) as client:
        bearer = lambda key: {"Authorization": f"Bearer {key}"}
        admin = bearer((state / "admin.primary.key").read_text().strip())
        with pytest.raises(InferenceServerException):
            client.load_model("ridge")
        with pytest.raises(InferenceServerException, match="admin key"):
            client.load_model("ridge", headers=bearer(server.key("wine")))
        client.load_model("ridge", headers=admin)
        assert client.is_model_ready("ridge")
        infer(client, binary=True, headers=bearer(server.key("ridge")))
        index = {model["name"]: model.get("state") for model in client.get_model_repository_index(headers=admin)}
        assert index == {"ridge": "READY", "wine": "READY", "digits": None, "text-encoder": None}
        client.unload_model("ridge", headers=admin)
        assert not client.is_model_ready("ridge")
        index = {model["name"]: model.get("state") for model in client.get_model_repository_index(headers=admin)}
        assert index["ridge"] == "UNAVAILABLE"
        with pytest.raises(InferenceServerException):
            client.load_model("ridge", headers=admin, config="{}")


@pytest.mark.parametrize("binary", [True, False])
def test_kserve_infers(ridge, binary):
    expected = expected_of(ridge)

    async def run():
        client = InferenceRESTClient(RESTConfig(protocol="v2", retries=1))
        assert await client.is_server_live(ridge.base)
        assert await client.is_server_ready(ridge.base)
        assert await client.is_model_ready(ridge.base, "ridge")
        wanted = InferInput("features", list(ROWS.shape), "FP32")
        wanted.set_data_from_numpy(ROWS, binary_data=binary)
        request = InferRequest(model_name="ridge", infer_inputs=[wanted], parameters={"binary_data_output": binary})
        return await client.infer(ridge.base, request, model_name="ridge")

    answer = asyncio.run(run())
    assert answer.model_name == "ridge"
    assert np.allclose(answer.outputs[0].as_numpy(), expected)

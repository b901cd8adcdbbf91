"""Models that the server has never seen, scored over gRPC, raw and typed, against ONNX Runtime's own Python package."""

import numpy as np
import onnx
import pytest
import requests
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2 as pb

import zoo
from compare import check_binary
from reference import Reference, Refused
from zoo import BFLOAT16, type_name

DATATYPES = {
    "bool": "BOOL",
    "float16": "FP16",
    "bfloat16": "BF16",
    "float32": "FP32",
    "float64": "FP64",
    "string": "BYTES",
    **{f"{sign}int{bits}": f"{sign}int{bits}".upper() for sign in ("", "u") for bits in (8, 16, 32, 64)},
}
FIELDS = {
    "BOOL": "bool_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
    "INT64": "int64_contents",
    "UINT64": "uint64_contents",
    **{f"INT{bits}": "int_contents" for bits in (8, 16, 32)},
    **{f"UINT{bits}": "uint_contents" for bits in (8, 16, 32)},
}
NUMPY = {datatype: name for name, datatype in DATATYPES.items()}

SHOWN = 25


def texts(array):
    return [text if isinstance(text, bytes) else text.encode() for text in array.ravel()]


def to_raw(array):
    if array.dtype == object:
        return b"".join(len(text).to_bytes(4, "little") + text for text in texts(array))
    return np.ascontiguousarray(array).tobytes()


def from_raw(raw, datatype, shape):
    if datatype != "BYTES":
        dtype = BFLOAT16 if datatype == "BF16" else np.dtype(NUMPY[datatype])
        return np.frombuffer(raw, dtype).reshape(shape)
    found = []
    while raw:
        end = 4 + int.from_bytes(raw[:4], "little")
        found.append(raw[4:end].decode())
        raw = raw[end:]
    return np.array(found, dtype=object).reshape(shape)


def requests_of(name, feed):
    """The request, raw and, where every datatype has a field, typed."""
    raw, typed = (pb.ModelInferRequest(model_name=name) for _ in range(2))
    has_fields = True
    for key, array in feed.items():
        datatype = DATATYPES[type_name(array)]
        for request in (raw, typed):
            tensor = request.inputs.add(name=key, datatype=datatype)
            tensor.shape.extend(array.shape)
        raw.raw_input_contents.append(to_raw(array))
        if datatype in FIELDS:
            values = texts(array) if datatype == "BYTES" else array.ravel().tolist()
            getattr(typed.inputs[-1].contents, FIELDS[datatype]).extend(values)
        else:
            has_fields = False
    yield "raw", raw
    if has_fields:
        yield "typed", typed


def outputs_of(answer):
    pairs = zip(answer.outputs, answer.raw_output_contents, strict=True)
    return {output.name: from_raw(raw, output.datatype, list(output.shape)) for output, raw in pairs}


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo")
    cases = zoo.cases()
    for case in cases.values():
        onnx.save(case.model, folder / f"{case.name}.onnx")
    return cases, folder


def test_generated_models(generated, serve):
    cases, folder = generated
    failures, answers = [], 0
    with serve(folder, engine="ort") as server:
        states = requests.get(f"{server.admin}/readyz", timeout=60).json()["endpoints"]
        client = triton.InferenceServerClient("{}:{}".format(*server.host_and_port))
        infer = client._client_stub.ModelInfer
        for name, case in cases.items():
            try:
                reference = Reference(case.model)
            except Refused:
                continue
            if states[name] != "ready":
                continue
            for number, feed in enumerate(case.feeds):
                feed = {key: feed[key] for key in reference.inputs}
                try:
                    expected = reference.run(feed)
                except Refused:
                    expected = None
                for label, request in requests_of(name, feed):
                    try:
                        status, got = None, infer(request, timeout=60)
                    except Exception as error:
                        status, got = error.code().name, error.details()
                    try:
                        if expected is None:
                            assert status == "INVALID_ARGUMENT", f"the reference refuses this, not {status}: {got}"
                        elif all(isinstance(value, np.ndarray) for value in expected.values()):
                            assert status is None, f"{status}: {got}"
                            check_binary(outputs_of(got), expected, case.exact)
                            answers += 1
                    except Exception as error:
                        failures.append(f"{name} feed {number} {label}: {error}"[:400])
        assert server.is_alive()
    shown = "\n".join(failures[:SHOWN])
    assert not failures, f"{len(failures)} failures:\n{shown}"
    assert answers > 7_000, answers

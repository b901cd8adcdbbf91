"""The OpenAPI documents, by programs that others wrote: a validator, a JSON Schema validator, and a fuzzer."""

import json
import pathlib
import re
import subprocess
import sys

import jsonschema
import openapi_spec_validator
import pytest
import requests

HERE = pathlib.Path(__file__).parent
VERSIONS = ["2", "3", "3.1"]
MODELS = ["ridge", "digits", "wine", "text-encoder"]
FUZZ_SECONDS = 90
FUZZ_CASES_MIN = 500

# What the fuzzer is told, and why. The keys are schemathesis's.
CONFIG = """
hooks = "{hooks}"

# JSON Schema cannot say that rows are of one length, that records have the same columns, that indices are within a model's
# vocabulary, or what bytes an .npz has: such a body is valid by the schema, and 400. openapi_hooks.py holds the 400s to these.
# A tag may be the document's own, or `*`: 304. A client's deadline of 1 ms is valid too, and may pass: the 504s are held to such deadlines there.
[checks.positive_data_acceptance]
expected-statuses = ["2xx", 304, 400, 504]

[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", 504]

# Its defaults, and what else refuses: 405 a method, 415 a media type, 431 an id of more than 100 characters.
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 415, 422, 428, 431, "5xx"]
"""


@pytest.fixture
def bundled(serve, models):
    with serve(models, auth="key") as server:
        yield server


def document(server, path, **query):
    answer = requests.get(server.base + path, params=query, timeout=10)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_every_document_is_valid(bundled):
    paths = ["/swagger.json", *(f"/api/v1/service/{name}/swagger.json" for name in MODELS)]
    for path in paths:
        for version in VERSIONS:
            found = document(bundled, path, version=version)
            assert found.get("swagger", found.get("openapi")) == {"2": "2.0", "3": "3.0.3", "3.1": "3.1.0"}[version]
            openapi_spec_validator.validate(found)
    for path in ["/openapi.json", *(f"/api/v1/service/{name}/openapi.json" for name in MODELS)]:
        openapi_spec_validator.validate(document(bundled, path))


def bodies(name, data):
    """Bodies in every dialect, from the numbers of a sample."""
    if "data" not in data:
        records = [{key: rows[0] for key, rows in data.items()}]
        columns = {"columns": list(data), "data": [[rows[0] for rows in data.values()]]}
        return [data, {"data": data}, {"inputs": data}, {"instances": records}, {"dataframe_records": records},
                {"dataframe_split": columns}, {"Inputs": {"data": records}}]
    rows = data["data"]
    common = [data, {"instances": rows}, {"inputs": rows}, {"input_data": {"data": rows}}, {"Inputs": {"data": rows}}]
    if isinstance(rows[0][0], list):
        return common
    width = range(len(rows[0]))
    columns = [f"c{i}" for i in width]
    records = [dict(zip(columns, row)) for row in rows]
    return [*common, {"dataframe_split": {"columns": columns, "index": [0], "data": rows}},
            {"dataframe_records": records}, {"input_data": {"columns": columns, "data": rows}},
            {"Inputs": {"data": records}, "GlobalParameters": 1.0}]


@pytest.mark.parametrize("name", MODELS)
def test_samples_and_answers_are_what_the_document_says(bundled, models, name):
    found = document(bundled, f"/api/v1/service/{name}/openapi.json")
    def validator(schema):
        return jsonschema.Draft202012Validator({"$ref": f"#/components/schemas/{schema}", **found})

    headers = {"Authorization": f"Bearer {bundled.key(name)}"}
    sample = json.loads((models / name / "1" / "sample_input.json").read_text())
    for body in bodies(name, sample):
        validator("ServiceInput").validate(body)
        answer = requests.post(bundled.score_uri(name), json=body, headers=headers, timeout=30)
        assert answer.status_code == 200, f"{str(body)[:100]}: {answer.text}"
        validator("ServiceOutput").validate(answer.json())
    for body in [{}, {"data": 1, "instances": 1}, {"data": "text"}, {"nothing": []}]:
        assert not validator("ServiceInput").is_valid(body), body
        answer = requests.post(bundled.score_uri(name), json=body, headers=headers, timeout=30)
        assert answer.status_code == 400
        validator("ErrorResponse").validate(answer.json())


@pytest.mark.parametrize("name", MODELS)
def test_an_inference_request_and_its_answers_are_what_the_document_says(bundled, name):
    found = document(bundled, f"/api/v1/service/{name}/openapi.json")
    def validator(schema):
        return jsonschema.Draft202012Validator({"$ref": f"#/components/schemas/{schema}", **found})

    base, headers = f"{bundled.base}/v2/models/{name}", {"Authorization": f"Bearer {bundled.key(name)}"}
    [request] = found["components"]["schemas"]["InferenceRequest"]["examples"]
    answers = {}
    outputs = requests.get(base, headers=headers, timeout=10).json()["outputs"]
    numbers = [output["name"] for output in outputs if output["datatype"] not in ("BYTES", "BOOL")]
    classes = [{"name": output, "parameters": {"classification": 1}} for output in numbers]
    for form, more in {"all": {}, "classes": {"outputs": classes}, "id": {"id": "7", "parameters": {"priority": 1}}}.items():
        body = {**request, **more}
        validator("InferenceRequest").validate(body)
        answer = requests.post(f"{base}/infer", json=body, headers=headers, timeout=30)
        assert answer.status_code == 200, answer.text
        validator("InferenceReply").validate(answer.json())
        answers[form] = answer.json()
    assert answers["all"]["outputs"] == answers["id"]["outputs"] and answers["id"]["id"] == "7"
    assert {output["datatype"] for output in answers["classes"]["outputs"]} == {"BYTES"}
    for wrong in [{}, {"inputs": []}, {"inputs": [{**request["inputs"][0], "datatype": "FP8"}]}, {**request, "id": 7}]:
        assert not validator("InferenceRequest").is_valid(wrong), wrong
        answer = requests.post(f"{base}/infer", json=wrong, headers=headers, timeout=30)
        assert answer.status_code == 400
        validator("InferenceError").validate(answer.json())
    for leaf, schema in {"": "ModelMetadata", "/ready": "ModelReadiness", "/config": "ModelConfig",
                         "/stats": "InferenceStatistics"}.items():
        validator(schema).validate(requests.get(base + leaf, headers=headers, timeout=10).json())


# It leaves the operation out that gave it the document, so both of an endpoint's documents are starting points; the server's
# own has the probes. Version 3.1, but for one.
@pytest.mark.parametrize("name, path, operations", [
    ("ridge", "/openapi.json", 17),
    ("ridge", "/api/v1/service/ridge/swagger.json?version=3", 10),
    ("wine", "/api/v1/service/wine/openapi.json", 10),
    ("text-encoder", "/api/v1/service/text-encoder/openapi.json", 10),
])
def test_a_fuzzer_finds_the_server_to_be_as_documented(serve, models, tmp_path, name, path, operations):
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG.format(hooks=HERE / "openapi_hooks.py"))
    with serve(models / name, auth="key") as server:
        # Without the phase "stateful", which follows what answers name: these name nothing.
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", config, "run"),
            *("--phases", "examples,coverage,fuzzing", "--checks", "all", "--mode", "all", "--max-examples", "25"),
            *("--seed", "1", "--generation-database", "none"),
            *("--continue-on-failure", "--no-color", "--suppress-health-check", "all"),
            *("--header", f"Authorization: Bearer {server.key(name)}"),
            server.base + path,
        ]
        # It keeps files of its own where it runs.
        run = subprocess.run(
            list(map(str, command)), capture_output=True, text=True, timeout=FUZZ_SECONDS, cwd=tmp_path
        )
        assert run.returncode == 0, run.stdout[-12_000:] + run.stderr[-2_000:]
        # A run that found nothing because it did little would look the same.
        selected = re.search(r"Selected: (\d+)/(\d+)", run.stdout)
        assert [int(count) for count in selected.groups()] == [operations, operations], run.stdout[-3_000:]
        generated, passed = map(int, re.search(r"(\d+) generated, (\d+) passed", run.stdout).groups())
        assert generated == passed >= FUZZ_CASES_MIN, run.stdout[-3_000:]
        assert server.is_alive()

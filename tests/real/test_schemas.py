"""The JSON Schemas of `schemas/`: they take what the server takes and gives, and refuse what it refuses."""

import json
import os
import pathlib
import subprocess
import tomllib

import jsonschema
import pytest
import requests

SCHEMAS = pathlib.Path(__file__).resolve().parents[2] / "schemas"


def validator(name):
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


def server_takes(text, tmp_path):
    """Whether the program reads a configuration file; what it says if it does not."""
    path = tmp_path / "scoria.toml"
    path.write_text(text)
    command = [os.environ["SCORIA_BIN"], "runtime", "info", "--config", path]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SCORIA_")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=environment)
    assert done.returncode in (0, 2), done.stderr
    return done.returncode == 0, done.stderr


EVERYTHING = """
models = ["models/ridge", "other=models/wine"]
listen = "[::1]:8080"
admin_listen = "127.0.0.1:0"
auth = "none"
cors_origins = ["https://app.example"]
engine = "tract"
default_endpoint = "ridge"
workers = 0
queue_max_length = 1
max_body_bytes = 9_007_199_254_740_993
max_header_bytes = 8192
strict_readiness = true
docs = false
log_level = "debug"
null_input = "nan"
non_finite_output = "error"
providers = ["cpu"]

[endpoints.ridge]
execution = "pooled"
max_batch = 8
"""


@pytest.mark.parametrize("text", ["engine = 'tract'", EVERYTHING, "engine = 'tract'\nstate_dir = ''"])
def test_a_configuration_that_the_server_takes_is_valid(tmp_path, text):
    validator("config").validate(tomllib.loads(text))
    assert server_takes(text, tmp_path) == (True, "")


@pytest.mark.parametrize("text", [
    "max_body_byte = 1",
    "endpoints = 1",
    "[endpoints.a]\nworker = 1",
    "[endpoints.a]\nmax_body_bytes = 1",
    "[endpoints.a]\nworkers = 1025",
    "[endpoints.'A b']\nworkers = 1",
    "Listen = '127.0.0.1:1'",
    "[server]\nlisten = '127.0.0.1:1'",
    "listen = 8080",
    "admin_listen = '127.0.0.1'",
    "max_body_bytes = '1024'",
    "max_body_bytes = 1024.5",
    "max_body_bytes = -1",
    "max_body_bytes = true",
    "max_body_bytes = [1]",
    "max_body_bytes = 1979-05-27",
    "queue_max_length = 0",
    "max_header_bytes = 8191",
    "http2_max_streams = 4294967296",
    "strict_readiness = 'true'",
    "strict_readiness = 1",
    "auth = 'password'",
    "auth = 'KEY'",
    "auth = true",
    "engine = 'onnx'",
    "log_level = 'trace'",
    "state_dir = 1",
    "default_endpoint = 1",
    "cors_origins = '*'",
    "cors_origins = [1]",
    "providers = []",
    "models = 'ridge.onnx'",
    "models = [1]",
])
def test_a_mistake_is_found_by_the_schema_and_by_the_server(tmp_path, text):
    assert not validator("config").is_valid(tomllib.loads(text)), "the schema takes it"
    key = text.split("=")[0].strip().strip("[]").split("]")[0]
    # What is no name is told apart from the table that it stands in.
    named = key.split(".'")
    taken, said = server_takes(text, tmp_path)
    assert not taken and all(part in said for part in named), said


def test_defaults_are_valid():
    schema = validator("config")
    defaults = {key: value["default"] for key, value in schema.schema["properties"].items() if "default" in value}
    assert len(defaults) > 30
    schema.validate(defaults)
    assert all(value["description"] for value in schema.schema["properties"].values())


def test_the_admin_api_answers_as_its_schema_says(serve, models, tmp_path):
    broken = tmp_path / "broken.onnx"
    broken.write_text("this is no model")
    with serve(models, f"broken={broken}", auth="key") as server:
        path = pathlib.Path(server.state_dir) / "admin.primary.key"
        headers = {"Authorization": f"Bearer {path.read_text().strip()}"}
        answer = requests.get(f"{server.admin}/api/v1/service", headers=headers, timeout=10).json()
        validator("services").validate(answer)
        states = {service["name"]: service["state"] for service in answer["services"]}
        assert states["broken"] == "failed" and states["wine"] == "ready"
        for service in answer["services"]:
            alone = requests.get(f"{server.admin}/api/v1/service/{service['name']}", headers=headers, timeout=10)
            assert alone.json() == service
        refused = requests.get(f"{server.admin}/api/v1/service", timeout=10)
        validator("error").validate(refused.json())
        bad = requests.post(server.score_uri("wine"), json={"data": [[1]]}, timeout=10,
                            headers={"Authorization": f"Bearer {server.key('wine')}"})
        assert bad.json()["error"].keys() >= {"path", "expected", "got", "example"}
        validator("error").validate(bad.json())
        without = bad.json()
        del without["error"]["code"]
        assert not validator("error").is_valid(without)

"""Clients that programs of others generate from the server's documents score, and get typed errors."""

import importlib
import json
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent
NODE_MODULES = HERE / "clients" / "node_modules"
MODELS = ["ridge", "wine", "text-encoder"]
GENERATE_S = 120


@pytest.fixture
def bundled(serve, models):
    with serve(models, auth="key") as server:
        yield server


@pytest.fixture
def samples(models):
    """Each model's sample: the body, and the answer that is expected."""
    def sample(name, kind):
        return json.loads((models / name / "1" / f"sample_{kind}.json").read_text())

    return {name: (sample(name, "input"), sample(name, "output")) for name in MODELS}


def run(command, folder, **options):
    done = subprocess.run(
        list(map(str, command)), cwd=folder, capture_output=True, text=True, timeout=GENERATE_S, **options
    )
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture
def python_client(bundled, tmp_path, monkeypatch):
    """A package made by openapi-python-client: `python_client("models")` is its module `models`."""
    # Nothing may be left out with a warning, but for the binary bodies that this generator does not know.
    command = ["-m", "openapi_python_client", "generate", "--url", f"{bundled.base}/openapi.json", "--meta", "none"]
    config = tmp_path / "config.yaml"
    config.write_text("post_hooks: []\n")
    said = run([sys.executable, *command, "--config", config, "--output-path", tmp_path / "generated"], tmp_path)
    assert "Unable to" not in said and said.count("WARNING") == said.count("Unsupported content type application/x-"), said
    monkeypatch.syspath_prepend(tmp_path)
    yield lambda module: importlib.import_module(f"generated.{module}")
    for name in [name for name in sys.modules if name.partition(".")[0] == "generated"]:
        del sys.modules[name]


def leaves(value, path="$"):
    """What JSON holds, by its place."""
    if isinstance(value, (list, dict)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {place: leaf for key, item in items for place, leaf in leaves(item, f"{path}.{key}").items()}
    return {path: value}


def assert_close(got, expected):
    close = {place: pytest.approx(leaf, rel=1e-4, abs=1e-5) if isinstance(leaf, float) else leaf
             for place, leaf in leaves(expected).items()}
    assert leaves(got) == close


def as_json(parsed):
    """An answer that was parsed into the client's classes."""
    return parsed.to_dict() if hasattr(parsed, "to_dict") else parsed


def test_python(bundled, python_client, samples):
    models = python_client("models")
    bodies = {
        "ridge": models.DataRidge(**samples["ridge"][0]),
        "wine": models.NamedInputsWine(features=samples["wine"][0]["data"]),
        "text-encoder": models.NamedInputsTextEncoder(**samples["text-encoder"][0]),
    }
    for name, body in bodies.items():
        tag = name.replace("-", "_")
        operation = python_client(f"api.{tag}.run_ml_service_{tag}")
        client = python_client("client").AuthenticatedClient(bundled.base, bundled.key(name))
        answer = operation.sync_detailed(client=client, body=body)
        assert answer.status_code == 200, answer.content
        assert_close(as_json(answer.parsed), samples[name][1])

    ridge = python_client("api.ridge.run_ml_service_ridge")
    client = python_client("client").AuthenticatedClient(bundled.base, bundled.key("ridge"))
    refused = ridge.sync_detailed(client=client, body=models.NamedInputsRidge(features=[[1.0, 2.0]]))
    assert refused.status_code == 400 and isinstance(refused.parsed, models.ErrorResponse)
    assert (refused.parsed.error.code, refused.parsed.error.path) == ("wrong_shape", "$.features[0]")
    stranger = python_client("client").AuthenticatedClient(bundled.base, "scoria_wrong")
    unknown = ridge.sync_detailed(client=stranger, body=bodies["ridge"])
    assert unknown.status_code == 401 and unknown.parsed.error.code == "unknown_key"


def test_typescript(bundled, samples, tmp_path):
    for name in ("score.ts", "tsconfig.json", "package.json"):
        (tmp_path / name).write_bytes((HERE / "clients" / name).read_bytes())
    (tmp_path / "node_modules").symlink_to(NODE_MODULES)
    programs = NODE_MODULES / ".bin"
    run([programs / "openapi-typescript", f"{bundled.base}/openapi.json", "--output", "schema.d.ts"], tmp_path)
    run([programs / "tsc", "--project", "."], tmp_path)
    given = {
        "base": bundled.base,
        "keys": {name: bundled.key(name) for name in MODELS},
        "samples": {name: body for name, (body, _) in samples.items()},
    }
    told = json.loads(run(["node", "out/score.js"], tmp_path, input=json.dumps(given)))
    for name in MODELS:
        assert_close(told["answers"][name], samples[name][1])
    assert told["refusals"] == [
        {"status": 400, "code": "wrong_type", "path": "$.data[0][0]"},
        {"status": 401, "code": "unknown_key"},
    ]

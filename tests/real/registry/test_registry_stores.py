"""Registries in real stores, with many programs at once."""

import hashlib
import os
import subprocess

from bench import MODEL, ROOT

WRITERS = 16


def test_the_suite_of_the_stores_holds_over_emulators(s3, azure):
    variables = s3.variables(s3.port) | azure.variables(azure.port)
    variables["SCORIA_TEST_REGISTRIES"] = f"{s3.url}/suite,{azure.url}/suite"
    command = ["cargo", "test", "--release", "--locked", "--test", "registry", "--", "conformance::", "racing::", "deleting::"]
    subprocess.run(command, cwd=ROOT, env=os.environ | variables, check=True, timeout=1200)


def test_sixteen_programs_that_register_one_name_get_sixteen_versions(bench, tmp_path):
    registering = []
    for writer in range(WRITERS):
        folder = tmp_path / f"model-{writer}"
        folder.mkdir()
        (folder / "model.onnx").write_bytes((MODEL / "model.onnx").read_bytes())
        (folder / "notes").write_text(f"writer {writer}")
        registering.append(bench.start("register", "ridge", folder, "-t", f"writer={writer}"))
    for process in registering:
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
    listed = bench.ask("models", "list", "ridge")
    assert [version["version"] for version in listed] == list(range(WRITERS, 0, -1))
    assert {version["tags"]["writer"] for version in listed} == {str(writer) for writer in range(WRITERS)}
    for version in listed:
        number = version["version"]
        bench.ask("models", "download", f"ridge:{number}", tmp_path / f"down-{number}")
        assert (tmp_path / f"down-{number}" / "notes").read_text() == f"writer {version['tags']['writer']}"
        model = (tmp_path / f"down-{number}" / "model.onnx").read_bytes()
        assert hashlib.sha256(model).hexdigest() in {file["sha256"] for file in version["files"]}


def test_refused_requests_and_lost_answers_are_neither_conflicts_nor_losses(lossy_bench):
    bench, proxy = lossy_bench
    bench.register()
    tagging = [bench.start("models", "tag", "ridge:1", "-t", f"writer-{writer}=x") for writer in range(WRITERS)]
    for process in tagging:
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
    tags = bench.ask("models", "show", "ridge:1")["tags"]
    assert tags == {f"writer-{writer}": "x" for writer in range(WRITERS)}
    assert proxy.refused > 10 and proxy.hung_up > 10, "the proxy has lost nothing"


def test_a_store_that_is_away_is_said_to_be(tmp_path, s3):
    from bench import Bench

    variables = s3.variables(1) | {"SCORIA_REGISTRY_TIMEOUT_MS": "300"}
    bench = Bench(tmp_path / "state", s3.url, **variables)
    code, _, said = bench.run("models", "list")
    assert code == 1 and "within 300 ms (registry_timeout_ms)" in said, said

"""What is shipped: the Dockerfile, its stages run in a plain folder, the compose file, and every shell script."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest
import requests
import yaml

# Not from conftest, of which folders below have their own.
ROOT = pathlib.Path(__file__).resolve().parents[2]

RIDGE_BODY = {"data": [[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]]}
RIDGE_ANSWER = -307.94867

STAGES = ROOT / "deploy/docker/stages.sh"


def lint(*command):
    """A linter's findings, which are nothing. Linters are installed beside the Python that runs the tests."""
    program = pathlib.Path(sys.executable).with_name(command[0])
    done = subprocess.run([program, *command[1:]], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done.stdout + done.stderr


def dockerfile():
    """The instructions, lines joined and comments left out."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.lstrip().startswith("#")]
    return [line for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines() if line]


def instructions(kind):
    return [line.removeprefix(kind).strip() for line in dockerfile() if line.split()[0] == kind]


def stage(name):
    """The instructions of one stage."""
    lines = dockerfile()
    (start,) = [i for i, line in enumerate(lines) if re.fullmatch(rf"FROM \S+ AS {name}", line)]
    ends = [i for i, line in enumerate(lines) if line.startswith("FROM") and i > start]
    return lines[start + 1 : min(ends, default=len(lines))]


def test_dockerfile_has_no_findings():
    lint("hadolint", "--no-color", "Dockerfile")


def test_hadolint_finds_something_where_there_is_something(tmp_path):
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM debian\nRUN sudo apt-get install curl\n")
    with pytest.raises(AssertionError, match="DL3004"):
        lint("hadolint", "--no-color", str(bad))


def test_shell_scripts_have_no_findings():
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True
    )
    files = [ROOT / name for name in listed.stdout.decode().splitlines()]
    scripts = [file for file in files if file.is_file() and re.match(rb"#!.*\b(ba)?sh\b", file.read_bytes()[:64])]
    assert STAGES in scripts and len(scripts) >= 6, scripts
    lint("shellcheck", *map(str, scripts))


def test_both_images_run_alike():
    def settings(name):
        kinds = ("ENV", "USER", "WORKDIR", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD")
        return [line for line in stage(name) if line.split()[0] in kinds]

    cpu = settings("cpu")
    assert cpu == settings("gpu") and len(cpu) == 9, cpu
    # Built when no target is named.
    assert [line.split()[-1] for line in dockerfile() if line.startswith("FROM")][-1] == "cpu"
    assert "USER 10001:10001" in cpu
    user, group = re.search(r"/install\.sh / /server /runtime (\d+) (\d+)", " ".join(stage("cpu"))).groups()
    assert (user, group) == ("10001", "10001")


def test_stages_are_run_as_the_dockerfile_has_them():
    script = STAGES.read_text()
    for command in instructions("RUN"):
        words = [word for word in command.split() if not word.startswith("--mount=")]
        # By name: an image has it at another place. What is for a GPU cannot be run without one.
        name = pathlib.Path(words[0]).name
        assert f"/{name}" in script and (ROOT / "deploy").rglob(name), command
    for source in (word for line in stage("build") if line.startswith("COPY") for word in line.split()[1:-1]):
        assert f"$repository/{source}" in script, source


def test_what_is_copied_is_enough_for_cargo(tmp_path):
    """A member of the workspace, or a path, that is not copied fails here and not in the first build of an image."""
    for line in stage("build"):
        if line.startswith("COPY"):
            *sources, _ = line.split()[1:]
            for source in sources:
                subprocess.run(["cp", "--parents", "-R", source, tmp_path], cwd=ROOT, check=True)
    # Reads the manifests as a build does, which `cargo metadata` does not, and builds one small crate of the many.
    command = ["cargo", "check", "--locked", "--quiet", "--profile", "dist", "--package", "itoa"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    # What comes from another stage was not copied into the build.
    copies = [line.split() for line in instructions("COPY") if "--from=" not in line]
    copied = [word for words in copies for word in words[:-1]]
    assert copied and all(any(word == kept[1:] or word.startswith(f"{kept[1:]}/") for kept in ignored) for word in copied)


def test_image_serves_with_a_read_only_root(models, tmp_path):
    server = tmp_path / "server"
    server.mkdir()
    (server / "scoria").symlink_to(os.environ["SCORIA_BIN"])
    request = tmp_path / "request.json"
    request.write_text(json.dumps(RIDGE_BODY))
    runtime = runtime_folder(tmp_path)
    command = [STAGES, "--server", server, "--runtime", runtime, models / "ridge", request]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    ran, health, answer = done.stdout.splitlines()
    if os.geteuid() == 0:
        assert ran == "ran alone: user 10001, capabilities 0000000000000000, root ro"
    else:
        assert ran.startswith("ran among the files of this machine: ")
    assert json.loads(health.removeprefix("health: "))["status"] == "ready"
    assert json.loads(answer.removeprefix("answer: ")) == [[pytest.approx(RIDGE_ANSWER, rel=1e-5)]]


def runtime_folder(tmp_path):
    """A folder as fetch.sh leaves it: the library under test, and texts for its licences where there are none beside it."""
    library = pathlib.Path(os.environ["SCORIA_ORT_LIB"])
    folder = tmp_path / "runtime"
    folder.mkdir()
    (folder / library.name).symlink_to(library)
    for name in ("LICENSE", "ThirdPartyNotices.txt"):
        beside = library.with_name(name)
        (folder / name).write_text(beside.read_text() if beside.exists() else name)
    return folder


def test_stages_fail_if_the_server_does(tmp_path):
    """The check of the image is one: a server that ends at once is told apart from one that serves."""
    server = tmp_path / "server"
    server.mkdir()
    (server / "scoria").symlink_to(os.environ["SCORIA_BIN"])
    models = tmp_path / "models"
    models.mkdir()
    command = [STAGES, "--server", server, "--runtime", runtime_folder(tmp_path), models, os.devnull]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and done.stdout == ""
    assert "ended before it was ready" in done.stderr and "holds no model" in done.stderr


def test_gpu_runtime_is_pinned_beside_the_other():
    pins = [(ROOT / f"deploy/onnxruntime/{kind}.txt").read_text() for kind in ("cpu", "gpu")]
    versions = [re.search(r"^onnxruntime(?:-gpu)?==(\S+) \\$", pin, re.M).group(1) for pin in pins]
    assert versions[0] == versions[1]
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}$", pin, re.M) for pin in pins)


def test_compose_file_takes_away_what_is_not_needed():
    compose = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
    (service,) = compose["services"].values()
    assert service["read_only"] is True and service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    (models,) = [volume for volume in service["volumes"] if ":/models" in volume]
    assert models.endswith(":ro")
    # Longer than a drain may take, by the defaults.
    assert service["stop_grace_period"] == "30s"
    assert (ROOT / "deploy" / service["build"]["context"]).resolve() == ROOT
    volumes = {volume.split(":")[0] for volume in service["volumes"]} - {models.split(":")[0]}
    assert volumes == set(compose["volumes"])


def health(*arguments, **environment):
    command = [os.environ["SCORIA_BIN"], "health", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, env={**os.environ, **environment})


def test_health_says_what_the_probe_says(serve, models):
    with serve(models / "ridge") as server:
        address = server.admin.removeprefix("http://")
        ready = health(SCORIA_ADMIN_LISTEN=address.replace("127.0.0.1", "0.0.0.0"))
        assert (ready.returncode, ready.stderr) == (0, "")
        assert json.loads(ready.stdout) == requests.get(f"{server.admin}/readyz").json()
        assert health("--url", f"{server.admin}/livez").stdout == "ok\n"
        missing = health("--url", f"{server.admin}/nowhere")
        assert missing.returncode == 1 and "answered 404" in missing.stderr
    gone = health("--admin-listen", address)
    assert gone.returncode == 1 and f"http://{address}/readyz: " in gone.stderr


def test_health_is_a_failure_while_nothing_can_be_served(serve, tmp_path):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    with serve(broken) as server:
        asked = health("--url", f"{server.admin}/readyz")
        assert asked.returncode == 1 and "answered 503" in asked.stderr and '"failed"' in asked.stderr


@pytest.mark.parametrize("url", ["https://127.0.0.1:8081/readyz", "127.0.0.1:8081", "http://127.0.0.1/"])
def test_health_refuses_what_it_cannot_ask(url):
    asked = health("--url", url)
    assert asked.returncode == 2 and f"'{url}': expected" in asked.stderr

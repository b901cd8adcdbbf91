"""What the server loads, sends and writes: an ONNX Runtime that is too old, and its system calls while it scores."""

import os
import re
import subprocess
import sys
import zipfile

import pytest
import requests

OLD_VERSION = "1.27.0"
BODY = {"data": [[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]]}


@pytest.fixture(scope="module")
def old_library(tmp_path_factory):
    """The library of a release that leaks and crashes on hostile requests."""
    folder = tmp_path_factory.mktemp("old")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    pip += ["--only-binary=:all:", "--dest", folder, f"onnxruntime=={OLD_VERSION}"]
    subprocess.run(pip, check=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as files:
        (member,) = [name for name in files.namelist() if re.search(r"/libonnxruntime\.so[.\d]*$", name)]
        return files.extract(member, folder)


def test_old_runtime_is_refused(old_library, models, tmp_path):
    command = [os.environ["SCORIA_BIN"], "serve", models / "ridge", "--engine", "ort", "--ort-lib", old_library]
    command += ["--state-dir", tmp_path, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    # What it is, why that matters, and the ways out.
    for part in ("ONNX Runtime 1.27 ", "refused", "make", "--ort-lib", "--allow-old-ort"):
        assert part in done.stderr, (part, done.stderr)


def test_old_runtime_serves_if_told_to(old_library, serve, models):
    with serve(models / "ridge", ort_lib=old_library, allow_old_ort="true") as server:
        assert f"ONNX Runtime {OLD_VERSION}" in server.banner
        answer = requests.post(server.score_uri("ridge"), json=BODY)
        assert answer.status_code == 200
        assert answer.json()[0][0] == pytest.approx(-307.94867, rel=1e-5)


@pytest.mark.parametrize("engine", ["ort", "tract"])
def test_sends_nothing_and_writes_only_its_state(engine, serve, models, tmp_path):
    home, trace = tmp_path / "home", tmp_path / "trace"
    home.mkdir()
    environment = {f"XDG_{kind}_HOME": str(home / kind.lower()) for kind in ("CACHE", "STATE", "CONFIG")}
    environment["HOME"] = str(home)
    calls = "trace=%network,open,openat,openat2,creat,mkdir,mkdirat,rename,renameat,renameat2"
    calls += ",link,linkat,symlink,symlinkat"
    state = home / "scoria"
    server = serve(models / "ridge", engine=engine, state_dir=state, auth="key", env=environment)
    # The tests ask the Python package not to call home; the server must not need to be asked.
    del server.environment["ORT_DISABLE_TELEMETRY"]
    server.command = ["strace", "-f", "-qq", "-y", "-s", "256", "-e", calls, "-o", str(trace), *server.command]
    with server:
        headers = {"Authorization": f"Bearer {server.key('ridge')}"}
        for _ in range(3):
            assert requests.post(server.score_uri("ridge"), json=BODY, headers=headers).status_code == 200
        assert requests.get(f"{server.admin}/metrics").status_code == 200
        # strace passes no signal on, so the server itself is asked to end.
        (child,) = open(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read().split()
        os.kill(int(child), 15)
        assert server.process.wait(30) == 0
    lines = trace.read_text().splitlines()
    assert any("bind(" in line and "127.0.0.1" in line for line in lines), "the trace is not of the server"
    assert any("openat(" in line and str(state) in line for line in lines), "the trace is not of the server"

    sent = [line for line in lines if re.search(r"\b(connect|sendto|sendmsg|sendmmsg)\(", line)]
    # Answers go out on connections that clients opened; whatever names an address was the server's own idea.
    addressed = [line for line in sent if "sa_family=" in line]
    assert not addressed, addressed[:5]
    opened = [line for line in lines if re.search(r"\bsocket\(AF_INET6?, (SOCK_DGRAM|SOCK_RAW)", line)]
    assert not opened, opened[:5]

    writing = re.compile(r"O_(CREAT|WRONLY|RDWR)|\b(creat|mkdir(at)?|rename(at2?)?|(sym)?link(at)?)\(")
    written = [line for line in lines if writing.search(line)]
    paths = {path for line in written for path in re.findall(r'"([^"]*)"', line)}
    outside = {path for path in paths if not path.startswith(str(state)) and path != "/dev/null"}
    assert written and not outside, outside
    # And nothing by a way that the trace does not show.
    assert [path.name for path in home.iterdir()] == [state.name]

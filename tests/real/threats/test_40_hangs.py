"""Threat 40: something outside of the server hangs. Clients are served, probes are answered, and SIGTERM ends the process in time."""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import threading
import time

import onnx
import pytest
import requests

from bystander import Bystander
from kinds import ROW, SCORE
from scoria_server import wait_until
from stalls import Probes, Server, Silence, free_ports, stalled_pipe
from zoo.case import build, node

# While the thing hangs: long enough for everything that the server does by itself to come to it, at the intervals below.
HANG_S = 2
OFTEN = {"registry_poll_interval_ms": 50, "status_interval_ms": 100}
# More than the queue before the log holds, at some 250 bytes a line.
LINES = 8_000


@contextlib.contextmanager
def borne(server, ready=200):
    """A good client and probes that notice nothing."""
    with Bystander(server, SCORE, json.dumps({"data": ROW}), ROW) as good, Probes(server, ready) as probes:
        yield good
    assert good.requests > 0
    server.slowest_probe_s = probes.slowest_s


def write_much(server):
    """Has the server write lines until some have been dropped."""
    session = requests.Session()
    for _ in range(LINES):
        assert session.post(server.score_uri("row"), "no JSON", timeout=10).status_code == 400
    assert server.metric("scoria_log_lines_dropped_total") > 0


def read_for(reader, seconds):
    """What comes out of a pipe."""
    selector, words, end = selectors.DefaultSelector(), b"", time.monotonic() + seconds
    selector.register(reader, selectors.EVENT_READ)
    while (left := end - time.monotonic()) > 0:
        if selector.select(left):
            words += os.read(reader, 1 << 20)
            if b"were dropped" in words:
                break
    return words.decode()


LOUD = {"log_level": "debug", "log_sample_per_second": 1_000_000}


def test_a_log_that_nobody_reads_stops_nothing(tmp_path, row_model, figure):
    reader, writer = stalled_pipe()
    with Server(tmp_path, row_model, stderr=writer, **LOUD) as server:
        os.close(writer)
        server.wait_until_it_scores()
        with borne(server):
            write_much(server)
        figure(f"probes within {1000 * server.slowest_probe_s:.0f} ms while the log's reader is stalled")
        assert server.stop() == 0
    os.close(reader)


def test_a_reader_that_goes_on_is_told_what_it_has_missed(tmp_path, row_model):
    reader, writer = stalled_pipe()
    with Server(tmp_path, row_model, stderr=writer, **LOUD) as server:
        os.close(writer)
        server.wait_until_it_scores()
        write_much(server)
        lines = [json.loads(line) for line in read_for(reader, 30).rpartition("\n")[0].splitlines()]
        [told] = [line for line in lines if "were dropped" in line["message"]]
        assert told["lines"] > 0 and told["level"] == "WARN"
        # From now on nothing is missing, up to the last line.
        rest = []
        thread = threading.Thread(target=lambda: rest.extend(iter(lambda: os.read(reader, 65536), b"")))
        thread.start()
        assert server.stop() == 0
        thread.join()
        assert b'"message":"stopped"' in b"".join(rest)[-500:]
    os.close(reader)


def test_standard_output_that_nobody_reads_stops_nothing(tmp_path, row_model):
    reader, writer = stalled_pipe(is_full=True)
    with Server(tmp_path, row_model, stdout=writer) as server:
        os.close(writer)
        server.wait_until_it_scores()
        with borne(server):
            time.sleep(HANG_S)
        assert server.stop() == 0
    os.close(reader)


@pytest.fixture
def s3(tmp_path):
    """A store, and what its clients need to know; the port is that of whatever stands before it."""
    [port] = free_ports(1)
    command = ["moto_server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def has_bucket():
        with contextlib.suppress(requests.ConnectionError):
            return requests.put(f"http://127.0.0.1:{port}/models", timeout=10).ok

    wait_until(has_bucket, 60, "a store")
    keys = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
    yield port, lambda port: keys | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ALLOW_HTTP": "true"}
    process.kill()
    process.wait()


def publish(tmp_path, registry, model, env):
    """Registers a model and deploys it as `row`."""
    common = ["--registry", str(registry), "--state-dir", str(tmp_path / "desk"), "--engine", "ort"]
    for arguments in (["register", "row", model], ["deploy", "row:1", "--endpoint", "row"]):
        command = [os.environ["SCORIA_BIN"], *map(str, arguments), *common]
        done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr


def test_a_store_that_answers_and_then_does_not_stops_nothing(tmp_path, row_model, s3):
    port, variables = s3
    with Silence(port) as proxy:
        env = variables(proxy.port)
        publish(tmp_path, "s3://models/stalls", row_model, env)
        with Server(tmp_path / "server", registry="s3://models/stalls", env=env, **OFTEN) as server:
            server.wait_until_it_scores()
            with borne(server):
                proxy.stall()
                wait_until(lambda: proxy.taken > 0, 30, "a question to the store that hangs")
                time.sleep(HANG_S)
            assert server.stop() == 0


def test_a_store_that_never_answers_does_not_keep_the_server_from_ending(tmp_path):
    with Silence() as store:
        env = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
        env |= {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{store.port}", "AWS_ALLOW_HTTP": "true"}
        with Server(tmp_path, registry="s3://models/silent", env=env, **OFTEN) as server:
            wait_until(lambda: store.taken > 0, 60, "a question to the store")
            with Probes(server, ready=503):
                time.sleep(HANG_S)
            assert server.stop() == 0


def test_a_receiver_of_webhooks_that_never_answers_stops_nothing(tmp_path, row_model):
    registry = tmp_path / "registry"
    secret = {"HOOK": "whsec_" + "QUJD" * 8}
    publish(tmp_path, registry, row_model, {})
    with Silence() as receiver:
        hooks = {"webhook_urls": f"http://127.0.0.1:{receiver.port}/hook", "webhook_secret": "env:HOOK"}
        with Server(tmp_path / "server", registry=registry, env=secret, **OFTEN, **hooks) as server:
            server.wait_until_it_scores()
            with borne(server):
                # An event, so that there is something to send.
                publish_again = [os.environ["SCORIA_BIN"], "register", "row", str(row_model), "--registry", str(registry)]
                subprocess.run([*publish_again, "--state-dir", str(tmp_path / "desk")], check=True, capture_output=True)
                wait_until(lambda: receiver.taken > 0, 30, "an event")
                time.sleep(HANG_S)
            assert server.stop() == 0


@pytest.fixture(scope="module")
def one_long_operator(tmp_path_factory):
    """A model whose run is one product of matrices, which nothing can interrupt."""
    path = tmp_path_factory.mktemp("long") / "long.onnx"
    half = onnx.helper.make_tensor("half", onnx.TensorProto.FLOAT, [1], [0.5])
    nodes = [
        node("ConstantOfShape", "shape", "x", value=half),
        node("MatMul", ["x", "x"], "product"),
        node("ReduceMean", "product", "y", keepdims=0),
    ]
    onnx.save(build(nodes, [("shape", "int64", [2])], [("y", "float32", [])]), path)
    return path


LONG = json.dumps({"shape": [9_000, 9_000]})


def test_a_run_that_cannot_be_interrupted_stops_nothing(tmp_path, row_model, one_long_operator):
    limits = {"scoring_timeout_ms": 500, "intra_op_threads": 1}
    with Server(tmp_path, one_long_operator, row_model, **limits) as server:
        server.wait_until_it_scores()
        answers = []

        def ask():
            with contextlib.suppress(requests.ConnectionError):
                answers.append(requests.post(server.score_uri("long"), LONG, timeout=60).status_code)

        client = threading.Thread(target=ask)
        with borne(server):
            client.start()
            time.sleep(HANG_S)
        assert server.stop() == 0
        client.join()
    assert answers in ([], [504]), answers


def test_a_model_whose_loading_hangs_stops_nothing(tmp_path, row_model, one_long_operator):
    # Each look at its sample takes a minute.
    folder = tmp_path / "models"
    (folder / "zzz" / "1").mkdir(parents=True)
    (folder / "zzz" / "1" / "model.onnx").write_bytes(row_model.read_bytes())
    sample = folder / "zzz" / "1" / "sample_input.json"
    sample.write_text("{}")
    slow = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", str(sample)]
    slow += ["-e", "trace=openat,open", "-e", "inject=openat,open:delay_enter=60000000"]
    with Server(tmp_path / "server", row_model, folder, before=slow) as server:
        server.wait_until_it_scores()
        with borne(server, ready=503):
            time.sleep(HANG_S)
        assert server.stop() == 0


def test_a_disk_that_hangs_while_it_starts_does_not_keep_it_from_ending(tmp_path, row_model):
    # The place of the keys for administration is a pipe that nobody writes to.
    (tmp_path / "server").mkdir(mode=0o700)
    os.mkfifo(tmp_path / "server" / "admin.json", 0o600)
    with Server(tmp_path / "server", row_model, auth="key") as server:
        status = f"/proc/{server.pid}/status"

        def heeds_sigterm():
            caught = int([line for line in open(status) if line.startswith("SigCgt")][0].split()[1], 16)
            return caught >> (signal.SIGTERM - 1) & 1

        wait_until(heeds_sigterm, 30, "a server that waits for signals")
        assert server.stop() == 0


def test_a_disk_that_hangs_while_it_serves_stops_nothing(tmp_path, row_model):
    registry = tmp_path / "registry"
    publish(tmp_path, registry, row_model, {})
    # From some time on, every look at the registry's folder takes a minute.
    slow = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", str(registry / "endpoints")]
    slow += ["-e", "trace=openat,getdents64", "-e", "inject=openat,getdents64:delay_enter=60000000:when=40+"]
    with Server(tmp_path / "server", registry=registry, before=slow, **OFTEN) as server:
        server.wait_until_it_scores()
        with borne(server):
            time.sleep(2 * HANG_S)
        assert server.stop() == 0

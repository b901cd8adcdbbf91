"""Threat 20: a run that never ends. Its client gets 504 at the deadline, and its thread is free again."""

import concurrent.futures
import json
import time

import onnx
import pytest
import requests
from onnx import TensorProto, helper

from scoria_server import wait_until
from stalls import Reference
from zoo.case import build, constant, node

DEADLINE_MS = 500


@pytest.fixture(scope="module")
def loops(tmp_path_factory):
    """A model that counts to its input."""
    scalar = [helper.make_tensor_value_info(name, kind, []) for name, kind in (("i", 7), ("go", 9), ("sum", 1))]
    outputs = [helper.make_tensor_value_info(name, kind, []) for name, kind in (("still", 9), ("next", 1))]
    body = helper.make_graph(
        [node("Identity", "go", "still"), node("Add", ["sum", "one"], "next")],
        "body",
        scalar,
        outputs,
        [helper.make_tensor("one", TensorProto.FLOAT, [], [1.0])],
    )
    loop = node("Loop", ["times", "true", "start"], "y", body=body)
    path = tmp_path_factory.mktemp("loops") / "loop.onnx"
    truths = [helper.make_tensor("true", TensorProto.BOOL, [], [True]), constant("start", 0.0, "float32")]
    onnx.save(build([loop], [("times", "int64", [])], [("y", "float32", [])], truths), path)
    return path


def test_an_endless_loop_is_ended_at_the_deadline_and_others_are_served(serve, loops, row_model, bystander, figure):
    with serve(loops, row_model, scoring_timeout_ms=DEADLINE_MS, workers=1) as server, bystander(server) as good:
        uri = server.score_uri("loop")
        # The control: the same model on a number that it reaches.
        assert requests.post(uri, '{"times": 10}', timeout=10).json() == 10.0
        good.next_phase()
        late = []
        with Reference() as reference:
            for _ in range(3):
                begun = time.monotonic()
                answer = requests.post(uri, json.dumps({"times": 2**62}), timeout=10)
                late.append(1000 * (time.monotonic() - begun) - DEADLINE_MS)
                assert (answer.status_code, answer.json()["error"]["code"]) == (504, "deadline_exceeded")
        # The only session is free again.
        assert requests.post(uri, '{"times": 10}', timeout=10).json() == 10.0
    figure(f"504 at most {max(late):.0f} ms after the deadline; good client's p99 {good.p99_ms[1]:.0f} ms")
    assert max(late) < 500 + 1000 * reference.slowest_s


def test_runs_that_expire_do_not_hold_up_the_queue(serve, loops):
    # Longer than the deadline, so that it is the deadline which ends the wait.
    patient = {"queue_max_wait_ms": 10 * DEADLINE_MS}
    with serve(loops, scoring_timeout_ms=DEADLINE_MS, workers=1, **patient) as server:
        uri = server.score_uri("loop")
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            endless = [pool.submit(requests.post, uri, json.dumps({"times": 2**62}), timeout=10) for _ in range(8)]
            codes = {future.result().status_code for future in endless}
        assert codes == {504}
        # Until the worker has thrown out what has expired, that counts among those who wait: a moment of 429.
        wait_until(lambda: requests.post(uri, '{"times": 3}', timeout=10).text == "3.0", 2, "a free worker")

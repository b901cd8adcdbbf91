"""What operators see: metrics that Prometheus's own tool accepts and that add up."""

import json
import re
import subprocess

import pytest
import requests

import wire

GOOD = json.dumps({"data": [[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]]})


@pytest.fixture
def busy(serve, models):
    """A server after some traffic, and how many answers of each code each endpoint gave; "" is no endpoint."""
    with serve(models, auth="key", log_sample_per_second=10_000, log_level="debug") as server:
        keys = {name: {"Authorization": f"Bearer {server.key(name)}"} for name in ("ridge", "wine")}
        secondary = {"Authorization": f"Bearer {server.key('ridge', 'secondary')}"}
        uri = server.score_uri("ridge")
        counts = {}

        def send(count, name, status, *, method="POST", to=uri, **request):
            for _ in range(count):
                answer = requests.request(method, to, **request)
                assert answer.status_code == status, answer.text
            counts[name, status] = counts.get((name, status), 0) + count

        send(50, "ridge", 200, data=GOOD, headers=keys["ridge"])
        send(5, "ridge", 200, data=GOOD, headers=secondary)
        send(7, "ridge", 400, data="{", headers=keys["ridge"])
        send(3, "ridge", 400, data="{}", headers={**keys["ridge"], "Content-Type": wire.NPZ})
        send(2, "ridge", 415, data=GOOD, headers={**keys["ridge"], "Content-Type": "text/html"})
        send(4, "ridge", 401, data=GOOD)
        send(2, "ridge", 401, data=GOOD, headers={"Authorization": "Bearer canary-of-a-wrong-key"})
        send(3, "ridge", 403, data=GOOD, headers=keys["wine"])
        send(6, "wine", 400, to=server.score_uri("wine"), data=GOOD, headers=keys["wine"])
        send(9, "", 404, to=server.score_uri("nothing"), data=GOOD, headers=keys["ridge"])
        send(
            1,
            "",
            404,
            to=f"{server.base}/{keys['ridge']['Authorization'].split()[1][:4]}",
            data=GOOD,
            headers=keys["ridge"],
        )
        yield server, counts


def metrics_of(server):
    """Every sample: name and labels to value."""
    text = requests.get(f"{server.admin}/metrics").text
    samples = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, labels, value = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line).groups()
            samples[name, tuple(sorted(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or "")))] = float(value)
    return samples


def total(samples, name, **labels):
    """The sum over all samples of a name that have these labels."""
    wanted = set(labels.items())
    return sum(value for (found, tags), value in samples.items() if found == name and wanted <= set(tags))


def test_promtool_finds_nothing(busy):
    server, _ = busy
    answer = requests.get(f"{server.admin}/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=answer.text, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_counters_add_up(busy):
    server, counts = busy
    samples = metrics_of(server)
    for (name, status), count in counts.items():
        if name:
            assert total(samples, "scoria_requests_total", endpoint=name, code=str(status)) == count, (name, status)
        else:
            assert total(samples, "scoria_unrouted_requests_total", code=str(status)) == count
    for name in ("ridge", "wine", "digits"):
        asked = sum(count for (endpoint, _), count in counts.items() if endpoint == name)
        assert total(samples, "scoria_requests_total", endpoint=name) == asked
        assert total(samples, "scoria_request_duration_seconds_count", endpoint=name) == asked
        assert total(samples, "scoria_requests_in_flight", endpoint=name) == 0
        assert total(samples, "scoria_queue_depth", endpoint=name) == 0
    scored = counts["ridge", 200]
    assert total(samples, "scoria_stage_duration_seconds_count", endpoint="ridge", stage="run") == scored
    assert total(samples, "scoria_batch_size_sum", endpoint="ridge") == scored
    assert total(samples, "scoria_deployment_ready") == 4
    # Once more, and each goes up by just that.
    key = {"Authorization": f"Bearer {server.key('ridge')}"}
    answer = requests.post(server.score_uri("ridge"), data=GOOD, headers=key)
    after = metrics_of(server)
    for name, by in (
        ("requests_total", 1),
        ("request_bytes_total", len(GOOD)),
        ("response_bytes_total", len(answer.content)),
    ):
        name = f"scoria_{name}"
        assert total(after, name, endpoint="ridge") - total(samples, name, endpoint="ridge") == by, name

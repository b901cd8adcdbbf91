"""Models that the server has never seen, by the Open Inference Protocol in JSON and in binary form, against ONNX Runtime."""

import numpy as np
import pytest

import open_inference as v2
import wire
from compare import as_json_shows, check_array
from reference import Reference, Refused
from test_differential import generated, loads_not, report, states  # noqa: F401 (a fixture)


class Checker:
    """Scores a case in each form, and notes what is wrong with the answers."""

    def __init__(self, server):
        self.client = v2.Client(server)
        self.failures = []
        self.answers = 0
        self.rejected = 0
        self.uncarried = 0

    def check(self, case, reference):
        for number, feed in enumerate(case.feeds):
            feed = {name: feed[name] for name in reference.inputs}
            try:
                expected = reference.run(feed)
            except Refused:
                expected = None
            for label, (body, headers) in requests_of(feed):
                try:
                    self.score(case, label, body, headers, expected)
                except Exception as error:  # whatever is wrong with the answer, the next one is looked at too
                    self.failures.append(f"{case.name} feed {number} as {label}: {error}"[:600])

    def score(self, case, label, body, headers, expected):
        status, answered, answer = self.client.infer(case.name, body, headers)
        if expected is None:
            assert 400 <= status < 500, f"the reference refuses this, the answer was {status}: {answer[:200]}"
            self.rejected += 1
            return
        wanted = {name: carried(value) for name, value in expected.items()}
        if status in (400, 406) and any(value is None for value in wanted.values()):
            assert b"scoring URI" in answer, answer[:300]
            self.uncarried += 1
            return
        assert status == 200, f"{status}: {answer[:300]}"
        found = v2.outputs_of(answer, answered)
        wanted = {name: value for name, value in wanted.items() if value is not None}
        assert list(found) == list(wanted), f"outputs {list(found)}, expected {list(wanted)}"
        for name, value in wanted.items():
            if isinstance(found[name], tuple):
                check_array(name, v2.array_of(*found[name]), as_json_shows(value), case.exact)
            else:
                check_array(name, found[name], value, case.exact)
        self.answers += 1


def requests_of(feed):
    yield "binary", v2.binary_request(feed)
    if all(map(wire.is_finite, feed.values())):
        yield "json", v2.json_request(feed)
        # An empty list does not tell how deep it would be.
        if all(array.size for array in feed.values()):
            yield "json nested", v2.json_request(feed, nested=True)


def carried(value):
    """What the protocol makes of an output: an array as it is, rows of maps with the same keys as their values."""
    if isinstance(value, np.ndarray):
        return value
    rows = value if isinstance(value, list) else [value]
    if all(isinstance(row, dict) for row in rows) and len({tuple(row) for row in rows}) == 1:
        values = np.array([list(row.values()) for row in rows], np.float32)
        return values if isinstance(value, list) else values[0]
    return None


@pytest.mark.parametrize("engine", ["ort"])
def test_every_model_is_answered_as_by_the_runtime(generated, serve, engine):  # noqa: F811 (the fixture)
    cases, folder = generated
    with serve(folder, engine=engine) as server:
        served = {name for name, state in states(server).items() if state == "ready"}
        checker = Checker(server)
        for name in served:
            if not loads_not(cases[name]):
                checker.check(cases[name], Reference(cases[name].model))
        report(checker)
        assert server.is_alive()
    assert len(served) > 1500 and checker.answers > 10_000, (len(served), checker.answers, checker.uncarried)

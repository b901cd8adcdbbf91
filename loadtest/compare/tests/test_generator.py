"""What is read out of the generator's account."""

import copy

import pytest

from compare.generator import CannotMeasure, duration, parse

ACCOUNT = {
    "schema": "scoria-loadtest/1",
    "runs": [
        {
            "requests": {
                "ok": 1000,
                "refused": 3000,
                "failed": 2,
                "by_status": {"200": 1000, "429": 3000},
                "by_failure": {},
            },
            "throughput_per_s": 500.0,
            "answers_per_s": 2000.0,
            "latency_us": {"p50": 900.0, "p99": 4000.0},
            "server": {"cpu_s": 0.5, "cpu_us_per_answer": 125.0},
            "generator": {"cpu_s": 0.02, "cpu_us_per_answer": 5.0},
            "busy": {"foreign_cores": 0.03},
        }
    ],
}


def test_only_requests_that_were_answered_count():
    found = parse(ACCOUNT)
    assert (found.requests_per_s, found.errors) == (500.0, 3002)
    assert (found.p50_us, found.p99_us, found.foreign_cores) == (900.0, 4000.0, 0.03)


def test_what_refusals_cost_is_part_of_the_cost_of_an_answer():
    found = parse(ACCOUNT)
    assert found.cpu_us_per_request == pytest.approx(500)
    assert found.generator_cpu_us_per_request == pytest.approx(20)


def test_less_than_a_tick_is_taken_for_one():
    account = copy.deepcopy(ACCOUNT)
    account["runs"][0]["server"]["cpu_s"] = 0.0
    assert parse(account).cpu_us_per_request == pytest.approx(10)


def test_nothing_answered_is_no_measurement():
    account = copy.deepcopy(ACCOUNT)
    account["runs"][0]["requests"]["ok"] = 0
    with pytest.raises(CannotMeasure, match="no request was answered: .*429"):
        parse(account)


def test_another_schema_is_refused():
    with pytest.raises(CannotMeasure, match=r"speak scoria-loadtest/1, got scoria-loadtest/2"):
        parse({**ACCOUNT, "schema": "scoria-loadtest/2"})


def test_durations_are_whole_milliseconds():
    assert [duration(seconds) for seconds in (0.6, 2.0, 0.2251)] == ["600ms", "2000ms", "225ms"]

"""The statistics, against values that are known otherwise."""

import math

import numpy as np
import pytest

from compare.interval import RESAMPLES, Ratio, figure, geometric_mean, ratio, tail_probability


def test_rounds_that_agree_leave_no_doubt():
    assert ratio([30.0, 60.0, 12.0], [10.0, 20.0, 4.0]) == Ratio(pytest.approx(3), pytest.approx(3), pytest.approx(3))


def test_what_slows_a_whole_round_does_not_show():
    # The machine is ten times slower in the second round.
    found = ratio([200.0, 20.0, 202.0], [100.0, 10.0, 100.0])
    assert found.mean == pytest.approx((2 * 2 * 2.02) ** (1 / 3))
    assert found.high < 2.03


def test_a_ratio_and_its_inverse_say_the_same():
    of, to = [5.0, 6.5, 5.8, 7.0, 6.1], [2.0, 2.2, 1.9, 2.4, 2.0]
    there, back = ratio(of, to), ratio(to, of)
    assert there.mean == pytest.approx(1 / back.mean)
    # The resampled means are the same, mirrored; only quantiles between two of them differ.
    assert there.low == pytest.approx(1 / back.high)
    assert there.high == pytest.approx(1 / back.low)


def test_one_round_has_no_interval():
    assert ratio([4.0], [2.0]) == Ratio(pytest.approx(2), None, None)
    assert str(ratio([4.0], [2.0])) == "2.00"


def test_rounds_that_do_not_pair_are_refused():
    with pytest.raises(ValueError, match="as many rounds"):
        ratio([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="at least one"):
        ratio([], [])


def test_many_rounds_give_the_interval_of_students_t():
    rounds = 400
    noise = np.random.default_rng(7).normal(math.log(2), 0.2, rounds)
    found = ratio(list(np.exp(noise)), [1.0] * rounds)
    half_width = 1.966 * noise.std(ddof=1) / math.sqrt(rounds)
    assert math.log(found.low) == pytest.approx(noise.mean() - half_width, abs=0.15 * half_width)
    assert math.log(found.high) == pytest.approx(noise.mean() + half_width, abs=0.15 * half_width)


@pytest.mark.parametrize("rounds", [10, 20])
def test_the_true_ratio_lies_in_95_of_100_intervals(rounds):
    generator = np.random.default_rng(11)
    experiments = 600
    held = 0
    for _ in range(experiments):
        found = ratio(list(3 * generator.lognormal(0, 0.1, rounds)), list(generator.lognormal(0, 0.1, rounds)))
        held += found.low <= 3 <= found.high
    # Three standard errors of such a count are 2.7 %.
    assert 0.923 <= held / experiments <= 0.977


def test_tails_are_cut_as_published():
    # α/2 of the expanded percentile interval for n = 10: Φ(-√(10/9) · 2.262).
    assert tail_probability(10) == pytest.approx(0.00855, abs=5e-5)
    assert tail_probability(1000) == pytest.approx(0.025, abs=2e-4)
    # Ten rounds leave enough of the resamples beyond each end to tell it.
    assert RESAMPLES * tail_probability(10) > 80


def test_rates_are_averaged_as_ratios_are():
    assert geometric_mean([1.0, 100.0]) == pytest.approx(10)


def test_figures_have_three_digits():
    assert [figure(value) for value in (0.0, 0.012345, 1.2345, 12.345, 123.45, 123456.7)] == [
        "0.0", "0.0123", "1.23", "12.3", "123", "123,457",
    ]  # fmt: skip

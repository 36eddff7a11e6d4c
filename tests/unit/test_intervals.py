"""How often intervals hold the truth, in simulation; and what they do at the ends of the scale."""

from functools import partial
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl.evaluation.statistics import (
    difference_over_problems,
    mean_of_amounts,
    mean_over_problems,
    t_quantile,
)

ROUNDS = 1600  # the standard error of a coverage is then half a percent


large = partial(pytest.param, marks=pytest.mark.slow)


def problems(rng, families, size, rate, alike):
    """Chance of a right answer for each problem: drawn around `rate`, and with probability `alike`
    the same as that of its family. (families * size,)"""
    own = rng.beta(2 * rate, 2 - 2 * rate, families * size)
    shared = np.repeat(rng.beta(2 * rate, 2 - 2 * rate, families), size)
    return np.where(rng.random(families * size) < alike, shared, own)


def coverage(draw, estimate, truth, seed):
    rng = np.random.default_rng(seed)
    intervals = (estimate(*(part.tolist() for part in draw(rng))) for _ in range(ROUNDS))
    return sum(found.low <= truth <= found.high for found in intervals) / ROUNDS


def labels(families, size):
    return np.repeat(np.arange(families), size).tolist()


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5, 0.8, 0.95])
@pytest.mark.parametrize("n", [60, 100, 150, 300])
def test_the_interval_of_yes_or_no_problems_holds_the_truth_95_times_in_100(n, rate):
    """Not in simulation: the exact chance, over how many of n are right."""
    held = 0.0
    for right in range(n + 1):
        found = mean_over_problems([1.0] * right + [0.0] * (n - right))
        if found.low <= rate <= found.high:
            held += comb(n, right) * rate**right * (1 - rate) ** (n - right)
    assert 0.93 <= held <= 0.9705  # Wilson's for 60 problems at .95: .9703


@pytest.mark.parametrize("samples", [4, 16])
@pytest.mark.parametrize(
    ("n", "rate"),
    [(30, 0.5), (60, 0.1), (60, 0.7), large(150, 0.95), large(150, 0.3), large(500, 0.98)],
)
def test_the_interval_of_a_mean_holds_the_truth_95_times_in_100(n, rate, samples):
    def draw(rng):
        return [rng.binomial(samples, problems(rng, n, 1, rate, 0)) / samples]

    assert 0.93 <= coverage(draw, mean_over_problems, rate, seed=1) <= 0.97


@pytest.mark.parametrize("alike", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(
    ("families", "size", "rate"), [(20, 5, 0.5), (40, 2, 0.8), large(40, 5, 0.2), large(80, 3, 0.9)]
)
def test_so_does_that_of_problems_in_families(families, size, rate, alike):
    def draw(rng):
        return [rng.binomial(4, problems(rng, families, size, rate, alike)) / 4]

    estimate = partial(mean_over_problems, families=labels(families, size))
    assert 0.93 <= coverage(draw, estimate, rate, seed=2) <= 0.97


def test_an_interval_that_knows_nothing_of_families_is_too_narrow():
    """What the families are for: the same answers, each problem taken for one of its own."""

    def draw(rng):
        return [rng.binomial(4, problems(rng, 40, 5, 0.4, 1.0)) / 4]

    assert coverage(draw, mean_over_problems, 0.4, seed=3) < 0.8


@pytest.mark.parametrize(
    ("families", "size", "alike"), [(40, 1, 0), (40, 2, 0.8), large(150, 1, 0), large(100, 4, 0.8)]
)
@pytest.mark.parametrize(("rate", "gain"), [(0.5, 0.0), (0.3, 0.1), (0.6, 0.3)])
def test_the_interval_of_a_difference_holds_the_truth_95_times_in_100(
    families, size, alike, rate, gain
):
    """`gain` is the share of problems that the second checkpoint has learnt for good."""

    def draw(rng):
        before = problems(rng, families, size, rate, alike)
        learnt = rng.random(families * size) < gain
        return [rng.binomial(4, p) / 4 for p in (before, np.where(learnt, 1.0, before))]

    estimate = partial(difference_over_problems, families=labels(families, size))
    assert 0.93 <= coverage(draw, estimate, gain * (1 - rate), seed=4) <= 0.97


@pytest.mark.parametrize(("families", "size"), [(40, 1), (30, 5)])
def test_the_interval_of_a_mean_length_holds_the_truth_95_times_in_100(families, size):
    def draw(rng):
        usual = np.repeat(rng.normal(200, 40, families), size)
        return [usual + rng.normal(0, 40, families * size)]

    estimate = partial(mean_of_amounts, families=labels(families, size))
    assert 0.93 <= coverage(draw, estimate, 200, seed=5) <= 0.97


def test_pairing_takes_out_how_hard_the_problems_are():
    before = [i / 99 for i in range(100)]
    after = [min(1.0, x + 0.02) for x in before]
    found = difference_over_problems(before, after)
    assert 0 < found.low < found.value < found.high
    assert mean_over_problems(after).low < mean_over_problems(before).value


def test_no_difference_anywhere_still_has_an_interval():
    found = difference_over_problems([1.0] * 100, [1.0] * 100)
    assert found.value == 0
    assert found.low == -found.high
    assert 0.005 < found.high < 0.03


def test_families_that_are_right_or_wrong_as_a_whole_count_as_one_problem_each():
    scores, families = [1.0] * 60 + [0.0] * 40, [i // 5 for i in range(100)]
    clustered, alone = (
        mean_over_problems(scores, families),
        mean_over_problems([1.0] * 12 + [0.0] * 8),
    )
    assert clustered.value == alone.value
    assert clustered == pytest.approx(alone, abs=1e-9)


def test_one_family_tells_nearly_nothing():
    found = mean_over_problems([1.0] * 20, [0] * 20)
    assert found.low < 0.25
    assert difference_over_problems([0.0] * 20, [1.0] * 20, [0] * 20)[1:] == (-1, 1)
    assert mean_of_amounts([5.0] * 3, [0] * 3)[1:] == (0, float("inf"))


@pytest.mark.parametrize(
    ("df", "value"), [(1, 12.706), (2, 4.303), (3, 3.182), (10, 2.228), (30, 2.042), (100, 1.984)]
)
def test_students_quantiles_are_those_of_the_tables(df, value):
    assert t_quantile(df) == pytest.approx(value, abs=5e-4)


scores = st.floats(0, 1)


@settings(deadline=None)
@given(st.lists(st.tuples(scores, scores, st.integers(0, 5)), min_size=1, max_size=30))
def test_an_interval_holds_its_value_and_stays_on_the_scale(rows):
    first, second, families = (list(column) for column in zip(*rows, strict=True))
    mean = mean_over_problems(first, families)
    assert 0 <= mean.low <= mean.value + 1e-9
    assert mean.value - 1e-9 <= mean.high <= 1
    difference = difference_over_problems(first, second, families)
    assert -1 <= difference.low <= difference.value <= difference.high <= 1


@settings(deadline=None)
@given(st.lists(st.tuples(scores, scores), min_size=2, max_size=30))
def test_the_other_way_round_is_the_same_difference(rows):
    first, second = (list(column) for column in zip(*rows, strict=True))
    there, back = difference_over_problems(first, second), difference_over_problems(second, first)
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low))

"""The published curves are found again, exactly and through noise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl.scaling.curves import PowerLaw, Sigmoid, fit_power_law, fit_sigmoid

# arXiv 2510.13786, table 1: midpoint in GPU-hours, exponent, asymptote; and how far the run went.
PUBLISHED = {
    "8B, batch 768": (2542, 1.92, 0.610, 16_000),
    "32k context": (11272, 1.89, 0.645, 50_000),
    "batch 512": (2818, 1.77, 0.605, 16_000),
    "batch 2048": (10909, 1.70, 0.645, 50_000),
    "MoE": (4242, 1.65, 0.710, 16_000),
}
START = 0.35  # not in the table


def sigmoid(midpoint: float, exponent: float, asymptote: float, start: float = START) -> Sigmoid:
    return Sigmoid(*(np.array([x]) for x in (start, asymptote, midpoint, exponent)))


def evaluations(until: float) -> np.ndarray:
    """Compute at each, about 100 steps apart and without the first epoch."""
    return np.arange(1500, until + 1, 150 if until < 50_000 else 700, dtype=float)


def one(start: float = START) -> np.ndarray:
    return np.array([start])


@pytest.mark.parametrize("start", [0.2, START])
@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_curve_is_found_again_from_its_points(name, start):
    midpoint, exponent, asymptote, until = PUBLISHED[name]
    compute = evaluations(until)
    scores = sigmoid(midpoint, exponent, asymptote, start).at(compute)
    found = fit_sigmoid(compute, scores[None], one(start))
    # Asked for are .01 and 5 %; what is seen is 1e-6.
    assert found.asymptote == pytest.approx(asymptote, abs=1e-4)
    assert found.exponent == pytest.approx(exponent, rel=1e-3)
    assert found.midpoint == pytest.approx(midpoint, rel=1e-3)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_asymptote_is_found_within_02_through_the_noise_of_16_answers(name):
    """1,000 problems of every difficulty, others at every evaluation: more noise than there is
    where all evaluations have the same problems."""
    midpoint, exponent, asymptote, until = PUBLISHED[name]
    compute, rng = evaluations(until), np.random.default_rng(0)
    true = sigmoid(midpoint, exponent, asymptote)

    def measured(score: np.ndarray) -> np.ndarray:
        difficulty = rng.beta(2 * score[:, None], 2 * (1 - score[:, None]), (len(score), 1000))
        return rng.binomial(16, difficulty).mean(1) / 16

    scores = np.stack([measured(true.at(compute)) for _ in range(4)])
    starts = measured(np.full(4, START))
    found = fit_sigmoid(compute, scores, starts)
    assert np.abs(found.asymptote - asymptote).max() < 0.02


def test_the_search_finds_what_the_published_grid_finds():
    """Asymptotes .005 apart, 100 midpoints, for each pair the exponent with the least squares."""
    compute = np.linspace(1500, 16_000, 15)
    rng = np.random.default_rng(1)
    scores = sigmoid(2542, 1.92, 0.61).at(compute) + 0.004 * rng.standard_normal(15)
    asymptotes = np.arange(0.55, 0.7001, 0.005)
    midpoints, exponents = np.linspace(100, 40_000, 100), np.arange(1, 3, 0.02)
    grid = Sigmoid(
        np.array(START),
        asymptotes[:, None, None, None],
        midpoints[:, None, None],
        exponents[:, None],
    )
    squares = ((grid.at(compute) - scores) ** 2).sum(-1)
    a, m, b = np.unravel_index(squares.argmin(), squares.shape)
    found = fit_sigmoid(compute, scores[None], one())
    assert found.asymptote == pytest.approx(asymptotes[a], abs=0.005)
    assert found.exponent == pytest.approx(exponents[b], rel=0.1)
    assert found.midpoint == pytest.approx(midpoints[m], abs=midpoints[1] - midpoints[0])
    assert ((found.at(compute) - scores) ** 2).sum() <= squares.min()


def test_a_sigmoid_starts_at_its_start_and_is_halfway_at_its_midpoint():
    curve = sigmoid(midpoint=8.0, exponent=1.0, asymptote=0.9, start=0.1)
    assert curve.at(0.0) == pytest.approx(0.1)
    assert curve.at(8.0) == pytest.approx(0.5)
    assert curve.at(24.0) == pytest.approx(0.1 + 0.8 * 3 / 4)
    assert curve.reaching(0.5) == pytest.approx(8.0)
    assert curve.reaching(0.1) == 0
    assert curve.reaching(0.05) == 0
    assert np.isinf(curve.reaching(0.9))
    assert np.isinf(curve.reaching(1.0))


def test_a_curve_that_does_not_rise_reaches_nothing_above_it():
    flat = sigmoid(midpoint=8.0, exponent=1.0, asymptote=0.4, start=0.4)
    assert flat.reaching(0.4) == 0
    assert np.isinf(flat.reaching(0.5))


curves = st.tuples(
    st.floats(0.1, 100.0), st.floats(0.3, 5.0), st.floats(0.5, 1.0), st.floats(0.0, 0.4)
)


@given(curves, st.floats(0.02, 0.98))
def test_the_compute_that_reaches_a_score_brings_it(parameters, share):
    curve = sigmoid(*parameters)
    score = float(curve.start[0] + share * (curve.asymptote - curve.start)[0])
    assert curve.at(curve.reaching(score)) == pytest.approx(score, abs=1e-6)


@settings(max_examples=40)
@given(curves, st.integers(5, 20), st.integers(0, 2**32 - 1))
def test_no_curve_that_scores_can_be_drawn_from_fits_them_better(parameters, n, seed):
    curve, compute = sigmoid(*parameters), np.linspace(1.0, 30.0, n)
    noisy = curve.at(compute) + 0.02 * np.random.default_rng(seed).standard_normal(n)
    found = fit_sigmoid(compute, noisy[None], curve.start)
    squares = ((found.at(compute) - noisy) ** 2).sum()
    assert squares <= ((curve.at(compute) - noisy) ** 2).sum() + 1e-6
    assert curve.start[0] <= found.asymptote[0] <= 1


def test_copies_are_fitted_as_if_alone():
    compute, rng = np.linspace(1, 20, 9), np.random.default_rng(0)
    noisy = sigmoid(4.0, 1.5, 0.8).at(compute) + 0.02 * rng.standard_normal((3, 9))
    starts = np.array([0.3, 0.35, 0.4])
    together = fit_sigmoid(compute, noisy, starts)
    for row in range(3):
        alone = fit_sigmoid(compute, noisy[row : row + 1], starts[row : row + 1])
        for both, single in zip(together, alone, strict=True):
            assert both[row] == pytest.approx(single[0], rel=1e-9)


def test_with_a_known_asymptote_midpoint_and_exponent_are_found():
    compute = np.linspace(1, 20, 9)
    scores = sigmoid(4.0, 1.5, 0.8).at(compute)
    found = fit_sigmoid(compute, scores[None], one(), asymptote=0.8)
    assert found.asymptote == pytest.approx(0.8)
    assert found.midpoint == pytest.approx(4.0, rel=1e-3)
    assert found.exponent == pytest.approx(1.5, rel=1e-3)


def test_a_power_law_is_found_again_and_does_not_end_above_1():
    compute = np.linspace(1.0, 40.0, 12)
    true = PowerLaw(np.array([0.8]), np.array([0.3]), np.array([0.6]), 5.0)
    found = fit_power_law(compute, true.at(compute)[None])
    assert found.asymptote == pytest.approx(0.8, abs=1e-3)
    assert found.exponent == pytest.approx(0.6, rel=0.02)
    assert found.at(100.0) == pytest.approx(true.at(100.0), abs=1e-3)
    rising = 0.1 + 0.2 * np.log(compute)
    assert fit_power_law(compute, rising[None]).asymptote == pytest.approx(1.0)


def test_a_power_law_misses_the_end_of_a_sigmoid_as_published():
    """Appendix A.4: fitted up to 50,000 GPU-hours, a power law ended at 1.0, where .645 was right;
    the sigmoid was right."""
    compute = evaluations(50_000)
    scores = sigmoid(10909, 1.70, 0.645).at(compute)[None]
    assert fit_power_law(compute, scores).asymptote[0] > 0.75
    assert fit_sigmoid(compute, scores, one()).asymptote[0] == pytest.approx(0.645, abs=1e-3)

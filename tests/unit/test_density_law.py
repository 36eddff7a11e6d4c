"""The curve of a reference family: laws, their inverses, fits to points drawn from them."""

from dataclasses import replace
from math import exp, inf, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl.density.fit import (
    Member,
    NoCurve,
    Reference,
    fit_loss_law,
    fit_reference,
    fit_score_law,
)
from rl.density.law import Curve, LogSize, LossLaw, ScoreLaw, Span
from rl.evaluation.statistics import Estimate

SIZES = (21_920, 47_968, 117_632, 247_040, 662_528, 2_067_968)
D0 = 1.1e6
CURVE = Curve(LossLaw(3.0, 0.35, 0.02, 0.0), ScoreLaw(0.95, -40.0, 0.09, 0.02), D0, *SIZES[::5])


def members(curve: Curve = CURVE, noise: float = 0.0, seed: int = 0) -> list[Member]:
    """A table drawn from a curve: losses off by a factor of 1 + noise, scores by a third of it."""
    rng = np.random.default_rng(seed)
    found = []
    for n in SIZES:
        loss = curve.loss_law.loss(n, D0) * exp(noise * rng.standard_normal())
        score = float(np.clip(curve.score(n) + noise / 3 * rng.standard_normal(), 0, 1))
        estimate = Estimate(score, max(0.0, score - 0.65 * noise), min(1.0, score + 0.65 * noise))
        found.append(Member(str(n), n, D0, loss, estimate, 30.0))
    return found


def test_a_loss_is_the_sum_of_what_size_and_data_leave() -> None:
    law = LossLaw(a=8.0, alpha=0.5, b=6.0, beta=1.0)
    assert law.loss(16.0, 3.0) == pytest.approx(8 / 4 + 6 / 3)
    assert law.parameters(4.0, 3.0) == pytest.approx(16.0)


def test_no_size_has_a_loss_at_or_below_what_the_data_leave() -> None:
    law = LossLaw(a=8.0, alpha=0.5, b=6.0, beta=1.0)
    assert law.parameters(2.0, 3.0) == inf
    assert law.parameters(1.0, 3.0) == inf


def test_a_score_is_half_way_at_l_and_falls_as_the_loss_rises() -> None:
    law = ScoreLaw(c=0.8, gamma=-2.0, l=1.5, d=0.1)
    assert law.score(1.5) == pytest.approx(0.5)
    assert law.score(1.5 + log(3) / 2) == pytest.approx(0.8 / 4 + 0.1)
    assert law.score(1e9) == pytest.approx(0.1)
    assert law.score(-1e9) == pytest.approx(0.9)


@given(st.floats(0.13, 0.87), st.floats(-50, -0.1), st.floats(-3, 3))
def test_the_loss_of_a_score_has_that_score(score: float, gamma: float, middle: float) -> None:
    law = ScoreLaw(c=0.75, gamma=gamma, l=middle, d=0.125)
    assert law.score(law.loss(score)) == pytest.approx(score)


@pytest.mark.parametrize("score", [0.0, 0.1, 0.9, 1.0])
def test_a_score_that_no_loss_has_is_refused(score: float) -> None:
    with pytest.raises(ValueError, match=r"is not between 0\.1 and 0\.9"):
        ScoreLaw(c=0.8, gamma=-2.0, l=1.5, d=0.1).loss(score)


@given(st.floats(log(SIZES[0]) + 1e-6, log(SIZES[-1]) - 1e-6))
def test_the_effective_size_of_a_members_score_is_its_size(ln_n: float) -> None:
    span = CURVE.effective_size(CURVE.score(exp(ln_n)))
    assert span.known
    assert span.low == pytest.approx(exp(ln_n), rel=1e-6)


@pytest.mark.parametrize("beyond", [0.0, 1e-9, 0.05])
def test_at_and_beyond_the_ends_of_the_family_only_a_bound_is_known(beyond: float) -> None:
    top, bottom = CURVE.score(SIZES[-1]), CURVE.score(SIZES[0])
    assert CURVE.effective_size(top + beyond) == Span(SIZES[-1], inf)
    assert CURVE.effective_size(bottom - beyond) == Span(0.0, SIZES[0])
    assert CURVE.effective_size(1.0) == Span(SIZES[-1], inf)
    assert CURVE.effective_size(0.0) == Span(0.0, SIZES[0])


def test_a_loss_law_is_found_in_points_drawn_from_it_at_one_d() -> None:
    sizes = np.array(SIZES, float)
    law = LossLaw(3.0, 0.35, 0.02, 0.0)
    losses = np.array([law.loss(n, D0) for n in sizes])
    found = fit_loss_law(sizes, np.full(6, D0), losses)
    assert found.alpha == pytest.approx(0.35, rel=1e-3)
    assert found.a == pytest.approx(3.0, rel=1e-2)
    assert found.b == pytest.approx(0.02, rel=1e-2)
    assert found.beta == 0


def test_a_loss_law_is_found_in_points_of_several_d() -> None:
    n, d = (x.ravel() for x in np.meshgrid([1e6, 1e7, 1e8, 1e9], [1e8, 1e9, 1e10, 1e11]))
    law = LossLaw(400.0, 0.34, 410.0, 0.28)  # the size of what is published for large models
    losses = np.array([law.loss(*pair) for pair in zip(n, d, strict=True)])
    found = fit_loss_law(n, d, losses)
    assert (found.alpha, found.beta) == pytest.approx((0.34, 0.28), rel=1e-3)
    assert (found.a, found.b) == pytest.approx((400, 410), rel=2e-2)


def test_a_score_law_is_found_in_points_drawn_from_it() -> None:
    losses = np.array([CURVE.loss_law.loss(n, D0) for n in SIZES])
    scores = np.array([CURVE.score_law.score(x) for x in losses])
    found = fit_score_law(losses, scores)
    assert (found.c, found.gamma, found.l, found.d) == pytest.approx(
        (0.95, -40, 0.09, 0.02), rel=2e-2
    )


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=6, max_size=6))
def test_whatever_the_scores_a_fitted_law_keeps_its_bounds(scores: list[float]) -> None:
    law = fit_score_law(np.linspace(1.0, 0.2, 6), np.array(scores))
    assert law.gamma < 0
    assert law.c >= 0
    assert law.d >= 0
    assert law.c + law.d <= 1 + 1e-12
    worst = sum((s - np.mean(scores)) ** 2 for s in scores)  # c = 0 is allowed
    squares = sum(
        (law.score(x) - s) ** 2 for x, s in zip(np.linspace(1.0, 0.2, 6), scores, strict=True)
    )
    assert squares <= worst + 1e-9


@pytest.fixture(scope="module")
def noisy() -> Reference:
    return fit_reference(members(noise=0.03))


def test_a_family_without_noise_gives_its_curve_back() -> None:
    found = fit_reference(members(), replicates=2)
    for n in np.geomspace(SIZES[0] * 1.01, SIZES[-1] * 0.99, 9):
        assert found.curve.effective_size(CURVE.score(n)).low == pytest.approx(n, rel=5e-3)


def test_the_interval_of_a_noisy_family_covers_the_true_size(noisy: Reference) -> None:
    for n in (50_000, 150_000, 500_000):
        drawn = [c.effective_size(CURVE.score(n)).low for c in noisy.replicates]
        low, high = np.quantile(drawn, [0.025, 0.975])
        assert low < n < high
        assert high / low < 3


def test_the_same_table_gives_the_same_curves(noisy: Reference) -> None:
    again = fit_reference(members(noise=0.03), replicates=5)
    assert again.curve == noisy.curve
    assert fit_reference(members(noise=0.03), replicates=5).replicates == again.replicates


def test_a_family_without_losses_is_fitted_over_the_logarithm_of_its_size() -> None:
    law = ScoreLaw(0.9, -0.8, -log(200_000), 0.05)
    curve = Curve(LogSize(), law, 1.0, SIZES[0], SIZES[-1])
    table = [replace(m, loss=None, tokens=None) for m in members(curve)]
    found = fit_reference(table, replicates=2).curve
    assert isinstance(found.loss_law, LogSize)
    assert found.effective_size(0.5).low == pytest.approx(200_000, rel=1e-2)


def test_members_without_a_score_help_to_find_the_losses() -> None:
    more = [
        Member(str(n), n, D0, CURVE.loss_law.loss(n, D0), None, None) for n in (10_000, 8_000_000)
    ]
    found = fit_reference([*members(), *more], replicates=2).curve
    assert (found.smallest, found.largest) == (SIZES[0], SIZES[-1])
    assert found.loss_law == pytest.approx(found.loss_law)
    assert isinstance(found.loss_law, LossLaw)
    assert found.loss_law.alpha == pytest.approx(0.35, rel=1e-3)


def tokens_of(changes: dict[int, float]) -> list[Member]:
    return [replace(m, tokens=changes.get(m.parameters, D0)) for m in members()]


def test_what_gives_no_curve_is_said() -> None:
    with pytest.raises(NoCurve, match=r"4 sizes with a score and a loss, .* at least 5"):
        fit_reference(members()[:4])
    with pytest.raises(NoCurve, match="scores no better than its smallest"):
        fit_reference([replace(m, score=Estimate(0.5, 0.5, 0.5)) for m in members()])
    with pytest.raises(NoCurve, match=r"1,100,000 to 2,200,000 tokens: say at how many"):
        fit_reference(tokens_of({SIZES[0]: 2 * D0}))
    with pytest.raises(NoCurve, match="says nothing about 9,000,000"):
        fit_reference(tokens_of({SIZES[0]: 2 * D0}), 9e6)
    with pytest.raises(NoCurve, match="a loss of 0: losses are above 0"):
        fit_reference([replace(m, loss=0.5 if i else 0.0) for i, m in enumerate(members())])
    with pytest.raises(NoCurve, match="all its losses are the same"):
        fit_reference([replace(m, loss=0.5) for m in members()])
    with pytest.raises(NoCurve, match="its losses do not fall"):
        fit_reference([replace(m, loss=0.5 + 0.1 * i) for i, m in enumerate(members())])


def test_tokens_per_answer_lie_between_those_of_the_members() -> None:
    found = fit_reference(
        [replace(m, mean_tokens=10.0 * (i + 1)) for i, m in enumerate(members())], replicates=1
    )
    assert found.mean_tokens(SIZES[2]) == pytest.approx(30)
    assert found.mean_tokens((SIZES[2] * SIZES[3]) ** 0.5) == pytest.approx(35)
    assert found.mean_tokens(1) == 10
    assert found.mean_tokens(10**9) == 60
    without = [replace(m, mean_tokens=None) for m in members()[:1]] + members()[1:]
    assert fit_reference(without, replicates=1).mean_tokens(SIZES[2]) is None

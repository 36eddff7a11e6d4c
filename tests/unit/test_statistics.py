import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl.evaluation.statistics import mean_over_problems, pass_at_k


@pytest.mark.parametrize(("k", "value"), [(1, 0.1875), (4, 0.607143), (8, 0.9)])
def test_pass_at_k_matches_the_reference(k, value):
    assert pass_at_k(16, 3, k) == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize(("n", "c", "k"), [(4, 5, 1), (4, -1, 1), (4, 1, 5), (4, 1, 0)])
def test_pass_at_k_refuses_impossible_counts(n, c, k):
    with pytest.raises(ValueError, match="pass@k needs"):
        pass_at_k(n, c, k)


def test_yes_or_no_problems_get_wilsons_interval():
    estimate = mean_over_problems([1.0] * 8 + [0.0] * 2)
    assert estimate.value == pytest.approx(0.8)
    # Wilson's interval for 8 of 10 is 0.490 to 0.943; the sample variance widens it by 10/9.
    assert estimate.low == pytest.approx(0.490, abs=0.02)
    assert estimate.high == pytest.approx(0.943, abs=0.02)


def test_a_perfect_score_still_has_an_interval():
    estimate = mean_over_problems([1.0] * 512)
    assert estimate.value == 1.0
    assert estimate.high == pytest.approx(1.0)
    assert 0.99 < estimate.low < 1.0


def test_no_problems_is_an_error():
    with pytest.raises(ValueError, match="no problems"):
        mean_over_problems([])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_the_interval_holds_the_mean_and_stays_in_range(scores):
    estimate = mean_over_problems(scores)
    assert 0.0 <= estimate.low <= estimate.value + 1e-9
    assert estimate.value - 1e-9 <= estimate.high <= 1.0

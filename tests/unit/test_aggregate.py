import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rl.algorithm.aggregate import add_up, by_constant, by_prompt, by_sequence, by_token

LENGTHS = [[2, 3], [], [4]]


def test_by_hand():
    assert by_token(LENGTHS) == ([[1, 1], [], [1]], 9)
    assert by_sequence(LENGTHS) == ([[1 / 2, 1 / 3], [], [1 / 4]], 3)
    assert by_prompt(LENGTHS) == ([[1 / 5, 1 / 5], [], [1 / 4]], 2)
    assert by_constant(LENGTHS, 10) == ([[1, 1], [], [1]], 30)


lengths = st.lists(st.lists(st.integers(1, 50), max_size=5), min_size=1).filter(any)


@pytest.mark.parametrize("aggregation", [by_token, by_sequence, by_prompt])
@given(lengths=lengths)
@settings(deadline=None)
def test_the_mean_of_equal_losses_is_that_loss(aggregation, lengths):
    found = aggregation(lengths)
    weights = [
        w
        for group, own in zip(lengths, found.weights, strict=True)
        for n, share in zip(group, own, strict=True)
        for w in [share] * n
    ]
    loss = torch.full((len(weights),), 7.0, dtype=torch.float64)
    total = add_up(loss, torch.tensor(weights, dtype=torch.float64), found.denominator)
    assert total.item() == pytest.approx(7.0)


def test_a_constant_divisor_makes_longer_answers_weigh_more():
    found = by_constant([[5], [10]], 10)
    loss = torch.ones(15, dtype=torch.float64)
    assert add_up(loss, torch.ones(15).double(), found.denominator).item() == pytest.approx(0.75)

import pytest
import torch

from rl.algorithm.ratio import MAX_LOG_RATIO, mismatch, sequence_mean


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def test_mismatch_by_hand():
    mask = torch.tensor([True, True, False])
    found = mismatch(double([-1.0, -2.0, 5.0]), double([-1.5, -1.0, 0.0]), mask)
    up, down = 0.5, -1.0
    kl = sum(double(d).exp().item() - 1 - d for d in (up, down))
    assert found.kl_sum.item() == pytest.approx(kl)
    assert found.diff_sum.item() == pytest.approx(1.5)
    assert found.diff_max.item() == pytest.approx(1.0)
    assert found.ratio_max.item() == pytest.approx(double(up).exp().item())
    moved = double(-1.0).exp() - double(-2.0).exp()
    assert found.prob_diff_max.item() == pytest.approx(moved.item())


def test_mismatch_of_nothing_is_zero():
    empty = double([])
    assert [x.item() for x in mismatch(empty, empty, empty > 0)] == [0.0] * 5


@pytest.mark.parametrize("bad", [float("inf"), float("-inf"), float("nan")])
def test_mismatch_does_not_see_masked_tokens(bad):
    mask = torch.tensor([True, False])
    found = mismatch(double([-0.5, bad]), double([-0.4, bad]), mask)
    alone = mismatch(double([-0.5]), double([-0.4]), mask[:1])
    assert [x.item() for x in found] == [x.item() for x in alone]


def test_the_largest_reported_ratio_is_the_bound():
    found = mismatch(double([0.0]), double([-500.0]), torch.tensor([True]))
    assert found.ratio_max.item() == pytest.approx(double(MAX_LOG_RATIO).exp().item())
    assert found.diff_max.item() == pytest.approx(500.0)


def test_the_mean_of_a_sequence_stands_at_each_of_its_tokens():
    values, mask = double([1.0, 3.0, 7.0, 5.0, 0.0]), torch.tensor([True] * 4 + [False])
    sequence = torch.tensor([0, 0, 1, 2, 2])
    assert sequence_mean(values, mask, sequence).tolist() == [2.0, 2.0, 7.0, 5.0, 5.0]
    assert sequence_mean(values, mask & (sequence < 2), sequence).tolist()[3:] == [0.0, 0.0]


def test_a_mean_of_many_float32_numbers_keeps_its_digits():
    values = torch.full((131_072,), 3e-4)
    zeros = torch.zeros(131_072, dtype=torch.int64)
    found = sequence_mean(values, values > 0, zeros)
    torch.testing.assert_close(found, values, rtol=1e-7, atol=0)

import math

import pytest
import torch

from rl.algorithm.correction import sequence_band, token_band

SHORT, LONG = 500, 32_000


def kept(differences, lengths, low=0.5, high=2.0, band=sequence_band):
    """Which tokens are kept; `differences` per token, nats: current minus sampler."""
    rollout = torch.full((len(differences),), -3.0)
    mask = torch.ones(len(differences), dtype=torch.bool)
    numbers = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
    sequence = [numbers] if band is sequence_band else []
    return band(rollout + differences, rollout, mask, *sequence, low=low, high=high)


@pytest.mark.parametrize("nats", [-0.8, -0.7, -0.69, -0.1, 0.0, 1e-3, 0.1, 0.69, 0.7, 0.8])
def test_a_mismatch_of_constant_size_per_token_judges_every_length_alike(nats):
    differences = torch.full((SHORT + LONG,), nats)
    for band in (sequence_band, token_band):
        short, long = kept(differences, [SHORT, LONG], band=band).split([SHORT, LONG])
        assert short.all() == short.any() == (0.5 <= math.exp(nats) <= 2)
        assert long.all() == long.any() == short.any()


@pytest.mark.parametrize("nats", [0.002, -0.005])
def test_a_noisy_mismatch_masks_long_answers_no_more_than_short_ones(nats):
    generator = torch.Generator().manual_seed(0)
    lengths = [SHORT] * 64 + [LONG] * 8
    differences = nats + 0.3 * torch.randn(sum(lengths), generator=generator)
    # A long answer's mean scatters by .0017 nats, a short one's by .013: the band leaves out some
    # of both.
    low, high = math.exp(nats - 0.0025), math.exp(nats + 0.0025)
    answers = kept(differences, lengths, low=low, high=high).split(lengths)
    masked = [not answer.any() for answer in answers]
    assert 0 < sum(masked[64:]) / 8 <= sum(masked[:64]) / 64
    # What the test would say of a product of ratios, which grows with every token: all of the long
    # answers would go, and not all of the short ones.
    products = [part.sum() for part in differences.split(lengths)]
    lost = [not math.log(0.5) <= product <= math.log(2) for product in products]
    assert all(lost[64:])
    assert not all(lost[:64])
    tokens = kept(differences, lengths, low=0.5, high=2.0, band=token_band).float().split(lengths)
    shares = [part.mean().item() for part in tokens]
    assert sum(shares[64:]) / 8 == pytest.approx(sum(shares[:64]) / 64, abs=0.005)


def test_one_bad_token_leaves_a_long_answer_in_and_a_short_one_out():
    differences = torch.zeros(104)
    differences[[0, 4]] = -5.0
    assert kept(differences, [4, 100]).tolist() == [False] * 4 + [True] * 100


def test_tokens_at_the_edges_of_the_band_stay():
    differences = torch.tensor([-0.7, -0.5, 0.5, 0.7])
    edge = math.exp(0.5)
    found = kept(differences, [4], low=1 / edge - 1e-6, high=edge + 1e-6, band=token_band)
    assert found.tolist() == [False, True, True, False]


@pytest.mark.parametrize("bad", [float("inf"), float("-inf"), float("nan")])
def test_what_is_masked_already_stays_so_and_moves_nothing(bad):
    rollout = torch.tensor([-1.0, bad, -1.0])
    logprobs = torch.tensor([-1.0, bad, -9.0])
    mask = torch.tensor([True, False, True])
    sequence = torch.tensor([0, 0, 1])
    band = {"low": 0.5, "high": 2.0}
    assert sequence_band(logprobs, rollout, mask, sequence, **band).tolist() == [True, False, False]
    assert token_band(logprobs, rollout, mask, **band).tolist() == [True, False, False]

"""The policy losses by hand. The reference vectors and what all have in common: test_objective."""

import math

import pytest
import torch

from rl.algorithm.loss import clip, dppo, gmpo, gspo, reinforce, sapo, squared_log_ratio


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def evaluate(loss, logprobs, rollout_logprobs, advantages, *sequence, **numbers):
    """Returns (losses, gradient of their sum with respect to logprobs, clipped)."""
    logprobs = double(logprobs).requires_grad_()
    mask = torch.ones(len(logprobs), dtype=torch.bool)
    out = loss(logprobs, double(rollout_logprobs), double(advantages), mask, *sequence, **numbers)
    (gradient,) = torch.autograd.grad(out.loss.sum(), logprobs)
    return out.loss.detach().tolist(), gradient.tolist(), out.clipped.tolist()


def one(loss, ratio, advantage, **numbers):
    """The same for one token that the sampler gave the probability 1 / 2."""
    half = math.log(0.5)
    (value,), (gradient,), (clipped,) = evaluate(
        loss, [half + math.log(ratio)], [half], [advantage], **numbers
    )
    return value, gradient, clipped


@pytest.mark.parametrize(
    ("ratio", "advantage", "objective", "has_gradient"),
    [
        (1.0, 2.0, 2.0, True),  # on policy: plain policy gradient
        (1.25, 1.0, 1.25, True),  # within clip_high, though outside 1 + clip_low
        (1.5, 1.0, 1.28, False),  # already pushed up far enough
        (0.5, 1.0, 0.5, True),  # good token that became unlikely: still pulled back up
        (0.5, -1.0, -0.8, False),  # already pushed down far enough
        (1.5, -1.0, -1.5, True),  # bad token that became likely: no limit on pushing it down
    ],
)
def test_clipping_in_the_four_quadrants(ratio, advantage, objective, has_gradient):
    loss, gradient, clipped = one(clip, ratio, advantage, clip_low=0.2, clip_high=0.28)
    assert loss == pytest.approx(-objective)
    assert gradient == pytest.approx(-ratio * advantage if has_gradient else 0.0)
    assert clipped is not has_gradient


@pytest.mark.parametrize(
    ("ratio", "advantage", "objective", "has_gradient"),
    [
        (5.0, -1.0, -4.0, False),  # the bound of the dual clip
        (3.0, -1.0, -3.0, True),
        (0.5, -1.0, -0.8, False),
        (5.0, 1.0, 1.28, False),  # a positive advantage meets clip_high first
    ],
)
def test_the_dual_clip_bounds_bad_tokens_that_became_likely(
    ratio, advantage, objective, has_gradient
):
    numbers = {"clip_low": 0.2, "clip_high": 0.28, "clip_dual": 4.0}
    loss, gradient, clipped = one(clip, ratio, advantage, **numbers)
    assert loss == pytest.approx(-objective)
    assert gradient == pytest.approx(-ratio * advantage if has_gradient else 0.0)
    assert clipped is not has_gradient


@pytest.mark.parametrize(
    ("ratio", "advantage", "masked"),
    [
        (1.5, 1.0, True),  # 1/2 -> 3/4 and pushed on up
        (1.5, -1.0, False),  # 1/2 -> 3/4 and pulled back
        (0.5, -1.0, True),  # 1/2 -> 1/4 and pushed on down
        (0.5, 1.0, False),
        (1.3, 1.0, False),  # moved by .15
        (0.5, 0.0, False),
    ],
)
def test_dppo_leaves_out_what_moved_too_far_the_way_it_is_pushed(ratio, advantage, masked):
    loss, gradient, clipped = one(dppo, ratio, advantage, tv_max=0.2)
    expected = 0.0 if masked else -ratio * advantage
    assert loss == pytest.approx(expected)
    assert gradient == pytest.approx(expected)
    assert clipped is masked


def test_dppo_lets_a_rare_token_change_its_ratio_freely():
    (loss,), (gradient,), (clipped,) = evaluate(dppo, [-5.0], [-9.0], [1.0], tv_max=0.2)
    assert loss == gradient == pytest.approx(-math.exp(4))
    assert not clipped


@pytest.mark.parametrize("advantage", [2.0, -2.0])
def test_the_soft_gate_is_steepest_on_policy_and_fades_on_both_sides(advantage):
    numbers = {"gate_positive": 1.0, "gate_negative": 1.05}
    at_one = one(sapo, 1.0, advantage, **numbers)[1]
    assert at_one == pytest.approx(-advantage)
    for ratio in (0.2, 8.0):
        # per unit of the ratio, since the gradient with respect to its log has a factor r
        slope = one(sapo, ratio, advantage, **numbers)[1] / ratio
        assert 0 < slope / at_one < 0.9


def test_a_steeper_gate_forgets_a_moved_token_sooner():
    soft, steep = (one(sapo, 3.0, -1.0, gate_positive=1, gate_negative=g)[1] for g in (1, 2))
    assert abs(steep) < abs(soft)


def test_importance_weights_are_truncated_and_have_no_gradient():
    half = math.log(0.5)
    loss, gradient, clipped = one(reinforce, 1.5, 2.0, weight_max=5.0)
    assert (loss, gradient) == pytest.approx((-1.5 * 2 * (half + math.log(1.5)), -1.5 * 2))
    assert not clipped
    loss, gradient, clipped = one(reinforce, 1.5, 2.0, weight_max=1.2)
    assert gradient == pytest.approx(-1.2 * 2), "no token is ever dropped"
    assert clipped
    loss, gradient, clipped = one(reinforce, 1.5, 2.0, weight_max=None)
    assert gradient == pytest.approx(-2)
    assert not clipped


SEQUENCE = torch.tensor([0, 0, 1])


def test_the_ratio_of_an_answer_is_the_geometric_mean_and_its_tokens_share_the_gradient():
    differences, rollout = [0.3, -0.1, 0.5], [-1.0, -1.0, -1.0]
    logprobs = [d + r for d, r in zip(differences, rollout, strict=True)]
    numbers = {"clip_low": 0.2, "clip_high": 0.28}
    loss, gradient, clipped = evaluate(
        gspo, logprobs, rollout, [2.0, 2.0, 1.0], SEQUENCE, **numbers
    )
    first = math.exp(0.1)
    assert loss == pytest.approx([-2 * first, -2 * first, -1.28])
    assert gradient == pytest.approx([-2 * first, -2 * first, 0.0])
    assert clipped == [False, False, True]


def test_gmpo_clips_each_token_before_the_mean():
    differences, rollout = [0.9, -0.9, -0.9], [-1.0, -1.0, -1.0]
    logprobs = [d + r for d, r in zip(differences, rollout, strict=True)]
    loss, gradient, clipped = evaluate(
        gmpo, logprobs, rollout, [2.0, 2.0, -1.0], SEQUENCE, clip_nats=0.4
    )
    first, second = math.exp((0.4 - 0.9) / 2), math.exp(-0.4)
    assert loss == pytest.approx([-2 * first, -2 * first, second])
    # the clipped token has none, the other one that of half the answer, twice
    assert gradient == pytest.approx([0.0, -2 * first, 0.0])
    assert clipped == [True, False, True]


def test_the_squared_log_ratio_pulls_back_to_the_sampler():
    logprobs = double([-1.0, -2.0, -7.0]).requires_grad_()
    mask = torch.tensor([True, True, False])
    penalty = squared_log_ratio(logprobs, double([-1.5, -1.0, 0.0]), mask)
    assert penalty.tolist() == pytest.approx([0.25, 1.0, 0.0])
    (gradient,) = torch.autograd.grad(penalty.sum(), logprobs)
    assert gradient.tolist() == pytest.approx([1.0, -2.0, 0.0])

"""Estimators of the KL divergence from a frozen policy: values, and whose gradient each has.

Over a small vocabulary expectations are exact sums, and so are the divergences they are compared
with.
"""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rl.algorithm import kl
from rl.algorithm.loss import reinforce
from rl.algorithm.objective import Bonus, Guides, contribution
from rl.recipe.algorithm import Algorithm
from tests.unit.test_objective import double, evaluate, micro_batch

numbers = st.lists(st.floats(-3, 3), min_size=5, max_size=5)


def expected_gradient(estimate, logits, sampler_logits):
    """Of sum over tokens of sampler probability x estimate(current, sampler log-probability)."""
    leaf = double(logits).requires_grad_()
    sampler = double(sampler_logits).log_softmax(0)
    value = (sampler.exp() * estimate(leaf.log_softmax(0), sampler)).sum()
    return torch.autograd.grad(value, leaf)[0]


def divergence_gradient(logits, frozen, *, forward=False):
    """Of KL(policy || frozen), or of KL(frozen || policy)."""
    leaf = double(logits).requires_grad_()
    own = leaf.log_softmax(0)
    value = (frozen.exp() * (frozen - own)).sum() if forward else (own.exp() * (own - frozen)).sum()
    return torch.autograd.grad(value, leaf)[0]


def all_trained(tensor):
    return torch.ones(len(tensor), dtype=torch.bool)


def test_values_by_hand():
    """The frozen policy finds the token as likely as the sampler did: twice as likely as now."""
    now, frozen = double([math.log(0.25)]), double([math.log(0.5)])
    mask = all_trained(now)
    assert kl.towards(frozen, frozen, mask).item() == 0
    assert kl.towards(now, frozen, mask).item() == pytest.approx(math.log(2))
    assert kl.k2(now, frozen, mask).item() == pytest.approx(math.log(2) ** 2 / 2)
    assert kl.k3(now, frozen, mask).item() == pytest.approx(2 - 1 - math.log(2))
    assert kl.unbiased(now, frozen, frozen, mask).item() == pytest.approx(0.5 * (1 - math.log(2)))


@given(numbers, numbers)
@settings(max_examples=50, deadline=None)
def test_on_policy_k2_and_unbiased_have_the_gradient_of_the_kl_and_k3_that_of_the_other(own, other):
    frozen = double(other).log_softmax(0)
    mask = all_trained(frozen)
    right = divergence_gradient(own, frozen)
    found = {
        "k2": expected_gradient(lambda now, _: kl.k2(now, frozen, mask), own, own),
        "unbiased": expected_gradient(
            lambda now, then: kl.unbiased(now, then, frozen, mask), own, own
        ),
    }
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, right, rtol=1e-9, atol=1e-12, msg=name)
    k3 = expected_gradient(lambda now, _: kl.k3(now, frozen, mask), own, own)
    other_way = divergence_gradient(own, frozen, forward=True)
    torch.testing.assert_close(k3, other_way, rtol=1e-9, atol=1e-12)


@given(numbers, numbers, numbers)
@settings(max_examples=50, deadline=None)
def test_unbiased_has_the_right_value_and_gradient_for_the_samples_of_any_other_policy(
    own, other, old
):
    frozen = double(other).log_softmax(0)
    mask = all_trained(frozen)
    found = expected_gradient(lambda now, then: kl.unbiased(now, then, frozen, mask), own, old)
    torch.testing.assert_close(found, divergence_gradient(own, frozen), rtol=1e-9, atol=1e-12)
    now, then = double(own).log_softmax(0), double(old).log_softmax(0)
    value = (then.exp() * kl.unbiased(now, then, frozen, mask)).sum()
    torch.testing.assert_close(value, (now.exp() * (now - frozen)).sum())


def test_k2_is_not_right_for_the_samples_of_another_policy():
    own, frozen = [0.0, 1.0, -1.0], double([1.0, 0.0, 0.5]).log_softmax(0)
    found = expected_gradient(
        lambda now, _: kl.k2(now, frozen, all_trained(now)), own, [2.0, -1.0, 0.0]
    )
    assert (found - divergence_gradient(own, frozen)).abs().max() > 0.1


def test_k1_in_the_loss_would_have_no_gradient_and_in_the_advantage_has_that_of_the_kl():
    own, frozen = [0.0, 1.0, -1.0], double([1.0, 0.0, 0.5]).log_softmax(0)
    mask = all_trained(frozen)
    in_loss = expected_gradient(lambda now, _: now - frozen, own, own)
    torch.testing.assert_close(in_loss, torch.zeros(3).double(), rtol=0, atol=1e-12)

    def policy_loss(now, then):
        return reinforce(now, then, kl.towards(then, frozen, mask), mask, weight_max=None).loss

    found = expected_gradient(policy_loss, own, own)
    torch.testing.assert_close(found, divergence_gradient(own, frozen))


def test_k1_in_the_advantage_is_right_for_the_samples_of_an_older_policy_where_it_is_measured():
    """The ratio corrects who samples; the log-ratio itself is that of the policy that sampled."""
    own, old, frozen = [0.0, 1.0, -1.0], [0.5, 0.5, 0.0], double([1.0, 0.0, 0.5]).log_softmax(0)
    mask = all_trained(frozen)

    def policy_loss(now, then):
        return -(now - then).exp() * kl.towards(then, frozen, mask)

    then = double(old).log_softmax(0)
    leaf = double(own).requires_grad_()
    exact = (leaf.softmax(0) * (then - frozen)).sum()
    torch.testing.assert_close(
        expected_gradient(policy_loss, own, old), torch.autograd.grad(exact, leaf)[0]
    )


ESTIMATORS = ["k1", "k2", "k3", "unbiased"]


def guided(estimator, reference, teacher=None, *, mask=(True, True), coef=0.5, **more):
    """Loss and gradient of two tokens of one answer, as a recipe would have them."""
    algorithm = Algorithm.model_validate(
        {"loss": "reinforce", "weight_max": None, "sequence_band": None, **more}
        | {"kl_coef": coef if reference is not None else 0.0, "kl_estimator": estimator}
    )
    leaf = double([-1.0, -0.5]).requires_grad_()
    micro = micro_batch([-1.2, -0.4], [1.0, 1.0], list(mask), [0, 0])
    guides = Guides(*(None if x is None else double(x) for x in (reference, teacher)))
    out = contribution(algorithm, leaf, micro, 3, guides, teacher_coef=2.0)
    return out.loss.item(), torch.autograd.grad(out.loss, leaf)[0].tolist()


@pytest.mark.parametrize(
    ("estimator", "extra"),
    [
        ("k2", lambda now, then, ref: (ref - now).square() / 2),
        ("k3", lambda now, then, ref: (ref - now).exp() - 1 - (ref - now)),
        (
            "unbiased",
            lambda now, then, ref: (now - then).exp() * ((ref - now).exp() - 1 - ref + now),
        ),
        ("k1", lambda now, then, ref: now * (then - ref)),
    ],
)
def test_the_recipe_s_coefficient_and_estimator_reach_the_loss(estimator, extra):
    reference = [-0.7, -0.9]
    now, then = double([-1.0, -0.5]).requires_grad_(), double([-1.2, -0.4])
    expected = ((-now) + 0.5 * extra(now, then, double(reference))).sum() / 3
    (gradient,) = torch.autograd.grad(expected, now)
    loss, found = guided(estimator, reference)
    assert loss == pytest.approx(expected.item())
    assert found == pytest.approx(gradient.tolist())


def test_a_teacher_adds_to_the_advantage_of_every_token():
    loss, gradient = guided("k1", None, [-0.2, -1.4])
    advantages = [1 + 2 * (-0.2 + 1.2), 1 + 2 * (-1.4 + 0.4)]
    assert gradient == pytest.approx([-a / 3 for a in advantages])
    assert loss == pytest.approx((advantages[0] * 1.0 + advantages[1] * 0.5) / 3)


@pytest.mark.parametrize("bad", [float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_what_a_frozen_policy_says_of_a_masked_token_is_invisible(estimator, bad):
    mask = (True, False)
    found = guided(estimator, [-0.7, bad], [-0.2, bad], mask=mask)
    assert found == guided(estimator, [-0.7, 0.0], [-0.2, 0.0], mask=mask)
    assert found[1][1] == 0.0


@pytest.mark.parametrize("far", [0.0, -2000.0])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_frozen_policy_far_away_gives_no_nan(estimator, far):
    loss, gradient = guided(estimator, [far, far], [far, far])
    assert torch.isfinite(double([loss, *gradient])).all()


def test_entropy_earns_its_coefficient_at_every_token_that_is_kept():
    algorithm = Algorithm(sequence_band=[0.9, 1.1])
    entropy = double([0.3, 0.5, 0.7]).requires_grad_()
    micro = micro_batch([-1.0, -1.0, -3.0], [0.0] * 3, [True, False, True], [0, 0, 1])
    logprobs = double([-1.0, -1.0, -1.0])  # the third answer is far off, so left out
    out = contribution(algorithm, logprobs, micro, 4, bonus=Bonus(0.2, entropy))
    (gradient,) = torch.autograd.grad(out.loss, entropy)
    assert out.loss.item() == pytest.approx(-0.2 * 0.3 / 4)
    assert gradient.tolist() == pytest.approx([-0.05, 0.0, 0.0])


def test_without_options_the_loss_is_the_one_without_them_to_the_last_bit():
    arguments = ([-0.5, -0.8], [-0.4, -0.9], [1.0, -1.0], [True, True], [0, 1])
    plain, gradient = evaluate(Algorithm(), *arguments)
    named, gradient_named = evaluate(Algorithm(kl_estimator="k3"), *arguments)
    assert (plain.loss, gradient) == (named.loss, gradient_named)

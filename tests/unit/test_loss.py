from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rl.loss import MAX_LOG_RATIO, clip_higher, mismatch

# One prompt, four answers of 2, 3, 1 and 4 tokens, end to end. float64 results derived from the
# formulas by hand, not by any implementation: DAPO's loss, advantages over the unbiased deviation.
ROLLOUT_LOGPROBS = [-0.1, -2.3, -0.5, -0.05, -3.0, -1.2, -0.2, -0.7, -0.01, -4.0]
LOGPROBS = [-0.05, -1.7, -0.9, -0.06, -3.8, -1.1, -0.25, -0.6, -0.01, -2.5]
ADVANTAGES = [0.866024] * 2 + [-0.866024] * 4 + [0.866024] * 4
LOSS = -0.257421
GRADIENT = [
    *[-0.091043, 0.0, 0.0, 0.085741, 0.0],
    *[0.09571, -0.082379, -0.09571, -0.086602, 0.0],
]
CLIP = (0.2, 0.28)


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def evaluate(logprobs, rollout_logprobs, advantages, mask=None, n_tokens=None, clip=CLIP):
    """Returns (loss value, gradient with respect to logprobs, clipped)."""
    logprobs = double(logprobs).requires_grad_()
    mask = torch.ones(len(logprobs), dtype=torch.bool) if mask is None else torch.tensor(mask)
    out = clip_higher(
        logprobs,
        double(rollout_logprobs),
        double(advantages),
        mask,
        n_tokens or len(logprobs),
        *clip,
    )
    out.loss.backward()
    assert logprobs.grad is not None
    return out.loss.detach(), logprobs.grad, out.clipped


def test_value_and_gradient_equal_the_reference_vectors():
    loss, gradient, clipped = evaluate(LOGPROBS, ROLLOUT_LOGPROBS, ADVANTAGES)
    torch.testing.assert_close(loss, double(LOSS), rtol=0, atol=2e-6)
    torch.testing.assert_close(gradient, double(GRADIENT), rtol=0, atol=2e-6)
    assert clipped.tolist() == [g == 0.0 for g in GRADIENT]


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
    logprob = double(ratio).log().item()
    loss, gradient, clipped = evaluate([logprob], [0.0], [advantage])
    assert loss.item() == pytest.approx(-objective)
    assert gradient.item() == pytest.approx(-ratio * advantage if has_gradient else 0.0)
    assert clipped.item() is not has_gradient


finite = st.floats(-8, 0)
token = st.tuples(finite, finite, st.floats(-3, 3), st.booleans())


@given(tokens=st.lists(token, min_size=2, max_size=24), data=st.data())
def test_any_split_of_the_tokens_adds_up_to_the_whole(tokens, data):
    cuts = sorted(data.draw(st.sets(st.integers(1, len(tokens) - 1))))
    whole_loss, whole_gradient, _ = evaluate(*zip(*tokens, strict=True), n_tokens=7)
    bounds = [0, *cuts, len(tokens)]
    parts = [evaluate(*zip(*tokens[a:b], strict=True), n_tokens=7) for a, b in pairwise(bounds)]
    torch.testing.assert_close(sum(loss for loss, _, _ in parts), whole_loss, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(torch.cat([gradient for _, gradient, _ in parts]), whole_gradient)


@pytest.mark.parametrize("bad", [float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize("where", ["logprobs", "rollout_logprobs", "both", "advantages"])
def test_masked_tokens_are_invisible_whatever_stands_there(bad, where):
    logprobs = [-0.5, bad if where in ("logprobs", "both") else -1.0]
    rollout = [-0.4, bad if where in ("rollout_logprobs", "both") else -1.0]
    advantages = [1.0, bad if where == "advantages" else 1.0]
    mask = [True, False]
    loss, gradient, clipped = evaluate(logprobs, rollout, advantages, mask, n_tokens=1)
    alone, gradient_alone, _ = evaluate(logprobs[:1], rollout[:1], advantages[:1], n_tokens=1)
    assert loss == alone
    assert gradient.tolist() == [gradient_alone.item(), 0.0]
    assert not clipped[1]
    found = mismatch(double(logprobs), double(rollout), torch.tensor(mask))
    assert all(torch.isfinite(x) for x in found)


@pytest.mark.parametrize("advantage", [1.0, 0.0, -1.0])
def test_a_ratio_that_would_overflow_gives_no_nan(advantage):
    loss, gradient, _ = evaluate([0.0], [-2000.0], [advantage])
    assert torch.isfinite(loss)
    assert torch.isfinite(gradient).all()


def test_a_batch_without_trained_tokens_has_loss_and_gradient_zero():
    loss, gradient, clipped = evaluate([-1.0], [-2.0], [1.0], mask=[False], n_tokens=5)
    assert loss == 0
    assert gradient.tolist() == [0.0]
    assert not clipped.any()


def test_mismatch_by_hand():
    mask = torch.tensor([True, True, False])
    found = mismatch(double([-1.0, -2.0, 5.0]), double([-1.5, -1.0, 0.0]), mask)
    up, down = 0.5, -1.0
    kl = sum(double(d).exp().item() - 1 - d for d in (up, down))
    assert found.kl_sum.item() == pytest.approx(kl)
    assert found.diff_sum.item() == pytest.approx(1.5)
    assert found.diff_max.item() == pytest.approx(1.0)
    assert found.ratio_max.item() == pytest.approx(double(up).exp().item())


def test_mismatch_of_nothing_is_zero():
    empty = double([])
    assert [x.item() for x in mismatch(empty, empty, empty > 0)] == [0.0] * 4


def test_the_largest_reported_ratio_is_the_bound():
    found = mismatch(double([0.0]), double([-500.0]), torch.tensor([True]))
    assert found.ratio_max.item() == pytest.approx(double(MAX_LOG_RATIO).exp().item())
    assert found.diff_max.item() == pytest.approx(500.0)

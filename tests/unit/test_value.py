"""What a critic learns by, by hand."""

import math

import pytest
import torch

from rl.algorithm.value import explained_variance, squared_error


def error(values, targets, old_values, value_clip=None, mask=None):
    """(loss per token, its gradient, tokens held back)."""
    leaf = torch.tensor(values, requires_grad=True)
    mask = torch.tensor(mask or [True] * len(values))
    found = squared_error(
        leaf, torch.tensor(targets), mask, old_values=torch.tensor(old_values),
        value_clip=value_clip,
    )  # fmt: skip
    (gradient,) = torch.autograd.grad(found.loss.sum(), leaf)
    return found.loss.tolist(), gradient.tolist(), found.clipped.tolist()


def test_the_loss_is_half_the_squared_error_and_its_gradient_the_error():
    loss, gradient, clipped = error([1.0, 0.5], [0.0, 2.5], [9.0, 9.0])
    assert (loss, gradient, clipped) == ([0.5, 2.0], [1.0, -2.0], [False, False])


@pytest.mark.parametrize(
    ("value", "target", "loss", "gradient"),
    [
        (0.75, 1.0, 0.375**2 / 2, 0.0),  # further than the clip towards the target: held at 0.625
        (0.75, 0.0, 0.75**2 / 2, 0.75),  # away from it: pulled back
        (0.5625, 1.0, 0.4375**2 / 2, -0.4375),  # within the clip: goes on
        (1.75, 1.0, 0.75**2 / 2, 0.75),  # beyond the target, further off than 0.625: pulled back
        (1.25, 1.0, 0.375**2 / 2, 0.0),  # beyond it, but nearer than 0.625
    ],
)
def test_a_value_is_moved_by_at_most_the_clip(value, target, loss, gradient):
    found = error([value], [target], [0.5], value_clip=0.125)
    assert found == ([loss], [gradient], [gradient == 0])


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("value_clip", [None, 0.1])
def test_masked_tokens_are_invisible_whatever_stands_there(bad, value_clip):
    loss, gradient, clipped = error(
        [1.0, bad, 1.0, 1.0], [0.0, 0.0, bad, 0.0], [1.0, 1.0, 1.0, bad], value_clip,
        [True, False, False, False],
    )  # fmt: skip
    assert (loss, gradient, clipped) == ([0.5, 0, 0, 0], [1.0, 0, 0, 0], [False] * 4)


def test_the_explained_variance_by_hand():
    targets = torch.tensor([0.0, 0.0, 1.0, 1.0])
    assert explained_variance(targets, targets) == 1
    assert explained_variance(targets + 3, targets) == 1, "a constant error is not variance"
    assert explained_variance(torch.zeros(4), targets) == 0
    assert explained_variance(targets * 0.5, targets) == 0.75
    assert explained_variance(1 - targets, targets) == -3
    assert math.isnan(explained_variance(torch.rand(3), torch.ones(3)))

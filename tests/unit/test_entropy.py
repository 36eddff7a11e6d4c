"""Entropy of rows of logits, and the coefficient that follows a target."""

import math

import pytest
import torch

import rl.algorithm.entropy
from rl.algorithm.entropy import adapted, entropies


def plain(logits):
    return torch.distributions.Categorical(logits=logits).entropy()


def test_known_entropies():
    logits = torch.tensor([[0.0] * 4, [100.0, 0.0, 0.0, 0.0], [0.0, 0.0, -1e4, -1e4]])
    expected = torch.tensor([math.log(4), 0.0, math.log(2)])
    torch.testing.assert_close(entropies(logits, differentiable=False), expected)


@pytest.mark.parametrize("at_once", [2**22, 30, 1])
def test_value_and_gradient_do_not_depend_on_how_many_rows_are_looked_at_together(
    at_once, monkeypatch
):
    monkeypatch.setattr(rl.algorithm.entropy, "LOGITS_AT_ONCE", at_once)
    logits = torch.randn(17, 10, generator=torch.Generator().manual_seed(0)).double()
    leaf, other = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    found, expected = entropies(leaf, differentiable=True), plain(other)
    torch.testing.assert_close(found, expected)
    weights = torch.linspace(-1, 1, 17).double()
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(leaf.grad, other.grad)
    quiet = entropies(leaf, differentiable=False)
    assert torch.equal(quiet, found)
    assert not quiet.requires_grad


def test_the_coefficient_rises_below_the_target_falls_above_and_stops_at_zero():
    coef = 0.0
    seen = []
    for entropy in (0.1, 0.1, 0.4, 0.4, 0.4, 0.1):
        coef = adapted(coef, entropy, target=0.3, step=0.25)
        seen.append(coef)
    assert seen == [0.25, 0.5, 0.25, 0.0, 0.0, 0.25]

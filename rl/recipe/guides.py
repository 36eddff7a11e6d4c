"""The recipe's sections `reference:` and `teacher:`: policies that guide and do not learn.

Without torch: the supervisor reads this too. What they do to the loss is in rl/algorithm/kl.py,
how they are run in rl/learner/frozen.py.
"""

from typing import Annotated

from pydantic import Field, field_validator

from rl.recipe.schema import Name, Positive, Section


def _not_embedded(model: str | None) -> str | None:
    """`embedded` is a policy made for one run; another one must already be there."""
    if model == "embedded":
        raise ValueError("give the directory of a policy that a run has made, or a hub id")
    return model


class Reference(Section):
    """The frozen policy that algorithm.kl_coef pulls towards. Every rank holds it whole, in
    learner.dtype."""

    model: Name | None = None
    """A hub id or a local directory, with the tokens of the policy; null: the policy that training
    starts from."""

    every: Annotated[int, Field(ge=0)] = 0
    """It becomes the policy of that time every so many steps (ProRL, arXiv:2505.24864; the
    optimiser's state stays). 0: it never changes."""

    _model_is_there = field_validator("model")(_not_embedded)


class Teacher(Section):
    """On-policy distillation: a frozen policy judges every token that the learning one sampled.
    Every rank holds it whole, in learner.dtype."""

    model: Name
    """A hub id or a local directory, with the tokens of the policy."""

    coef: Positive = 1.0
    """The advantage of a token grows by coef x log(teacher's / sampler's probability); with
    algorithm.advantage none that is all of it."""

    _model_is_there = field_validator("model")(_not_embedded)

"""The critic of PPO inside the learner, on every rank: judges a step and learns from it.

Values are those from before the update. They are put together on every rank, so that advantages are
those of the whole step however it is split over ranks and micro-batches.
"""

import math
from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rl.algorithm.advantage import gae, length_adaptive, normalized, tokens_after
from rl.algorithm.value import explained_variance, squared_error
from rl.errors import UserError
from rl.learner.batch import Batch
from rl.learner.deepspeed_engine import looking, optimizer_step, start_critic
from rl.learner.microbatch import MicroBatch, Share
from rl.learner.ranks import Ranks
from rl.recipe.config import Recipe
from rl.recipe.critic import Critic
from rl.types import CriticUpdate


class CriticError(UserError):
    """The critic cannot go on."""


class Lesson(NamedTuple):
    """What the critic says about a step. T counts all its tokens; 0 where nothing was sampled."""

    values: Tensor  # [T] float32, reward units: of the state before each token
    targets: Tensor  # [T] float32: what they should have been
    advantages: Tensor  # [T] float32


def judge(batch: Batch, values: Tensor, critic: Critic) -> Lesson:
    """Advantages for the policy and targets for the critic, by GAE with a lambda for each.

    Looks at sampled tokens only: what stands in between is part of the next state, and so is the
    context that the next chunk of an answer begins with. An answer ends with its last token also
    where that was the last of its budget, whose reward it gets like any other: to add the value of
    going on would pay for not coming to an end.
    """
    sampled = batch.loss_mask
    answers = (batch.positions == 0).cumsum(0) if batch.answers is None else batch.answers
    lengths = torch.unique_consecutive(answers[sampled], return_counts=True)[1]
    remaining = tokens_after(lengths)
    if critic.lambda_policy == "by_length":
        assert critic.length_alpha is not None  # the schema has made sure of it
        decay = length_adaptive(lengths, critic.length_alpha).repeat_interleave(lengths)
    else:
        decay = torch.full(remaining.shape, critic.lambda_policy)
    rewards, own = batch.rewards[sampled], values[sampled]

    def estimate(decay: Tensor) -> Tensor:
        return gae(rewards, own, remaining, discount=critic.discount, decay=decay)

    advantages = estimate(decay)
    if critic.normalize_advantages:
        advantages = normalized(advantages)
    targets = own + estimate(torch.full(remaining.shape, critic.lambda_critic))

    def spread(found: Tensor) -> Tensor:
        return torch.zeros_like(values).masked_scatter(sampled, found.to(values.dtype))

    return Lesson(spread(own), spread(targets), spread(advantages))


class ValueLearner(ABC):
    """The critic, the same object on every rank. A step is `judge`, the policy's own passes and
    optimiser step, and `finish`."""

    def __init__(self, engine: Any, recipe: Recipe, ranks: Ranks) -> None:
        assert recipe.critic is not None
        self.engine = engine  # DeepSpeed's, that the critic learns in
        self._recipe = recipe
        self._settings = recipe.critic
        self._ranks = ranks

    def judge(self, share: Share, step: int) -> Lesson:
        """The values of a step before its update, and what follows from them.

        Raises:
            CriticError: a value is not finite.
        """
        values = torch.zeros(len(share.batch.tokens))
        with looking(self.engine):
            for micro, _ in share:
                real = micro.loss_mask
                values[micro.source[real].cpu()] = self._values(micro)[real].cpu()
        self._ranks.add_up(values)
        if not values.isfinite().all():
            raise self._diverged(step, "a value is not finite")
        return judge(share.batch, values, self._settings)

    @abstractmethod
    def _values(self, micro: MicroBatch) -> Tensor:
        """[N] float32, reward units."""

    @abstractmethod
    def finish(self, share: Share, lesson: Lesson, step: int, grad_norm: float) -> CriticUpdate:
        """After the policy's optimiser step, whose gradient had `grad_norm`."""

    def _loss(self, values: Tensor, micro: MicroBatch, lesson: Lesson, n_tokens: int) -> Tensor:
        """[2]: this micro-batch's part of the mean over the step's tokens of their loss, which is
        differentiable, and how many of its tokens the clip held back."""
        found = squared_error(
            values,
            lesson.targets[micro.source.cpu()].to(values.device),
            micro.loss_mask,
            old_values=lesson.values[micro.source.cpu()].to(values.device),
            value_clip=self._settings.value_clip,
        )
        return torch.stack([found.loss.sum() / n_tokens, found.clipped.sum()])

    def _told(
        self, share: Share, lesson: Lesson, step: int, loss: float, clipped: float, grad_norm: float
    ) -> CriticUpdate:
        sampled = share.batch.loss_mask
        values, targets = lesson.values[sampled], lesson.targets[sampled]
        return CriticUpdate(
            loss=loss,
            explained_variance=explained_variance(values, targets),
            value_mean=float(values.double().mean()),
            target_mean=float(targets.double().mean()),
            clip_fraction=clipped / len(values),
            grad_norm=grad_norm,
            policy_frozen=self._settings.policy_frozen(step),
        )

    def _diverged(self, step: int, what: str) -> CriticError:
        return CriticError(
            f"update {step}: {what}: the critic diverged (critic.lr={self._settings.lr:g} is "
            "likely too high). The last checkpoint is whole"
        )


class OwnTrunk(ValueLearner):
    """A model of its own, with an optimiser of its own, in a second DeepSpeed engine."""

    def __init__(self, model_path: str, recipe: Recipe, ranks: Ranks) -> None:
        super().__init__(start_critic(model_path, recipe, ranks), recipe, ranks)

    def _values(self, micro: MicroBatch) -> Tensor:
        return self.engine(micro.tokens, micro.positions, micro.segments, micro.rows)

    def finish(self, share: Share, lesson: Lesson, step: int, grad_norm: float) -> CriticUpdate:
        """Make `critic.updates` updates; the policy's gradient is no concern of this critic.

        Raises:
            CriticError: the loss is not finite.
        """
        first, clipped = 0.0, 0.0
        for update in range(self._settings.updates):
            loss, clipped = self._accumulate(share, lesson)
            if not math.isfinite(loss):
                raise self._diverged(step, f"its loss is {loss}")
            first = first if update else loss
            limit = self._recipe.learner.max_grad_norm
            grad_norm = optimizer_step(self.engine, [self._settings.lr], limit)
        return self._told(share, lesson, step, first, clipped, grad_norm)

    def _accumulate(self, share: Share, lesson: Lesson) -> tuple[float, float]:
        """Forward and backward passes of one update. Returns its loss and clipped tokens."""
        sums = torch.zeros(2, dtype=torch.float64, device=self._ranks.device)
        for micro, last in share:
            self.engine.set_gradient_accumulation_boundary(last)
            part = self._loss(self._values(micro), micro, lesson, share.batch.n_tokens)
            # DeepSpeed takes the mean over ranks; the loss is a sum over them.
            self.engine.backward(part[0] * self._ranks.world_size, scale_wrt_gas=False)
            sums += part.detach()
        self._ranks.add_up(sums)
        loss, clipped = sums.tolist()
        return loss, clipped


class SharedTrunk(ValueLearner):
    """A value head in the policy's engine: one loss, one backward pass, one optimiser."""

    def __init__(self, engine: Any, recipe: Recipe, ranks: Ranks) -> None:
        super().__init__(engine, recipe, ranks)
        self._sums = torch.zeros(2, dtype=torch.float64, device=ranks.device)  # of this step

    def _values(self, micro: MicroBatch) -> Tensor:
        return self.forward(micro, entropy_gradient=False, frozen=False)[2]

    def forward(
        self, micro: MicroBatch, entropy_gradient: bool, frozen: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """[N] each: log-probabilities, entropies, values; frozen: these teach only their head."""
        temperature = self._recipe.rollout.temperature
        return self.engine(
            *micro.inputs,
            temperature,
            entropy_gradient,
            micro.routes,
            frozen=frozen,
        )

    def joined(
        self, policy_loss: Tensor, values: Tensor, micro: MicroBatch, lesson: Lesson, n_tokens: int
    ) -> Tensor:
        """The loss that both learn from on one micro-batch."""
        part = self._loss(values, micro, lesson, n_tokens)
        self._sums += part.detach()
        assert self._settings.coef is not None  # the schema has made sure of it
        return policy_loss + self._settings.coef * part[0]

    def finish(self, share: Share, lesson: Lesson, step: int, grad_norm: float) -> CriticUpdate:
        self._ranks.add_up(self._sums)
        loss, clipped = self._sums.tolist()
        self._sums.zero_()
        return self._told(share, lesson, step, loss, clipped, grad_norm)

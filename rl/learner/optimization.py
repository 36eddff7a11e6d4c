"""One optimiser step, on every rank: passes over its share of the batch, then the update."""

from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rl.algorithm.entropy import adapted
from rl.algorithm.objective import Bonus, contribution, distances
from rl.algorithm.ratio import mismatch
from rl.errors import UserError
from rl.learner.batch import Batch
from rl.learner.deepspeed_engine import looking, optimizer_step, start_engine
from rl.learner.frozen import FrozenPolicies
from rl.learner.microbatch import MicroBatch, Share, plan, sequence_answers, sequence_lengths
from rl.learner.ranks import Ranks
from rl.learner.sequence_parallel import SequenceParallel
from rl.learner.token_record import TokenRecord
from rl.learner.value_learner import Lesson, OwnTrunk, SharedTrunk
from rl.recipe.config import Recipe
from rl.types import Update


class LearnerError(UserError):
    """The learner cannot go on."""


def learning_rate(step: int, peak: float, warmup_steps: int) -> float:
    """Of update number `step`, counted from 1: a straight line up to `peak`, then constant."""
    return peak * min(1.0, step / warmup_steps) if warmup_steps else peak


class Optimization:
    """The policy's DeepSpeed engine and all that takes part in an update, the same on every rank.

    Every rank calls the same methods in the same order.
    """

    def __init__(self, model_path: str, recipe: Recipe, ranks: Ranks) -> None:
        self._recipe = recipe
        self._ranks = ranks
        self.frozen = FrozenPolicies(model_path, recipe, ranks.device)  # before DeepSpeed starts
        self.entropy_coef = recipe.algorithm.entropy_coef
        self.engine = start_engine(model_path, recipe, ranks)
        self._sharing = SequenceParallel(ranks, recipe.learner.sequence_parallel)
        self._critic: OwnTrunk | SharedTrunk | None = None
        if recipe.critic is not None and recipe.critic.trunk == "own":
            self._critic = OwnTrunk(model_path, recipe, ranks)
        elif recipe.critic is not None:
            self._critic = SharedTrunk(self.engine, recipe, ranks)

    def engines(self, trainer: Path) -> list[tuple[Path, Any]]:
        """DeepSpeed's, and where in a checkpoint each keeps its state."""
        if isinstance(self._critic, OwnTrunk):
            return [(trainer, self.engine), (trainer / "critic", self._critic.engine)]
        return [(trainer, self.engine)]

    def step(self, step: int, batch: Batch) -> Update:
        """Make update number `step`.

        Raises:
            LearnerError: the loss is not finite; nothing was updated.
        """
        lengths = sequence_lengths(batch)
        settings = self._recipe.learner
        sharing = self._sharing
        budget = settings.micro_batch_tokens * sharing.size
        groups = self._ranks.world_size // sharing.size
        whole = self._recipe.algorithm.takes_answers_whole
        together = sequence_answers(batch) if whole else None
        passes = plan(lengths, groups, budget, together)[sharing.group]
        share = Share(batch, lengths, passes, self._ranks.device, multiple_of=sharing.size)
        lesson = self._critic and self._critic.judge(share, step)
        if lesson is not None:
            share = share.with_advantages(lesson.advantages)
        sums = torch.zeros(8, dtype=torch.float64, device=self._ranks.device)
        maxima = torch.zeros(3, dtype=torch.float64, device=self._ranks.device)
        tokens = TokenRecord(batch, self._recipe.record.tokens_per_step)
        with looking(self.engine) if self._rests(step) else nullcontext():
            for micro, last in share:
                self.engine.set_gradient_accumulation_boundary(last)
                self._accumulate(micro, share, lesson, step, sums, maxima, tokens)
        found, maxima_found = self._ranks.reduce(sums, maxima)
        loss, clipped, masked, kl, difference, entropy, *guided = found
        difference_max, ratio_max, prob_diff_max = maxima_found
        if not torch.tensor([loss, kl]).isfinite().all():
            raise LearnerError(
                f"update {step}: the loss is {loss} and sampler and learner differ by {kl} "
                f"nats: the weights diverged (learner.lr={settings.lr:g} is likely too high). "
                "Nothing was updated; the last checkpoint is whole"
            )
        rates = self._learning_rates(step)
        limit = settings.max_grad_norm
        grad_norm = 0.0 if self._rests(step) else optimizer_step(self.engine, rates, limit)
        learned = None
        if self._critic is not None and lesson is not None:
            learned = self._critic.finish(share, lesson, step, grad_norm)
        trained = int(batch.loss_mask.sum())
        per_token = 1 / max(trained, 1)
        optional = self._optional(guided, per_token)
        return Update(
            version=step,
            loss=loss,
            grad_norm=grad_norm,
            lr=rates[0],
            clip_fraction=clipped * per_token,
            masked_fraction=masked * per_token,
            mismatch_kl=kl * per_token,
            logprob_diff_mean=difference * per_token,
            logprob_diff_max=difference_max,
            ratio_max=ratio_max if trained else 1.0,
            prob_diff_max=prob_diff_max,
            n_tokens=batch.n_tokens,
            n_trained_tokens=trained,
            n_micro_batches=len(passes),
            entropy=entropy * per_token,
            optional=optional,
            critic=learned,
            tokens=tokens.figures(self._ranks),
        )

    def _accumulate(
        self,
        micro: MicroBatch,
        share: Share,
        lesson: Lesson | None,
        step: int,
        sums: Tensor,
        maxima: Tensor,
        tokens: TokenRecord,
    ) -> None:
        """One forward and backward pass; its figures are added to the last three in place."""
        guides = self.frozen.guides(micro)
        rewarded = self.entropy_coef > 0
        values = None
        if isinstance(self._critic, SharedTrunk):
            alone = self._critic_alone(step)
            logprobs, entropies, values = self._critic.forward(micro, rewarded, alone)
        else:
            part, routes = self._sharing.part(micro), self._sharing.routes(micro)
            own = self.engine(*part, self._recipe.rollout.temperature, rewarded, routes)
            logprobs, entropies = (self._sharing.whole(each, micro) for each in own)
        out = contribution(
            self._recipe.algorithm,
            logprobs,
            micro,
            share.batch.denominator,
            guides,
            self.frozen.teacher_coef,
            Bonus(self.entropy_coef, entropies) if rewarded else None,
        )
        loss = out.loss
        if isinstance(self._critic, SharedTrunk) and values is not None and lesson is not None:
            own_loss = loss * 0.0 if self._critic_alone(step) else loss
            loss = self._critic.joined(own_loss, values, micro, lesson, share.batch.n_tokens)
        if loss.requires_grad:
            # DeepSpeed takes the mean over ranks; the gradient is a sum over them.
            self.engine.backward(loss * self._ranks.world_size, scale_wrt_gas=False)
        found = mismatch(logprobs.detach(), micro.rollout_logprobs, micro.loss_mask)
        if self._sharing.index == 0:  # the others of its group have the same figures
            tokens.add(micro, logprobs.detach(), out.advantages)
            sums += torch.stack(
                [
                    out.loss.detach(),
                    out.clipped,
                    out.masked,
                    found.kl_sum,
                    found.diff_sum,
                    torch.where(micro.loss_mask, entropies.detach(), 0.0).sum(),
                    *distances(guides, logprobs.detach(), micro),
                ]
            )
        largest = torch.stack([found.diff_max, found.ratio_max, found.prob_diff_max]).double()
        torch.maximum(maxima, largest, out=maxima)

    def _optional(self, sums: list[float], per_token: float) -> dict[str, float]:
        """Figures of the optional parts of the objective, by their names in metrics.jsonl.

        Args:
            sums: over the step's trained tokens, as `distances` gives them.
        """
        reference, teacher = (total * per_token for total in sums)
        algorithm = self._recipe.algorithm
        found = {"reference_kl": reference} if algorithm.kl_coef else {}
        if self._recipe.teacher is not None:
            found["teacher_kl"] = teacher
        if algorithm.entropy_coef or algorithm.entropy_target is not None:
            found["entropy_coef"] = self.entropy_coef
        return found

    def adapt(self, update: Update, weights: Iterable[tuple[str, Tensor]]) -> None:
        """What changes after an update beside the weights.

        Args:
            weights: the policy's, new; used where the reference is to become the policy.
        """
        algorithm = self._recipe.algorithm
        learned = update.n_trained_tokens and not self._critic_alone(update.version)
        if algorithm.entropy_target is not None and learned:
            self.entropy_coef = adapted(
                self.entropy_coef,
                update.entropy,
                algorithm.entropy_target,
                algorithm.entropy_coef_step,
            )
        if self.frozen.is_reset_due(update.version):
            self.frozen.reset_reference(weights)

    def _critic_alone(self, step: int) -> bool:
        """Whether only the critic learns in this step."""
        critic = self._recipe.critic
        return critic is not None and critic.policy_frozen(step)

    def _rests(self, step: int) -> bool:
        """Whether nothing in the policy's engine learns: its pass is made to look at it only."""
        return self._critic_alone(step) and isinstance(self._critic, OwnTrunk)

    def _learning_rates(self, step: int) -> list[float]:
        """Of the policy, and of the value head where it is in the same engine."""
        settings, critic = self._recipe.learner, self._recipe.critic
        before = critic.pretraining_steps if critic else 0
        lr = learning_rate(max(0, step - before), settings.lr, settings.warmup_steps)
        rates = [0.0 if self._critic_alone(step) else lr]
        return [*rates, critic.lr] if critic and critic.trunk == "shared" else rates

"""Runs that go wrong say so: what is seen, why it matters, which key to change."""

from collections.abc import Sequence
from dataclasses import dataclass

from rl.config import Alarms as AlarmLimits
from rl.config import Recipe
from rl.errors import UserError
from rl.types import Group
from verifiers.verdict import Outcome

REPEAT_STEPS = 10  # between repetitions of a warning that still holds


@dataclass(frozen=True, slots=True)
class Signs:
    """The numbers of one step that alarms look at."""

    step: int
    reward: float  # mean over the rollouts with a verdict
    signal_groups: int
    truncated_fraction: float


def check_verifier(when: str, groups: Sequence[Group], limits: AlarmLimits) -> None:
    """Stop a run whose verifier fails, before anything is learned from what is left.

    Raises:
        UserError: more than `alarms.broken_fraction` of the verdicts are broken.
    """
    verdicts = [graded.verdict for group in groups for graded in group]
    broken = [verdict for verdict in verdicts if verdict.outcome is Outcome.BROKEN]
    if len(broken) > limits.broken_fraction * len(verdicts):
        raise UserError(
            f"{when}: the verifier failed on {len(broken) / len(verdicts):.0%} of the answers, for "
            f"example: {broken[0].detail}. Mend the environment's verify(), see "
            f"logs/verifiers.log; alarms.broken_fraction={limits.broken_fraction} is put up with"
        )


def check_mismatch(step: int, mismatch_kl: float, limits: AlarmLimits) -> None:
    """Stop a run whose sampler and learner are no longer the same policy.

    Raises:
        UserError: they differ by more than `alarms.max_mismatch_kl`.
    """
    if mismatch_kl > limits.max_mismatch_kl:
        raise UserError(
            f"step {step}: sampler and learner disagree by {mismatch_kl:.3g} nats per token "
            f"(allowed: alarms.max_mismatch_kl={limits.max_mismatch_kl}). Training on would "
            "collapse; give engine.dtype and learner.dtype the same value, or lower learner.lr"
        )


class Warnings:
    """Looks at every step; counts what must persist before it is worth a word."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._without_signal = 0
        self._truncated = 0

    def check(self, signs: Signs) -> list[str]:
        """The warnings to show after this step."""
        limits = self._recipe.alarms
        warnings = []
        self._without_signal = 0 if signs.signal_groups else self._without_signal + 1
        if self._without_signal and self._without_signal % limits.no_signal_steps == 0:
            warnings.append(self._no_signal(signs))
        truncated = signs.truncated_fraction >= limits.truncated_fraction
        self._truncated = self._truncated + 1 if truncated else 0
        if self._truncated % REPEAT_STEPS == 1:
            warnings.append(
                f"step {signs.step}: {signs.truncated_fraction:.0%} of the answers ran out of "
                f"tokens: raise rollout.max_new_tokens (now {self._recipe.rollout.max_new_tokens})"
            )
        return warnings

    def _no_signal(self, signs: Signs) -> str:
        worth = self._recipe.reward
        if signs.reward >= worth.correct:
            cause = "every answer is right: make the tasks harder (envs), or stop here"
        elif signs.reward <= worth.wrong:
            cause = (
                "every answer is wrong: make the tasks easier (envs), warm-start (sft), or give "
                "more tokens (rollout.max_new_tokens)"
            )
        else:
            cause = "within each group all rewards are equal: raise group_size or temperature"
        return (
            f"nothing was learned in the last {self._without_signal} steps, no group carried "
            f"signal: {cause}"
        )

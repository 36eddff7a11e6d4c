"""Runs that go wrong say so: what is seen, why it matters, which key to change."""

from dataclasses import dataclass

from rl.config import Recipe
from rl.errors import UserError


@dataclass(frozen=True, slots=True)
class Signs:
    """The numbers of one step that alarms look at."""

    step: int
    reward: float  # mean over the rollouts with a verdict
    signal_groups: int
    truncated_fraction: float
    broken_fraction: float
    mismatch_kl: float
    broken_example: str  # detail of one broken verdict, or empty


class Alarms:
    """Looks at every step; counts what must persist before it is worth a word."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._without_signal = 0

    def check(self, signs: Signs) -> list[str]:
        """The warnings to show after this step.

        Raises:
            UserError: the run must not go on.
        """
        limits = self._recipe.alarms
        if signs.broken_fraction > limits.broken_fraction:
            raise UserError(
                f"step {signs.step}: the verifier failed on {signs.broken_fraction:.0%} of the "
                f"answers, for example: {signs.broken_example}. Mend the environment's verify(), "
                "see logs/verifiers.log; alarms.broken_fraction sets the share that is put up with"
            )
        if signs.mismatch_kl > limits.max_mismatch_kl:
            raise UserError(
                f"step {signs.step}: sampler and learner disagree by {signs.mismatch_kl:.3g} nats "
                f"per token (allowed: alarms.max_mismatch_kl={limits.max_mismatch_kl}). Training "
                "on would collapse; give engine.dtype and learner.dtype the same value, or lower "
                "learner.lr"
            )
        warnings = []
        self._without_signal = 0 if signs.signal_groups else self._without_signal + 1
        if self._without_signal and self._without_signal % limits.no_signal_steps == 0:
            warnings.append(self._no_signal(signs))
        if signs.truncated_fraction >= limits.truncated_fraction:
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

"""Runs that go wrong say so: what is seen, why it matters, which key to change."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rl.errors import UserError
from rl.recipe.config import Recipe
from rl.recipe.sections import Alarms as AlarmLimits
from rl.types import ENGINE, Update
from verifiers.verdict import Outcome, Verdict

FIRST_VERDICTS = 64  # when they are all broken, nobody need wait for a long evaluation's others
REPEAT_STEPS = 10  # between repetitions of a warning that still holds


@dataclass(frozen=True, slots=True)
class Signs:
    """The numbers of one step that alarms look at."""

    step: int
    reward: float  # mean over the rollouts with a verdict
    signal_groups: int
    truncated_fraction: float
    context_ended: bool  # most truncated answers ended before rollout.max_new_tokens


class BrokenVerdicts:
    """Counts the verdicts of one step or evaluation as they come in."""

    def __init__(self, when: str, total: int, limits: AlarmLimits) -> None:
        self._when = when
        self._total = total
        self._allowed = limits.broken_fraction
        self._seen = 0
        self._broken: list[Verdict] = []

    def see(self, verdict: Verdict) -> None:
        """Stop the run as soon as it is certain that too much is broken to learn from the rest.

        Raises:
            UserError: more than `alarms.broken_fraction` of all verdicts to come are broken, or
                every one of the first 64.
        """
        self._seen += 1
        if verdict.outcome is not Outcome.BROKEN:
            return
        self._broken.append(verdict)
        n = len(self._broken)
        hopeless = n == self._seen >= FIRST_VERDICTS and self._allowed < 1
        if hopeless or n > self._allowed * self._total:
            raise UserError(self._message())

    def _message(self) -> str:
        by_engine = [verdict for verdict in self._broken if verdict.verifier == ENGINE]
        others = [verdict for verdict in self._broken if verdict.verifier != ENGINE]
        if len(by_engine) > len(others):
            who, failed = "the engine", by_engine
            remedy = "See logs/server-*.log; a server elsewhere has its own"
        else:
            who, failed = "the verifier", others
            remedy = "Mend the environment's verify(), see logs/verifiers.log"
        return (
            f"{self._when}: {who} failed on {len(failed)} of the first {self._seen} answers (of "
            f"{self._total}), for example: {failed[0].detail}. {remedy}; "
            f"alarms.broken_fraction={self._allowed} is put up with"
        )


def check_trainable(
    found: Signs, n_tokens: int, skipped: Sequence[Sequence[str | None]], recipe: Recipe
) -> None:
    """Stop a run in a step of which nothing may be trained on: there is no update to make.

    Args:
        n_tokens: of all answers that count in the loss.
        skipped: per group and answer, why it was not trained on.

    Raises:
        UserError: `n_tokens` is 0; with the reasons, and the keys to change.
    """
    if n_tokens:
        return
    reasons = Counter(why for group in skipped for why in group if why)
    listed = ", ".join(f"{why} {n}" for why, n in reasons.most_common())
    remedy = "see logs/verifiers.log and logs/server-*.log for what failed"
    if reasons["truncated"]:
        remedy = (
            "rollout.truncated=mask leaves out answers that ran out of tokens: "
            f"{longer_answers(found, recipe)}; or set rollout.truncated=train"
        )
    raise UserError(f"step {found.step}: no answer can be trained on ({listed}): {remedy}")


def longer_answers(found: Signs, recipe: Recipe) -> str:
    """The advice to whoever sees answers cut off: the key of the limit that they met."""
    if not found.context_ended:
        if recipe.rollout.chunk_tokens is not None:
            return f"raise rollout.chunks (now {recipe.rollout.chunks})"
        return f"raise rollout.max_new_tokens (now {recipe.rollout.max_new_tokens})"
    limit = recipe.engine.max_model_tokens or "what the model's configuration says"
    return (
        "prompt and answer met the servers' limit before rollout.max_new_tokens: raise "
        f"engine.max_model_tokens (now {limit}), as far as the model allows"
    )


def check_mismatch(step: int, update: Update, limits: AlarmLimits) -> None:
    """Stop a run whose sampler and learner are no longer the same policy.

    Raises:
        UserError: they differ by more than `alarms.max_mismatch_kl`, the correction left out more
            than `alarms.max_masked_fraction`, or the probability of one token differs by more than
            `alarms.max_prob_diff`.
    """
    remedy = (
        "Training on would collapse; give engine.dtype and learner.dtype the same value, or lower "
        "learner.lr"
    )
    if update.mismatch_kl > limits.max_mismatch_kl:
        raise UserError(
            f"step {step}: sampler and learner disagree by {update.mismatch_kl:.3g} nats per token "
            f"(allowed: alarms.max_mismatch_kl={limits.max_mismatch_kl}). {remedy}"
        )
    if update.masked_fraction > limits.max_masked_fraction:
        raise UserError(
            f"step {step}: {update.masked_fraction:.0%} of the trained tokens were left out, since "
            "sampler and learner disagree there (algorithm.sequence_band, algorithm.token_band; "
            f"allowed: alarms.max_masked_fraction={limits.max_masked_fraction}). {remedy}"
        )
    if update.prob_diff_max > limits.max_prob_diff:
        raise UserError(
            f"step {step}: sampler and learner disagree by {update.prob_diff_max:.3g} on the "
            f"probability of a token (allowed: alarms.max_prob_diff={limits.max_prob_diff}). "
            f"{remedy}"
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
        learns = signs.signal_groups > 0 or self._recipe.every_answer_learns
        self._without_signal = 0 if learns else self._without_signal + 1
        if self._without_signal and self._without_signal % limits.no_signal_steps == 0:
            warnings.append(self._no_signal(signs))
        truncated = signs.truncated_fraction >= limits.truncated_fraction
        self._truncated = self._truncated + 1 if truncated else 0
        if self._truncated % REPEAT_STEPS == 1:
            warnings.append(
                f"step {signs.step}: {signs.truncated_fraction:.0%} of the answers ran out of "
                f"tokens: {longer_answers(signs, self._recipe)}"
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

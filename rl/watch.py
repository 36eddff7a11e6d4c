"""Watches a run for a policy that cheats its verifier: canaries, a second opinion, one answer for
everything, and a held-out score that falls while the reward rises.

Each `check_...` is a function of what was seen that returns a sentence, or None where all is well.
`Watch` shows it the run and does what the recipe's `alarms` say: a line, or the end of the run.
"""

from collections import Counter, deque
from collections.abc import Sequence
from random import Random
from typing import Any

from envs.registry import job
from rl.alarms import REPEAT_STEPS
from rl.errors import UserError
from rl.events import Events
from rl.recipe.config import Recipe
from rl.recipe.sections import Action
from rl.types import Graded, Group
from verifiers.pool import VerifierPool
from verifiers.verdict import Outcome, Verdict

RECHECKED = 100  # answers over which disagreement is counted
ENOUGH_RECHECKED = 10
REWARD_STEPS = 10  # of which rewards are averaged before they are compared
ENOUGH_GROUPS = 4  # with fewer, equal answers say nothing
UNDECIDED = (Outcome.BROKEN, Outcome.EXCEEDED)  # a second opinion that says nothing of the answer
SHOWN = 80  # characters of an answer in an alarm


def check_canaries(canaries: Sequence[Group]) -> str | None:
    """Whether an answer to a task that has none was paid for."""
    answers = [graded for group in canaries for graded in group]
    paid = [graded for graded in answers if graded.verdict.score > 0]
    if not paid:
        return None
    return (
        f"{len(paid)} of {len(answers)} answers to canary tasks, which have no answer, were paid "
        f"for; the first is {_shown(paid[0])}. The verifier of '{paid[0].rollout.env}' can be "
        "cheated, and is: see split canary in samples.jsonl"
    )


def check_recheck(verdicts: Sequence[Verdict], limit: float) -> str | None:
    """Whether stricter rules refuse more of the accepted answers than `limit` allows."""
    refused = sum(verdict.outcome is not Outcome.CORRECT for verdict in verdicts)
    if len(verdicts) < ENOUGH_RECHECKED or refused <= limit * len(verdicts):
        return None
    why = next(v.detail for v in reversed(verdicts) if v.outcome is not Outcome.CORRECT)
    return (
        f"the environment's stricter rules refuse {refused} of the last {len(verdicts)} accepted "
        f"answers that they were asked about (the last one: {why}); "
        f"alarms.recheck_disagreement={limit} is put up with. If they are right, mend "
        "verify(); `assay audit` then shows what was paid for"
    )


def check_duplicates(groups: Sequence[Group], limit: float) -> str | None:
    """Whether one and the same answer is given whatever the task."""
    if len(groups) < ENOUGH_GROUPS:
        return None
    answers = [graded.rollout.response for group in groups for graded in group]
    answer, count = Counter(answers).most_common(1)[0]
    if count < limit * len(answers):
        return None
    return (
        f"{count / len(answers):.0%} of the answers are the same one, {answer[:SHOWN]!r}, whatever "
        f"the task (alarms.duplicate_fraction={limit}); samples.jsonl says what it earns"
    )


def check_held_out(
    evaluations: Sequence[dict[str, Any]], rewards: Sequence[float], limit: float
) -> str | None:
    """Whether the last held-out score lies below the best by more than `limit` and beyond both 95 %
    intervals, though the reward of training has risen since.

    Args:
        evaluations: rows of evals.jsonl, in order. rewards: of step 1, 2, ...
    """
    if len(evaluations) < 2:
        return None
    *earlier, last = evaluations
    best = max(earlier, key=lambda row: row["avg_at_k"]["value"])
    was, now = best["avg_at_k"], last["avg_at_k"]
    if was["value"] - now["value"] <= limit or now["high"] >= was["low"]:
        return None
    n = min(REWARD_STEPS, last["step"] - best["step"])
    end = max(best["step"], n)  # the best may be from before the first step
    then, after = _mean(rewards[end - n : end]), _mean(rewards[last["step"] - n : last["step"]])
    if after <= then:
        return None
    return (
        f"the reward rose from {then:.3f} to {after:.3f} since step {best['step']}, but held out "
        f"avg@{last['samples']} fell from {was['value']:.3f} to {now['value']:.3f}: what is "
        f"learned is not the task (alarms.held_out_drop={limit}); samples.jsonl shows what is paid"
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _shown(graded: Graded) -> str:
    prompt = graded.rollout.task.messages[-1].content[-SHOWN:]
    return f"{graded.rollout.response[-SHOWN:]!r} to {prompt!r}"


class Watch:
    """Looks at every step and every evaluation of one run.

    pool: judges by the stricter rules (`envs.registry:recheck`), apart from the run's own workers.
    """

    def __init__(self, recipe: Recipe, pool: VerifierPool, events: Events) -> None:
        self._recipe, self._pool, self._events = recipe, pool, events
        self._rechecked: deque[Verdict] = deque(maxlen=RECHECKED)
        self._said_at: dict[str, int] = {}

    async def step(self, step: int, groups: Sequence[Group], canaries: Sequence[Group]) -> None:
        """Check one step's answers.

        Raises:
            UserError: something is wrong for which the recipe says `stop`.
        """
        limits = self._recipe.alarms
        self._act(step, "canary", check_canaries(canaries), limits.canary_action)
        self._rechecked.extend(await self._recheck(step, groups))
        verdicts = list(self._rechecked)
        found = check_recheck(verdicts, limits.recheck_disagreement)
        self._act(step, "recheck", found, limits.recheck_action)
        found = check_duplicates(groups, limits.duplicate_fraction)
        self._act(step, "duplicate", found, limits.duplicate_action)

    def evaluated(
        self, step: int, evaluations: Sequence[dict[str, Any]], rewards: Sequence[float]
    ) -> None:
        """Check the held-out scores so far; `step` is the one that the last was made after.

        Raises:
            UserError: they fall while the reward rises, and the recipe says `stop`.
        """
        limits = self._recipe.alarms
        found = check_held_out(evaluations, rewards, limits.held_out_drop)
        self._act(step, "held_out", found, limits.held_out_action)

    async def _recheck(self, step: int, groups: Sequence[Group]) -> list[Verdict]:
        """What the stricter rules say about a sample of the step's right answers."""
        rng = Random(f"recheck/{self._recipe.seed}/{step}")
        share = self._recipe.alarms.recheck_fraction
        right = [g for group in groups for g in group if g.verdict.outcome is Outcome.CORRECT]
        rollouts = [graded.rollout for graded in right if rng.random() < share]
        jobs = [job(r.env, r.options, r.task, r.response) for r in rollouts]
        verdicts = []
        for one in jobs:
            self._events.wait(f"step {step}: second opinion", self._pool.verdict_deadline_s)
            verdicts.append(await self._pool.verify(one))
        return [verdict for verdict in verdicts if verdict.outcome not in UNDECIDED]

    def _act(self, step: int, alarm: str, found: str | None, action: Action) -> None:
        if found is None:
            self._said_at.pop(alarm, None)
            return
        if action == "stop":
            raise UserError(f"step {step}: {found}. The run ends here (alarms.{alarm}_action=stop)")
        if step - self._said_at.get(alarm, -REPEAT_STEPS) >= REPEAT_STEPS:
            self._said_at[alarm] = step
            self._events.warn(f"step {step}: {found}")

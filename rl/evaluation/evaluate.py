"""A run's own evaluations: the weights now in the rollout servers, on the held-out tasks."""

from collections.abc import Sequence
from typing import Any

from rl.evaluation.scores import Answer, scores
from rl.evaluation.settings import env_labels, label_key
from rl.recipe.config import Recipe
from rl.sampling.engine import Sampling
from rl.sampling.rollouts import Rollouts
from rl.tasks import Drawn
from rl.types import Graded, Group, Stop
from verifiers.verdict import Outcome


async def held_out_groups(
    rollouts: Rollouts, held_out: Sequence[Drawn], recipe: Recipe, when: str
) -> list[Group]:
    """Answer every held-out task `evaluation.samples` times and have the answers judged."""
    sampling = Sampling(
        max_new_tokens=recipe.rollout.budget(recipe.evaluation.chunks),
        temperature=recipe.evaluation.temperature,
        n=recipe.evaluation.samples,
        top_p=recipe.evaluation.top_p,
    )
    return await rollouts.groups(held_out, sampling, when)


def score(groups: Sequence[Group], held_out: Sequence[Drawn]) -> dict[str, Any]:
    """A line of evals.jsonl, but for its step: the main ones of the scores of `assay eval`.

    groups: the answers to each held-out task, in the same order. An environment without a verdict
    that counts has no score of its own.

    Raises:
        ValueError: every verdict of every task is broken.
    """
    names = env_labels((drawn.env, drawn.options) for drawn in held_out)
    answers = [
        _answer(graded, names[label_key(drawn.env, drawn.options)], drawn)
        for drawn, group in zip(held_out, groups, strict=True)
        for graded in group
    ]
    judged = sorted({answer.env for answer in answers if answer.outcome is not Outcome.BROKEN})
    by_env = {name: scores([a for a in answers if a.env == name]) for name in judged}
    found = scores(answers)
    return {
        "problems": found.problems,
        "samples": found.samples,
        "avg_at_k": found.avg_at_k._asdict(),
        "avg_by_env": {name: own.avg_at_k._asdict() for name, own in by_env.items()},
        "pass_k": max(found.pass_at_k),  # fewer than samples where every task has a broken verdict
        "pass_at_k": found.pass_at_k[max(found.pass_at_k)]._asdict(),
        "truncated_fraction": found.truncated_fraction,
        "broken": found.broken,
        "mean_tokens": found.mean_tokens.value,
    }


def _answer(graded: Graded, env: str, drawn: Drawn) -> Answer:
    completion, verdict = graded.rollout.completion, graded.verdict
    return Answer(
        env=env,
        problem=drawn.task.key,
        family=drawn.family,
        outcome=verdict.outcome,
        score=verdict.score,
        answer=verdict.answer,
        tokens=len(completion.tokens),
        truncated=completion.stop is Stop.LENGTH,
        failed=completion.stop is Stop.FAILED,
    )

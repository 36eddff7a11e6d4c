"""avg@k and pass@k of the weights now in the rollout servers, on held-out tasks."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rl.evaluation.statistics import Estimate, mean_over_problems, pass_at_k
from rl.recipe.config import Recipe
from rl.recipe.sections import Evaluation
from rl.sampling.engine import Sampling
from rl.sampling.rollouts import Rollouts
from rl.tasks import Drawn
from rl.types import Group, Stop
from verifiers.verdict import Outcome


@dataclass(frozen=True, slots=True)
class Scores:
    """What an evaluation found. Intervals are 95 %, over problems."""

    problems: int
    samples: int  # answers per problem, the k of avg_at_k
    avg_at_k: Estimate  # mean score
    avg_by_env: dict[str, Estimate]  # the same, of each environment's problems
    pass_at_k: Estimate  # share of problems with a right answer among `samples`
    truncated_fraction: float  # of answers
    broken: int  # answers whose verifier failed; left out of both figures
    mean_tokens: float  # per answer

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {
            "avg_at_k": self.avg_at_k._asdict(),
            "avg_by_env": {name: found._asdict() for name, found in self.avg_by_env.items()},
            "pass_at_k": self.pass_at_k._asdict(),
        }


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


def score(groups: Sequence[Group], evaluation: Evaluation) -> Scores:
    """The figures of an evaluation; broken verdicts are counted, and count neither way.

    Raises:
        ValueError: every verdict of every problem is broken.
    """
    judged = [[g for g in group if g.verdict.outcome is not Outcome.BROKEN] for group in groups]
    kept = [group for group in judged if group]
    right = [sum(g.verdict.outcome is Outcome.CORRECT for g in group) for group in kept]
    means = [sum(g.verdict.score for g in group) / len(group) for group in kept]
    by_env: dict[str, list[float]] = {}
    for name, mean in zip(_names(kept), means, strict=True):
        by_env.setdefault(name, []).append(mean)
    members = [g for group in groups for g in group]
    lengths = [len(g.rollout.completion.tokens) for g in members]
    truncated = sum(g.rollout.completion.stop is Stop.LENGTH for g in members)
    return Scores(
        problems=len(groups),
        samples=evaluation.samples,
        avg_at_k=mean_over_problems(means),
        avg_by_env={name: mean_over_problems(by_env[name]) for name in sorted(by_env)},
        pass_at_k=mean_over_problems(
            [pass_at_k(len(x), c, len(x)) for x, c in zip(kept, right, strict=True)]
        ),
        truncated_fraction=truncated / len(members),
        broken=len(members) - sum(map(len, kept)),
        mean_tokens=sum(lengths) / len(lengths),
    )


def _names(groups: Sequence[Group]) -> list[str]:
    """Of each group's environment: its name, with its options where two share the name."""
    envs = [(group[0].rollout.env, json.dumps(group[0].rollout.options)) for group in groups]
    shared = Counter(name for name, _ in set(envs))
    return [name if shared[name] == 1 else f"{name} {options}" for name, options in envs]

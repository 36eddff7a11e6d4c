"""What a set of judged answers comes to: every figure of an evaluation, with its interval."""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rl.evaluation.statistics import (
    Estimate,
    majority,
    mean_of_amounts,
    mean_over_problems,
    pass_at_k,
    pass_hat_k,
)
from verifiers.verdict import Outcome


@dataclass(frozen=True, slots=True)
class Answer:
    """One judged answer to one problem."""

    env: str  # as the scores are to name it
    problem: str  # key of the task; answers with the same env and problem are to the same task
    family: str | None  # what problems of this env come in clusters by; None: it stands alone
    outcome: Outcome
    score: float  # 0 to 1
    # What was read out of the response. None: nothing could be, or answers of this kind are not
    # compared with each other (programs): then there is no majority.
    answer: str | None
    tokens: int
    truncated: bool  # the token budget ran out


@dataclass(frozen=True, slots=True)
class Scores:
    """What an evaluation found. Broken verdicts are counted, and count neither way."""

    problems: int
    samples: int  # answers per problem, the k of avg_at_k
    avg_at_k: Estimate  # mean score
    pass_at_k: dict[int, Estimate]  # chance that one of k answers is right; every k to `samples`
    pass_hat_k: dict[int, Estimate]  # chance that all of k answers are right
    majority_at_k: Estimate | None  # chance that the most common answer is; None: none is common
    mean_tokens: Estimate  # per answer
    truncated_fraction: float  # of answers
    outcomes: dict[str, int]  # answers
    broken: int  # answers whose verifier failed

    def to_json(self) -> dict[str, Any]:
        many = ("pass_at_k", "pass_hat_k")
        return asdict(self) | {
            "avg_at_k": self.avg_at_k._asdict(),
            **{
                name: {str(k): e._asdict() for k, e in getattr(self, name).items()} for name in many
            },
            "majority_at_k": self.majority_at_k._asdict() if self.majority_at_k else None,
            "mean_tokens": self.mean_tokens._asdict(),
        }


def scores(answers: Sequence[Answer]) -> Scores:
    """The figures of an evaluation, over all environments that the answers come from.

    A problem counts for pass@k and pass^k with the k that it has judged answers for; a k that no
    problem has enough answers for is not there.

    Raises:
        ValueError: every verdict is broken, or there are no answers.
    """
    problems = by_problem(answers)
    judged = [found for group in problems.values() if (found := counted(group))]
    if not judged:
        raise ValueError(f"none of the {len(answers)} answers has a verdict that counts")
    samples = max(map(len, problems.values()))
    return Scores(
        problems=len(problems),
        samples=samples,
        avg_at_k=mean_over_problems([mean_score(group) for group in judged], families(judged)),
        pass_at_k=_curve(judged, samples, pass_at_k),
        pass_hat_k=_curve(judged, samples, pass_hat_k),
        majority_at_k=_majority(judged),
        mean_tokens=mean_of_amounts(
            [sum(a.tokens for a in group) / len(group) for group in problems.values()],
            families(list(problems.values())),
        ),
        truncated_fraction=sum(a.truncated for a in answers) / len(answers),
        outcomes=_outcomes(answers),
        broken=sum(a.outcome is Outcome.BROKEN for a in answers),
    )


def scores_json(answers: Sequence[Answer]) -> dict[str, Any]:
    """scores.json: the figures over everything, and of each environment.

    Raises:
        ValueError: every verdict of an environment is broken; the message names it.
    """
    by_env: dict[str, list[Answer]] = {}
    for answer in answers:
        by_env.setdefault(answer.env, []).append(answer)
    found = {}
    for name in sorted(by_env):
        try:
            found[name] = scores(by_env[name]).to_json()
        except ValueError as error:
            raise ValueError(f"environment '{name}': {error}") from error
    return {"all": scores(answers).to_json(), "by_env": found}


Problem = tuple[str, str]  # env and problem


def by_problem(answers: Sequence[Answer]) -> dict[Problem, list[Answer]]:
    """The answers to each problem, in the order in which problems first occur."""
    found: dict[Problem, list[Answer]] = {}
    for answer in answers:
        found.setdefault((answer.env, answer.problem), []).append(answer)
    return found


def mean_score(answers: Sequence[Answer]) -> float:
    return sum(a.score for a in answers) / len(answers)


def counted(answers: Sequence[Answer]) -> list[Answer]:
    """Those whose verdict says something about the answer."""
    return [a for a in answers if a.outcome is not Outcome.BROKEN]


def families(groups: Sequence[Sequence[Answer]]) -> list[Hashable] | None:
    """What the problem of each group of answers belongs to; None where each stands alone."""
    firsts = [group[0] for group in groups]
    if all(a.family is None for a in firsts):
        return None
    return [(a.env, a.problem, "") if a.family is None else (a.env, a.family) for a in firsts]


def _curve(
    judged: Sequence[Sequence[Answer]], samples: int, figure: Callable[[int, int, int], float]
) -> dict[int, Estimate]:
    """`figure` of (answers, right ones, k), averaged over problems, for every k."""
    found: dict[int, Estimate] = {}
    for k in range(1, samples + 1):
        enough = [group for group in judged if len(group) >= k]
        if not enough:
            break
        right = [sum(a.outcome is Outcome.CORRECT for a in group) for group in enough]
        values = [figure(len(x), c, k) for x, c in zip(enough, right, strict=True)]
        found[k] = mean_over_problems(values, families(enough))
    return found


READ = (Outcome.CORRECT, Outcome.PARTIAL, Outcome.WRONG)  # an answer could be read


def _majority(judged: Sequence[Sequence[Answer]]) -> Estimate | None:
    """Over the problems whose answers can be compared with each other."""
    compared = [
        group for group in judged if not any(a.answer is None and a.outcome in READ for a in group)
    ]
    if not compared:
        return None
    votes = [
        [(a.outcome is Outcome.CORRECT, a.answer) for a in group if a.answer is not None]
        for group in compared
    ]
    return mean_over_problems([majority(each) for each in votes], families(compared))


def _outcomes(answers: Sequence[Answer]) -> dict[str, int]:
    counts = Counter(str(a.outcome) for a in answers)
    return {str(o): counts[str(o)] for o in Outcome}

"""What a set of judged answers comes to: every figure of an evaluation, with its interval."""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rl.evaluation.statistics import (
    Estimate,
    all_right,
    majority,
    mean_of_amounts,
    mean_over_problems,
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
    failed: bool = False  # there is no answer, because the server failed


@dataclass(frozen=True, slots=True)
class Scores:
    """What an evaluation found. Broken verdicts are counted, and count neither way."""

    problems: int
    samples: int  # answers per problem, the k of avg_at_k
    avg_at_k: Estimate  # mean score
    pass_at_k: dict[
        int, Estimate
    ]  # chance that one of k answers is right; the k that any problem has
    pass_hat_k: dict[int, Estimate]  # chance that all of k answers are right
    problems_at_k: dict[int, int]  # with so many judged answers: what those two are means over
    majority_at_k: Estimate | None  # chance that the most common answer is; None: programs
    mean_tokens: Estimate  # per answer
    truncated_fraction: float  # of the answers that the server did not fail on
    outcomes: dict[str, int]  # answers
    broken: int  # answers whose verifier failed

    def to_json(self) -> dict[str, Any]:
        many = ("pass_at_k", "pass_hat_k")
        return asdict(self) | {
            "avg_at_k": self.avg_at_k._asdict(),
            **{
                name: {str(k): e._asdict() for k, e in getattr(self, name).items()} for name in many
            },
            "problems_at_k": {str(k): n for k, n in self.problems_at_k.items()},
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
    sampled = [x for group in problems.values() if (x := [a for a in group if not a.failed])]
    return Scores(
        problems=len(problems),
        samples=samples,
        avg_at_k=mean_over_problems([mean_score(group) for group in judged], families(judged)),
        pass_at_k=_curve(judged, samples, _one_right),
        pass_hat_k=_curve(judged, samples, all_right),
        problems_at_k={k: n for k in range(1, samples + 1) if (n := _enough(judged, k))},
        majority_at_k=_majority(judged),
        mean_tokens=mean_of_amounts(
            [sum(a.tokens for a in group) / len(group) for group in sampled], families(sampled)
        ),
        truncated_fraction=sum(a.truncated for a in answers) / sum(map(len, sampled)),
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
    every = found[name] if len(found) == 1 else scores(answers).to_json()
    return {"all": every, "by_env": found}


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


def _enough(judged: Sequence[Sequence[Answer]], k: int) -> int:
    return sum(len(group) >= k for group in judged)


def _one_right(n: int, c: int) -> list[float]:
    """pass@k for k = 1 to n."""
    return [1.0 - none for none in all_right(n, n - c)]


def _curve(
    judged: Sequence[Sequence[Answer]], samples: int, figures: Callable[[int, int], list[float]]
) -> dict[int, Estimate]:
    """`figures` of (answers, right ones), averaged for every k over the problems that have it."""
    curves = [
        figures(len(group), sum(a.outcome is Outcome.CORRECT for a in group)) for group in judged
    ]
    clusters = families(judged)
    found: dict[int, Estimate] = {}
    for k in range(1, samples + 1):
        enough = [i for i, curve in enumerate(curves) if len(curve) >= k]
        if not enough:
            break
        own = None if clusters is None else [clusters[i] for i in enough]
        found[k] = mean_over_problems([curves[i][k - 1] for i in enough], own)
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

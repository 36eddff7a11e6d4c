"""Whether one checkpoint is better than another on the problems that both answered."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rl.evaluation.scores import Answer, Problem, by_problem, counted, families, mean_score
from rl.evaluation.statistics import Estimate, difference_over_problems


@dataclass(frozen=True, slots=True)
class Comparison:
    """Mean scores (avg@k) of two checkpoints, problem by problem."""

    first: str  # names, as a person is to read them
    second: str
    problems: int  # that both have judged answers to
    unpaired: int  # that only one of them has; left out
    difference: Estimate  # of scores, second - first, -1 to 1

    @property
    def sentence(self) -> str:
        """What a person may conclude, in points of a hundred."""
        value, low, high = (100 * x for x in self.difference)
        if low <= 0 <= high:
            return (
                f"no difference can be told: {self.second} minus {self.first} is {_points(value)} "
                f"points, 95 % interval {_points(low)} to {_points(high)}"
            )
        better = low > 0
        ends = (low, high) if better else (-high, -low)
        return (
            f"{self.second} is {'better' if better else 'worse'} than {self.first} by "
            f"{_points(abs(value))} points, 95 % interval {_points(ends[0])} to {_points(ends[1])}"
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "first": self.first,
            "second": self.second,
            "problems": self.problems,
            "unpaired": self.unpaired,
            "difference": self.difference._asdict(),
            "sentence": self.sentence,
        }


def judged_in_common(first: Sequence[Answer], second: Sequence[Answer]) -> bool:
    return not _judged(first).keys().isdisjoint(_judged(second))


def compare(
    first: Sequence[Answer], second: Sequence[Answer], *, names: tuple[str, str]
) -> Comparison:
    """Compare two checkpoints on the problems that both have judged answers to.

    Broken verdicts count neither way.

    Raises:
        ValueError: there is no such problem.
    """
    ours, theirs = _judged(first), _judged(second)
    shared = [key for key in ours if key in theirs]
    if not shared:
        raise ValueError(f"{names[0]} and {names[1]} have no judged problem in common")
    return Comparison(
        *names,
        problems=len(shared),
        unpaired=len(ours.keys() ^ theirs.keys()),
        difference=difference_over_problems(
            [mean_score(ours[key]) for key in shared],
            [mean_score(theirs[key]) for key in shared],
            families([ours[key] for key in shared]),
        ),
    )


def _judged(answers: Sequence[Answer]) -> dict[Problem, list[Answer]]:
    groups = by_problem(answers).items()
    return {key: found for key, group in groups if (found := counted(group))}


def _points(value: float) -> str:
    """One decimal, or as many as it takes to be something else than 0; up to three."""
    for decimals in (1, 2, 3):
        text = f"{value:.{decimals}f}"
        if float(text) != 0:
            return text
    return "0.0"

"""Write a function that prepares a list and then runs a small algorithm on it."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from inspect import getsource
from random import Random
from typing import Any, Self

from envs import mistakes, reference
from envs.base import Task
from envs.pipelines import Pipeline, draw_input, draw_pipeline
from envs.programs import Exercise, Programs


@dataclass(frozen=True)
class Algorithm:
    level: int
    says: str  # what comes out, with "{k}" for the constant
    call: Callable[[list[int], int], Any]
    constants: Sequence[int]

    @property
    def name(self) -> str:
        return self.call.__name__

    @property
    def mistaken(self) -> Callable[[list[int], int], Any]:
        """The same with a mistake."""
        return getattr(mistakes, self.name)


ALGORITHMS = (
    Algorithm(
        1, "how many numbers are greater than {k}", reference.count_greater, (1, 3, 5, 8),
    ),
    Algorithm(
        1, "{k} times the sum of the numbers at the positions 0, 2, 4, ... minus the sum of those "
        "at 1, 3, 5, ...", reference.alternating_sum, (1, 2, 3),
    ),
    Algorithm(
        1, "the sum of the numbers that {k} divides", reference.sum_of_multiples, (2, 3, 4, 5),
    ),
    Algorithm(
        1, "the position (from 0) of the first number greater than {k}, or -1 if there is none",
        reference.first_position, (4, 6, 8, 10, 12),
    ),
    Algorithm(
        2, "the number that is number {k} from below among the different numbers, or 0 if there "
        "are fewer", reference.kth_smallest, (2, 3, 4),
    ),
    Algorithm(
        2, "the list of every number minus the one {k} places before it", reference.differences,
        (1, 2, 3),
    ),
    Algorithm(
        2, "the list of the running sums of {k} times the numbers", reference.running_sums,
        (1, 2, 3, 4),
    ),
    Algorithm(
        2, "the list with its first {k} numbers moved to the end, one by one, starting again when "
        "all have been moved", reference.rotate, (1, 2, 3),
    ),
    Algorithm(
        3, "the largest sum of {k} neighbouring numbers, or 0 if there are fewer",
        reference.best_window, (2, 3, 4),
    ),
    Algorithm(
        3, "how many pairs of different positions hold two numbers whose sum is {k}",
        reference.pairs_with_sum, (5, 8, 10, 12, 20),
    ),
    Algorithm(
        3, "the length of the longest run of neighbours in which each number is greater than the "
        "one before it by {k} at least", reference.longest_rise, (1, 2, 3),
    ),
    Algorithm(
        3, "the lists of the numbers of equal remainder modulo {k}, by rising remainder, without "
        "empty lists", reference.groups_by_remainder, (2, 3, 4),
    ),
    Algorithm(
        4, "the largest sum of a stretch of neighbours after taking {k} from each, where the empty "
        "stretch has sum 0", reference.best_stretch, (1, 2, 3, 5),
    ),
    Algorithm(
        4, "how many pairs of positions i < j have a number at i that exceeds the one at j by more "
        "than {k}", reference.inversions, (1, 2, 3, 5),
    ),
    Algorithm(
        4, "the list of the [smallest, largest] numbers of the clusters, in rising order; sorted "
        "neighbours at most {k} apart are in one cluster", reference.clusters, (1, 2, 3),
    ),
    Algorithm(
        4, "the list of the {k} most frequent numbers, most frequent first and the smaller first "
        "where two are equally frequent", reference.most_common, (1, 2, 3),
    ),
    Algorithm(
        5, "the length of the longest subsequence in which each number exceeds the one before by "
        "{k} at least", reference.longest_subsequence, (1, 2, 3),
    ),
    Algorithm(
        5, "how many selections of positions (the empty one too) have a sum that {k} divides",
        reference.subset_sums, (2, 3, 4, 5),
    ),
    Algorithm(
        5, "the list in the order in which the numbers leave a circle, when counting starts at the "
        "first and every {k}th who is still there leaves", reference.circle, (2, 3, 4),
    ),
    Algorithm(
        5, "the largest sum of numbers of which no two are {k} places apart or nearer, or 0",
        reference.best_without_neighbours, (1, 2),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Prepared:
    """An algorithm with its constant, run on what a pipeline makes of a list."""

    pipeline: Pipeline
    algorithm: Algorithm
    constant: int
    mistaken: bool = False  # the algorithm is the one with the mistake

    @property
    def _function(self) -> Callable[[list[int], int], Any]:
        return self.algorithm.mistaken if self.mistaken else self.algorithm.call

    def __call__(self, ns: list[int]) -> Any:
        return self._function(self.pipeline(ns), self.constant)

    def sentence(self) -> str:
        result = self.algorithm.says.replace("{k}", str(self.constant))
        return f"{self.pipeline.sentence()}. From what comes out, return {result}"

    def program(self) -> str:
        call = f"{self.algorithm.name}({self.pipeline.expression('ns')}, {self.constant})"
        return f"{source_of(self._function)}\n\ndef f(ns):\n    return {call}"

    def slip(self, rng: Random, inputs: Sequence[list[int]]) -> Self:
        """With the mistake, another constant or another step before; that gives other results.

        Raises:
            LookupError: none does.
        """
        constants = [k for k in self.algorithm.constants if k != self.constant]
        wrong = [
            replace(self, mistaken=True),
            replace(self, constant=rng.choice(constants)),
            replace(self, pipeline=rng.choice(list(self.pipeline.slips()))),
        ]
        results = [self(ns) for ns in inputs]
        rng.shuffle(wrong)
        for slip in (*wrong, *(replace(self, pipeline=p) for p in self.pipeline.slips())):
            if [slip(ns) for ns in inputs] != results:
                return slip
        raise LookupError(f"no slip in '{self.sentence()}' changes a result")

    def to_json(self) -> dict[str, Any]:
        return {
            "pipeline": self.pipeline.to_json(),
            "algorithm": self.algorithm.name,
            "constant": self.constant,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        algorithm = next(a for a in ALGORITHMS if a.name == data["algorithm"])
        return cls(Pipeline.from_json(data["pipeline"]), algorithm, data["constant"])


@cache
def source_of(function: Callable[..., Any]) -> str:
    return getsource(function).rstrip() + "\n"


def draw_prepared(rng: Random, level: int) -> Prepared:
    """One step of preparation up to level 2, then two; and no result that nearly always comes."""
    while True:
        algorithm = rng.choice([a for a in ALGORITHMS if a.level == level])
        pipeline = draw_pipeline(rng, "numbers", 1 if level <= 2 else 2, ("numbers",))
        prepared = Prepared(pipeline, algorithm, rng.choice(algorithm.constants))
        results = Counter(repr(prepared(ns)) for ns in samples())
        if max(results.values()) <= len(samples()) // 2:
            return prepared


def draw_numbers(rng: Random) -> list[int]:
    """Longer than a pipeline's input, so that something is left for the algorithm."""
    return draw_input(rng, "numbers") + draw_input(rng, "numbers")


@cache
def samples() -> tuple[list[int], ...]:
    """Some lists, always the same: to see what a function does. Not to be changed."""
    rng = Random("samples")
    return tuple(draw_numbers(rng) for _ in range(10))


@dataclass(frozen=True)
class Algorithms(Programs):
    """`Write a Python function f(ns). It takes a list of integers: keep only the even numbers. From
    what comes out, return the largest sum of 3 neighbouring numbers.`

    | level | the algorithm | steps before it |
    |---|---|---|
    | 1 | one loop: counts, sums, a search | 1 |
    | 2 | a list is built or sorted | 1 |
    | 3 | windows, pairs, runs, groups | 2 |
    | 4 | best stretch, inversions, clusters, frequencies | 2 |
    | 5 | dynamic programming, a circle of elimination | 2 |
    """

    def task(self, rng: Random) -> Task:
        prepared = draw_prepared(rng, self.level)
        what = f"Write a Python function f(ns). It takes a list of integers: {prepared.sentence()}."
        return self.function_task(rng, what, prepared.to_json())

    def exercise(self, made_of: dict[str, Any]) -> Exercise:
        return Exercise(draw_numbers, Prepared.from_json(made_of))

    def program(self, task: Task) -> str:
        return Prepared.from_json(task.truth["made_of"]).program()

    def wrong_program(self, task: Task, rng: Random) -> str:
        hidden = [test["args"][0] for test in task.truth["hidden_tests"]]
        return Prepared.from_json(task.truth["made_of"]).slip(rng, hidden).program()

"""Find and repair the one mistake in a program."""

from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, Literal

from envs.algorithms import Prepared, draw_numbers, draw_prepared
from envs.algorithms import samples as lists
from envs.base import Task
from envs.pipelines import Pipeline, draw_input, draw_pipeline, samples
from envs.primitives import NOUNS
from envs.programs import Exercise, Programs, fenced


@dataclass(frozen=True)
class BugRepair(Programs):
    """`This Python function is wrong. It should ...` The response is the whole program, repaired.

    `steps`: level n is a function of n + 1 steps, a line each, one of which is another step or has
    another constant. `algorithms`: what `algorithms` asks for at level n, with a mistake in the
    algorithm, in its constant or in what comes before it.
    """

    programs: tuple[Literal["steps", "algorithms"], ...] = ("steps", "algorithms")
    """What there is to repair."""

    def task(self, rng: Random) -> Task:
        if rng.choice(self.programs) == "algorithms":
            right = draw_prepared(rng, self.level)
            should = f"It takes a list of integers: {right.sentence()}."
            slip = right.slip(rng, lists())
            shown = slip.program()
        else:
            takes = rng.choice(("text", "numbers", "words"))
            right = draw_pipeline(rng, takes, self.level + 1)
            should = f"It takes {NOUNS[takes]}: {right.sentence()}. Return what comes out."
            slip = right.slip(rng, samples(takes))
            shown = slip.statements()
        what = f"This Python function f has one mistake. {should} Repair it.\n{fenced(shown)}"
        while True:  # until a hidden test finds the mistake
            task = self.function_task(rng, what, right.to_json())
            tests = task.truth["hidden_tests"]
            if any(slip(test["args"][0]) != test["expected"] for test in tests):
                return task

    def exercise(self, made_of: dict[str, Any]) -> Exercise:
        right = _right(made_of)
        if isinstance(right, Prepared):
            return Exercise(draw_numbers, right)
        return Exercise(partial(draw_input, kind=right.takes), right)

    def program(self, task: Task) -> str:
        right = _right(task.truth["made_of"])
        return right.program() if isinstance(right, Prepared) else right.statements()

    def wrong_program(self, task: Task, rng: Random) -> str:
        """Wrong in a way of its own, not as the one in the prompt is."""
        inputs = [test["args"][0] for test in task.truth["hidden_tests"]]
        wrong = _right(task.truth["made_of"]).slip(rng, inputs)
        return wrong.program() if isinstance(wrong, Prepared) else wrong.statements()


def _right(made_of: dict[str, Any]) -> Prepared | Pipeline:
    return (Prepared if "algorithm" in made_of else Pipeline).from_json(made_of)

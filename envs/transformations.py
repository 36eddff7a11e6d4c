"""Write a function that does a few things to a string or a list, one after the other."""

from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from envs.base import Task
from envs.pipelines import Pipeline, draw_input, draw_pipeline
from envs.primitives import NOUNS, VARIABLES
from envs.programs import Exercise, Programs


@dataclass(frozen=True)
class Transformations(Programs):
    """`Write a Python function f(s). It takes a string: turn it into upper case, then ...`

    At level n a function has n + 1 steps, of about 60 kinds, most of them with a constant.
    """

    inputs: tuple[Literal["text", "numbers", "words"], ...] = ("text", "numbers", "words")
    """What the functions take."""

    wording: Literal["sentence", "keywords"] = "sentence"
    """`keywords` is for a policy too small to read: `f(s): upper, drop 2`."""

    solutions: Literal["expression", "steps"] = "expression"
    """How worked solutions are written: as one expression, or with an assignment per step, whose
    order is that of the statement and therefore easier to learn."""

    def task(self, rng: Random) -> Task:
        pipeline = draw_pipeline(rng, rng.choice(self.inputs), self.level + 1)
        takes = pipeline.takes
        what = f"f({VARIABLES[takes]}): {pipeline.keywords()}"
        if self.wording == "sentence":
            what = (
                f"Write a Python function f({VARIABLES[takes]}). It takes {NOUNS[takes]}: "
                f"{pipeline.sentence()}. Return what comes out."
            )
        return self.function_task(rng, what, pipeline.to_json())

    def exercise(self, made_of: dict[str, Any]) -> Exercise:
        pipeline = Pipeline.from_json(made_of)
        return Exercise(lambda rng: draw_input(rng, pipeline.takes), pipeline)

    def program(self, task: Task) -> str:
        return self._write(Pipeline.from_json(task.truth["made_of"]))

    def wrong_program(self, task: Task, rng: Random) -> str:
        pipeline = Pipeline.from_json(task.truth["made_of"])
        hidden = task.truth["hidden_tests"]
        return self._write(pipeline.slip(rng, [test["args"][0] for test in hidden]))

    def _write(self, pipeline: Pipeline) -> str:
        return pipeline.program() if self.solutions == "expression" else pipeline.steps_in_line()

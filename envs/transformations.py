"""Write a function that does a few things to a string or a list, one after the other."""

from dataclasses import dataclass
from random import Random
from typing import Literal

from envs.base import Task
from envs.pipelines import Pipeline, draw_input, draw_pipeline
from envs.primitives import NOUNS, VARIABLES
from envs.programs import Programs, draw_examples, grading


@dataclass(frozen=True)
class Transformations(Programs):
    """`Write a Python function f(s). It takes a string: turn it into upper case, then ...`

    At level n a function has n + 1 steps, of about 60 kinds, most with a constant.
    """

    inputs: tuple[Literal["text", "numbers", "words"], ...] = ("text", "numbers", "words")
    """What the functions take."""

    def task(self, rng: Random) -> Task:
        pipeline = draw_pipeline(rng, rng.choice(self.inputs), self.level + 1)
        variable = VARIABLES[pipeline.takes]
        if self.wording == "brief":
            what = f"f({variable}): {pipeline.brief()}"
        else:
            what = (
                f"Write a Python function f({variable}). It takes {NOUNS[pipeline.takes]}: "
                f"{pipeline.says()}. Return what comes out."
            )
        return function_task(self, rng, what, pipeline)

    def program(self, task: Task) -> str:
        return Pipeline.from_json(task.truth["pipeline"]).program()

    def wrong_program(self, task: Task, rng: Random) -> str:
        return wrong_pipeline(task, rng).program()


def function_task(env: Programs, rng: Random, what: str, pipeline: Pipeline) -> Task:
    """The task of writing a function that does what a pipeline does."""

    def draw(rng: Random):
        return draw_input(rng, pipeline.takes)

    visible = draw_examples(Random(f"examples/{what}"), env.examples, draw, pipeline, [])
    hidden = draw_examples(rng, env.tests, draw, pipeline, visible)
    truth = grading("function", [e.as_call() for e in visible], [e.as_call() for e in hidden])
    shown = [f"f({e.given!r}) == {e.expected!r}" for e in visible]
    return Task(env.prompt(what, shown), {**truth, "pipeline": pipeline.to_json()})


def wrong_pipeline(task: Task, rng: Random) -> Pipeline:
    """The pipeline of a task with one slip, which gives another result on a hidden test."""
    tests = task.truth["hidden_tests"]
    slips = list(Pipeline.from_json(task.truth["pipeline"]).slips())
    rng.shuffle(slips)
    return next(s for s in slips if any(s(t["args"][0]) != t["expected"] for t in tests))

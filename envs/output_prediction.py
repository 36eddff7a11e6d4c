"""Say what a program returns, without running it."""

from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar

from envs.base import Env, Level, Task, check_range, unguessable
from envs.pipelines import Pipeline, draw_input, draw_pipeline
from envs.primitives import VARIABLES
from verifiers.attack.attacker import Answers
from verifiers.literal import verify_literal
from verifiers.strict import verify_value
from verifiers.verdict import Verdict


@dataclass(frozen=True)
class OutputPrediction(Env):
    """`def f(s): ... What does f('abc') return?` Judged exactly, as Python writes the value.

    At level n a function has n + 1 steps. The worked solution gives the value after each.
    """

    answers: ClassVar[Answers] = "text"

    level: Level = 1
    """How hard, 1 to 5: the number of steps is one more."""

    instruction: str = "Put the value, as Python writes it, into \\boxed{}."
    """Ends the prompt."""

    def __post_init__(self) -> None:
        check_range("level", self.level, 1, 5)

    def task(self, rng: Random) -> Task:
        pipeline, given = self._draw(rng)
        truth = {"value": repr(pipeline(given)), "given": given, "made_of": pipeline.to_json()}
        return Task(self._prompt(pipeline, repr(given)), truth)

    def canary(self, rng: Random) -> Task:
        """A function without what it is called with."""
        pipeline, _ = self._draw(rng)
        return Task(self._prompt(pipeline, "?"), {"value": repr(unguessable(rng))})

    def _draw(self, rng: Random) -> tuple[Pipeline, Any]:
        takes = rng.choice(("text", "numbers", "words"))
        return draw_pipeline(rng, takes, self.level + 1), draw_input(rng, takes)

    def _prompt(self, pipeline: Pipeline, given: str) -> str:
        question = f"{pipeline.statements()}\nWhat does f({given}) return?"
        return f"{question}\n{self.instruction}" if self.instruction else question

    def verify(self, task: Task, response: str) -> Verdict:
        return verify_literal(task.truth["value"], response)

    def recheck(self, task: Task, response: str) -> Verdict:
        """The function is called once more, and the answer read in another way."""
        value = Pipeline.from_json(task.truth["made_of"])(task.truth["given"])
        return verify_value(value, response)

    def solve(self, task: Task) -> str:
        return work(Pipeline.from_json(task.truth["made_of"]), task.truth["given"])

    def demonstrate(self, task: Task, rng: Random, corrupt: bool) -> str:
        """Corrupted: one step does something else, and the rest goes on from what that gives."""
        pipeline, given = Pipeline.from_json(task.truth["made_of"]), task.truth["given"]
        return work(pipeline.slip(rng, [given]) if corrupt else pipeline, given)


def work(pipeline: Pipeline, given: Any) -> str:
    values = pipeline.values(given)
    names = [VARIABLES[kind] for kind in pipeline.types[1:]]
    lines = [f"{name} = {value!r}\n" for name, value in zip(names, values, strict=True)]
    return f"{''.join(lines)}\\boxed{{{values[-1]!r}}}"

"""Say what a program returns, without running it."""

from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar, Literal

from envs.base import Env, Task
from envs.family import Level
from envs.pipelines import Pipeline, draw_input, draw_pipeline
from envs.primitives import VARIABLES
from verifiers.literal import verify_literal
from verifiers.verdict import Verdict


@dataclass(frozen=True)
class OutputPrediction(Env):
    """`def f(s): ... What does f('abc') return?` Judged exactly, as Python writes the value.

    At level n a function has n + 1 steps. The worked solution gives the value after each.
    """

    answers: ClassVar[Literal["math", "text", "program"]] = "text"

    level: Level = 1
    """How hard, 1 to 5: the number of steps is one more."""

    instruction: str = "Put the value, as Python writes it, into \\boxed{}."
    """Ends the prompt."""

    def __post_init__(self) -> None:
        if self.level not in (1, 2, 3, 4, 5):
            raise ValueError(f"level must be 1, 2, 3, 4 or 5, got {self.level!r}")

    def task(self, rng: Random) -> Task:
        takes = rng.choice(("text", "numbers", "words"))
        pipeline = draw_pipeline(rng, takes, self.level + 1)
        given = draw_input(rng, takes)
        question = f"{pipeline.statements()}\nWhat does f({given!r}) return?"
        prompt = f"{question}\n{self.instruction}" if self.instruction else question
        value = repr(pipeline(given))
        return Task(prompt, {"value": value, "given": given, "made_of": pipeline.to_json()})

    def verify(self, task: Task, response: str) -> Verdict:
        return verify_literal(task.truth["value"], response)

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

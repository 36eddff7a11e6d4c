"""Write a program that reads lists from standard input and prints what becomes of them."""

from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from envs.base import Task
from envs.pipelines import Pipeline, draw_input, draw_pipeline
from envs.primitives import VARIABLES
from envs.programs import Exercise, Programs

Layout = Literal["line", "counted", "cases"]

LAYOUTS: dict[Layout, str] = {
    "line": "The input is one line of {things}, separated by spaces.",
    "counted": "The first line holds n. Each of the next n lines holds one of {things}.",
    "cases": "The first line holds t. Each of the next t lines holds {things}, separated by "
    "spaces; do this for each line and print one line for it.",
}
READERS = {
    "line": "{read}\nprint({show})",
    "counted": "{read}\nprint({show})",
    "cases": "for _ in range(int(input())):\n    {read}\n    print({show})",
}
THINGS = {"numbers": "integers", "words": "words"}


def layout_of(level: int) -> Layout:
    return "line" if level <= 2 else "counted" if level == 3 else "cases"


def draw_cases(rng: Random, layout: Layout, pipeline: Pipeline) -> list[Any]:
    """The lists of one input: as many as there are cases."""
    n = rng.randint(2, 4) if layout == "cases" else 1
    return [draw_input(rng, pipeline.takes) for _ in range(n)]


def write_input(layout: Layout, cases: list[list[Any]]) -> str:
    lines = [" ".join(map(str, case)) for case in cases]
    if layout == "counted":
        lines = [str(len(cases[0])), *map(str, cases[0])]
    elif layout == "cases":
        lines = [str(len(cases)), *lines]
    return "".join(f"{line}\n" for line in lines)


def write_output(pipeline: Pipeline, cases: list[list[Any]]) -> str:
    results = [pipeline(case) for case in cases]
    lines = [" ".join(map(str, r)) if isinstance(r, list) else str(r) for r in results]
    return "".join(f"{line}\n" for line in lines)


def program_text(layout: Layout, pipeline: Pipeline) -> str:
    variable = VARIABLES[pipeline.takes]
    convert = "int(w)" if pipeline.takes == "numbers" else "w"
    source = "[input() for _ in range(int(input()))]" if layout == "counted" else "input().split()"
    read = f"{variable} = [{convert} for w in {source}]"
    result = pipeline.expression(variable)
    show = f"*{result}" if pipeline.gives in ("numbers", "words") else result
    return READERS[layout].format(read=read, show=show)


@dataclass(frozen=True)
class StdinPrograms(Programs):
    """`Write a Python program. The input is one line of integers ...: keep only the even numbers,
    then take their sum. Print the result.`

    | level | steps | input |
    |---|---|---|
    | 1 | 2 | one line |
    | 2 | 3 | one line |
    | 3 | 4 | a count, then a line for each |
    | 4 | 5 | a count of cases, then a line for each |
    | 5 | 6 | the same |
    """

    inputs: tuple[Literal["numbers", "words"], ...] = ("numbers", "words")
    """What stands in the input."""

    def task(self, rng: Random) -> Task:
        layout = layout_of(self.level)
        # No text, in which spaces at the end of a line would count.
        pipeline = draw_pipeline(
            rng, rng.choice(self.inputs), self.level + 1, ("numbers", "words", "number")
        )
        what = (
            "Write a Python program that reads standard input. "
            f"{LAYOUTS[layout].replace('{things}', THINGS[pipeline.takes])} "
            f"Do this: {pipeline.sentence()}. Print the result, the members of a list in one line "
            "and separated by spaces."
        )
        return self.stdin_task(rng, what, pipeline.to_json())

    def exercise(self, made_of: dict[str, Any]) -> Exercise:
        layout, pipeline = layout_of(self.level), Pipeline.from_json(made_of)

        def draw(rng: Random) -> str:
            return write_input(layout, draw_cases(rng, layout, pipeline))

        def reference(text: str) -> str:
            return write_output(pipeline, read_input(layout, pipeline, text))

        return Exercise(draw, reference)

    def program(self, task: Task) -> str:
        return program_text(layout_of(self.level), Pipeline.from_json(task.truth["made_of"]))

    def wrong_program(self, task: Task, rng: Random) -> str:
        layout, pipeline = layout_of(self.level), Pipeline.from_json(task.truth["made_of"])
        texts = [test["input"] for test in task.truth["hidden_tests"]]
        cases = [case for text in texts for case in read_input(layout, pipeline, text)]
        return program_text(layout, pipeline.slip(rng, cases))


def read_input(layout: Layout, pipeline: Pipeline, text: str) -> list[list[Any]]:
    """The inverse of `write_input`."""
    lines = text.splitlines()
    rows = [lines[1:]] if layout == "counted" else [line.split() for line in lines]
    if layout == "cases":
        rows = rows[1:]
    convert = int if pipeline.takes == "numbers" else str
    return [[convert(word) for word in row] for row in rows]

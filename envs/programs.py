"""What environments have in common that are answered with a program and judged by running it.

The truth of a task is what verifiers/code.py grades by: limits, checker, visible and hidden tests.
The expected values come from a reference that is called here, on fresh inputs for every task.
"""

import json
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar, Literal

from envs.arithmetic import check_range
from envs.base import Env, Task
from envs.family import Level
from verifiers import code
from verifiers.verdict import Verdict, unparsed

LIMITS = {"time_limit_s": 2.0, "memory_limit_mb": 512}
MOST_DRAWS = 1000  # of inputs, before a task is given up as having too few


@dataclass(frozen=True)
class Example:
    """One call or run of the reference: what goes in and what has to come out."""

    given: Any
    expected: Any

    def as_call(self) -> dict[str, Any]:
        return {"args": [self.given], "expected": self.expected}

    def as_run(self) -> dict[str, Any]:
        return {"input": self.given, "output": self.expected}


@dataclass(frozen=True)
class Programs(Env):
    """Subclass with `task` and `program`; see envs/transformations.py for a short one."""

    answers: ClassVar[Literal["math", "text", "program"]] = "program"

    level: Level = 1
    """How hard, 1 to 5; the environment says what changes."""

    examples: int = 2
    """Visible tests, shown in the prompt, 0 to 10. They depend on the rest of the prompt alone, so
    that a function belongs to one split whatever is drawn."""

    tests: int = 6
    """Hidden tests that decide, drawn afresh for every task, 1 to 50."""

    wording: Literal["full", "brief"] = "full"
    """`brief` is for a policy too small to read: as few words as say what is wanted."""

    def __post_init__(self) -> None:
        if self.level not in (1, 2, 3, 4, 5):
            raise ValueError(f"level must be 1, 2, 3, 4 or 5, got {self.level!r}")
        check_range("examples", self.examples, 0, 10)
        check_range("tests", self.tests, 1, 50)
        if self.wording not in ("full", "brief"):
            raise ValueError(f"wording must be full or brief, got {self.wording!r}")

    @abstractmethod
    def program(self, task: Task) -> str:
        """A program that passes."""

    @abstractmethod
    def wrong_program(self, task: Task, rng: Random) -> str:
        """A program with one slip in it, which fails a hidden test."""

    def verify(self, task: Task, response: str) -> Verdict:
        program = code.program_of(response)
        if program is None:
            return unparsed("no program in a fenced block", code.VERSION)
        return code.grade(task.truth, program)

    def solve(self, task: Task) -> str:
        return fenced(self.program(task))

    def demonstrate(self, task: Task, rng: Random, corrupt: bool) -> str:
        return fenced(self.wrong_program(task, rng) if corrupt else self.program(task))

    def prompt(self, what: str, shown: list[str]) -> str:
        """The statement, with the examples after it and how to answer."""
        text = "\n".join([what, *(["Examples:"] if shown else []), *shown])
        if self.wording == "full":
            text += "\nAnswer with the whole program in one ```python block."
        return text


def fenced(program: str) -> str:
    return f"```python\n{program}\n```"


def draw_examples(
    rng: Random,
    n: int,
    draw: Callable[[Random], Any],
    reference: Callable[[Any], Any],
    other_than: list[Example],
) -> list[Example]:
    """Different inputs with their results; two results at least differ, so that no constant passes.

    Raises:
        LookupError: `draw` gives too few different inputs, or the reference is constant.
    """
    taken = {json.dumps(example.given) for example in other_than}
    found: list[Example] = []
    for _ in range(MOST_DRAWS):
        if len(found) == n:
            return found
        given = draw(rng)
        if json.dumps(given) in taken:
            continue
        example = Example(given, reference(given))
        if len(found) == n - 1 and n > 1 and all(e.expected == example.expected for e in found):
            continue
        taken.add(json.dumps(given))
        found.append(example)
    raise LookupError(
        f"{MOST_DRAWS} draws gave {len(found)} of {n} inputs that tell programs apart"
    )


def grading(
    style: str, visible: list[dict[str, Any]], hidden: list[dict[str, Any]]
) -> dict[str, Any]:
    """The truth of a task in the style `function`, of a function f, or `stdio`."""
    return {
        "style": style,
        "entry_point": "f" if style == "function" else None,
        **LIMITS,
        "checker": {"type": "exact"},
        "visible_tests": visible,
        "hidden_tests": hidden,
    }

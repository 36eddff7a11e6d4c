"""What environments have in common that are answered with a program and judged by running it.

The truth of a task is what verifiers/code.py grades by: limits, checker, visible and hidden tests.
The expected values come from a reference that is called here, on fresh inputs for every task.
"""

import atexit
import json
from abc import abstractmethod
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any, ClassVar, Literal, NamedTuple

from envs.arithmetic import check_range
from envs.base import Env, EnvError, Isolation, Task
from envs.family import Level
from verifiers import code
from verifiers.sandbox import SandboxError
from verifiers.sandbox_remote import check_url, open_sandbox
from verifiers.verdict import Verdict, unparsed

LIMITS = {"time_limit_s": 2.0, "memory_limit_mb": 512}
MOST_DRAWS = 1000  # of inputs, before a task is given up as having too few

Draw = Callable[[Random], Any]
Reference = Callable[[Any], Any]


class Example(NamedTuple):
    """What goes into the reference, and what comes out."""

    given: Any
    expected: Any


@dataclass(frozen=True)
class Programs(Env):
    """Subclass with `task`, `program` and `wrong_program`: envs/transformations.py is a short one.

    `task` ends in `function_task` or `stdin_task`. What these get as `made_of` is kept in the truth
    under that name, for `program` and `wrong_program`.
    """

    answers: ClassVar[Literal["math", "text", "program"]] = "program"

    level: Level = 1
    """How hard, 1 to 5; the environment says what changes."""

    examples: int = 2
    """Visible tests, shown in the prompt, 0 to 10. They depend on the statement alone, so that a
    statement belongs to one split, whatever else is drawn."""

    tests: int = 6
    """Hidden tests, drawn afresh for every task, 1 to 50."""

    instruction: str = "Answer with the whole program in one ```python block."
    """Ends the prompt."""

    sandbox: Literal["landlock", "container", "namespaces"] = "namespaces"
    """The weakest isolation to run programs in; where there is none as strong, nothing is run."""

    sandbox_url: str | None = None
    """Where an `assay sandbox` runs the programs, such as `http://10.0.0.7:8900`; None: here."""

    def __post_init__(self) -> None:
        if self.level not in (1, 2, 3, 4, 5):
            raise ValueError(f"level must be 1, 2, 3, 4 or 5, got {self.level!r}")
        check_range("examples", self.examples, 0, 10)
        check_range("tests", self.tests, 1, 50)
        if self.sandbox_url is not None:
            check_url(self.sandbox_url)

    @abstractmethod
    def program(self, task: Task) -> str:
        """A program that passes all tests."""

    @abstractmethod
    def wrong_program(self, task: Task, rng: Random) -> str:
        """A program with one slip in it, which fails a hidden test."""

    def verify(self, task: Task, response: str) -> Verdict:
        program = code.program_of(response)
        if program is None:
            return unparsed("no program in a closed ```python block", code.VERSION)
        return grader(self.sandbox, self.sandbox_url).grade(task.truth, program)

    def prepare(self) -> None:
        grader(self.sandbox, self.sandbox_url)

    def isolation(self) -> Isolation:
        try:
            return _isolation(self.sandbox, self.sandbox_url)
        except (SandboxError, ValueError) as error:
            raise EnvError(str(error)) from error

    def solve(self, task: Task) -> str:
        return fenced(self.program(task))

    def demonstrate(self, task: Task, rng: Random, corrupt: bool) -> str:
        return fenced(self.wrong_program(task, rng) if corrupt else self.program(task))

    def function_task(
        self, rng: Random, what: str, draw: Draw, reference: Reference, made_of: dict[str, Any]
    ) -> Task:
        """Write a function f of one argument.

        what: the statement. draw: gives an argument. reference: what f has to return for it.
        """
        visible, hidden = self._draw_tests(rng, what, draw, reference)
        truth = {
            "style": "function",
            "entry_point": "f",
            "visible_tests": [{"args": [e.given], "expected": e.expected} for e in visible],
            "hidden_tests": [{"args": [e.given], "expected": e.expected} for e in hidden],
        }
        shown = [f"f({e.given!r}) == {e.expected!r}" for e in visible]
        return self._task(what, shown, truth, made_of)

    def stdin_task(
        self, rng: Random, what: str, draw: Draw, reference: Reference, made_of: dict[str, Any]
    ) -> Task:
        """Write a program that reads standard input; `draw` and `reference` give texts."""
        visible, hidden = self._draw_tests(rng, what, draw, reference)
        truth = {
            "style": "stdio",
            "entry_point": None,
            "visible_tests": [{"input": e.given, "output": e.expected} for e in visible],
            "hidden_tests": [{"input": e.given, "output": e.expected} for e in hidden],
        }
        shown = [f"Input:\n{e.given}Output:\n{e.expected}".rstrip("\n") for e in visible]
        return self._task(what, shown, truth, made_of)

    def _draw_tests(
        self, rng: Random, what: str, draw: Draw, reference: Reference
    ) -> tuple[list[Example], list[Example]]:
        visible = draw_examples(
            Random(f"examples/{what}"), self.examples, draw, reference, without=[]
        )
        return visible, draw_examples(rng, self.tests, draw, reference, without=visible)

    def _task(
        self, what: str, shown: list[str], truth: dict[str, Any], made_of: dict[str, Any]
    ) -> Task:
        parts = [what, *(["Examples:", *shown] if shown else []), self.instruction]
        limits = {**LIMITS, "checker": {"type": "exact"}}
        return Task("\n".join(filter(None, parts)), {**truth, **limits, "made_of": made_of})


@cache
def grader(strength: str, url: str | None = None) -> code.Grader:
    """The grader of this process, whose sandboxes end with the process.

    Raises:
        TooWeak: this machine, or the server at `url`, has no sandbox as strong.
        SandboxError: the server cannot be used.
    """
    until_the_end = ExitStack()
    atexit.register(until_the_end.close)
    return until_the_end.enter_context(code.Grader(strength, url=url))


@cache
def _isolation(strength: str, url: str | None) -> Isolation:
    """What is in force for the graders of this strength; found out once in a process."""
    with open_sandbox(strength, url=url) as sandbox:
        return Isolation(sandbox.strength, sandbox.description)


def fenced(program: str) -> str:
    return f"```python\n{program}\n```"


def draw_examples(
    rng: Random, n: int, draw: Draw, reference: Reference, without: list[Example]
) -> list[Example]:
    """Different inputs with their results, of which two at least differ: no constant passes.

    Raises:
        LookupError: `draw` gives too few different inputs, or the reference is constant.
    """
    taken = {json.dumps(example.given) for example in without}
    found: list[Example] = []
    for _ in range(MOST_DRAWS):
        if len(found) == n:
            return found
        given = draw(rng)
        if json.dumps(given) in taken:
            continue
        example = Example(given, reference(given))
        last = len(found) == n - 1 and n > 1
        if last and all(other.expected == example.expected for other in found):
            continue
        taken.add(json.dumps(given))
        found.append(example)
    raise LookupError(
        f"{MOST_DRAWS} draws gave {len(found)} of {n} inputs that tell programs apart"
    )

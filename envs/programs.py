"""What environments have in common that are answered with a program and judged by running it.

The truth of a task is what verifiers/code.py grades by: limits, checker, visible and hidden tests.
The expected values come from a reference that is called here, on fresh inputs for every task.
"""

import atexit
import json
from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any, ClassVar, Literal, NamedTuple

from envs.base import Env, EnvError, Isolation, Level, Task, check_range, unguessable
from verifiers import code
from verifiers.attack.attacker import Answers
from verifiers.sandbox import SandboxError
from verifiers.sandbox_remote import check_url, open_sandbox
from verifiers.verdict import Verdict, unparsed

LIMITS = {"time_limit_s": 2.0, "memory_limit_mb": 512}
MOST_DRAWS = 1000  # of inputs, before a task is given up as having too few
FRESH = 3  # times as many tests in a second opinion as there are hidden ones

Style = Literal["function", "stdio"]
Draw = Callable[[Random], Any]
Reference = Callable[[Any], Any]


class Exercise(NamedTuple):
    """What a program has to do: what it is tried on, and what has to come out."""

    draw: Draw
    reference: Reference


class Example(NamedTuple):
    """What goes into the reference, and what comes out."""

    given: Any
    expected: Any


@dataclass(frozen=True)
class Programs(Env):
    """Subclass with the abstract methods: envs/transformations.py is a short one.

    `task` ends in `function_task` or `stdin_task`. What these get as `made_of` is kept in the truth
    under that name, for `exercise`, `program` and `wrong_program`.
    """

    answers: ClassVar[Answers] = "program"

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
        check_range("level", self.level, 1, 5)
        check_range("examples", self.examples, 0, 10)
        check_range("tests", self.tests, 1, 50)
        if self.sandbox_url is not None:
            check_url(self.sandbox_url)

    @abstractmethod
    def exercise(self, made_of: dict[str, Any]) -> Exercise:
        """Where the tests of a task come from."""

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

    def canary(self, rng: Random) -> Task:
        """A task whose tests contradict its statement: random letters are to come out, others for
        each test. No program passes any of them, so that not even a share is earned."""
        task = self.task(rng)
        result = "output" if task.truth["style"] == "stdio" else "expected"
        hidden = [{**test, result: unguessable(rng)} for test in task.truth["hidden_tests"]]
        return Task(task.prompt, {**task.truth, "visible_tests": [], "hidden_tests": hidden})

    def recheck(self, task: Task, response: str) -> Verdict:
        """On more tests, which nobody has seen: who passed by luck or by heart fails."""
        return self.verify(self.with_fresh_tests(task), response)

    def with_fresh_tests(self, task: Task) -> Task:
        """The task with hidden tests other than its own, always the same, and none visible."""
        truth = task.truth
        exercise = self.exercise(truth["made_of"])
        known = [_given(test) for test in (*truth["visible_tests"], *truth["hidden_tests"])]
        rng = Random(f"recheck/{task.key}")
        fresh = draw_examples(rng, FRESH * self.tests, exercise, without=known)
        tests = {"visible_tests": [], "hidden_tests": _tests(truth["style"], fresh)}
        return Task(task.prompt, {**truth, **tests})

    def prepare(self) -> None:
        grader(self.sandbox, self.sandbox_url)

    def isolation(self) -> Isolation:
        try:
            return isolation_of(self.sandbox, self.sandbox_url)
        except (SandboxError, ValueError) as error:
            raise EnvError(str(error)) from error

    def solve(self, task: Task) -> str:
        return fenced(self.program(task))

    def demonstrate(self, task: Task, rng: Random, corrupt: bool) -> str:
        return fenced(self.wrong_program(task, rng) if corrupt else self.program(task))

    def function_task(self, rng: Random, what: str, made_of: dict[str, Any]) -> Task:
        """Write a function f of one argument.

        what: the statement. The exercise's `draw` gives arguments.
        """
        return self._task("function", rng, what, made_of)

    def stdin_task(self, rng: Random, what: str, made_of: dict[str, Any]) -> Task:
        """Write a program that reads standard input. The exercise is one of texts."""
        return self._task("stdio", rng, what, made_of)

    def _task(self, style: Style, rng: Random, what: str, made_of: dict[str, Any]) -> Task:
        exercise = self.exercise(made_of)
        visible = draw_examples(Random(f"examples/{what}"), self.examples, exercise, without=[])
        shown_inputs = [example.given for example in visible]
        hidden = draw_examples(rng, self.tests, exercise, without=shown_inputs)
        shown = [_shown(style, example) for example in visible]
        parts = [what, *(["Examples:", *shown] if shown else []), self.instruction]
        truth = {
            "style": style,
            "entry_point": "f" if style == "function" else None,
            "visible_tests": _tests(style, visible),
            "hidden_tests": _tests(style, hidden),
            **LIMITS,
            "checker": {"type": "exact"},
            "made_of": made_of,
        }
        return Task("\n".join(filter(None, parts)), truth)


def _shown(style: Style, example: Example) -> str:
    """An example in a prompt."""
    given, expected = example
    if style == "function":
        return f"f({given!r}) == {expected!r}"
    return f"Input:\n{given}Output:\n{expected}".rstrip("\n")


def _tests(style: Style, examples: list[Example]) -> list[dict[str, Any]]:
    """As verifiers/code.py reads them."""
    if style == "function":
        return [{"args": [e.given], "expected": e.expected} for e in examples]
    return [{"input": e.given, "output": e.expected} for e in examples]


def _given(test: dict[str, Any]) -> Any:
    return test["input"] if "input" in test else test["args"][0]


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
def isolation_of(strength: str, url: str | None) -> Isolation:
    """What is in force for the graders of this strength; found out once in a process.

    Raises:
        SandboxError, ValueError: there is nothing as strong, or the server cannot be used.
    """
    with open_sandbox(strength, url=url) as sandbox:
        return Isolation(sandbox.strength, sandbox.description)


def fenced(program: str) -> str:
    return f"```python\n{program}\n```"


def draw_examples(rng: Random, n: int, exercise: Exercise, without: Sequence[Any]) -> list[Example]:
    """Different inputs with their results, of which two at least differ: no constant passes.

    without: inputs that are taken.

    Raises:
        LookupError: the exercise has too few different inputs, or the reference is constant.
    """
    taken = {json.dumps(given) for given in without}
    found: list[Example] = []
    for _ in range(MOST_DRAWS):
        if len(found) == n:
            return found
        given = exercise.draw(rng)
        if json.dumps(given) in taken:
            continue
        example = Example(given, exercise.reference(given))
        last = len(found) == n - 1 and n > 1
        if last and all(other.expected == example.expected for other in found):
            continue
        taken.add(json.dumps(given))
        found.append(example)
    raise LookupError(
        f"{MOST_DRAWS} draws gave {len(found)} of {n} inputs that tell programs apart"
    )

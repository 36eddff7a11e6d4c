"""Families of mathematics questions: drawn by level, worked step by step, with slips on demand.

A family is a set of kinds. A kind is a question with blanks, how the blanks are drawn, and how the
question is worked; reading a prompt back, solving, demonstrating and judging follow from these.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from random import Random
from string import Formatter
from typing import Any, ClassVar, TypeVar

from envs.base import Env, Level, Task, check_range, unguessable
from verifiers import math
from verifiers.strict import verify_plain
from verifiers.verdict import Verdict

Number = TypeVar("Number", int, Fraction)

SLIPS = (1, -1, 10, -10)  # by how much a step of a corrupted solution is off


class Notes:
    """A worked solution while it is written; the step numbered `slip_at` comes out wrong."""

    def __init__(self, slip_at: int = -1, change: int = 0) -> None:
        self._slip_at, self._change = slip_at, change
        self._steps: list[str] = []

    @property
    def n_steps(self) -> int:
        return len(self._steps)

    def step(self, working: str, value: Number) -> Number:
        """Write `working=value`; returns the value to go on with, which a slip has changed."""
        if self.n_steps == self._slip_at:
            value += self._change
        self._steps.append(f"{working}={value}")
        return value

    def ending_in(self, answer: str) -> str:
        return "".join(f"{step}," for step in self._steps) + f"\\boxed{{{answer}}}"


@dataclass(frozen=True)
class Kind:
    """One kind of question.

    `work` gets the blanks as keywords. It raises ArithmeticError where a slip leads to something
    that cannot be worked on, such as a root of a negative number.
    """

    question: str  # with blanks as in str.format; "{a}" and "{a:+d}" are integers if they look so
    draw: Callable[[Random, int], dict[str, Any]]  # from a generator and a level, 1 to 5
    work: Callable[..., str]  # from notes and the blanks to the answer
    decisive: str = ""  # a blank without which there is no answer; "" is the first one

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        parts = [
            re.escape(literal) + (f"(?P<{name}>{r'[+-][0-9]+' if spec else '.+?'})" if name else "")
            for literal, name, spec, _ in Formatter().parse(self.question)
        ]
        return re.compile("".join(parts))

    def unanswerable(self, blanks: dict[str, Any]) -> str:
        """The question with the first number of its decisive blank missing; all of it where it has
        no number."""
        decisive = self.decisive or next(iter(self._pattern.groupindex))
        gap, had_number = re.subn(r"[\d.]+", "?", str(blanks[decisive]), count=1)
        return self.question.format(**{**blanks, decisive: gap if had_number else "?"})

    def read(self, question: str) -> dict[str, Any] | None:
        """The blanks of a question of this kind; None for another kind."""
        found = self._pattern.fullmatch(question)
        return found and {name: _value(text) for name, text in found.groupdict().items()}


def _value(text: str) -> int | str:
    return int(text) if re.fullmatch(r"[+-]?[0-9]+", text) else text


@dataclass(frozen=True)
class Family(Env):
    """Subclass with `kinds` as a field, a tuple of names, and KINDS, what they stand for."""

    KINDS: ClassVar[Mapping[Any, Kind]]

    level: Level = 1
    """How hard, 1 to 5; the environment says what changes."""

    instruction: str = ""
    """Follows the question, after an empty line: what to say to a model that was not taught to put
    its answer into \\boxed{}."""

    kinds: tuple[Any, ...] = ()
    """Names of the kinds of question to draw from, all equally often."""

    def __post_init__(self) -> None:
        check_range("level", self.level, 1, 5)
        if not self.kinds or not set(self.kinds) <= set(self.KINDS):
            raise ValueError(f"kinds must be some of {', '.join(self.KINDS)}, got {self.kinds!r}")

    def task(self, rng: Random) -> Task:
        kind, blanks = self._draw(rng)
        prompt = self._prompt(kind.question.format(**blanks))
        return Task(prompt, kind.work(Notes(), **blanks))

    def canary(self, rng: Random) -> Task:
        """A question in which something is missing: `gcd(?, 18) = ?`"""
        kind, blanks = self._draw(rng)
        return Task(self._prompt(kind.unanswerable(blanks)), unguessable(rng))

    def _draw(self, rng: Random) -> tuple[Kind, dict[str, Any]]:
        kind = self.KINDS[rng.choice(self.kinds)]
        return kind, kind.draw(rng, self.level)

    def _prompt(self, question: str) -> str:
        return f"{question}\n\n{self.instruction}" if self.instruction else question

    def verify(self, task: Task, response: str) -> Verdict:
        return math.verify_math(task.truth, response)

    def recheck(self, task: Task, response: str) -> Verdict:
        return verify_plain(task.truth, response, task.messages[-1].content)

    def prepare(self) -> None:
        math.preload()

    def solve(self, task: Task) -> str:
        kind, blanks = self._read(task)
        notes = Notes()
        return notes.ending_in(kind.work(notes, **blanks))

    def demonstrate(self, task: Task, rng: Random, corrupt: bool) -> str:
        """Corrupted: one step is off, and everything after it follows from the wrong value."""
        if not corrupt:
            return self.solve(task)
        kind, blanks = self._read(task)
        kind.work(notes := Notes(), **blanks)
        slips = [(step, change) for step in range(notes.n_steps) for change in SLIPS]
        rng.shuffle(slips)
        for slip in slips:
            notes = Notes(*slip)
            try:
                answer = kind.work(notes, **blanks)
            except ArithmeticError:
                continue  # nobody could have gone on from this slip
            if answer != task.truth:
                return notes.ending_in(answer)
        raise ValueError(f"no step of '{task.prompt}' decides its answer")

    def _read(self, task: Task) -> tuple[Kind, dict[str, Any]]:
        question = task.messages[-1].content.partition("\n\n")[0]
        for kind in self.KINDS.values():
            blanks = kind.read(question)
            if blanks is not None:
                return kind, blanks
        raise ValueError(f"not a question of {type(self).__name__}: '{question}'")

"""What an attacker is, and what it sees of the task that it attacks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from verifiers.attack.reading import gold_of

Answers = Literal["math", "text", "program"]


class Expect(StrEnum):
    """What a sound environment does with every response of an attacker."""

    REFUSE = "refuse"  # never correct: each acceptance is a false one
    NOTHING = "nothing"  # no score at all, not even a part of one
    ACCEPT = "accept"  # correct: each refusal is a false one
    GUESS = "guess"  # right now and then by luck: only a rule that is right too often is a crack


@dataclass(frozen=True, slots=True)
class Target:
    """One task as an attacker sees it: more than a policy ever does."""

    answers: Answers
    prompt: str
    truth: Any
    solution: str  # a response that must be accepted
    others: tuple[str, ...]  # solutions of other tasks whose truth is another
    common: tuple[str, ...]  # the most frequent final answers of the environment
    literals: tuple[str, ...]  # texts in the environment's source
    canary: str  # path of a file that exists afterwards only if a response was run

    @property
    def gold(self) -> str:
        """The final answer of the solution, as text; the whole solution where it has none."""
        return gold_of(self.solution)

    def answered(self, answer: str) -> str:
        """The solution with another final answer in the place of its own."""
        if self.answers != "math":
            return answer
        head, box, _ = self.solution.rpartition("\\boxed{")
        return f"{head if box else ''}\\boxed{{{answer}}}"


class Response(NamedTuple):
    label: str  # what it is, in a few words
    text: str


class Attacker(NamedTuple):
    name: str
    reason: str  # why a policy would find this, or who has seen it
    expect: Expect
    responses: Callable[[Target], Iterator[Response]]
    answers: tuple[Answers, ...] = ("math", "text", "program")
    tasks: int | None = None  # the same for every task, so that so many are enough; None: all
    every_task: bool = False  # cheap, so that it is tried on more tasks than the others
    decides: bool = True  # False: shown, but a matter of convention, so that nobody is refused

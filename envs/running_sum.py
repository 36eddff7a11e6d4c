"""A long computation of many small steps: a running sum without carrying, term after term."""

import re
from dataclasses import dataclass
from random import Random

from envs.base import Env, Task, check_range, unguessable
from verifiers.math import verify_math
from verifiers.strict import verify_plain
from verifiers.verdict import Verdict

WIDTH = 3  # digits of every term and every total
QUESTION = "Without carrying, {start} plus all after {before} up to {last}=?"


@dataclass(frozen=True)
class RunningSum(Env):
    """Add consecutive numbers, no digit carried: `372 plus all after 211 up to 241=?`.

    The worked solution copies what is given, the number before the first term, the last term and
    the total so far, and writes one step after the other, in which digits that are those of the
    last term are marked: `211/241=-=:372,212/241=--:584,213/241=--:797,` until all are the same,
    then the boxed total. A step follows from the one before it alone, so that whoever sees that can
    go on: an answer of any length can be worked in a context that holds two steps. The question has
    the same length however many steps it asks for. Every step is equally long and all its digits
    depend on few others at fixed distances, so that a small policy can learn it.
    """

    steps: int = 20
    """Most terms to add, 2 to 800; a task has this many or fewer, down to half as many."""

    def __post_init__(self) -> None:
        check_range("steps", self.steps, 2, 800)

    def task(self, rng: Random) -> Task:
        start, before, last = self._draw(rng)
        prompt = QUESTION.format(start=start, before=before, last=last)
        return Task(prompt, str(totals(start, before, last)[-1]))

    def canary(self, rng: Random) -> Task:
        """A sum of which the first number is missing."""
        _, before, last = self._draw(rng)
        return Task(QUESTION.format(start="?", before=before, last=last), unguessable(rng))

    def _draw(self, rng: Random) -> tuple[int, int, int]:
        """What to begin with, the number before the first term, and the last term."""
        low, high = 10 ** (WIDTH - 1), 10**WIDTH - 1
        n = rng.randint((self.steps + 1) // 2, self.steps)
        before = rng.randint(low, high - n)
        return rng.randint(low, high), before, before + n

    def verify(self, task: Task, response: str) -> Verdict:
        return verify_math(task.truth, response)

    def recheck(self, task: Task, response: str) -> Verdict:
        return verify_plain(task.truth, response)

    def solve(self, task: Task) -> str:
        return work(*numbers(task))

    def demonstrate(self, task: Task, rng: Random, corrupt: bool) -> str:
        """Corrupted: one digit of one total is off, and so are all totals after it."""
        start, before, last = numbers(task)
        if not corrupt:
            return work(start, before, last)
        change = rng.randint(1, 9) * 10 ** rng.randrange(WIDTH)
        return work(start, before, last, slip_at=rng.randint(before + 1, last), change=change)


def add(left: int, right: int) -> int:
    """The sum of two numbers of WIDTH digits, each digit by itself, modulo 10."""
    places = [10**place for place in range(WIDTH)]
    return sum((left // p + right // p) % 10 * p for p in places)


def totals(start: int, before: int, last: int, slip_at: int = 0, change: int = 0) -> list[int]:
    """`start`, and the total after each term; with `change` in it, too, from term `slip_at` on."""
    found = [start]
    for term in range(before + 1, last + 1):
        total = add(found[-1], term)
        found.append(add(total, change) if term == slip_at else total)
    return found


def work(start: int, before: int, last: int, slip_at: int = 0, change: int = 0) -> str:
    """The worked solution; with `change`, one that is wrong from term `slip_at` on."""
    found = totals(start, before, last, slip_at, change)
    steps = [
        f"{term}/{last}{same_digits(term, last)}:{total:0{WIDTH}d},"
        for term, total in enumerate(found, start=before)
    ]
    return "".join(steps) + f"\\boxed{{{found[-1]:0{WIDTH}d}}}"


def same_digits(left: int, right: int) -> str:
    """`=` for each digit that is the same in both, else `-`."""
    return "".join("=" if a == b else "-" for a, b in zip(str(left), str(right), strict=True))


def numbers(task: Task) -> tuple[int, int, int]:
    """What to begin with, the number before the first term, and the last term of a question."""
    start, before, last = re.findall(r"\d+", task.messages[-1].content)
    return int(start), int(before), int(last)

"""A long computation of many small steps: a running sum without carrying, term after term."""

import re
from dataclasses import dataclass
from random import Random

from envs.base import Env, Task, check_range, unguessable
from verifiers.math import verify_math
from verifiers.strict import verify_plain
from verifiers.verdict import Verdict

WIDTH = 2  # digits of every term and every total
NUMBERS = 10**WIDTH  # of that width
CYCLE = 60  # terms, the last digits of Fibonacci numbers in pairs, until the first comes again
QUESTION = (
    "Without carrying, {start:02d} plus every x after {before:02d} to {last:02d} "
    "(after ab: b, then last of a+b)=?"
)


@dataclass(frozen=True)
class RunningSum(Env):
    """Add the numbers of a sequence, no digit carried: `37 plus every x after 21 to 34=?`.

    The worked solution goes from the number before the first term to the last one. A step has the
    term, what the last term is ahead of it in each digit, and the sum so far plus the term, digit
    by digit; the first one takes over what to begin with, the last one is ahead by nothing:
    `21:3-2=1,4-1=3:0+3=3,0+7=7,13:3-1=2,4-3=1:3+1=4,7+3=0,34:3-3=0,4-4=0:4+3=7,0+4=4,\\boxed{74}`.
    A step follows from the one before it alone, so that whoever sees that can go on: an answer of
    any length can be worked in a context that holds two steps. The question has the same length
    however many steps it asks for. The sequence jumps about, so that neither what the last term is
    ahead nor one of its digits can be told from the other one, or from how long tasks usually are:
    it must be computed, and few steps show all there is to know about one. Every step is equally
    long and what belongs together stands side by side, so that a small policy learns it soon.
    """

    steps: int = 14
    """Most terms to add, 2 to 59; a task has this many or fewer, down to half as many."""

    def __post_init__(self) -> None:
        check_range("steps", self.steps, 2, CYCLE - 1)

    def task(self, rng: Random) -> Task:
        start, before, last = self._draw(rng)
        prompt = QUESTION.format(start=start, before=before, last=last)
        return Task(prompt, str(totals(start, terms(before, last))[-1]))

    def canary(self, rng: Random) -> Task:
        """A sum of which the first number is missing."""
        whole = self.task(rng).messages[-1].content
        return Task(re.sub(r"\d+", "?", whole, count=1), unguessable(rng))

    def _draw(self, rng: Random) -> tuple[int, int, int]:
        """What to begin with, the number before the first term, and the last term."""
        n = rng.randint((self.steps + 1) // 2, self.steps)
        cycle = terms(11, 1)
        at = rng.randrange(CYCLE)
        return rng.randrange(NUMBERS), cycle[at], cycle[(at + n) % CYCLE]

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
        slip_at = rng.randrange(1, len(terms(before, last)))
        return work(start, before, last, slip_at=slip_at, change=change)


def following(term: int) -> int:
    """Its last digit, then the last digit of the sum of both."""
    tens, units = divmod(term, 10)
    return 10 * units + (tens + units) % 10


def terms(before: int, last: int) -> list[int]:
    """The number before the first term, and every term."""
    found = [before]
    while len(found) == 1 or found[-1] != last:
        found.append(following(found[-1]))
    return found


def add(left: int, right: int) -> int:
    """The sum of two numbers of WIDTH digits, each digit by itself, modulo 10."""
    places = [10**place for place in range(WIDTH)]
    return sum((left // p + right // p) % 10 * p for p in places)


def totals(start: int, added: list[int], slip_at: int = 0, change: int = 0) -> list[int]:
    """`start`, and the total after each term; with `change` in it, too, from term `slip_at` on."""
    found = [start]
    for number, term in enumerate(added[1:], start=1):
        total = add(found[-1], term)
        found.append(add(total, change) if number == slip_at else total)
    return found


def work(start: int, before: int, last: int, slip_at: int = 0, change: int = 0) -> str:
    """The worked solution; with `change`, one that is wrong from term number `slip_at` on."""
    passed = terms(before, last)
    found = totals(start, passed, slip_at, change)
    text, total = "", 0
    for term, added, after in zip(passed, [start, *passed[1:]], found, strict=True):
        ahead = ",".join(f"{x}-{y}={(int(x) - int(y)) % 10}" for x, y in _columns(last, term))
        sums = ",".join(f"{x}+{y}={z}" for x, y, z in _columns(total, added, after))
        text, total = f"{text}{_digits(term)}:{ahead}:{sums},", after
    return f"{text}\\boxed{{{_digits(total)}}}"


def _digits(number: int) -> str:
    return f"{number:0{WIDTH}d}"


def _columns(*ns: int) -> list[tuple[str, ...]]:
    """The digits that stand below each other, from the left."""
    return list(zip(*map(_digits, ns), strict=True))


def numbers(task: Task) -> tuple[int, int, int]:
    """What to begin with, the number before the first term, and the last term of a question."""
    found = re.match(r"\D*(\d+) plus every x after (\d+) to (\d+) ", task.messages[-1].content)
    if found is None:
        raise ValueError(f"no question of a running sum: {task.prompt}")
    start, before, last = found.groups()
    return int(start), int(before), int(last)

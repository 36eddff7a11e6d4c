"""A long computation of many small steps: a running sum without carrying, term after term."""

from dataclasses import dataclass
from random import Random

from envs.base import Env, Task, check_range, unguessable
from verifiers.math import verify_math
from verifiers.strict import verify_plain
from verifiers.verdict import Verdict

WIDTH = 3  # digits of every term and every total
QUESTION = "Without carrying, {start}+{first}+...+{last}=?"


@dataclass(frozen=True)
class RunningSum(Env):
    """Add consecutive numbers digit by digit, without carrying: `372+212+...+241=?`.

    The worked solution writes one step after the other, the term, the last term and the total with
    it: `212/241:584,213/241:797,214/241:901,` until they are the same, then the boxed total. A step
    follows from the one before it, so that whoever sees the last step can go on: an answer of any
    length can be worked in a context that holds two steps. The question has the same length
    however many steps it asks for. Every step is equally long, so that a small policy finds its
    digits by their distance.
    """

    steps: int = 20
    """Most terms to add, 2 to 800; a task has this many or fewer, down to half as many."""

    def __post_init__(self) -> None:
        check_range("steps", self.steps, 2, 800)

    def task(self, rng: Random) -> Task:
        start, first, last = self._draw(rng)
        prompt = QUESTION.format(start=start, first=first, last=last)
        return Task(prompt, str(totals(start, first, last)[-1]))

    def canary(self, rng: Random) -> Task:
        """A sum of which the first number is missing."""
        _, first, last = self._draw(rng)
        return Task(QUESTION.format(start="?", first=first, last=last), unguessable(rng))

    def _draw(self, rng: Random) -> tuple[int, int, int]:
        """What to begin with, the first term and the last one."""
        low, high = 10 ** (WIDTH - 1), 10**WIDTH - 1
        n = rng.randint((self.steps + 1) // 2, self.steps)
        first = rng.randint(low, high - n + 1)
        return rng.randint(low, high), first, first + n - 1

    def verify(self, task: Task, response: str) -> Verdict:
        return verify_math(task.truth, response)

    def recheck(self, task: Task, response: str) -> Verdict:
        return verify_plain(task.truth, response)

    def solve(self, task: Task) -> str:
        return work(*numbers(task))

    def demonstrate(self, task: Task, rng: Random, corrupt: bool) -> str:
        """Corrupted: one digit of one total is off, and so are all totals after it."""
        start, first, last = numbers(task)
        if not corrupt:
            return work(start, first, last)
        change = rng.randint(1, 9) * 10 ** rng.randrange(WIDTH)
        return work(start, first, last, slip_at=rng.randint(first, last), change=change)


def add(left: int, right: int) -> int:
    """The sum of two numbers of WIDTH digits, each digit by itself, modulo 10."""
    places = [10**place for place in range(WIDTH)]
    return sum((left // p + right // p) % 10 * p for p in places)


def totals(start: int, first: int, last: int, slip_at: int = 0, change: int = 0) -> list[int]:
    """The total after each term; with `change` in it, too, from term `slip_at` on."""
    found, total = [], start
    for term in range(first, last + 1):
        total = add(total, term)
        if term == slip_at:
            total = add(total, change)
        found.append(total)
    return found


def work(start: int, first: int, last: int, slip_at: int = 0, change: int = 0) -> str:
    """The worked solution; with `change`, one that is wrong from term `slip_at` on."""
    found = totals(start, first, last, slip_at, change)
    steps = [f"{term}/{last}:{total:0{WIDTH}d}," for term, total in enumerate(found, start=first)]
    return "".join(steps) + f"\\boxed{{{found[-1]}}}"


def numbers(task: Task) -> tuple[int, int, int]:
    """What to begin with, the first term and the last one of a question."""
    terms = task.messages[-1].content.removeprefix(QUESTION.partition("{")[0]).removesuffix("=?")
    start, first, _, last = terms.split("+")
    return int(start), int(first), int(last)

"""Arithmetic with worked solutions, made by rule: column sums, and multiplying by adding up."""

import re
from dataclasses import dataclass
from math import exp, log
from random import Random
from typing import NamedTuple

from envs.base import Env, Task, check_range, unguessable
from verifiers.math import verify_math
from verifiers.strict import verify_plain
from verifiers.verdict import Verdict


class Slip(NamedTuple):
    """Where a corrupted solution goes wrong, and how."""

    step: int  # which operation of the chain, from 0
    column: int  # which column of it, from the right
    flips_carry: bool = False  # a carry forgotten, or one made up
    change: int = 0  # what is wrongly added to the column's result


@dataclass(frozen=True)
class Arithmetic(Env):
    """Add and subtract whole numbers column by column: `345+678=?`.

    The worked solution writes one column after the other from the right, with the carry or borrow
    as the third number, and ends in the boxed result:
    `5+8+0=13,4+7+1=12,3+6+1=10,\\boxed{1023}`. With more than two terms there is a line per
    operation that ends in the running total. No total is ever negative. Every column is equally
    long, so that a small policy finds its digits by their distance.
    """

    digits: int = 3
    """Digits of every term, 1 to 12."""

    terms: int = 2
    """Numbers in the chain, 2 to 9."""

    operations: str = "+"
    """Which signs occur: "+", "-" or "+-". A "-" is drawn only where no total falls below 0."""

    carry_slips: float = 1.0
    """Share of the slips in corrupted solutions that are a carry forgotten or made up, 0 to 1; the
    others are a column off by one."""

    def __post_init__(self) -> None:
        check_range("digits", self.digits, 1, 12)
        check_range("terms", self.terms, 2, 9)
        check_range("carry_slips", self.carry_slips, 0, 1)
        if self.operations not in ("+", "-", "+-"):
            raise ValueError(f'operations must be "+", "-" or "+-", got "{self.operations}"')
        if self.operations == "-" and self.terms > 2:
            raise ValueError(f'operations "-" allows 2 terms, got {self.terms}: use "+-"')

    def task(self, rng: Random) -> Task:
        low, high = 10 ** (self.digits - 1) if self.digits > 1 else 0, 10**self.digits - 1
        total = rng.randint(low, high)
        prompt = str(total)
        for _ in range(self.terms - 1):
            term, sign = rng.randint(low, high), rng.choice(self.operations)
            if sign == "-" and term > total:
                if self.operations == "-":
                    total, term, prompt = term, total, str(term)
                else:
                    sign = "+"
            total += term if sign == "+" else -term
            prompt += f"{sign}{term}"
        return Task(f"{prompt}=?", str(total))

    def verify(self, task: Task, response: str) -> Verdict:
        return verify_math(task.truth, response)

    def canary(self, rng: Random) -> Task:
        """A sum whose last term is missing."""
        prompt = self.task(rng).messages[-1].content
        return Task(re.sub(r"\d+=\?$", "=?", prompt), unguessable(rng))

    def recheck(self, task: Task, response: str) -> Verdict:
        return verify_plain(task.truth, response)

    def solve(self, task: Task) -> str:
        worked, _ = work(numbers(task), None)
        return worked

    def demonstrate(self, task: Task, rng: Random, corrupt: bool) -> str:
        if not corrupt:
            return self.solve(task)
        slips = possible_slips(numbers(task))
        rng.shuffle(slips)
        of_carry = rng.random() < self.carry_slips
        slips.sort(key=lambda slip: slip.flips_carry != of_carry)  # the wanted kind first
        # a slip can make a later subtraction impossible; one in the last operation never does
        worked = (work(numbers(task), slip) for slip in slips)
        return next(text for text, total in worked if text and str(total) != task.truth)


def numbers(task: Task) -> list[int]:
    """The signed terms of a prompt such as `345+678-12=?`."""
    return [int(term) for term in re.findall(r"[+-]?\d+", task.messages[-1].content)]


def columns(total: int, term: int) -> list[tuple[int, int]]:
    """The digits of total and |term| side by side, from the right, as many as the longer has."""
    width = max(len(str(total)), len(str(abs(term))))
    left, right = (str(number).zfill(width)[::-1] for number in (total, abs(term)))
    return [(int(a), int(b)) for a, b in zip(left, right, strict=True)]


def work_columns(total: int, term: int, step: int, slip: Slip | None) -> tuple[str, int]:
    """One operation, column by column. Returns its text and its result; -1 when it fell below 0."""
    text, result, carry = "", 0, 0
    pairs = columns(total, term)
    for column, (a, b) in enumerate(pairs):
        here = slip if slip and (slip.step, slip.column) == (step, column) else None
        if here and here.flips_carry:
            carry = 1 - carry
        change = here.change if here else 0
        last = column == len(pairs) - 1
        if term >= 0:
            value = max(0, a + b + carry + change)
            text += f"{a}+{b}+{carry}={value:02d},"
            digit, carry = (value, 0) if last else (value % 10, value // 10)
        else:
            borrow = int(a - b - carry < 0)
            if borrow and last:
                return "", -1
            digit = min(9, max(0, a + 10 * borrow - b - carry + change))
            text += f"{borrow}{a}-{b}-{carry}={digit},"
            carry = borrow
        result += digit * 10**column
    return text, result


def work(terms: list[int], slip: Slip | None) -> tuple[str, int]:
    """The whole chain, worked. Returns text and result; no text when a slip made it impossible."""
    total, lines = terms[0], []
    for step, term in enumerate(terms[1:]):
        line, total = work_columns(total, term, step, slip)
        if total < 0:
            return "", -1
        lines.append(line)
        if step < len(terms) - 2:
            lines.append(f"{total}\n")
    return "".join(lines) + f"\\boxed{{{total}}}", total


def possible_slips(terms: list[int]) -> list[Slip]:
    """Every slip a chain offers: a carry forgotten or made up, or a column off by one."""
    slips, total = [], terms[0]
    for step, term in enumerate(terms[1:]):
        for column in range(len(columns(total, term))):
            if column > 0:
                slips.append(Slip(step, column, flips_carry=True))
            slips += [Slip(step, column, change=1), Slip(step, column, change=-1)]
        total += term
    return slips


@dataclass(frozen=True)
class Multiples(Env):
    """Multiply by adding up, `4*23=?`: `1:23,2:46,3:69,4:92,\\boxed{92}`.

    The first factor, and so the length of the worked solution, is about log-normal: a workload of
    answers of very unequal length.
    """

    mean: float = 20.0
    """Mean of the first factor before it is cut off at `largest`, 2 to 500."""

    spread: float = 0.8
    """Standard deviation of its natural logarithm, 0 to 2."""

    largest: int = 120
    """Largest first factor, 2 to 1000."""

    digits: int = 2
    """Digits of the second factor, 1 to 6."""

    def __post_init__(self) -> None:
        check_range("mean", self.mean, 2, 500)
        check_range("spread", self.spread, 0, 2)
        check_range("largest", self.largest, 2, 1000)
        check_range("digits", self.digits, 1, 6)

    def task(self, rng: Random) -> Task:
        drawn = exp(rng.normalvariate(log(self.mean) - self.spread**2 / 2, self.spread))
        times = min(self.largest, max(2, round(drawn)))
        base = rng.randint(10 ** (self.digits - 1) + 1, 10**self.digits - 1)
        return Task(f"{times}*{base}=?", str(times * base))

    def verify(self, task: Task, response: str) -> Verdict:
        return verify_math(task.truth, response)

    def canary(self, rng: Random) -> Task:
        """A product whose second factor is missing."""
        prompt = self.task(rng).messages[-1].content
        return Task(re.sub(r"\d+=\?$", "=?", prompt), unguessable(rng))

    def recheck(self, task: Task, response: str) -> Verdict:
        return verify_plain(task.truth, response)

    def solve(self, task: Task) -> str:
        return self._work(task, slip_at=0, change=0)

    def demonstrate(self, task: Task, rng: Random, corrupt: bool) -> str:
        times, _ = self._factors(task)
        slip_at = rng.randint(1, times) if corrupt else 0
        return self._work(task, slip_at, rng.choice((-10, -1, 1, 10)))

    def _factors(self, task: Task) -> tuple[int, int]:
        times, base = re.findall(r"\d+", task.messages[-1].content)
        return int(times), int(base)

    def _work(self, task: Task, slip_at: int, change: int) -> str:
        """All multiples in order; the one numbered `slip_at` is off by `change`."""
        times, base = self._factors(task)
        total, text = 0, ""
        for index in range(1, times + 1):
            total += base + (change if index == slip_at else 0)
            text += f"{index}:{total},"
        return f"{text}\\boxed{{{total}}}"

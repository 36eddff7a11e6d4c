"""Answers to mathematics with what is known of them, judged by our verifier and by Math-Verify."""

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple

from benchmarks.environments import MATH_VERIFY, NoEnvironment, interpreter_with
from benchmarks.harness import BenchmarkError, Helper
from verifiers import math
from verifiers.rules import STRICT, MathRules
from verifiers.verdict import Outcome

PEER = Path(__file__).with_name("math_verify_peer.py")
RESPONSE = "We simplify step by step.\n\nThe final answer is $\\boxed{%s}$."
PLAIN = (
    "integers", "integers, wrong", "fractions", "decimals", "short LaTeX: roots",
    "short LaTeX: pairs", "short LaTeX: multiples of pi",
)  # fmt: skip


class Answer(NamedTuple):
    gold: str
    response: str
    problem: str | None
    right: bool


class Judged(NamedTuple):
    """What one side said of some answers, and the processor time that it took."""

    accepted: list[bool]
    seconds: float


def ours(answer: Answer, rules: MathRules = STRICT, short_cuts: bool = True) -> bool:
    function = math.verify_math if short_cuts else math.verify_without_short_cuts
    verdict = function(answer.gold, answer.response, answer.problem, rules)
    return verdict.outcome is Outcome.CORRECT


def judge(answers: Iterable[Answer]) -> Judged:
    """By our verifier, in this process."""
    begin = time.process_time()
    accepted = [ours(answer) for answer in answers]
    return Judged(accepted, time.process_time() - begin)


class MathVerify:
    """Math-Verify in a process of its own, called as its documentation shows."""

    def __init__(self, helper: Helper) -> None:
        self._helper = helper

    def judge(self, answers: Iterable[Answer]) -> Judged:
        found = self._helper.ask([[a.gold, a.response] for a in answers])
        return Judged([accepted for accepted, _ in found], sum(seconds for _, seconds in found))


@contextmanager
def math_verify(scratch: Path) -> Iterator[MathVerify]:
    """Started; installed before, at the first call, into an environment of its own.

    Raises:
        BenchmarkError: it cannot be installed.
    """
    try:
        python = interpreter_with(MATH_VERIFY)
    except NoEnvironment as error:
        raise BenchmarkError(str(error)) from error
    with Helper([str(python), str(PEER)], scratch / "math_verify.log", {}) as helper:
        yield MathVerify(helper)


def plain(kind: str, n: int, rng: Random) -> list[Answer]:
    """Answers of one of the kinds in PLAIN, drawn afresh."""
    found = []
    for _ in range(n):
        x, y = rng.randint(2, 99_999), rng.randint(2, 999)
        gold, answer = {
            "integers": (f"{x}", f"{x}"),
            "integers, wrong": (f"{x}", f"{x + y}"),
            "fractions": (f"\\frac{{{x}}}{{{y}}}", f"\\dfrac{{{x}}}{{{y}}}"),
            "decimals": (f"{x}.{y}", f"{x}.{y}0"),
            "short LaTeX: roots": (f"{y}\\sqrt{{{x}}}", f"{y} \\sqrt{{{x}}}"),
            "short LaTeX: pairs": (f"({x},{y})", f"\\left({x}, {y}\\right)"),
            "short LaTeX: multiples of pi": (f"{x}\\pi", f"{x} \\pi"),
        }[kind]
        found.append(Answer(gold, RESPONSE % answer, None, kind != "integers, wrong"))
    return found


def cases(file: Path) -> dict[str, list[Answer]]:
    """Labelled cases, by level and kind: JSON lines with problem, gold, response, expect, level."""
    found: dict[str, list[Answer]] = {}
    for row in map(json.loads, file.read_text().splitlines()):
        kind = "honest" if row["expect"] else "hostile"
        answer = Answer(row["gold"], row["response"], row["problem"], row["expect"])
        found.setdefault(f"cases: {row['level']}, {kind}", []).append(answer)
    return dict(sorted(found.items()))

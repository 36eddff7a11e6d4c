"""Verdicts per second of processor time against Math-Verify, and sandboxed programs per second
against bare starts of the interpreter.

`BENCHMARK_CASES` may name a file of labelled cases of mathematics (see math_answers.cases): the
honest ones are then measured too, and all of them are judged with and without short cuts.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise, repeat
from pathlib import Path
from random import Random

from benchmarks.harness import BenchmarkError, Result, Row, interleave, scratch_directory
from benchmarks.honest_answers import PAIRS, honest
from benchmarks.math_answers import (
    PLAIN,
    Answer,
    Judged,
    MathVerify,
    cases,
    judge,
    math_verify,
    ours,
    plain,
)
from verifiers import math
from verifiers.code import Grader
from verifiers.sandbox import Sandbox
from verifiers.sandbox_confine import Limits

CASES_VARIABLE = "BENCHMARK_CASES"
AIM_PLAIN, AIM_HONEST = 10.0, 2.0  # times as many verdicts as Math-Verify
N_OURS, N_PEER = 500, 40  # plain answers per repetition: a tenth of a second of either side
ROUNDS = 4  # of every kind of honest pair, per repetition of ours
N_BOTH_WAYS = 100  # plain answers of each kind that are judged with and without short cuts
SHOWN = 10  # verdicts that a short cut changed

PYTHON = os.path.realpath(sys.executable)  # without what a virtual environment adds to a start
PROGRAMS = 100  # per repetition and side
LIMITS = Limits(wall_s=60.0)
CALL: dict[str, object] = {
    "do": "call",
    "program": "def f(x):\n    return x",
    "entry_point": "f",
    "args": [1],
}
PRINT: dict[str, object] = {"do": "print", "program": "print(input())", "input": "1\n"}
TASK = {
    "style": "function",
    "entry_point": "f",
    "time_limit_s": 60,
    "hidden_tests": [{"args": [n], "expected": n + 1} for n in range(5)],
}


def verifiers(repeats: int) -> Result:
    """Mathematics, then programs; both sides of every row in turns on one core."""
    result = Result("verifiers")
    _mathematics(result, repeats)
    _programs(result, repeats)
    return result


def _mathematics(result: Result, repeats: int) -> None:
    math.preload()
    given = os.environ.get(CASES_VARIABLE)
    if given and not Path(given).is_file():
        raise BenchmarkError(f"{CASES_VARIABLE} is '{given}': no such file")
    labelled = cases(Path(given)) if given else {}
    with scratch_directory() as scratch, math_verify(scratch) as peer:
        for kind in PLAIN:
            row = Pace(f"verdicts, {kind}", _endless(lambda rng, n, k=kind: plain(k, n, rng)), peer)
            result.rows.append(row.measure(N_OURS, N_PEER, AIM_PLAIN, repeats))
        row = Pace(f"verdicts, {len(PAIRS)} kinds of honest answers", _endless(_honest), peer)
        result.rows.append(row.measure(ROUNDS * len(PAIRS), len(PAIRS), AIM_HONEST, repeats))
        result.notes.append(f"accepted of the honest answers: {row.accepted}")
        right = [a for name in labelled for a in labelled[name] if name.endswith("honest")]
        if right:
            row = Pace("verdicts, honest cases of the file", lambda *_: repeat(right), peer)
            result.rows.append(row.measure(len(right), len(right), AIM_HONEST, repeats))
            result.notes.append(f"accepted of the file's honest cases: {row.accepted}")
    result.notes.append(short_cuts(both_ways(labelled)))
    result.notes.append(
        "verdicts are counted per processor second; every answer of our own making is judged once, "
        "so no reference answer is remembered from before"
    )


def both_ways(labelled: dict[str, list[Answer]]) -> list[Answer]:
    """The answers on which short cuts are tried: plain and honest ones, each pair of an answer
    with another's reference answer, and all labelled cases."""
    rng = Random("both ways")
    found = [a for kind in PLAIN for a in plain(kind, N_BOTH_WAYS, rng)]
    found += [a for _ in range(ROUNDS) for a in honest(rng)]
    others = [a._replace(gold=b.gold, right=False) for a, b in pairwise(found)]
    return [*found, *others, *(a for answers in labelled.values() for a in answers)]


def short_cuts(answers: list[Answer]) -> str:
    """How many verdicts a short cut changes, and which."""
    changed = [a for a in answers if ours(a) != ours(a, short_cuts=False)]
    listed = "".join(f"; {a.gold!r} and {a.response[-80:]!r}" for a in changed[:SHOWN])
    return f"short cuts changed {len(changed)} of {len(answers):,} verdicts (aim: 0){listed}"


Draw = Callable[[Random, int], list[Answer]]


def _honest(rng: Random, n: int) -> list[Answer]:
    return [a for _ in range(n // len(PAIRS)) for a in honest(rng)]


def _endless(draw: Draw) -> Callable[[str, int], Iterator[list[Answer]]]:
    """Answers without end, n at a time, for a side of the comparison."""

    def batches(side: str, n: int) -> Iterator[list[Answer]]:
        rng = Random(side)
        while True:
            yield draw(rng, n)

    return batches


class Pace:
    """One row: verdicts per processor second of both sides, each on batches of its own."""

    def __init__(
        self, what: str, batches: Callable[[str, int], Iterator[list[Answer]]], peer: MathVerify
    ) -> None:
        self._what, self._batches, self._peer = what, batches, peer
        self._accepted = {"ours": [0, 0], "Math-Verify": [0, 0]}

    def measure(self, n_ours: int, n_peer: int, aim: float, repeats: int) -> Row:
        mine, theirs = self._batches("ours", n_ours), self._batches("Math-Verify", n_peer)
        rates = interleave(
            lambda: self._rate("ours", next(mine), judge),
            lambda: self._rate("Math-Verify", next(theirs), self._peer.judge),
            repeats,
        )
        return Row(self._what, "verdicts/s", *rates, more_is_better=True, aim=aim)

    def _rate(
        self, side: str, answers: list[Answer], by: Callable[[list[Answer]], Judged]
    ) -> float:
        judged = by(answers)
        self._accepted[side][0] += sum(judged.accepted)
        self._accepted[side][1] += len(answers)
        return len(answers) / judged.seconds

    @property
    def accepted(self) -> str:
        return ", ".join(f"{side} {a:,} of {n:,}" for side, (a, n) in self._accepted.items())


def _programs(result: Result, repeats: int) -> None:
    """Programs/s on one core: a fresh sandbox each, against `python3 -I -c pass` by subprocess."""
    with Sandbox("landlock") as sandbox:
        result.notes.append(f"sandbox in force: {sandbox.description}")
        for what, request in (("function called", CALL), ("script run", PRINT)):
            rates = interleave(lambda r=request: _rate(sandbox, r), _bare_rate, repeats)
            name = f"sandboxed programs, {what}, against bare starts"
            result.rows.append(Row(name, "programs/s", *rates, more_is_better=True, aim=1.0))
    with Grader("landlock") as grader:
        rates = [_task_rate(grader) for _ in range(repeats)]
    result.notes.append(f"whole tasks of 5 tests: {max(rates):.0f} tasks/s at best")


def _rate(sandbox: Sandbox, request: dict[str, object]) -> float:
    begin = time.perf_counter()
    for _ in range(PROGRAMS):
        ran = sandbox.run(request, LIMITS)
        assert ran.status == 0
        assert ran.report or ran.output
    return PROGRAMS / (time.perf_counter() - begin)


def _bare_rate() -> float:
    begin = time.perf_counter()
    for _ in range(PROGRAMS // 4):
        subprocess.run([PYTHON, "-I", "-c", "pass"], check=True)
    return PROGRAMS // 4 / (time.perf_counter() - begin)


def _task_rate(grader: Grader) -> float:
    begin = time.perf_counter()
    for _ in range(PROGRAMS // 5):
        assert grader.grade(TASK, "def f(x):\n    return x + 1").score == 1.0
    return PROGRAMS // 5 / (time.perf_counter() - begin)

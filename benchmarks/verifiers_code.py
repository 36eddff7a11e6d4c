"""Sandboxed programs per second against bare starts of the interpreter."""

import os
import subprocess
import sys
import time

from benchmarks.harness import Result, Row, interleave
from verifiers.code import Grader
from verifiers.sandbox import Sandbox
from verifiers.sandbox_confine import Limits

PYTHON = os.path.realpath(sys.executable)  # without what a virtual environment adds to a start
PROGRAMS = 200  # per repetition and side
LIMITS = Limits(wall_s=60.0)
CALL = {"do": "call", "program": "def f(x):\n    return x", "entry_point": "f", "args": [1]}
PRINT = {"do": "print", "program": "print(input())", "input": "1\n"}
TASK = {
    "style": "function",
    "entry_point": "f",
    "time_limit_s": 60,
    "hidden_tests": [{"args": [n], "expected": n + 1} for n in range(5)],
}


def verifiers_code(repeats: int) -> Result:
    """Programs/s on one core: a fresh sandbox each, against `python3 -I -c pass` by subprocess."""
    result = Result("verifiers-code")
    with Sandbox("landlock") as sandbox:
        result.notes.append(f"sandbox in force: {sandbox.description}")
        for what, request in (("function called", CALL), ("script run", PRINT)):
            ours, baseline = interleave(lambda r=request: _rate(sandbox, r), _bare_rate, repeats)
            name = f"sandboxed programs, {what}, against bare starts"
            result.rows.append(Row(name, "programs/s", ours, baseline, True, aim=1.0))
    with Grader("landlock") as grader:
        rates = [_task_rate(grader) for _ in range(repeats)]
    result.notes.append(f"whole tasks of 5 tests: {max(rates):.0f} tasks/s at best")
    return result


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

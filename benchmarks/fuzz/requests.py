"""Lines for `assay verify`, and whole programs for the sandbox."""

import json
import os
from io import BytesIO
from time import perf_counter
from typing import Any

from benchmarks.fuzz.choices import Choices
from benchmarks.fuzz.target import Target, require
from verifiers import math
from verifiers.code import Grader, program_of
from verifiers.stream import code_job, math_job, serve
from verifiers.verdict import Outcome, Verdict
from verifiers.worker import children

WALL_S = 0.2  # for a program; some of them loop
LIMITS: dict[str, Any] = {"time_limit_s": WALL_S, "memory_limit_mb": 64, "output_limit_mb": 1}
CALLS: dict[str, Any] = {
    **LIMITS,
    "style": "function",
    "entry_point": "f",
    "visible_tests": [{"args": [3], "expected": 4}],
    "hidden_tests": [{"args": [-1], "expected": 0}],
}
PRINTS: dict[str, Any] = {
    **LIMITS,
    "style": "stdio",
    "hidden_tests": [{"input": "3\n", "output": "4\n"}],
}
DRAWN = {"generator": "def draw(s): return [3]", "reference": "def f(x): return x", "count": 1}
CHECKER = {"type": "python", "source": "def check(given, found, expected): return True"}
UNITS = {"style": "unittest", "test_file": "def test_a(): pass", "expected_tests": ["test_a"]}
FLOATS = {**CALLS, "checker": {"type": "float", "abs": 0.1, "rel": 0.1}}
RIGHT = "def f(x): return x + 1"
SOUND: tuple[dict[str, Any], ...] = (
    {"id": 1, "gold": "7", "response": "\\boxed{7}", "problem": None},
    {"id": "a", "task": CALLS, "program": RIGHT},
    {"id": None, "task": PRINTS, "program": "print(4)"},
    {"id": [2], "task": FLOATS, "program": RIGHT},
    {"id": {}, "task": {**CALLS, "drawn_tests": DRAWN, "seed": 3}, "program": RIGHT},
    {"id": 3, "task": {**PRINTS, "checker": CHECKER}, "program": "print(4)"},
    {"id": 4, "task": {**UNITS, "module": "m"}, "program": RIGHT},
)
ODD: tuple[Any, ...] = (
    None, True, -1, 0, 0.5, 1e999, 10**30, "", "x", "float", "python", "\ud800", [], {}, [[]], [1],
    {"a": 1}, {"type": "exact"}, {"args": 1}, [{"args": [{}], "expected": {}}], ["a", None],
)  # fmt: skip
MARKS = (
    *'0123456789-."[]{},: ', "\n", "null", "true", "NaN", "Infinity", "1e999", "-1", "9" * 5000,
    '"style"', '"stdio"', '"float"', '"python"', '"abs":', '"x"', '"count":', '"hidden_tests":',
    '"checker":', '"id":', "\\ud800", "\x00", "\xff", "[[", "]]", '{"a":', "\\boxed{", '"program":',
)  # fmt: skip
CODE = (
    "def f(x):\n", "    return x + 1\n", "    return ", "x", "1", "+", "(", ")", "[", "]", "\n",
    "print(", "input()", "int(", "class A:\n    def __eq__(self, o): return True\n", "A()",
    "while True: pass\n", "import os\n", "os._exit(0)\n", "os.fork()\n", "os.kill(0, 9)\n",
    "import sys\n", "sys.exit()\n", "sys.stdout.close()\n", "raise SystemExit\n", "'a' * 10**9",
    "[0] * 10**9", "open('/etc/passwd')", "open('/tmp/a', 'w')", "os.write(3, b'[\"value\",4]')",
    "os.closerange(0, 100)\n", "import threading\n", "threading.Thread(target=f).start()\n",
    "import ctypes\n", "ctypes.string_at(0)\n", "import socket\n", "socket.socket()\n", "x = f\n",
    "f = lambda x: x + 1\n", "lambda", ":", "f(f)", "def f(x): return f(x)\n", "float('nan')",
    "globals().clear()\n", "import signal\n", "signal.alarm(1)\n", "try:\n    ", "except: pass\n",
    "10**10**5", "str(", "{x: x}", "'\\ud800'", "\x00", "    ", "'''", "#", "exec(", "eval('1')",
    "sys.setrecursionlimit(10**6)\n", "gc = __import__('gc')\n", "os.environ", "\t", "yield x",
)  # fmt: skip


def lines(choices: Choices) -> tuple[bytes]:
    """One or two requests, most of them spoilt: a part of another type, or other characters."""
    found = []
    for _ in range(choices.between(1, 2)):
        request: Any = choices.one_of(SOUND)
        for _ in range(choices.below(3)):
            request = spoilt(request, choices)
        line = json.dumps(request)
        if choices.chance(40):
            line = choices.changed(line, MARKS)
        elif choices.chance(5):
            depth = choices.one_of((10, 200, 900, 990, 1100, 5000))
            line = f'{{"id": {"[" * depth}{"]" * depth}, "gold": "1", "response": "1"}}'
        found.append(line.encode("utf-8", "surrogatepass"))
    return (b"\n".join(found) + choices.rest()[: choices.below(20)],)


def spoilt(value: Any, choices: Choices) -> Any:
    """The same JSON value with one of its parts replaced or left out."""
    if not value or not isinstance(value, dict | list) or choices.chance(15):
        return choices.one_of(ODD)
    if isinstance(value, list):
        at = choices.below(len(value))
        return [*value[:at], spoilt(value[at], choices), *value[at + 1 :]]
    key = choices.one_of(list(value))
    if choices.chance(10):
        return {k: v for k, v in value.items() if k != key}
    return {**value, key: spoilt(value[key], choices)}


class Graded:
    """The grader of this process; started once, as `assay verify code` does."""

    def __init__(self) -> None:
        self._grader: Grader | None = None
        self._before: set[int] = set()

    def start(self) -> None:
        math.preload()
        self._before = children()
        self._grader = Grader("landlock").__enter__()

    def stop(self) -> None:
        """Raises Violation: a process is left."""
        if self._grader is not None:
            self._grader.__exit__()
            self._grader = None
        while self._before < children() and os.waitpid(-1, os.WNOHANG)[0]:
            pass
        require(children() <= self._before, f"left behind: processes {children() - self._before}")

    def grade(self, task: dict[str, Any], program: str) -> Verdict:
        assert self._grader is not None
        return self._grader.grade(task, program)


GRADED = Graded()


def answer(data: bytes) -> str:
    """Every line gets an answer that is JSON, whatever was in it."""
    answers = BytesIO()
    serve(_judge, BytesIO(data), answers)
    ready, *found = answers.getvalue().splitlines()
    require(ready == b'{"ready": true}', "no word that it is ready")
    n_lines = data.count(b"\n") + (not data.endswith(b"\n") and data != b"")
    require(len(found) == n_lines, f"{len(found)} answers to {n_lines} lines")
    outcomes = {json.loads(line, parse_constant=_no_constant)["outcome"] for line in found}
    return "+".join(sorted(outcomes))


def _judge(request: dict[str, Any]) -> Verdict:
    """As the two front ends do, the mathematics in this process."""
    return math.judge(math_job(request)) if "gold" in request else GRADED.grade(*code_job(request))


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def whole(choices: Choices) -> tuple[dict[str, Any], str]:
    task = CALLS if choices.chance(70) else PRINTS
    program = choices.pieces(CODE, 14)
    if choices.chance(60):
        program = f"def f(x):\n    return x + 1\n{program}"
    if choices.chance(5):
        program = choices.changed(program, MARKS)
    return task, f"```python\n{program}\n```"


def run(task: dict[str, Any], response: str) -> str:
    """No program breaks the grader."""
    verdict = GRADED.grade(task, program_of(response) or "")
    require(verdict.outcome is not Outcome.BROKEN, verdict.detail)
    return verdict.outcome


TARGETS = (
    Target("lines", "stream.serve", lines, answer, GRADED.start, GRADED.stop),
    Target(
        "programs",
        "Grader.grade, in sandboxes",
        whole,
        run,
        GRADED.start,
        GRADED.stop,
        guided=False,
        clock=perf_counter,  # a program's processor time is not this process's
    ),
)

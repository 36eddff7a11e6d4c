"""`assay verify`: JSON lines in, JSON lines out, for ever."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from verifiers.stream import serve
from verifiers.verdict import Verdict, correct

ROOT = Path(__file__).parents[2]
TASK = {
    "style": "function", "entry_point": "add", "time_limit_s": 20,
    "hidden_tests": [{"args": [1, 2], "expected": 3}],
}  # fmt: skip


def verify(what: str, *lines: object) -> list[dict[str, Any]]:
    """The answers to these lines; the first must say that it is ready."""
    data = b"".join(
        line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines
    )
    argv = [sys.executable, "-m", "rl", "verify", *what.split()]
    ended = subprocess.run(
        argv, input=data, capture_output=True, check=False, cwd=ROOT, timeout=100
    )
    assert ended.returncode == 0, ended.stderr.decode()
    ready, *answers = [json.loads(line) for line in ended.stdout.splitlines()]
    assert ready == {"ready": True}
    return answers


def test_programs_are_judged_and_unreadable_lines_are_answered() -> None:
    answers = verify(
        "code --require-strength landlock",
        {"id": 1, "task": TASK, "program": "def add(a, b): return a + b"},
        b"this is no JSON\n",
        b"\xff\n",
        b"[" * 100_000 + b"\n",
        {"id": 2, "task": "sum", "program": ""},
        {"id": 3, "task": TASK, "program": 5},
        b"\n",
        b'{"id": 4, "task": {"style": [1]}, "program": "\\ud800"}\n',
        {"id": [5], "task": TASK, "program": "def add(a, b): return 1.5 * b"},
    )
    assert [a["id"] for a in answers] == [1, None, None, None, 2, 3, None, 4, [5]]
    assert [a["verdict"] for a in answers] == [True] + 8 * [False]
    assert [a["outcome"] for a in answers] == (["correct"] + 6 * ["error"] + ["broken", "wrong"])
    assert "'task' must be an object, not str" in answers[4]["error"]
    assert "'program' must be a string, not int" in answers[5]["error"]
    assert answers[8]["reason"] == "hidden test 1: returned 3.0 (0 passed before it)"
    assert answers[0]["verifier"].startswith("code/1+")
    assert all(a["t"] >= 0 for a in answers)


def test_a_task_of_odd_parts_ends_neither_the_program_nor_the_next_request() -> None:
    program = "def add(a, b): return a + b"
    spoilt = [
        {"hidden_tests": [{"args": None, "expected": 1}]},
        {"checker": {"type": "float", "abs": {}}},
        {"entry_point": {"a": 1}, "task_id": {"a": "\ud800"}},
        {"drawn_tests": {"generator": "", "reference": "", "count": True}},
        {"style": "unittest", "test_file": "x", "expected_tests": ["a", "a"]},
    ]
    answers = verify(
        "code --require-strength landlock",
        *({"id": 1, "task": TASK | part, "program": program} for part in spoilt),
        b'{"id": 1e999, "task": {}, "program": "x"}\n',
        *(
            b'{"id": ' + b"[" * n + b"]" * n + b', "task": {}, "program": "x"}\n'
            for n in (600, 985, 990, 994)
        ),
        *(
            b'{"id": 3, "task": {"time_limit_s": %s}, "program": "x"}\n' % constant
            for constant in (b"NaN", b"Infinity", b"-Infinity")
        ),
        {"id": 2, "task": TASK, "program": program},
    )
    assert [a["outcome"] for a in answers] == 5 * ["broken"] + 8 * ["error"] + ["correct"]
    assert "'id' cannot be written as JSON" in answers[5]["error"]
    assert "'id' takes 1,200 characters" in answers[6]["error"]
    assert "NaN is no number of JSON" in answers[10]["error"]


@pytest.mark.parametrize("error", [KeyError("\ud800"), RecursionError(), MemoryError("x" * 9999)])
def test_a_verifier_that_raises_is_broken_and_the_next_line_is_served(error: Exception) -> None:
    def judge(request: dict[str, Any]) -> Verdict:
        if request["id"] == 1:
            raise error
        return correct("4")

    answers = io.BytesIO()
    serve(judge, io.BytesIO(b'{"id": 1}\n{"id": 2}\n'), answers)
    first, second = [json.loads(line) for line in answers.getvalue().splitlines()[1:]]
    assert (first["id"], first["outcome"], first["verdict"]) == (1, "broken", False)
    assert first["reason"].startswith(f"the verifier raised {type(error).__name__}")
    assert second["verdict"] is True


def test_mathematics_is_judged_in_a_worker_and_unreadable_lines_are_answered() -> None:
    answers = verify(
        "math",
        {"id": "a", "problem": None, "gold": "1/2", "response": r"so \boxed{0.5}"},
        b"{\n",
        {"id": "b", "problem": "p", "gold": "1/2", "response": "none"},
        {"id": "c", "gold": 0.5, "response": "0.5"},
    )
    assert [a["outcome"] for a in answers] == ["correct", "error", "unparsed", "error"]
    assert [a["verdict"] for a in answers] == [True, False, False, False]
    assert "'gold' must be a string, not float" in answers[3]["reason"]


def test_a_request_is_answered_before_the_next_one_is_sent() -> None:
    argv = [sys.executable, "-m", "rl", "verify", "code", "--require-strength", "landlock"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == {"ready": True}
        for number in range(3):
            request = {"id": number, "task": TASK, "program": "def add(a, b): return a + b"}
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["id"] == number
        process.stdin.close()
        assert process.wait(30) == 0


@pytest.mark.parametrize("what", ["code", "math"])
def test_nothing_asked_is_nothing_answered(what: str) -> None:
    assert verify(what) == []

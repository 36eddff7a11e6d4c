"""What a grader makes of odd tasks, odd answers and odd unit tests, in a real sandbox."""

import math
from collections.abc import Iterator

import pytest

from verifiers.code import Grader
from verifiers.verdict import Outcome

ADD = {
    "style": "function", "entry_point": "add", "time_limit_s": 20,
    "hidden_tests": [{"args": [1, 2], "expected": 3}],
}  # fmt: skip
RIGHT = "def add(a, b): return a + b"


@pytest.fixture(scope="module")
def units() -> Iterator[Grader]:
    with Grader("landlock") as grader:
        yield grader


def test_a_task_that_cannot_be_used_is_broken_and_not_the_programs_fault() -> None:
    with Grader("landlock") as grader:
        for task, words in [
            ({**ADD, "style": "prose"}, "there are function, stdio and unittest"),
            ({**ADD, "hidden_tests": []}, "no visible_tests, hidden_tests or drawn_tests"),
            ({**ADD, "hidden_tests": [{"args": [1, 2]}]}, "has no expected"),
            (
                {**ADD, "checker": {"type": "python", "source": "x"}},
                "checker fails on the expected",
            ),
            ({**ADD, "memory_limit_mb": 1}, "memory_limit_mb is 1"),
        ]:
            verdict = grader.grade(task, RIGHT)
            assert verdict.outcome is Outcome.BROKEN
            assert words in verdict.detail


def test_a_share_of_the_tests_is_worth_something_only_when_asked_for() -> None:
    tests = [{"args": [1, 2], "expected": 3}, {"args": [2, 2], "expected": 4}]
    task, program = {**ADD, "hidden_tests": tests}, "def add(a, b): return 3"
    with Grader("landlock") as strict, Grader("landlock", partial=True) as lenient:
        verdict = strict.grade(task, program)
        assert (verdict.outcome, verdict.score) == (Outcome.WRONG, 0.0)
        assert verdict.detail == "hidden test 2: returned 3 (1 passed before it)"
        verdict = lenient.grade(task, program)
        assert (verdict.outcome, verdict.score) == (Outcome.PARTIAL, 0.5)
        assert verdict.verifier == f"code/1+{lenient.verifier.partition('+')[2]}"


def test_a_checker_program_decides_where_many_answers_are_right() -> None:
    source = "def check(inp, out, exp): return out in (inp[0], -inp[0]) and type(out) is int"
    task = {**ADD, "checker": {"type": "python", "source": source}}
    task["hidden_tests"] = [{"args": [3, 0], "expected": 3}]
    with Grader("landlock") as grader:
        for program, outcome in [
            ("def add(a, b): return -a", Outcome.CORRECT),
            ("def add(a, b): return 4", Outcome.WRONG),
            ("def add(a, b): return 3.0", Outcome.WRONG),
        ]:
            assert grader.grade(task, program).outcome is outcome
        forged = (  # sent past the encoder: numbers of one hash, unsorted
            "import json, os\n"
            "members = [n * (2 ** 61 - 1) for n in range(4)] + ['x' * 60000]\n"
            "os.write(4, json.dumps(['value', ['set', *members]]).encode())\n"
            "os._exit(0)"
        )
        assert grader.grade(task, forged).outcome is Outcome.WRONG
        task["checker"]["source"] = "def check(inp, out, exp): return 1 / (out == exp) == 1"
        verdict = grader.grade(task, "def add(a, b): return 4")
        assert verdict.outcome is Outcome.WRONG
        assert "checker raised ZeroDivisionError" in verdict.detail


def python(source: str) -> dict[str, str]:
    return {"type": "python", "source": f"def check(inp, out, exp):\n{source}"}


def test_a_checker_that_raises_where_no_answer_is_known_refuses_the_answer(units: Grader) -> None:
    tests = [{"args": [1, 2], "expected": None}, {"args": [1, 2]}]
    for test in tests:
        task = {**ADD, "hidden_tests": [test], "checker": python("    return out > inp[0]")}
        assert units.grade(task, RIGHT).outcome is Outcome.CORRECT
        verdict = units.grade(task, "def add(a, b): return None")
        assert verdict.outcome is Outcome.WRONG
        assert "the task's checker raised TypeError" in verdict.detail
        for source in ("def check(", "x = 1"):
            spoilt = {**task, "checker": {"type": "python", "source": source}}
            verdict = units.grade(spoilt, RIGHT)
            assert verdict.outcome is Outcome.BROKEN
            assert "its checker cannot be loaded" in verdict.detail


def test_what_is_no_number_meets_no_checker_that_does_not_expect_it(units: Grader) -> None:
    checker = python("    if abs(float(out) - 3) > 1e-6: return False\n    return True")
    task = {**ADD, "checker": checker}
    printing = {**task, "style": "stdio", "hidden_tests": [{"input": "", "output": "3"}]}
    for text in ("nan", "-NaN"):
        verdict = units.grade(task, f"def add(a, b): return float('{text}')")
        assert (verdict.outcome, "not expected" in verdict.detail) == (Outcome.WRONG, True)
        verdict = units.grade(printing, f"print('{text}')")
        assert (verdict.outcome, "not expected" in verdict.detail) == (Outcome.WRONG, True)
    assert units.grade(task, RIGHT).outcome is Outcome.CORRECT
    assert units.grade(printing, "print(3.0)").outcome is Outcome.CORRECT
    checker = python("    return out == exp or out != out and exp != exp")
    task = {**ADD, "checker": checker, "hidden_tests": [{"args": [1, 2], "expected": math.nan}]}
    assert units.grade(task, "def add(a, b): return float('nan')").outcome is Outcome.CORRECT


def test_tests_are_drawn_by_seed_from_a_generator_and_a_reference() -> None:
    generator = (
        "import random\n"
        "def draw(seed):\n"
        "    rng = random.Random(seed)\n"
        "    return [rng.randrange(10 ** 9), rng.randrange(10 ** 9)]\n"
    )
    drawn = {"generator": generator, "reference": RIGHT, "count": 3}
    task = {"style": "function", "entry_point": "add", "time_limit_s": 20, "drawn_tests": drawn}
    spy = "def add(a, b): return [a, b]"
    with Grader("landlock") as grader:
        assert grader.grade(task, RIGHT).outcome is Outcome.CORRECT
        seen = [grader.grade({**task, "seed": seed}, spy).detail for seed in (1, 2, 1)]
        assert seen[0] == seen[2] != seen[1]
        text = generator.replace("return [", "return '%d %d' % (").replace("9)]", "9))")
        adding = "print(sum(map(int, input().split())))"
        drawn |= {"generator": text, "reference": adding}
        assert grader.grade({**task, "style": "stdio"}, adding).outcome is Outcome.CORRECT
        assert grader.grade({**task, "style": "stdio"}, "print(3)").outcome is Outcome.WRONG
        drawn["reference"] = "1 / 0"
        verdict = grader.grade({**task, "style": "stdio"}, adding)
        assert verdict.outcome is Outcome.BROKEN
        assert "its reference solution raised ZeroDivisionError" in verdict.detail


UNITS = {
    "style": "unittest",
    "time_limit_s": 5,
    "test_file": """
import unittest
from solution import add, LIMIT
def test_numbers():
    assert add(1, 2) == 3
class Types(unittest.TestCase):
    def test_lists(self):
        self.assertEqual(add([1], [(2,)]), [1, (2,)])
    def test_errors(self):
        with self.assertRaises(TypeError):
            add(1, "x")
    def test_constants(self):
        self.assertEqual(LIMIT, {"b": 1, "a": 2})
""",
    "expected_tests": [
        "test_numbers", "Types.test_lists", "Types.test_errors", "Types.test_constants"
    ],
}  # fmt: skip
LIMIT = 'LIMIT = {"b": 1, "a": 2}\n'


@pytest.mark.parametrize(
    ("program", "outcome", "words"),
    [
        (RIGHT, Outcome.CORRECT, ""),
        ("def add(a, b): return 3", Outcome.WRONG, "Types.test_lists: failed: AssertionError"),
        ("class A: __eq__ = lambda *x: True\ndef add(a, b): return A()", Outcome.WRONG, "plain"),
        ("import os\ndef add(a, b): os._exit(0)", Outcome.WRONG, "its process ended"),
        ("import os\nos._exit(0)", Outcome.WRONG, "its process ended"),
        ("import sys\ndef add(a, b): sys.exit(0)", Outcome.WRONG, "SystemExit"),
        ("import os\ndef add(a, b): os.write(6, b'\\0\\0\\0\\4null')", Outcome.WRONG, "it sent"),
        ("import os\nos.write(6, b'\\xff' * 100)\n" + RIGHT, Outcome.WRONG, ""),
        ("import unittest\nunittest.TestCase.run = lambda *x: None", Outcome.WRONG, "add"),
        ('import os\nos.write(4, b\'["value",["list"]]\')\n' + RIGHT, Outcome.WRONG, ""),
        ("def add(a, b): raise __import__('unittest').SkipTest", Outcome.WRONG, "SkipTest"),
    ],
)
def test_unit_tests_believe_nothing_but_values(program: str, outcome: Outcome, words: str) -> None:
    with Grader("landlock") as grader:
        verdict = grader.grade(UNITS, LIMIT + program)
        assert verdict.outcome is outcome, verdict
        assert words in verdict.detail


LOOPS = {
    "all": "assert all(map(f, [2, 3, 5]))",
    "zip": "for want, found in zip([1, 4], map(f, [1, 2])): assert found == want",
    "iter": "for found in iter(lambda: f(1), 1): assert False",
    "next": "assert next(map(f, [1]), True)",
}


@pytest.mark.parametrize(
    ("error", "loop"),
    [
        *(("StopIteration", loop) for loop in LOOPS),
        ("StopAsyncIteration", "all"),
        ("GeneratorExit", "all"),
        ("SystemExit", "all"),
        ("type('StopIteration', (Exception,), {})", "all"),
        ("UserWarning", "all"),
    ],
)
def test_no_exception_of_the_program_ends_a_test_in_silence(
    units: Grader, error: str, loop: str
) -> None:
    test_file = f"from solution import f\ndef test_a():\n    {LOOPS[loop]}\n"
    task = {**UNITS, "test_file": test_file, "expected_tests": ["test_a"]}
    verdict = units.grade(task, f"E = {error}\ndef f(x): raise E")
    assert verdict.outcome is Outcome.WRONG, verdict
    assert units.grade(task, "def f(x): return x * x").outcome is Outcome.CORRECT


def test_an_exception_that_the_tests_ask_for_is_the_programs_to_raise(units: Grader) -> None:
    asking = """
import unittest
from solution import f
class Errors(unittest.TestCase):
    def test_all(self):
        for kind in (AssertionError, ValueError, KeyError, StopIteration):
            with self.assertRaises(kind):
                f(kind.__name__)
"""
    task = {**UNITS, "test_file": asking, "expected_tests": ["Errors.test_all"]}
    program = "import builtins\ndef f(name): raise getattr(builtins, name)"
    detail = units.grade(task, program).detail
    assert "ProgramError: StopIteration" in detail, "the one that is not passed on"
    task["test_file"] = asking.replace(", StopIteration", "")
    assert units.grade(task, program).outcome is Outcome.CORRECT


@pytest.mark.parametrize(
    "test_file",
    [
        "async def test_a(): assert False",
        "def test_a():\n    yield\n    assert False",
        "class A(unittest.TestCase):\n    async def test_a(self): self.fail()",
        "class A(unittest.TestCase):\n    def test_a(self):\n        yield\n        self.fail()",
    ],
)
def test_a_unit_test_that_nobody_runs_has_not_passed(units: Grader, test_file: str) -> None:
    name = "A.test_a" if "class A" in test_file else "test_a"
    task = {**UNITS, "test_file": f"import unittest\n{test_file}", "expected_tests": [name]}
    assert units.grade(task, "x = 1").outcome is Outcome.WRONG


def test_a_skipped_or_unlisted_unit_test_does_not_count_as_passed() -> None:
    skipping = UNITS["test_file"].replace(
        "    def test_errors", "    @unittest.skip('later')\n    def test_errors"
    )
    with Grader("landlock") as grader:
        verdict = grader.grade({**UNITS, "test_file": skipping}, LIMIT + RIGHT)
        assert "Types.test_errors: skipped: later" in verdict.detail
        verdict = grader.grade({**UNITS, "expected_tests": ["test_numbers"]}, LIMIT + RIGHT)
        assert "the file has 4 tests, 1 are expected" in verdict.detail
        verdict = grader.grade({**UNITS, "expected_tests": ["test_more"]}, LIMIT + RIGHT)
        assert "it is not in the test file" in verdict.detail

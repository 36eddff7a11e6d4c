"""Reading a program out of a response, and the parts of a task."""

from time import process_time
from typing import Any

import pytest

from verifiers.code import checker_of, limits_of, list_tests, program_of
from verifiers.code_compare import Tolerance
from verifiers.code_failure import MAX_PARTS, BadTask, returned
from verifiers.sandbox import Ran
from verifiers.sandbox_confine import Limits
from verifiers.verdict import Outcome


@pytest.mark.parametrize(
    ("response", "program"),
    [
        ("```python\nx = 1\n```", "x = 1\n"),
        ("```\nx = 1\n```\nthat is it", "x = 1\n"),
        ("a\n```py\nx = 1\n```\nno:\n```python\ny = 2\n```\n", "y = 2\n"),
        ("```python\nx = 1\n```\n```text\n42\n```", "x = 1\n"),
        ("~~~python\nx = '```'\n~~~", "x = '```'\n"),
        ("````python\n```\nx = 1\n```\n````", "```\nx = 1\n```\n"),
        ("```python\nx = 1", None),
        ("x = 1", None),
        ("```text\nx = 1\n```", None),
        ("", None),
    ],
)
def test_the_program_is_the_last_closed_python_block(response: str, program: str | None) -> None:
    assert program_of(response) == program


@pytest.mark.parametrize(
    "line", ["~" * 50_000 + "`", " " * 50_000 + "`", "~~~" + "a" * 50_000 + "`"]
)
def test_a_line_that_only_looks_like_a_fence_is_read_in_linear_time(line: str) -> None:
    begin = process_time()
    assert program_of(f"{line}\n```\nx = 1\n```") == "x = 1\n"
    assert process_time() - begin < 1.0  # minutes, when the pattern tried every split


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ({"time_limit_s": 0}, "time_limit_s is 0; it must be a number from 0.01 to 300"),
        ({"time_limit_s": "2"}, "time_limit_s is '2'"),
        ({"memory_limit_mb": True}, "memory_limit_mb is True"),
        ({"output_limit_mb": 1e9}, "output_limit_mb"),
    ],
)
def test_a_limit_out_of_bounds_is_named(task: dict[str, Any], words: str) -> None:
    with pytest.raises(BadTask, match=words.replace("(", r"\(")):
        limits_of(task)


def test_checkers_are_exact_float_or_python() -> None:
    assert checker_of({}) is None
    assert checker_of({"checker": {"type": "exact"}}) is None
    assert checker_of({"checker": {"type": "float", "abs": 1e-6, "rel": 0}}) == Tolerance(1e-6, 0)
    assert checker_of({"checker": {"type": "python", "source": "x"}}) == "x"
    for bad in ({"type": "float", "absolute": 1}, {"type": "fuzzy"}, {"type": "python"}, "exact"):
        with pytest.raises(BadTask, match="there are exact, float with abs and rel, and python"):
            checker_of({"checker": bad})


@pytest.mark.parametrize("value", ["1", None, {}, True, -1, float("nan"), 10**400])
def test_a_tolerance_is_a_number_from_zero_up(value: object) -> None:
    with pytest.raises(BadTask, match="abs and rel are numbers from 0 to 1e300"):
        checker_of({"checker": {"type": "float", "rel": value}})


def test_visible_and_hidden_tests_both_count() -> None:
    task = {"visible_tests": [{"a": 1}], "hidden_tests": [{"a": 2}, {"a": 3}]}
    assert [name for name, _ in list_tests(task)] == [
        "visible test 1", "hidden test 1", "hidden test 2"
    ]  # fmt: skip
    with pytest.raises(BadTask, match="no visible_tests, hidden_tests or drawn_tests"):
        list_tests({})
    with pytest.raises(BadTask, match="list of dictionaries"):
        list_tests({"hidden_tests": [1]})


def test_an_answer_may_have_many_parts_only_where_the_expected_one_has() -> None:
    limits = Limits(wall_s=1.0)
    ran = Ran(b'["value",["list"' + b",1" * MAX_PARTS + b"]]", b"", 0, "", 0.0, 1.0)
    _, failure = returned(ran, limits)
    assert failure is not None
    assert failure.outcome is Outcome.EXCEEDED
    assert failure.detail == "returned a value of more than 250,000 parts"
    assert returned(ran, limits, most_parts=MAX_PARTS + 1)[1] is None

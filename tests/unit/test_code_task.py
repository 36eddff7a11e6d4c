"""Reading a program out of a response, and the parts of a task."""

from time import process_time
from typing import Any

import pytest

from verifiers.code import program_of
from verifiers.code_compare import Tolerance
from verifiers.code_failure import MAX_PARTS, BadTask, returned
from verifiers.code_task import cases_of, checker_of, entry_point_of, limits_of, style_of
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
    for bad in (
        {"type": "float", "absolute": 1}, {"type": "fuzzy"}, {"type": "python"}, "exact", 5, [], {},
    ):  # fmt: skip
        with pytest.raises(BadTask, match="there are exact, float with abs and rel, and python"):
            checker_of({"checker": bad})


@pytest.mark.parametrize("value", ["1", None, {}, True, -1, float("nan"), 10**400])
def test_a_tolerance_is_a_number_from_zero_up(value: object) -> None:
    with pytest.raises(BadTask, match="abs and rel are numbers from 0 to 1e300"):
        checker_of({"checker": {"type": "float", "rel": value}})


def test_visible_and_hidden_tests_both_count() -> None:
    one = {"args": [1], "expected": 2}
    task = {"style": "function", "visible_tests": [one], "hidden_tests": [one, one]}
    assert [case.name for case in cases_of(task)] == [
        "visible test 1", "hidden test 1", "hidden test 2"
    ]  # fmt: skip


CHECKED = {"checker": {"type": "python", "source": "def check(inp, out, exp): return True"}}


@pytest.mark.parametrize(
    ("style", "task", "words"),
    [
        ("function", {}, "no visible_tests, hidden_tests or drawn_tests"),
        ("function", {"hidden_tests": [1]}, "must be a list of dictionaries, not a list of 1"),
        ("function", {"visible_tests": {"a": 1}}, "must be a list of dictionaries, not {a: ...}"),
        ("function", {"hidden_tests": [{"expected": 1}]}, "hidden test 1 has no args"),
        ("function", {"hidden_tests": [{"args": []}]}, "hidden test 1 has no expected"),
        ("function", {"hidden_tests": [{"args": 5, "expected": 1}]}, "a list of arguments, not 5"),
        ("function", {"hidden_tests": [{"args": "ab", "expected": 1}]}, "arguments, not 'ab'"),
        ("function", {"hidden_tests": [{"args": {"a": 1}, "expected": 1}]}, "not {a: ...}"),
        ("function", {"hidden_tests": [{"args": [object()], "expected": 1}]}, "no plain data"),
        ("stdio", {"hidden_tests": [{"input": 1, "output": ""}]}, "input must be a string, not 1"),
        ("stdio", {"hidden_tests": [{"input": "", "output": None}]}, "output must be a string"),
        ("stdio", {"hidden_tests": [{"input": "", "output": 1}], **CHECKED}, "not 1"),
    ],
)
def test_a_wrong_part_of_a_test_gets_a_sentence(
    style: str, task: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadTask) as error:
        cases_of({"style": style, **task})
    assert words.replace("no plain data", "not plain data") in str(error.value)


def test_only_with_a_checker_may_there_be_no_expected_answer() -> None:
    task = {"style": "function", "hidden_tests": [{"args": [1]}], **CHECKED}
    assert cases_of(task)[0].expected is None
    task = {"style": "stdio", "hidden_tests": [{"input": "1", "output": None}], **CHECKED}
    assert cases_of(task)[0].expected is None


@pytest.mark.parametrize("value", [None, 5, "", "a b", "a.", {"a": 1}, ["f"], "f()"])
def test_an_entry_point_is_a_name(value: object) -> None:
    with pytest.raises(BadTask, match="function style needs the name of a function"):
        entry_point_of({"entry_point": value})


@pytest.mark.parametrize("value", [None, "prose", ["function"], {}, "x" * 10_000])
def test_there_are_three_styles(value: object) -> None:
    with pytest.raises(BadTask, match="there are function, stdio and unittest") as error:
        style_of({"style": value})
    assert len(str(error.value)) < 300


def test_an_answer_may_have_many_parts_only_where_the_expected_one_has() -> None:
    limits = Limits(wall_s=1.0)
    ran = Ran(b'["value",["list"' + b",1" * MAX_PARTS + b"]]", b"", 0, "", 0.0, 1.0)
    _, failure = returned(ran, limits)
    assert failure is not None
    assert failure.outcome is Outcome.EXCEEDED
    assert failure.detail == "returned a value of more than 250,000 parts"
    assert returned(ran, limits, most_parts=MAX_PARTS + 1)[1] is None

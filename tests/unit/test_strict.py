"""The second opinion on accepted answers: which spellings it takes, and what it refuses."""

import pytest

from verifiers.strict import is_number, verify_plain, verify_value
from verifiers.verdict import Outcome


def accepted(gold: str, response: str, problem: str = "") -> bool:
    return verify_plain(gold, response, problem).outcome is Outcome.CORRECT


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("5", " 5 "),
        ("5", "+5"),
        ("5", "5.0"),
        ("5", "x = 5"),
        ("-5", "-5."),
        ("1234", "1,234"),
        ("1234", "1{,}234"),
        ("1,234", "1234"),
        ("3.5", "\\frac{7}{2}"),
        ("1/2", "\\dfrac{1}{2}"),
        ("-1/2", "-\\tfrac12"),
        ("1/2", ".5"),
        ("18", "\\$18"),
        ("2, 3", "3, 2"),
        ("2, 3", "x=2 \\text{ or } x=3"),
        ("-1/2, 3", "\\{3, -\\frac{1}{2}\\}"),
        ("(1, -2)", "\\left(1,\\,-2\\right)"),
        ("(1, -2)", "x=1, y=-2"),
        ("(1, -2)", "(x, y) = (1, -2)"),
        ("12x^3-1", "12 x^{3} - 1"),
        ("12x^3-1", "-1+12\\cdot x^3"),
        ("\\text{Friday}", "friday"),
        ("Friday", "\\text{Friday}"),
    ],
)
def test_one_answer_may_be_spelled_in_several_ways(gold: str, answer: str) -> None:
    assert accepted(gold, f"So it is $\\boxed{{{answer}}}$.")


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("5", "6"),
        ("5", ""),
        ("5", "2+3"),
        ("5", "5x"),
        ("5", "4 \\text{ or } 5"),
        ("5", "4, 5"),
        ("5", "5\\%"),
        ("5", "5\\text{ million}"),
        ("5", "5 is wrong"),
        ("12", "1 2"),
        ("12", "1\\,2"),
        ("12", "1\\$2"),
        ("12", "1{2}"),
        ("5", "\uff15"),
        ("1/2", "2/4"),
        ("1/2", "1/0"),
        ("2, 3", "2"),
        ("2, 3", "2, 3, 3"),
        ("(1, -2)", "(-2, 1)"),
        ("12x^3-1", "12x^3+1"),
        ("12x^3-1", "12x^31"),
        ("\\text{Friday}", "Monday"),
        ("7", "7" * 2000),
    ],
)
def test_another_answer_or_an_odd_spelling_is_refused(gold: str, answer: str) -> None:
    assert not accepted(gold, f"\\boxed{{{answer}}}")


@pytest.mark.parametrize(
    ("response", "right"),
    [
        ("First \\boxed{5}, and again \\boxed{5.0}", True),
        ("Either \\boxed{4} or \\boxed{5}", False),
        ("<think>\\boxed{4}</think>\\boxed{5}", True),
        ("<think>It may be \\boxed{5}", False),
        ("A box \\boxed{5", False),
        ("4 or so. The answer is 5.", True),
        ("#### 4\n#### 5", True),
        ("**Answer:** 5. I hope it is correct.", True),
        ("It is 5", False),
    ],
)
def test_the_answer_is_what_is_boxed_or_announced(response: str, right: bool) -> None:
    assert accepted("5", response) is right


def test_boxes_side_by_side_are_one_list() -> None:
    assert accepted("2, 3", "x=\\boxed{2} and x=\\boxed{3}")
    assert not accepted("2, 3", "x=\\boxed{2} and x=\\boxed{4}")


def test_a_unit_may_follow_if_the_problem_names_it() -> None:
    problem = "Convert 3.5 km to m, exactly."
    for written in ("3500 m", "3500\\text{ m}", "3500\\,\\mathrm{m}"):
        assert accepted("3500", f"\\boxed{{{written}}}", problem)
    assert accepted("5", "\\boxed{5\\text{ m}^2}", "How many m^2 are 50000 cm^2?")
    assert not accepted("3500", "\\boxed{3500\\text{ mm}}", problem)


def test_a_refusal_says_what_was_wrong() -> None:
    assert verify_plain("5", "\\boxed{4} \\boxed{6}").detail == "2 different boxes"
    assert verify_plain("5", "none").detail == "0 different boxes"
    assert verify_plain("5", "\\boxed{4}").detail == "not plainly 5"


def test_what_is_compared_by_value_is_a_plain_number() -> None:
    assert all(map(is_number, ("5", "-5", "1,234", "3.5", "1/2", "\\frac{1}{2}", "$5$", "\\$5")))
    others = ("x", "2, 3", "2/4", "\\sqrt{2}", "5\\text{ cm}", "\\text{Friday}", "")
    assert not any(map(is_number, others))


@pytest.mark.parametrize(
    ("value", "answer", "right"),
    [
        ([1, 2], "[1,2]", True),
        (["a b"], '["a b"]', True),
        ("ab", "'ab'", True),
        ("12", "'12'", True),
        ("12", "12", False),
        (1, "1", True),
        (1, "1.0", False),
        (1, "true", False),
        ([1, 2], "1, 2", False),
        ([1, 2], "[2, 1]", False),
        ("ab", "ab", False),
        (1, "[" * 100_000, False),
        (1, "9" * 10_000, False),
    ],
)
def test_a_value_is_read_as_json(value: object, answer: str, right: bool) -> None:
    assert (verify_value(value, f"\\boxed{{{answer}}}").outcome is Outcome.CORRECT) is right


def test_of_two_values_none_counts() -> None:
    assert verify_value(1, "\\boxed{1} \\boxed{2}").detail == "2 different boxes"

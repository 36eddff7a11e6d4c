"""Conventions of the mathematics verifier: each option, its strict default, and what it changes."""

from dataclasses import fields
from pathlib import Path

import pytest

from verifiers.math import judge, verify_math
from verifiers.rules import MathRules
from verifiers.verdict import Outcome

ROOT = Path(__file__).parents[2]

# Option, its value that is not the default, gold, answer: which of the two values accepts it.
LOOSER = [
    ("several_boxes", True, "4", "3}$, no: $\\boxed{4"),
    ("unevaluated", True, "4", "2+2"),
    ("unevaluated", True, "\\frac{1}{2}", "\\sin 30^\\circ"),
    ("unevaluated", True, "x>3", "2x>6"),
    ("unsimplified", True, "\\frac{3}{4}", "\\frac{6}{8}"),
    ("unsimplified", True, "42", "84/2"),
    ("approximate_digits", 4, "\\frac{\\pi}{4}", "0.7854"),
    ("approximate_digits", 4, "-\\sqrt{2}", "-1.41421"),
    ("decimal_comma", True, "2.5", "2,5"),
    ("set_for_tuple", True, "(1,2)", "1,2"),
    ("base_optional", True, "1010_2", "1010"),
]
STRICTER = [
    ("exact_decimals", False, "\\frac{3}{4}", "0.75"),
    ("percent_value", False, "\\frac{3}{4}", "75\\%"),
    ("percent_sign_optional", False, "25\\%", "25"),
    ("unit_optional", False, "12\\text{ cm}", "12"),
    ("unit_added", False, "5", "5\\text{ cm}"),
    ("interval_for_inequality", False, "x>3", "(3,\\infty)"),
    ("interval_for_inequality", False, "(-\\infty,2)\\cup(5,\\infty)", "x<2 \\text{ or } x>5"),
    ("names_for_point", False, "(1,2)", "x=1, y=2"),
    ("rename_constant", False, "\\frac{x^3}{3}+C", "\\frac{x^3}{3}+c"),
]


def accepts(gold: str, answer: str, rules: MathRules, problem: str | None = None) -> bool:
    response = f"So it is $\\boxed{{{answer}}}$."
    return verify_math(gold, response, problem, rules).outcome is Outcome.CORRECT


@pytest.mark.parametrize(("option", "value", "gold", "answer"), LOOSER)
def test_the_default_is_strict(option: str, value: object, gold: str, answer: str) -> None:
    assert not accepts(gold, answer, MathRules())
    assert accepts(gold, answer, MathRules(**{option: value}))  # type: ignore[arg-type]


@pytest.mark.parametrize(("option", "value", "gold", "answer"), STRICTER)
def test_a_convention_can_be_switched_off(
    option: str, value: object, gold: str, answer: str
) -> None:
    assert accepts(gold, answer, MathRules())
    assert not accepts(gold, answer, MathRules(**{option: value}))  # type: ignore[arg-type]


def test_bare_answers_and_other_markers_are_options() -> None:
    for response, rules in (("42", MathRules(bare=True)), ("A: 42", MathRules(markers=("A:",)))):
        assert verify_math("42", response).outcome is Outcome.UNPARSED
        assert verify_math("42", response, rules=rules).outcome is Outcome.CORRECT


def test_an_approximation_must_be_rounded_correctly_and_long_enough() -> None:
    rules = MathRules(approximate_digits=4)
    for answer in ("0.785", "0.7853", "0.7855", "-0.7854", "0.78540000", "7.854"):
        assert not accepts("\\frac{\\pi}{4}", answer, rules)
    with pytest.raises(ValueError, match="at least 2"):
        MathRules(approximate_digits=1)


def test_every_option_is_described_and_tried() -> None:
    page = (ROOT / "docs" / "verification-math.md").read_text()
    tried = {option for option, *_ in (*LOOSER, *STRICTER)}
    for field in fields(MathRules):
        assert f"`{field.name}`" in page
        assert field.name in tried | {"bare", "markers", "respect_form"}


FORMS = [  # problem, gold, an answer of the right value in another form, one as asked for
    ("Simplify $\\sqrt{50}$.", "5\\sqrt{2}", "\\sqrt{50}", "5\\sqrt2"),
    ("Write $0.125$ as a common fraction.", "\\frac{1}{8}", "0.125", "1/8"),
    ("Write $\\frac{3}{8}$ as a decimal.", "0.375", "\\frac{3}{8}", "0.375"),
    ("Write $0.75$ as a percent.", "75\\%", "0.75", "75"),
    ("Give it as a mixed number.", "3\\frac{1}{2}", "3.5", "3 \\frac12"),
    ("Write $32000$ in scientific notation.", "3.2\\times10^4", "32000", "3.2\\cdot10^{4}"),
    ("Factor $x^2-1$.", "(x-1)(x+1)", "x^2-1", "(x+1)(x-1)"),
    ("Expand $(x+1)^2$.", "x^2+2x+1", "(x+1)^2", "1+2x+x^2"),
    (
        "Rationalize $\\frac{1}{\\sqrt2}$.",
        "\\frac{\\sqrt{2}}{2}",
        "\\frac{1}{\\sqrt2}",
        "\\sqrt2/2",
    ),
    ("Simplify $\\frac{x^2-1}{x-1}$.", "x+1", "\\frac{x^2-1}{x-1}", "1+x"),
    ("Solve $2x>6$.", "x>3", "2x>6", "3<x"),
    ("What is its length in centimetres?", "50", "50\\text{ m}", "50\\text{ cm}"),
]


@pytest.mark.parametrize(("problem", "gold", "other", "asked"), FORMS)
def test_an_answer_has_the_form_that_the_problem_asks_for(
    problem: str, gold: str, other: str, asked: str
) -> None:
    assert accepts(gold, asked, MathRules(), problem)
    assert not accepts(gold, other, MathRules(), problem)


def test_without_respect_for_form_only_the_value_counts() -> None:
    problem = "Write $0.125$ as a common fraction."
    assert accepts("\\frac{1}{8}", "0.125", MathRules(respect_form=False), problem)


def test_the_problem_says_what_a_percentage_or_a_choice_means() -> None:
    rules = MathRules()
    assert accepts("25", "25\\%", rules, "What percent of 80 is 20?")
    assert not accepts("25", "25\\%", rules, "How many of them are there?")
    assert not accepts("25", "25\\%", rules)
    choose = "Which one: (A) 10 (B) 12 (C) 14?"
    for answer, right in (("b", True), ("\\textbf{(B)}\\ 12", True), ("(B) 14", False)):
        assert accepts("B", answer, rules, choose) is right
        assert not accepts("B", answer, rules)


def test_words_of_the_problem_may_stand_behind_a_number() -> None:
    problem = "How many apples are left, or is it more?"
    assert accepts("7", "7\\text{ apples}", MathRules(), problem)
    assert not accepts("7", "7\\text{ apples}", MathRules())
    assert not accepts("7", "7\\text{ or more}", MathRules(), problem)


def test_a_worker_process_is_given_its_job_as_plain_data() -> None:
    job = {"gold": "4", "response": "A: 2+2", "rules": {"markers": ["A:"], "unevaluated": True}}
    assert judge(job).outcome is Outcome.CORRECT
    assert judge({"gold": "4", "response": "\\boxed{4}"}).outcome is Outcome.CORRECT
    with pytest.raises(TypeError):
        judge({"gold": "4", "response": "\\boxed{4}", "rules": {"strict": False}})

"""Equality of expressions: normal forms, separation bounds, values, and that they back each other.

Every yes of `algebra.equal` needs two witnesses; each is shown here to be able to say no.
"""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verifiers import algebra, algebraic, exact, numeric
from verifiers.latex import Node, read
from verifiers.rational import TooLarge


def settle(a: str, b: str) -> bool | None:
    return exact.settle(read(a), read(b))


EQUAL = [
    ("\\sqrt{50}", "5\\sqrt2"), ("\\frac{1}{\\sqrt3-\\sqrt2}", "\\sqrt2+\\sqrt3"),
    ("\\sqrt[3]{16}", "2\\cdot 2^{1/3}"), ("\\sqrt[3]{-8}", "-2"), ("\\sqrt{-4}", "2i"),
    ("(1+i)^2", "2i"), ("\\frac{1}{i}", "-i"), ("\\frac{12\\pi}{2}", "6\\pi"),
    ("(x-1)(x^2+x+1)", "x^3-1"), ("\\frac{1}{x}-\\frac{1}{x+1}", "\\frac{1}{x^2+x}"),
    ("\\binom{n+1}{2}", "\\frac{n^2+n}{2}"), ("2^{n+1}", "2\\cdot2^n"), ("4^n", "2^{2n}"),
    ("e^{2x}", "(e^x)^2"), ("\\ln 6", "\\ln 2+\\ln 3"), ("\\log_4 9", "\\log_2 3"),
    ("\\cos^2 x", "\\frac{1+\\cos 2x}{2}"), ("\\sin 3x", "3\\sin x-4\\sin^3 x"),
    ("1+\\tan^2 y", "\\sec^2 y"), ("e^{i\\pi/3}", "\\frac{1+i\\sqrt3}{2}"),
    ("\\sin 20^\\circ", "\\cos 70^\\circ"), ("|x-1|", "|1-x|"), ("x^{n+1}", "x\\cdot x^n"),
    ("\\sqrt{x}\\sqrt{x}", "x"), ("\\cosh x", "\\frac{e^x+e^{-x}}{2}"),
]  # fmt: skip
DIFFERENT = [
    ("\\sqrt6", "2\\sqrt3"), ("\\sqrt2+\\sqrt3", "\\sqrt5"), ("\\pi", "\\frac{355}{113}"),
    ("x^2", "x^3"), ("x+1", "x"), ("\\frac{a}{b+c}", "\\frac{a}{b}+\\frac{a}{c}"), ("i", "-i"),
    ("2^{1/2}", "2^{1/3}"), ("\\sqrt2", "\\sqrt2+10^{-100}"), ("x_1", "x_2"),
]  # fmt: skip
NESTED = [
    ("\\sqrt{7+4\\sqrt3}", "2+\\sqrt3"), ("\\sqrt{5+2\\sqrt6}", "\\sqrt2+\\sqrt3"),
    ("\\cos\\frac{\\pi}{7}-\\cos\\frac{2\\pi}{7}+\\cos\\frac{3\\pi}{7}", "\\frac12"),
    ("\\tan 15^\\circ", "2-\\sqrt3"), ("\\sqrt[3]{2+\\sqrt5}+\\sqrt[3]{2-\\sqrt5}", "1"),
    ("\\sin 18^\\circ", "\\frac{\\sqrt5-1}{4}"),
]  # fmt: skip


@pytest.mark.parametrize(("a", "b"), EQUAL)
def test_equal_expressions_have_equal_normal_forms(a: str, b: str) -> None:
    assert settle(a, b) is True


def test_zero_to_a_huge_power_is_zero() -> None:
    assert settle("0^{10^{99}}", "0") is True
    assert settle("0^{-1}", "0") is None


@pytest.mark.parametrize(("a", "b"), DIFFERENT)
def test_different_expressions_have_different_normal_forms(a: str, b: str) -> None:
    assert settle(a, b) is False


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("\\sin x", "\\cos x"),
        ("\\ln x", "\\ln y"),
        ("\\sqrt{x+1}", "\\sqrt{x}+1"),
        ("\\infty", "1"),
    ],
)
def test_normal_forms_do_not_say_no_where_generators_may_depend(a: str, b: str) -> None:
    assert settle(a, b) is None


@pytest.mark.parametrize(("a", "b"), NESTED)
def test_nested_radicals_and_angles_are_proved_by_their_separation_bound(a: str, b: str) -> None:
    assert algebraic.is_zero(difference(a, b)) is True
    assert algebraic.is_zero(difference(a, f"{b}+10^{{-200}}")) is False


def difference(a: str, b: str) -> Node:
    return ("add", read(a), ("neg", read(b)))


@pytest.mark.parametrize("a", ["\\pi", "e", "\\ln 2", "x", "i", "\\sin 1", "2^{\\sqrt2}"])
def test_the_separation_bound_says_nothing_of_other_numbers(a: str) -> None:
    assert algebraic.is_zero(read(a)) is None


@pytest.mark.parametrize(("a", "b"), [*EQUAL, *NESTED])
def test_the_second_witness_agrees(a: str, b: str) -> None:
    x, y = read(a), read(b)
    assert algebra.witnesses(x, y)[:2] == (True, True)
    assert algebra.equal(x, y)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("\\sqrt{x^2}", "x"),  # where x is negative
        ("\\ln(x^2)", "2\\ln x"),
    ],
)
def test_a_yes_that_only_one_witness_gives_is_a_disagreement(a: str, b: str) -> None:
    assert algebra.witnesses(read(a), read(b))[:2] == (True, False)
    with pytest.raises(algebra.Disagreement, match="its values differ"):
        algebra.equal(read(a), read(b))


def test_values_that_agree_without_a_proof_are_a_disagreement() -> None:
    near = "\\arctan 1 + 10^{-80}"
    with pytest.raises(algebra.Disagreement, match="not proved"):
        algebra.equal(read("\\arctan 1"), read(near))


@pytest.mark.parametrize(
    ("a", "b"),
    [("\\pi", "\\pi+10^{-20}"), ("e^\\pi-\\pi", "20"), ("\\ln|x|", "\\ln x"), ("x", "|x|")],
)
def test_values_that_differ_are_seen(a: str, b: str) -> None:
    x, y = read(a), read(b)
    assert not numeric.agree(x, y, algebra.symbols(x) | algebra.symbols(y))


def test_a_simple_ratio_is_found_at_a_point() -> None:
    a, b = read("2x-4y"), read("6y-3x")
    assert numeric.simple_ratio(a, b, {"x", "y"}) == Fraction(-3, 2)
    assert numeric.simple_ratio(read("x"), read("ix"), {"x"}) is None
    assert numeric.simple_ratio(read("0x"), read("x"), {"x"}) is None


@pytest.mark.parametrize(
    "bomb", ["\\cosh(10^9)", "e^{e^{e^{e}}}", "x^{10^7}", "(10^9)!", "\\binom{10^9}{10^8}"]
)
def test_sizes_are_bounded_before_anything_is_computed(bomb: str) -> None:
    with pytest.raises(TooLarge):
        algebra.equal(read(bomb), read(f"{bomb}+1"), short_cuts=False)


SMALL = st.integers(-6, 6)


@settings(max_examples=60, deadline=None)
@given(st.lists(SMALL, min_size=3, max_size=3), st.lists(SMALL, min_size=3, max_size=3))
def test_normal_forms_add_and_multiply_like_numbers(a: list[int], b: list[int]) -> None:
    """In the ring of numbers p + q sqrt 2 + r i, against arithmetic done by hand."""

    def latex(p: int, q: int, r: int) -> str:
        return f"(({p})+({q})\\sqrt2+({r})i)"

    x, y = latex(*a), latex(*b)
    total = latex(*(m + n for m, n in zip(a, b, strict=True)))
    assert settle(f"{x}+{y}", total) is True
    (p, q, r), (s, t, u) = a, b
    product = f"({p * s + 2 * q * t - r * u})+({p * t + q * s})\\sqrt2"
    product += f"+({p * u + r * s})i+({q * u + r * t})i\\sqrt2"
    assert settle(f"{x}{y}", product) is True
    assert settle(f"{x}{y}", f"{product}+1") is False


@settings(max_examples=60, deadline=None)
@given(SMALL, SMALL, SMALL, st.fractions(-4, 4, max_denominator=6))
def test_equal_rational_functions_are_equal_at_a_point(
    a: int, b: int, c: int, at: Fraction
) -> None:
    """(x+a)(x+b)/(x+c) expanded: the same form, and the value that fractions give."""
    one = f"\\frac{{(x+({a}))(x+({b}))}}{{x+({c})}}"
    other = f"\\frac{{x^2+({a + b})x+({a * b})}}{{x+({c})}}"
    assert settle(one, other) is True
    if at + c:
        here = numeric.value(read(one), {"x": float(at)})
        assert abs(float(here) - float((at + a) * (at + b) / (at + c))) < 1e-9

"""Right answers as competitions and textbooks have them, each written in another way than the
reference answer; the numbers are drawn afresh, so that nothing is judged twice."""

from collections.abc import Callable
from fractions import Fraction
from math import comb, gcd
from random import Random

from benchmarks.math_answers import Answer

PRIMES = (2, 3, 5, 7, 11, 13)
SQUARE_FREE = (2, 3, 5, 6, 7, 10, 11, 13, 14, 15)


class Numbers:
    """What one round of pairs is made of."""

    def __init__(self, rng: Random) -> None:
        self.a, self.b, self.c = rng.randint(2, 9), rng.randint(11, 49), rng.randint(51, 99)
        self.n = rng.randint(12_345, 987_654)
        self.r = rng.choice(SQUARE_FREE)
        self.half = rng.randrange(3, 199, 2)
        p, q = rng.sample(PRIMES, 2)
        self.p, self.q = p, q
        m = rng.choice([m for m in range(2, 60) if gcd(m, p * q) == 1])
        self.f = Fraction(m, p * q)


def tex(x: Fraction) -> str:
    return f"{'-' * (x < 0)}\\frac{{{abs(x.numerator)}}}{{{x.denominator}}}"


def _mixed(x: Fraction) -> str:
    whole, rest = divmod(x, 1)
    return f"{whole}{tex(rest)}"


def _spaced(n: int, mark: str) -> str:
    return f"{n:,}".replace(",", mark)


# Reference answer and another way of writing it.
PAIRS: tuple[Callable[[Numbers], tuple[str, str]], ...] = (
    # numbers
    lambda d: (f"{d.n}", _spaced(d.n, ",")),
    lambda d: (f"{d.n}", _spaced(d.n, "{,}")),
    lambda d: (f"{d.n}", _spaced(d.n, "\\,")),
    lambda d: (f"-{d.b}", f"$-{d.b}$"),
    lambda d: (f"{d.b}", f"{d.b}.0"),
    lambda d: (f"{d.b}", f"x = {d.b}"),
    lambda d: (f"{d.b}", f"\\text{{{d.b}}}"),
    lambda d: (tex(d.f), f"{d.f}"),
    lambda d: (tex(d.f), f"\\tfrac{{{d.f.numerator}}}{{{d.f.denominator}}}"),
    lambda d: (f"-{tex(d.f)}", f"\\frac{{-{d.f.numerator}}}{{{d.f.denominator}}}"),
    lambda d: (tex(d.a + d.f % 1), _mixed(d.a + d.f % 1)),
    lambda d: (tex(Fraction(d.half, 2)), f"{d.half // 2}.5"),
    lambda d: (tex(Fraction(d.half, 4)), f"{d.half / 4:.2f}"),
    lambda d: (f"{d.b}\\%", f"{d.b} \\%"),
    lambda d: (f"{d.b * 1000}", f"{d.b} \\times 10^3"),
    # units, degrees, money
    lambda d: (f"{d.b}", f"{d.b}\\text{{ cm}}"),
    lambda d: (f"{d.b}\\text{{ cm}}^2", f"{d.b}"),
    lambda d: (f"{d.b}^\\circ", f"{d.b}"),
    lambda d: (f"{d.b}", f"\\${d.b}"),
    # radicals, powers, logarithms, trigonometry
    lambda d: (f"{d.a}\\sqrt{{{d.r}}}", f"\\sqrt{{{d.a**2 * d.r}}}"),
    lambda d: (f"\\frac{{\\sqrt{{{d.r}}}}}{{{d.r}}}", f"\\frac{{1}}{{\\sqrt{{{d.r}}}}}"),
    lambda d: (f"{d.a}+{d.b}\\sqrt{{{d.r}}}", f"{d.b}\\sqrt{{{d.r}}}+{d.a}"),
    lambda d: (
        f"\\frac{{{d.b}+\\sqrt{{{d.r}}}}}{{2}}",
        f"\\frac{{{d.b}}}{{2}}+\\frac{{\\sqrt{{{d.r}}}}}2",
    ),
    lambda d: (f"{d.a}\\sqrt[3]{{2}}", f"\\sqrt[3]{{{2 * d.a**3}}}"),
    lambda d: (f"2^{{{d.b}}}", f"{2**d.b}"),
    lambda d: (f"{d.a}\\ln 2", f"\\ln {2**d.a}"),
    lambda d: (f"\\frac{{{d.b}\\pi}}{{{d.c}}}", f"\\frac{{{d.b}}}{{{d.c}}}\\pi"),
    lambda d: (f"\\frac{{\\pi}}{{{d.a}}}", f"\\pi/{d.a}"),
    lambda d: (f"\\sin^2 {d.a}x", f"1-\\cos^2 {d.a}x"),
    # polynomials and rational functions
    lambda d: (f"(x-{d.a})(x+{d.b})", f"x^2+{d.b - d.a}x-{d.a * d.b}"),
    lambda d: (f"x^2+{2 * d.a}x+{d.a**2}", f"(x+{d.a})^2"),
    lambda d: (f"{d.a}x^2-{d.b}x+{d.c}", f"{d.c}-{d.b}x+{d.a}x^2"),
    lambda d: (f"\\frac{{x+{d.b}}}{{{d.a}}}", f"\\frac{{1}}{{{d.a}}}x+\\frac{{{d.b}}}{{{d.a}}}"),
    lambda d: (f"\\frac{{{d.a}}}{{x-{d.b}}}", f"-\\frac{{{d.a}}}{{{d.b}-x}}"),
    lambda d: (f"e^{{{d.a}x}}", f"\\left(e^x\\right)^{{{d.a}}}"),
    lambda d: ("\\binom{n}{2}", "\\frac{n(n-1)}{2}"),
    # complex numbers
    lambda d: (f"{d.a}+{d.b}i", f"{d.b}i + {d.a}"),
    lambda d: (f"{d.a}-{d.b}i", f"{d.a} - {d.b}\\mathrm{{i}}"),
    # lists, sets, points, intervals, matrices
    lambda d: (f"{d.a}, {d.b}, {d.c}", f"{d.c}, {d.a}\\text{{ and }}{d.b}"),
    lambda d: (f"\\{{{d.a},{d.b}\\}}", f"\\left\\{{{d.b},\\,{d.a}\\right\\}}"),
    lambda d: (f"({d.a},{d.b})", f"\\left( {d.a}, {d.b} \\right)"),
    lambda d: (f"({d.a},{d.b})", f"(x,y)=({d.a},{d.b})"),
    lambda d: (f"[{d.a},\\infty)", f"\\left[{d.a}, +\\infty\\right)"),
    lambda d: (f"(-\\infty,{d.a})\\cup({d.b},\\infty)", f"x<{d.a}\\text{{ or }}x>{d.b}"),
    lambda d: (f"x\\ge {d.a}", f"{d.a}\\leq x"),
    lambda d: (f"{d.a}<x<{d.b}", f"({d.a},{d.b})"),
    lambda d: (
        f"\\begin{{pmatrix}}{d.a}&0\\\\1&{d.b}\\end{{pmatrix}}",
        f"\\begin{{bmatrix}} {d.a} & 0 \\\\ 1 & {d.b} \\end{{bmatrix}}",
    ),
    # equations and words
    lambda d: (f"y={d.a}x+{d.b}", f"y-{d.b}={d.a}x"),
    lambda d: (f"\\pm {d.b}", f"{d.b}, -{d.b}"),
    lambda d: ("\\text{even}", "even"),
    lambda d: ("\\text{(C)}", "C"),
    lambda d: (f"{comb(d.a + 4, 3)}", f"{comb(d.a + 4, 3):d}."),
)


def honest(rng: Random) -> list[Answer]:
    """One answer of every kind."""
    found = []
    for pair in PAIRS:
        gold, answer = pair(Numbers(rng))
        found.append(Answer(gold, f"So the answer is $\\boxed{{{answer}}}$.", None, True))
    return found

"""Equations in one unknown: linear, linear with brackets, quadratic."""

from dataclasses import dataclass
from fractions import Fraction
from math import isqrt
from random import Random
from typing import Any, ClassVar, Literal, get_args

from envs.family import Family, Kind, Notes
from envs.terms import exponent, read_terms, show_terms

Name = Literal["linear", "brackets", "quadratic"]

LARGEST = (6, 12, 20, 40, 80)  # coefficient, by level
LARGEST_ROOT = (4, 7, 10, 15, 20)  # of quadratic equations


def nonzero(rng: Random, largest: int) -> int:
    return rng.choice((-1, 1)) * rng.randint(1, largest)


def draw_linear(rng: Random, level: int) -> dict[str, Any]:
    """Levels 1 and 2: `ax+b=c`. From 3 the unknown is on both sides; 5: the root is a fraction."""
    largest = LARGEST[level - 1]
    root = Fraction(nonzero(rng, largest), rng.randint(2, 9) if level == 5 else 1)
    while True:
        a, b = rng.randint(2, largest) * root.denominator, nonzero(rng, largest)
        c = rng.choice([k for k in range(-largest, largest) if k]) if level >= 3 else 0
        c *= root.denominator
        if a != c:
            break
    d = a * root + b - c * root  # whole, because the denominator divides a and c
    return {"left": show_terms([(a, "x"), (b, "")]), "right": show_terms([(c, "x"), (int(d), "")])}


def work_linear(notes: Notes, left: str, right: str | int) -> str:
    a, b = _linear(left)
    c, d = _linear(str(right))
    slope = notes.step(f"{a}-{_bracket(c)}", a - c) if c else a
    rest = notes.step(f"{d}-{_bracket(b)}", d - b)
    return str(notes.step(f"x:{rest}/{_bracket(slope)}", Fraction(rest, slope)))


def draw_brackets(rng: Random, level: int) -> dict[str, Any]:
    """`a(x+b)=c(x+d)` with whole roots; from level 4 fractions too."""
    largest = LARGEST[level - 1]
    while True:
        a, c = rng.randint(2, largest), rng.randint(2, largest)
        b, d = nonzero(rng, largest), nonzero(rng, largest)
        if a != c and (level >= 4 or (c * d - a * b) % (a - c) == 0):
            return {"a": a, "b": b, "c": c, "d": d}


def work_brackets(notes: Notes, a: int, b: int, c: int, d: int) -> str:
    left = notes.step(f"{a}*{_bracket(b)}", a * b)
    right = notes.step(f"{c}*{_bracket(d)}", c * d)
    slope = notes.step(f"{a}-{c}", a - c)
    rest = notes.step(f"{right}-{_bracket(left)}", right - left)
    return str(notes.step(f"x:{rest}/{_bracket(slope)}", Fraction(rest, slope)))


def draw_quadratic(rng: Random, level: int) -> dict[str, Any]:
    """Whole roots and x^2 alone up to level 3; then a leading coefficient, and fractions."""
    largest = LARGEST_ROOT[level - 1]
    while True:
        p, q = (rng.randint(2, level) if level >= 4 else 1 for _ in range(2))
        r, s = nonzero(rng, largest), nonzero(rng, largest)
        if r * q + s * p:  # (px - r)(qx - s) has a middle term
            terms = [(p * q, "x^2"), (-(r * q + s * p), "x"), (r * s, "")]
            return {"left": show_terms(terms), "right": 0}


def work_quadratic(notes: Notes, left: str, right: int) -> str:
    coefficients = {exponent(unknown): number for number, unknown in read_terms(left)}
    a, b, c = (coefficients.get(i, 0) for i in (2, 1, 0))
    square = notes.step(f"{_bracket(b)}^2", b * b)
    product = notes.step(f"4*{a}*{_bracket(c)}", 4 * a * c)
    discriminant = notes.step(f"{square}-{_bracket(product)}", square - product)
    if discriminant < 0 or isqrt(discriminant) ** 2 != discriminant:
        raise ArithmeticError(f"{discriminant} is no square")
    root = notes.step(f"sqrt({discriminant})", isqrt(discriminant))
    roots = {
        notes.step(f"x:({-b}{sign}{root})/{2 * a}", Fraction(value, 2 * a))
        for sign, value in (("-", -b - root), ("+", -b + root))
    }
    return ", ".join(map(str, sorted(roots)))


def _linear(text: str) -> tuple[int, int]:
    """Slope and constant of `3x+5`."""
    terms = read_terms(text)
    return tuple(sum(n for n, unknown in terms if unknown == u) for u in ("x", ""))  # pyright: ignore


def _bracket(number: int) -> str:
    return f"({number})" if number < 0 else str(number)


@dataclass(frozen=True)
class Algebra(Family):
    """Solve an equation for x: `Solve 3x+5=20 for x.`

    | level | coefficients up to | linear | brackets | quadratic |
    |---|---|---|---|---|
    | 1 | 6 | ax+b=c | whole root | roots up to 4 |
    | 2 | 12 | ax+b=c | whole root | roots up to 7 |
    | 3 | 20 | x on both sides | whole root | roots up to 10 |
    | 4 | 40 | x on both sides | any root | a leading coefficient, fractions |
    | 5 | 80 | the root is a fraction | any root | larger ones |
    """

    KINDS: ClassVar[dict[Name, Kind]] = {
        "linear": Kind("Solve {left}={right} for x.", draw_linear, work_linear),
        "brackets": Kind(
            "Expand and solve {a}(x{b:+d})={c}(x{d:+d}).", draw_brackets, work_brackets
        ),
        "quadratic": Kind("Find all roots of {left}={right}.", draw_quadratic, work_quadratic),
    }
    kinds: tuple[Name, ...] = get_args(Name)

"""Polynomials: derivatives, slopes at a point, definite integrals."""

from dataclasses import dataclass
from fractions import Fraction
from random import Random
from typing import Any, ClassVar, Literal, get_args

from envs.family import Family, Kind, Notes
from envs.terms import Term, exponent, power, read_terms, show_terms

Name = Literal["derivative", "slope", "integral"]

N_TERMS = (2, 2, 3, 4, 5)  # of a polynomial, by level
HIGHEST_POWER = (3, 4, 5, 6, 8)
LARGEST_COEFFICIENT = (6, 9, 12, 15, 20)
LARGEST_POINT = (2, 3, 4, 5, 6)


def draw_polynomial(rng: Random, level: int, *, constant: bool) -> str:
    """From the highest power down."""
    powers = range(0 if constant else 1, HIGHEST_POWER[level - 1] + 1)
    chosen = sorted(rng.sample(powers, N_TERMS[level - 1]), reverse=True)
    largest = LARGEST_COEFFICIENT[level - 1]
    sizes = [rng.choice((-1, 1)) * rng.randint(2, largest) for _ in chosen]
    return show_terms((size, power(n)) for size, n in zip(sizes, chosen, strict=True))


def draw_derivative(rng: Random, level: int) -> dict[str, Any]:
    """One term of power 0 at most, so that something is left."""
    return {"f": draw_polynomial(rng, level, constant=True)}


def derivative(notes: Notes, f: str) -> list[Term]:
    terms = []
    for size, unknown in read_terms(f):
        if n := exponent(unknown):
            terms.append((notes.step(f"{n}*{_bracket(size)}", n * size), power(n - 1)))
    return terms


def work_derivative(notes: Notes, f: str) -> str:
    return show_terms(derivative(notes, f))


def draw_slope(rng: Random, level: int) -> dict[str, Any]:
    largest = LARGEST_POINT[level - 1]
    at = rng.choice([x for x in range(-largest, largest + 1) if x])
    return {"f": draw_polynomial(rng, level, constant=True), "at": at}


def work_slope(notes: Notes, f: str, at: int) -> str:
    return str(evaluate(notes, [(Fraction(n), u) for n, u in derivative(notes, f)], at))


def evaluate(notes: Notes, terms: list[tuple[Fraction, str]], at: int) -> Fraction:
    """The sum of the terms at a point, added up one by one."""
    values = [
        notes.step(f"{_bracket(size)}*{_bracket(at)}^{exponent(u)}", size * at ** exponent(u))
        for size, u in terms
    ]
    total = values[0]
    for value in values[1:]:
        total = notes.step(f"{total}+{_bracket(value)}", total + value)
    return total


def draw_integral(rng: Random, level: int) -> dict[str, Any]:
    largest = LARGEST_POINT[level - 1]
    start = rng.randint(-largest + 1, largest - 1) if level >= 3 else 0
    end = rng.randint(start + 1, largest)
    f = draw_polynomial(rng, min(level, 4), constant=False)
    return {"f": f, "start": start, "end": end}


def work_integral(notes: Notes, f: str, start: int, end: int) -> str:
    terms = []
    for size, unknown in read_terms(f):
        n = exponent(unknown) + 1
        terms.append((notes.step(f"{_bracket(size)}/{n}", Fraction(size, n)), power(n)))
    top = evaluate(notes, terms, end)
    if not start:
        return str(top)
    bottom = evaluate(notes, terms, start)
    return str(notes.step(f"{top}-{_bracket(bottom)}", top - bottom))


def _bracket(number: int | Fraction) -> str:
    whole = number >= 0 and Fraction(number).denominator == 1
    return str(number) if whole else f"({number})"


@dataclass(frozen=True)
class Calculus(Family):
    """Derivatives of polynomials, their values at a point, and definite integrals.

    | level | terms | powers up to | coefficients up to | points up to | integrals start at |
    |---|---|---|---|---|---|
    | 1 | 2 | 3 | 6 | 2 | 0 |
    | 2 | 2 | 4 | 9 | 3 | 0 |
    | 3 | 3 | 5 | 12 | 4 | any point |
    | 4 | 4 | 6 | 15 | 5 | any point |
    | 5 | 5 (integrals 4) | 8 (integrals 6) | 20 (integrals 15) | 6 | any point |
    """

    KINDS: ClassVar[dict[Name, Kind]] = {
        "derivative": Kind("d/dx ({f}) = ?", draw_derivative, work_derivative),
        "slope": Kind("What is the slope of {f} at x={at}?", draw_slope, work_slope),
        "integral": Kind(
            "What is the integral of {f} from x={start} to x={end}?", draw_integral, work_integral
        ),
    }
    kinds: tuple[Name, ...] = get_args(Name)

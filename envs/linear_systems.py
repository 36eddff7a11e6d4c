"""Systems of linear equations in two and three unknowns."""

from dataclasses import dataclass
from fractions import Fraction
from random import Random
from typing import Any, ClassVar, Literal, get_args

from envs.family import Family, Kind, Notes
from envs.terms import read_terms, show_terms

Name = Literal["system"]

UNKNOWNS = "xyz"
N_UNKNOWNS = (2, 2, 2, 3, 3)  # by level
LARGEST_COEFFICIENT = (3, 5, 9, 3, 6)
LARGEST_ROOT = (5, 9, 15, 5, 9)


def draw_system(rng: Random, level: int) -> dict[str, Any]:
    """Whole solutions, no coefficient 0, and an elimination in order that never divides by 0."""
    n, largest = N_UNKNOWNS[level - 1], LARGEST_COEFFICIENT[level - 1]
    coefficients = [k for k in range(-largest, largest + 1) if k]
    while True:
        roots = [rng.randint(-LARGEST_ROOT[level - 1], LARGEST_ROOT[level - 1]) for _ in range(n)]
        rows = [rng.choices(coefficients, k=n) for _ in range(n)]
        sums = [sum(a * x for a, x in zip(row, roots, strict=True)) for row in rows]
        shown = ", ".join(
            f"{show_terms(zip(row, UNKNOWNS, strict=False))}={total}"
            for row, total in zip(rows, sums, strict=True)
        )
        blanks = {"equations": shown, "unknowns": ", ".join(UNKNOWNS[:n])}
        try:
            work_system(Notes(), **blanks)
        except ArithmeticError:
            continue
        return blanks


def work_system(notes: Notes, equations: str, unknowns: str) -> str:
    names = unknowns.split(", ")
    rows = [_row(equation, names) for equation in equations.split(", ")]
    for k in range(len(rows)):
        for i in range(k + 1, len(rows)):
            rows[i] = _eliminate(notes, rows[k], rows[i], k)
    found: list[int] = []  # from the last unknown back
    for k in reversed(range(len(rows))):
        rest = rows[k][-1]
        for coefficient, value in zip(rows[k][-2:k:-1], found, strict=True):
            rest = notes.step(f"{rest}-({coefficient})*({value})", rest - coefficient * value)
        root = Fraction(rest, rows[k][k])
        if root.denominator != 1:
            raise ArithmeticError(f"{names[k]} is {root}, no whole number")
        found.append(notes.step(f"{names[k]}:{rest}/({rows[k][k]})", int(root)))
    return f"({', '.join(map(str, reversed(found)))})"


def _row(equation: str, names: list[str]) -> list[int]:
    left, _, right = equation.partition("=")
    coefficients = {unknown: number for number, unknown in read_terms(left)}
    return [*(coefficients.get(name, 0) for name in names), int(right)]


def _eliminate(notes: Notes, pivot: list[int], row: list[int], k: int) -> list[int]:
    """`row` without its unknown number k. Raises ArithmeticError when the pivot is 0."""
    if pivot[k] == 0:
        raise ArithmeticError("this order of elimination divides by 0")
    rest = [
        notes.step(f"({b})*({pivot[k]})-({a})*({row[k]})", b * pivot[k] - a * row[k])
        for a, b in zip(pivot[k + 1 :], row[k + 1 :], strict=True)
    ]
    return [0] * (k + 1) + rest


@dataclass(frozen=True)
class LinearSystems(Family):
    """`Solve 2x+3y=8, x-y=-1. Give (x, y).`, with whole solutions.

    | level | unknowns | coefficients up to | solutions up to |
    |---|---|---|---|
    | 1 | 2 | 3 | 5 |
    | 2 | 2 | 5 | 9 |
    | 3 | 2 | 9 | 15 |
    | 4 | 3 | 3 | 5 |
    | 5 | 3 | 6 | 9 |
    """

    KINDS: ClassVar[dict[Name, Kind]] = {
        "system": Kind("Solve {equations}. Give ({unknowns}).", draw_system, work_system),
    }
    kinds: tuple[Name, ...] = get_args(Name)

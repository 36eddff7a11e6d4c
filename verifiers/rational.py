"""Arithmetic on trees with exact fractions, bounded before anything is computed."""

import math
from fractions import Fraction

from verifiers.latex import Node

MAX_BITS = 20_000  # of a numerator or denominator
MAX_FACTORIAL = 2000


class TooLarge(Exception):
    """Deciding this would take more than an honest answer needs."""


def rational(node: Node) -> Fraction | None:
    """The exact value of arithmetic with whole powers; None when it is anything else.

    Raises:
        TooLarge: the value has more than MAX_BITS bits.
    """
    match node:
        case ("num", value):
            return value
        case ("neg", inside):
            return None if (x := rational(inside)) is None else -x
        case ("percent", inside):
            return None if (x := rational(inside)) is None else x / 100
        case ("abs", inside):
            return None if (x := rational(inside)) is None else abs(x)
        case ("fact", inside):
            return _factorial(rational(inside))
        case ("binom", top, bottom):
            return _binomial(rational(top), rational(bottom))
        case ("pow", base, exponent):
            return _power(rational(base), rational(exponent))
        case ("add" | "mul" | "div" | "mixed" as kind, left, right):
            x, y = rational(left), rational(right)
            if x is None or y is None:
                return None
            if kind == "div":
                return _bounded(x / y) if y else None
            return _bounded(x * y if kind == "mul" else x + y)
    return None


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise TooLarge(f"a number of more than {MAX_BITS:,} bits")
    return value


def _power(base: Fraction | None, exponent: Fraction | None) -> Fraction | None:
    if base is None or exponent is None or exponent.denominator != 1:
        return None
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if abs(base) not in (0, 1) and (bits - 1 or 1) * abs(exponent.numerator) > MAX_BITS:
        raise TooLarge(f"a power of more than {MAX_BITS:,} bits")
    if base == 0 and exponent <= 0:
        return None
    if abs(base) == 1:
        return base if exponent.numerator % 2 else Fraction(1)
    return base if base == 0 else base**exponent.numerator


def _factorial(n: Fraction | None) -> Fraction | None:
    if n is None or n.denominator != 1 or n < 0:
        return None
    if n > MAX_FACTORIAL:
        raise TooLarge(f"a factorial of more than {MAX_FACTORIAL}")
    return Fraction(math.factorial(n.numerator))


def _binomial(n: Fraction | None, k: Fraction | None) -> Fraction | None:
    if n is None or k is None or n.denominator != 1 or k.denominator != 1 or n < 0:
        return None
    if n > MAX_FACTORIAL:
        raise TooLarge(f"a binomial coefficient of more than {MAX_FACTORIAL}")
    return Fraction(math.comb(n.numerator, k.numerator)) if k >= 0 else Fraction(0)

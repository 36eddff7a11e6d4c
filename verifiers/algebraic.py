r"""Proofs about real algebraic constants: sums, products, quotients and roots of rationals, and
sines and cosines of rational multiples of pi.

A number of this kind that is not 0 cannot be arbitrarily small: how small, follows from how it is
written (the bound of Burnikel, Fleischer, Mehlhorn and Schirra, "A strong and easily computable
separation bound for arithmetic expressions involving radicals", 2000). So it is 0 exactly if
interval arithmetic of enough digits puts it below that bound.
"""

from fractions import Fraction
from math import ceil, lcm
from typing import NamedTuple

from verifiers import exact, numeric
from verifiers.latex import Node
from verifiers.rational import rational

QUICK_BITS = 1000  # of the interval arithmetic that settles most of what is not 0
MAX_BITS = 12_000  # of the one that decides
MAX_DEGREE = 4096

_TURNS = ("sin", "cos", "tan", "cot", "sec", "csc")


class NotAlgebraic(ValueError):
    """It is not of this kind, or too large for a proof of this kind."""


class _Size(NamedTuple):
    """Bounds on all conjugates: of a numerator and a denominator that are algebraic integers, as
    logarithms to the base 2."""

    top: float
    bottom: float


def is_zero(node: Node) -> bool | None:
    """Whether a constant is 0; None if this cannot be decided here."""
    extensions = _Extensions()
    try:
        size = extensions.size(node)
        degree = extensions.degree
        if numeric.is_apart(node, QUICK_BITS):
            return False
        if degree > MAX_DEGREE:
            return None
        bits = ceil((degree - 1) * max(0.0, size.top) + max(0.0, size.bottom)) + 1
        if bits > MAX_BITS:
            return None
        return numeric.is_below(node, bits)
    except NotAlgebraic:
        return None


class _Extensions:
    """Walks over an expression and collects what each part adds to the field's degree."""

    def __init__(self) -> None:
        self._roots: dict[Node, int] = {}
        self._turn = 1  # common denominator of the angles, in half turns

    @property
    def degree(self) -> int:
        degree = 4 * self._turn if self._turn > 1 else 1  # at least phi(4 * turn)
        for root in self._roots.values():
            degree *= root
            if degree > MAX_DEGREE:
                break
        return degree

    def size(self, node: Node) -> _Size:
        """Raises: NotAlgebraic."""
        match node:
            case ("num", value):
                return _Size(_log(abs(value.numerator)), _log(value.denominator))
            case ("neg", inside):
                return self.size(inside)
            case ("percent", inside):
                return _over(self.size(inside), _Size(_log(100), 0.0))
            case ("add" | "mixed", left, right):
                a, b = self.size(left), self.size(right)
                high, low = sorted((a.top + b.bottom, b.top + a.bottom), reverse=True)
                return _Size(high + (1.0 if low > high - 60 else 0.01), a.bottom + b.bottom)
            case ("mul", left, right):
                a, b = self.size(left), self.size(right)
                return _Size(a.top + b.top, a.bottom + b.bottom)
            case ("div", left, right):
                return _over(self.size(left), self.size(right))
            case ("root", inside, degree):
                n = rational(degree)
                if n is not None and n.denominator == 1 and 2 <= n <= 60:
                    return self._root(inside, n.numerator)
            case ("pow", base, exponent):
                power = rational(exponent)
                if power is not None and abs(power.numerator) <= 1000 and power.denominator <= 60:
                    return self._power(base, power)
            case ("fn", name, inside) if name in _TURNS:
                return self._turned(name, inside)
        raise NotAlgebraic(node[0])

    def _root(self, inside: Node, n: int) -> _Size:
        size = self.size(inside)
        if n > 1:
            self._roots[("root", inside, n)] = n
        if size.top >= size.bottom:
            return _Size((size.top + (n - 1) * size.bottom) / n, size.bottom)
        return _Size(size.top, ((n - 1) * size.top + size.bottom) / n)

    def _power(self, base: Node, power: Fraction) -> _Size:
        size = self._root(base, power.denominator)
        times = abs(power.numerator)
        raised = _Size(size.top * times, size.bottom * times)
        return raised if power >= 0 else _over(_Size(0.0, 0.0), raised)

    def _turned(self, name: str, inside: Node) -> _Size:
        """Twice the sine or cosine of a rational angle is an algebraic integer, at most 2."""
        half_turns = exact.multiple_of_pi(inside)
        if half_turns is None or half_turns.denominator > 1000:
            raise NotAlgebraic("an angle that is no simple part of a turn")
        self._turn = lcm(self._turn, 2 * half_turns.denominator)
        one = _Size(1.0, 1.0)  # 2 / 2
        if name in ("sin", "cos"):
            return one
        return _over(one, one) if name in ("tan", "cot") else _over(_Size(0.0, 0.0), one)


def _log(n: int) -> float:
    """The logarithm to the base 2 of a whole number, rounded up; 0 for 0."""
    return float((n - 1).bit_length()) if n > 1 else 0.0


def _over(a: _Size, b: _Size) -> _Size:
    return _Size(a.top + b.bottom, a.bottom + b.top)

"""Exact normal forms of expressions: quotients of sums (verifiers/sums.py), without an algebra
system.

Powers, sines and cosines become powers of e and of primes with monomials as exponents, logarithms
sums of logarithms of primes and symbols, roots rational powers; what cannot be taken apart (the
root of a sum) is a generator of its own. Symbols are taken as positive: that two expressions differ
where one is negative, the other witness sees (verifiers/numeric.py).

Equal forms are a proof of equality. Different ones are a proof of difference only where the
generators are independent: positive real roots of primes with i (Besicovitch 1940), pi, symbols.
`Forms.opaque` says that there are others.
"""

import math
from fractions import Fraction
from typing import Any

from verifiers.latex import Node
from verifiers.rational import rational
from verifiers.sums import (
    ONE,
    TURN,
    UNIT,
    I,
    NoForm,
    Sum,
    factors,
    generator,
    key,
    monomial,
    number,
    plus,
    radical,
    scaled,
    times,
)

Quotient = tuple[Sum, Sum]

MAX_POWER = 60  # of a sum
MAX_CHOSEN = 10  # k of a binomial coefficient with symbols

E = ("const", "e")
PI = ("const", "pi")
HALF = Fraction(1, 2)
_COSINES = {  # of parts of a half turn: factor and number under the root
    Fraction(0): (Fraction(1), 1), Fraction(1, 6): (HALF, 3), Fraction(1, 4): (HALF, 2),
    Fraction(1, 3): (HALF, 1), HALF: (Fraction(0), 1),
}  # fmt: skip


def settle(a: Node, b: Node) -> bool | None:
    """Whether two expressions are equal; None when only algebra can tell."""
    forms = Forms()
    try:
        top, bottom = forms.quotient(a)
        other_top, other_bottom = forms.quotient(b)
        left, right = times(top, other_bottom), times(other_top, bottom)
    except NoForm:
        return None
    if left == right:
        return True
    return None if forms.opaque else False


def multiple_of_pi(node: Node) -> Fraction | None:
    """The rational number that an expression is, divided by pi; None if it is no multiple of pi."""
    try:
        top, bottom = Forms().quotient(node)
    except NoForm:
        return None
    return _of_pi(top) if bottom == UNIT else None


def _of_pi(top: Sum) -> Fraction | None:
    if not top:
        return Fraction(0)
    ((term, factor),) = tuple(top.items())[:1]
    return factor if len(top) == 1 and term == {(PI, Fraction(1))} else None


class Forms:
    """Brings trees into normal form; `opaque` says whether different forms can be equal."""

    def __init__(self) -> None:
        self.opaque = False

    def quotient(self, node: Node) -> Quotient:
        """Numerator and denominator, the denominator 1 when it has a single term.

        Raises:
            NoForm: see there.
        """
        match node:
            case ("num", value):
                return number(value), UNIT
            case ("sym", "infty"):
                raise NoForm("infinity is no number")
            case ("sym", _) | ("const", _):
                return generator(node), UNIT
            case ("neg", inside):
                return self._scaled(inside, Fraction(-1))
            case ("percent", inside):
                return self._scaled(inside, Fraction(1, 100))
            case ("add" | "mixed", left, right):
                return _sum(self.quotient(left), self.quotient(right))
            case ("mul", left, right):
                return _product(self.quotient(left), self.quotient(right))
            case ("div", left, right):
                return _ratio(self.quotient(left), self.quotient(right))
            case ("pow", base, exponent):
                return self._power(base, exponent)
            case ("root", base, degree):
                n = rational(degree)
                if n is not None and n.denominator == 1 and 2 <= n <= 100:
                    return self._rational_power(base, 1 / n)
            case ("fact" | "binom" | "abs", *_) if (value := rational(node)) is not None:
                return number(value), UNIT
            case ("binom", n, ("num", k)) if k.denominator == 1 and 0 <= k <= MAX_CHOSEN:
                return self._binomial(n, int(k))
            case ("fn", name, inside) if name in _WAVES:
                return self._wave(name, inside)
            case ("fn", "exp", inside):
                return self._exponential(E, self.quotient(inside))
            case ("fn", "ln" | "log", inside):
                return self._logarithm(self.quotient(inside))
            case ("log", base, inside):
                parts = (self._logarithm(self.quotient(part)) for part in (inside, base))
                return _ratio(*parts)
        return self._whole(node)

    def _scaled(self, inside: Node, by: Fraction) -> Quotient:
        top, bottom = self.quotient(inside)
        return scaled(top, by), bottom

    def _whole(self, node: Node) -> Quotient:
        """A generator of its own, named after the forms of what is in it."""
        self.opaque = True
        parts = [self.quotient(part) for part in node[1:] if isinstance(part, tuple)]
        names = [part for part in node[1:] if not isinstance(part, tuple)]
        if node[0] == "abs":  # |x-1| is |1-x|
            ((top, bottom),) = parts
            signs = frozenset({key(top), key(scaled(top, Fraction(-1)))})
            return generator(("whole", "abs", signs, key(bottom))), UNIT
        inside = tuple((key(top), key(bottom)) for top, bottom in parts)
        return generator(("whole", node[0], *names, inside)), UNIT

    def _power(self, base: Node, exponent: Node) -> Quotient:
        power = rational(exponent)
        if power is None:
            if base == E:
                return self._exponential(E, self.quotient(exponent))
            value = rational(base)
            if value is not None and value > 0:
                result: Quotient = UNIT, UNIT
                for prime, count in factors(value):
                    top, bottom = self.quotient(exponent)
                    raised = scaled(top, Fraction(count)), bottom
                    result = _product(result, self._exponential(("prime", prime), raised))
                return result
            if base[0] == "sym":
                return self._exponential(base, self.quotient(exponent))
            return self._whole(("pow", base, exponent))
        if power.denominator == 1:
            return self._whole_power(self.quotient(base), power.numerator)
        return self._rational_power(base, power)

    def _whole_power(self, base: Quotient, power: int) -> Quotient:
        top, bottom = base
        if not top and power <= 0:
            raise NoForm("0 to the power 0, or a division by 0")
        if not top:
            return {}, UNIT
        if power < 0:
            top, bottom, power = bottom, top, -power
        if power > MAX_POWER:
            if len(top) > 1 or len(bottom) > 1:
                raise NoForm(f"a sum to a power above {MAX_POWER}")
            return _ratio((_raised(top, power), UNIT), (_raised(bottom, power), UNIT))
        result: Quotient = UNIT, UNIT
        for _ in range(power):
            result = times(result[0], top), times(result[1], bottom)
        return _reduced(*result)

    def _rational_power(self, base: Node, power: Fraction) -> Quotient:
        """Real where there is a real one. A sum is kept whole."""
        top, bottom = self.quotient(base)
        if not top:
            if power > 0:
                return {}, UNIT
            raise NoForm("a division by 0")
        if len(top) > 1 or bottom != UNIT:
            return self._whole(("pow", base, ("num", power)))
        ((term, factor),) = top.items()
        if any(name in (I, TURN) for name, _ in term):
            return self._whole(("pow", base, ("num", power)))
        result = radical(abs(factor), power)
        for name, exponent in term:
            result = times(result, generator(name, exponent * power))
        if factor < 0:
            if power.denominator % 2:
                result = scaled(result, Fraction((-1) ** power.numerator))
            elif term == ONE:
                result = times(result, generator(TURN, power))
            else:
                return self._whole(("pow", base, ("num", power)))
        return result, UNIT

    def _exponential(self, base: Any, exponent: Quotient) -> Quotient:
        """A power of e, a prime or a symbol, one factor for each term of the exponent."""
        top, bottom = exponent
        if bottom != UNIT:
            self.opaque = True
            return generator(("power", base, key(top), key(bottom))), UNIT
        result: Sum = UNIT
        for term, factor in top.items():
            if term == ONE:
                result = times(result, generator(base, factor))
            elif base == E and term == {(I, Fraction(1)), (PI, Fraction(1))}:
                result = times(result, self._turned(factor))
            else:
                self.opaque = True
                result = times(result, generator(("power", base, term), factor))
        return result, UNIT

    def _turned(self, half_turns: Fraction) -> Sum:
        """-1 to a rational power."""
        quarters = half_turns * 2 // 1
        rest = half_turns - Fraction(quarters, 2)
        if rest not in _COSINES:
            self.opaque = True
            return generator(TURN, half_turns)
        (a, under_a), (b, under_b) = _COSINES[rest], _COSINES[HALF - rest]
        cosine = scaled(radical(Fraction(under_a), HALF), a) if a else {}
        sine = scaled(radical(Fraction(under_b), HALF), b) if b else {}
        point = plus(cosine, times(sine, generator(I)))
        return times(point, generator(I, Fraction(quarters)))

    def _wave(self, name: str, inside: Node) -> Quotient:
        """Sines and the like, of exponentials: cos x = (e^ix + e^-ix) / 2."""
        top, bottom = self.quotient(inside)
        hyperbolic = name in ("sinh", "cosh", "tanh")
        turned = top if hyperbolic else times(top, generator(I))
        ahead = self._exponential(E, (turned, bottom))
        if bottom == UNIT:
            back = self._exponential(E, (scaled(turned, Fraction(-1)), bottom))
        else:
            back = _ratio((UNIT, UNIT), ahead)
        two = number(Fraction(2))
        cosine = _ratio(_sum(ahead, back), (two, UNIT))
        below = two if hyperbolic else times(two, generator(I))
        sine = _ratio(_sum(ahead, (scaled(back[0], Fraction(-1)), back[1])), (below, UNIT))
        parts = {"1": (UNIT, UNIT), "sin": sine, "cos": cosine}
        return _ratio(*(parts[part] for part in _WAVES[name]))

    def _logarithm(self, inside: Quotient) -> Quotient:
        """Natural; of a product, the sum of the logarithms."""
        self.opaque = True
        top, bottom = inside
        if len(top) != 1 or bottom != UNIT or next(iter(top.values())) < 0:
            return generator(("logarithm", key(top), key(bottom))), UNIT
        ((term, factor),) = top.items()
        result: Sum = {}
        for prime, count in factors(factor):
            result = plus(result, scaled(generator(("logarithm", prime)), Fraction(count)))
        for name, exponent in term:
            if name == E:
                part = number(exponent)
            elif name[0] == "power" and name[1] == E and len(name) == 3:
                part = {name[2]: exponent}
            else:
                whole = name[1] if name[0] == "prime" else name
                part = scaled(generator(("logarithm", whole)), exponent)
            result = plus(result, part)
        return result, UNIT

    def _binomial(self, n: Node, k: int) -> Quotient:
        chosen = self.quotient(n)
        result: Quotient = number(Fraction(1, math.factorial(k))), UNIT
        for i in range(k):
            result = _product(result, _sum(chosen, (number(Fraction(-i)), UNIT)))
        return result


_WAVES = {
    "sin": ("sin", "1"), "cos": ("cos", "1"), "tan": ("sin", "cos"), "cot": ("cos", "sin"),
    "sec": ("1", "cos"), "csc": ("1", "sin"),
    "sinh": ("sin", "1"), "cosh": ("cos", "1"), "tanh": ("sin", "cos"),
}  # fmt: skip


def _sum(a: Quotient, b: Quotient) -> Quotient:
    if a[1] == b[1]:
        return _reduced(plus(a[0], b[0]), a[1])
    return _reduced(plus(times(a[0], b[1]), times(b[0], a[1])), times(a[1], b[1]))


def _product(a: Quotient, b: Quotient) -> Quotient:
    return _reduced(times(a[0], b[0]), times(a[1], b[1]))


def _ratio(a: Quotient, b: Quotient) -> Quotient:
    return _reduced(times(a[0], b[1]), times(a[1], b[0]))


def _raised(one_term: Sum, power: int) -> Sum:
    ((term, factor),) = one_term.items()
    bits = max(factor.numerator.bit_length(), factor.denominator.bit_length())
    if (bits - 1) * power > 10_000:
        raise NoForm("a power of too many digits")
    return monomial({name: exponent * power for name, exponent in term}, factor**power)


def _reduced(top: Sum, bottom: Sum) -> Quotient:
    """The same quotient; without a denominator when that has one term."""
    if not bottom:
        raise NoForm("a division by 0")
    if bottom == UNIT or len(bottom) > 1:
        return top, bottom
    ((term, factor),) = bottom.items()
    return times(top, monomial({name: -e for name, e in term}, 1 / factor)), UNIT

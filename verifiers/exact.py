"""Exact normal forms: quotients of sums of products of rational powers. Fractions only, no algebra
system.

A sum is a dict {monomial: rational factor}; a monomial is a frozenset of (generator, exponent). The
generators are prime numbers under a root, i, pi, e, symbols, and whatever cannot be taken apart
(a sine, a root of a sum), which is kept whole as an opaque one. Positive real roots of different
prime products are linearly independent over the rationals with i (Besicovitch 1940), and pi is
transcendental, so without opaque generators two values are equal exactly if their forms are.
"""

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from verifiers.latex import Node
from verifiers.rational import rational

Monomial = frozenset[tuple[Any, Fraction]]
Sum = dict[Monomial, Fraction]

MAX_TERMS = 400  # of a sum that is multiplied out
MAX_POWER = 60  # of a sum
MAX_PRIME = 2000  # tried as a factor under a root
MAX_BITS = 4000  # of a factor

ONE: Monomial = frozenset()
I = ("const", "i")  # noqa: E741 the imaginary unit
HALF = Fraction(1, 2)


class NoForm(ValueError):
    """It is too large to be brought into normal form, or has no value (a division by 0)."""


def settle(a: Node, b: Node) -> bool | None:
    """Whether two expressions are equal; None when only algebra can tell."""
    forms = Forms()
    try:
        top, bottom = forms.quotient(a)
        other_top, other_bottom = forms.quotient(b)
        left, right = _times(top, other_bottom), _times(other_top, bottom)
    except NoForm:
        return None
    if _plus(left, right, -1) == {}:
        return True
    return None if forms.opaque else False


def multiple_of_pi(node: Node) -> Fraction | None:
    """The rational number that an expression is, divided by pi; None if it is no multiple of pi."""
    forms = Forms()
    try:
        top, bottom = forms.quotient(node)
    except NoForm:
        return None
    if not top:
        return Fraction(0)
    pi = frozenset({(("const", "pi"), Fraction(1))})
    return top[pi] if bottom == {ONE: 1} and set(top) == {pi} else None


class Forms:
    """Brings trees into normal form; `opaque` says whether something was kept whole."""

    def __init__(self) -> None:
        self.opaque = False

    def quotient(self, node: Node) -> tuple[Sum, Sum]:
        """Numerator and denominator, the denominator 1 when it has a single term.

        Raises:
            NoForm: see there.
        """
        match node:
            case ("num", value):
                return _number(value), {ONE: Fraction(1)}
            case ("sym", "infty"):
                raise NoForm("infinity is no number")
            case ("sym", _) | ("const", _):
                return {frozenset({(node, Fraction(1))}): Fraction(1)}, {ONE: Fraction(1)}
            case ("neg", inside):
                top, bottom = self.quotient(inside)
                return {m: -f for m, f in top.items()}, bottom
            case ("percent", inside):
                top, bottom = self.quotient(inside)
                return {m: f / 100 for m, f in top.items()}, bottom
            case ("add" | "mixed", left, right):
                (a, b), (c, d) = self.quotient(left), self.quotient(right)
                if b == d:
                    return _plus(a, c), b
                return _reduced(_plus(_times(a, d), _times(c, b)), _times(b, d))
            case ("mul", left, right):
                (a, b), (c, d) = self.quotient(left), self.quotient(right)
                return _reduced(_times(a, c), _times(b, d))
            case ("div", left, right):
                (a, b), (c, d) = self.quotient(left), self.quotient(right)
                return _reduced(_times(a, d), _times(b, c))
            case ("pow", base, exponent):
                return self._power(node, base, exponent)
            case ("root", base, degree):
                return self._root(node, base, degree)
            case ("fact" | "binom" | "abs", *_) if (value := rational(node)) is not None:
                return _number(value), {ONE: Fraction(1)}
        return self._whole(node)

    def _whole(self, node: Node) -> tuple[Sum, Sum]:
        self.opaque = True
        return {frozenset({(node, Fraction(1))}): Fraction(1)}, {ONE: Fraction(1)}

    def _power(self, node: Node, base: Node, exponent: Node) -> tuple[Sum, Sum]:
        power = rational(exponent)
        if power is None:
            return self._whole(node)
        if power.denominator == 1:
            return self._whole_power(base, power.numerator)
        if base[0] in ("sym", "const") and base not in (I, ("sym", "infty")):
            return {frozenset({(base, power)}): Fraction(1)}, {ONE: Fraction(1)}
        value = rational(base)
        if value is None or value <= 0:
            return self._whole(node)
        return {**_radical(value, power)}, {ONE: Fraction(1)}

    def _whole_power(self, base: Node, power: int) -> tuple[Sum, Sum]:
        top, bottom = self.quotient(base)
        if not top and power <= 0:
            raise NoForm("0 to the power 0, or a division by 0")
        if power < 0:
            top, bottom, power = bottom, top, -power
        if len(top) == len(bottom) == 1 and power > MAX_POWER:
            ((monomial, factor),) = top.items()
            ((below, divisor),) = bottom.items()
            bits = max(map(_bits, (factor, divisor)))
            if bits * power > MAX_BITS or I in {g for g, _ in monomial | below}:
                raise NoForm("a power of too many digits")
            top = _monomial({g: e * power for g, e in monomial}, factor**power)
            bottom = _monomial({g: e * power for g, e in below}, divisor**power)
            return _reduced(top, bottom)
        if power > MAX_POWER:
            raise NoForm(f"a sum to a power above {MAX_POWER}")
        above, below_ = {ONE: Fraction(1)}, {ONE: Fraction(1)}
        for _ in range(power):
            above, below_ = _times(above, top), _times(below_, bottom)
        return _reduced(above, below_)

    def _root(self, node: Node, base: Node, degree: Node) -> tuple[Sum, Sum]:
        """Roots of numbers, real where there is a real one; anything else is kept whole."""
        n, value = rational(degree), rational(base)
        if n is None or n.denominator != 1 or not 2 <= n <= 100:
            return self._whole(node)
        if value is None:
            if base[0] == "sym" and base[1] != "infty":
                return {frozenset({(base, 1 / n)}): Fraction(1)}, {ONE: Fraction(1)}
            return self._whole(node)
        if value == 0:
            return {}, {ONE: Fraction(1)}
        root = _radical(abs(value), 1 / n)
        if value > 0:
            return root, {ONE: Fraction(1)}
        if n == 2:
            return _times(root, {frozenset({(I, Fraction(1))}): Fraction(1)}), {ONE: Fraction(1)}
        if n % 2:
            return {m: -f for m, f in root.items()}, {ONE: Fraction(1)}
        return self._whole(node)


def _number(value: Fraction) -> Sum:
    return {ONE: value} if value else {}


def _bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def _monomial(exponents: dict[Any, Fraction], factor: Fraction) -> Sum:
    """One term, with i^2 = -1 and whole powers of primes moved into the factor."""
    kept: list[tuple[Any, Fraction]] = []
    for generator, exponent in exponents.items():
        if generator == I:
            turns = int(exponent) % 4
            factor *= -1 if turns >= 2 else 1
            exponent = Fraction(turns % 2)
        elif generator[0] == "prime":
            whole = exponent.numerator // exponent.denominator
            if abs(whole) > MAX_BITS:
                raise NoForm("a power of too many digits")
            factor *= Fraction(generator[1]) ** whole
            exponent -= whole
        if exponent:
            kept.append((generator, exponent))
    if _bits(factor) > MAX_BITS:
        raise NoForm("a factor of too many digits")
    return {frozenset(kept): factor}


def _plus(a: Sum, b: Sum, sign: int = 1) -> Sum:
    total = dict(a)
    for monomial, factor in b.items():
        value = total.get(monomial, 0) + sign * factor
        if value:
            total[monomial] = value
        else:
            total.pop(monomial, None)
    return total


def _times(a: Sum, b: Sum) -> Sum:
    if b == {ONE: 1}:
        return a
    if len(a) * len(b) > MAX_TERMS:
        raise NoForm(f"a product of more than {MAX_TERMS} terms")
    product: Sum = {}
    for left, x in a.items():
        for right, y in b.items():
            exponents = dict(left)
            for generator, exponent in right:
                exponents[generator] = exponents.get(generator, Fraction(0)) + exponent
            ((monomial, factor),) = _monomial(exponents, x * y).items()
            product[monomial] = product.get(monomial, Fraction(0)) + factor
    return {monomial: factor for monomial, factor in product.items() if factor}


def _reduced(top: Sum, bottom: Sum) -> tuple[Sum, Sum]:
    """The same quotient; without a denominator when it had one term."""
    if not bottom:
        raise NoForm("a division by 0")
    if len(bottom) > 1:
        return top, bottom
    ((monomial, factor),) = bottom.items()
    if not monomial and factor == 1:
        return top, bottom
    inverse = _monomial({g: -e for g, e in monomial}, 1 / factor)
    return _times(top, inverse), {ONE: Fraction(1)}


def _radical(value: Fraction, power: Fraction) -> Sum:
    """A positive rational to a rational power, as a product of powers of primes."""
    exponents: dict[Any, Fraction] = {}
    for prime, count in (*_primes(value.numerator), *_primes(value.denominator, -1)):
        generator = ("prime", prime)
        exponents[generator] = exponents.get(generator, Fraction(0)) + count * power
    return _monomial(exponents, Fraction(1))


def _primes(n: int, sign: int = 1) -> Iterable[tuple[int, int]]:
    """The prime factors of n with their exponents, times `sign`.

    Raises:
        NoForm: n has a factor that is not known to be prime.
    """
    if n.bit_length() > MAX_BITS:
        raise NoForm("a number of too many digits under a root")
    divisor = 2
    while divisor <= MAX_PRIME and divisor * divisor <= n:
        count = 0
        while n % divisor == 0:
            n, count = n // divisor, count + 1
        if count:
            yield divisor, sign * count
        divisor += 1 if divisor == 2 else 2
    if n > MAX_PRIME * MAX_PRIME:
        raise NoForm("a large number under a root")
    if n > 1:
        yield n, sign

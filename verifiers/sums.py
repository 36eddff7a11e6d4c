"""Sums of products of rational powers, with exact fractions.

A sum is a dict {monomial: rational factor}; a monomial is a frozenset of (generator, exponent). A
generator is any tuple; three kinds have a meaning here: I, the imaginary unit; ("prime", p), a
prime number under a root; TURN, -1 to a rational power (e to the power of i pi).
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

Monomial = frozenset[tuple[Any, Fraction]]
Sum = dict[Monomial, Fraction]

MAX_TERMS = 400  # of a sum that is multiplied out
MAX_PRIME = 2000  # tried as a factor
MAX_BITS = 4000  # of a factor

ONE: Monomial = frozenset()
UNIT: Sum = {ONE: Fraction(1)}
I = ("const", "i")  # noqa: E741 the imaginary unit
TURN = ("turn",)


class NoForm(ValueError):
    """It is too large to be brought into normal form, or has no value (a division by 0)."""


def number(value: Fraction) -> Sum:
    return {ONE: value} if value else {}


def generator(name: Any, exponent: Fraction = Fraction(1)) -> Sum:
    return monomial({name: exponent}, Fraction(1))


def monomial(exponents: dict[Any, Fraction], factor: Fraction) -> Sum:
    """One term, with i^2 = -1 and whole powers of primes moved into the factor.

    Raises:
        NoForm: the factor has too many digits.
    """
    if TURN in exponents:
        quarters = exponents[TURN] * 2 // 1  # -1 to the power 1/2 is i
        exponents = exponents | {TURN: exponents[TURN] - Fraction(quarters, 2)}
        exponents[I] = exponents.get(I, Fraction(0)) + quarters
    kept: list[tuple[Any, Fraction]] = []
    for name, exponent in exponents.items():
        if name == I:
            turns = int(exponent) % 4
            factor *= -1 if turns >= 2 else 1
            exponent = Fraction(turns % 2)
        elif name[0] == "prime":
            whole = exponent.numerator // exponent.denominator
            if abs(whole) > MAX_BITS:
                raise NoForm("a power of too many digits")
            factor *= Fraction(name[1]) ** whole
            exponent -= whole
        if exponent:
            kept.append((name, exponent))
    if max(factor.numerator.bit_length(), factor.denominator.bit_length()) > MAX_BITS:
        raise NoForm("a factor of too many digits")
    return {frozenset(kept): factor}


def plus(a: Sum, b: Sum, sign: int = 1) -> Sum:
    total = dict(a)
    for term, factor in b.items():
        value = total.get(term, 0) + sign * factor
        if value:
            total[term] = value
        else:
            total.pop(term, None)
    return total


def scaled(a: Sum, by: Fraction) -> Sum:
    return {term: factor * by for term, factor in a.items()}


def times(a: Sum, b: Sum) -> Sum:
    """Raises: NoForm, for more than MAX_TERMS terms."""
    if b == UNIT:
        return a
    if len(a) * len(b) > MAX_TERMS:
        raise NoForm(f"a product of more than {MAX_TERMS} terms")
    product: Sum = {}
    for left, x in a.items():
        for right, y in b.items():
            exponents = dict(left)
            for name, exponent in right:
                exponents[name] = exponents.get(name, Fraction(0)) + exponent
            ((term, factor),) = monomial(exponents, x * y).items()
            product[term] = product.get(term, Fraction(0)) + factor
    return {term: factor for term, factor in product.items() if factor}


def key(a: Sum) -> frozenset[tuple[Monomial, Fraction]]:
    """A sum as part of a generator's name."""
    return frozenset(a.items())


def radical(value: Fraction, power: Fraction) -> Sum:
    """A positive rational to a rational power, as a product of powers of primes."""
    exponents: dict[Any, Fraction] = {}
    for prime, count in factors(value):
        exponents[("prime", prime)] = count * power
    return monomial(exponents, Fraction(1))


def factors(value: Fraction) -> Iterator[tuple[int, int]]:
    """The primes of a positive rational, with exponents below 0 for those of the denominator.

    Raises:
        NoForm: it has a factor that is not known to be prime.
    """
    for part, sign in ((value.numerator, 1), (value.denominator, -1)):
        if part.bit_length() > MAX_BITS:
            raise NoForm("a number of too many digits under a root")
        rest, divisor = part, 2
        while divisor <= MAX_PRIME and divisor * divisor <= rest:
            count = 0
            while rest % divisor == 0:
                rest, count = rest // divisor, count + 1
            if count:
                yield divisor, sign * count
            divisor += 1 if divisor == 2 else 2
        if rest > MAX_PRIME * MAX_PRIME:
            raise NoForm("a large number under a root")
        if rest > 1:
            yield rest, sign

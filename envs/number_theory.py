"""Whole numbers: common divisors and multiples, remainders, primes, divisors."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import gcd, isqrt
from random import Random
from typing import Any, ClassVar, Literal, get_args

from envs.family import Family, Kind, Notes

Name = Literal["gcd", "lcm", "power", "prime", "divisors"]

LARGEST = (60, 200, 600, 2000, 9000)  # number to take divisors or multiples of, by level
LARGEST_MODULUS = (9, 20, 50, 100, 1000)
LARGEST_EXPONENT = (4, 8, 16, 40, 200)
PRIMES_UP_TO = (60, 200, 500, 1200, 3000)


def draw_pair(rng: Random, level: int) -> dict[str, Any]:
    """Two different numbers with a common divisor that is 1 no more often than any other."""
    largest = LARGEST[level - 1]
    while True:
        common = rng.randint(1, isqrt(largest) * 2)
        a, b = (common * rng.randint(2, largest // common) for _ in range(2))
        if a > b and gcd(a, b) == common and a % b:
            return {"a": a, "b": b}


def euclid(notes: Notes, a: int, b: int) -> int:
    while b:
        a, b = b, notes.step(f"{a} mod {b}", a % b)
    return a


def work_gcd(notes: Notes, a: int, b: int) -> str:
    return str(euclid(notes, a, b))


def work_lcm(notes: Notes, a: int, b: int) -> str:
    common = euclid(notes, a, b)
    share = notes.step(f"{a}/{common}", a // common)
    return str(notes.step(f"{share}*{b}", share * b))


def draw_power(rng: Random, level: int) -> dict[str, Any]:
    modulus = rng.randint(5, LARGEST_MODULUS[level - 1])
    highest = LARGEST_EXPONENT[level - 1]
    return {
        "base": rng.randint(2, 12 * level),
        "exponent": rng.randint(max(2, highest // 3), highest),
        "modulus": modulus,
    }


def work_power(notes: Notes, base: int, exponent: int, modulus: int) -> str:
    """By squaring: the bits of the exponent from the highest on."""
    first = value = notes.step(f"{base} mod {modulus}", base % modulus)
    for bit in f"{exponent:b}"[1:]:
        value = notes.step(f"{value}^2 mod {modulus}", value * value % modulus)
        if bit == "1":
            value = notes.step(f"{value}*{first} mod {modulus}", value * first % modulus)
    return str(value)


def draw_prime(rng: Random, level: int) -> dict[str, Any]:
    least = (10, *PRIMES_UP_TO)[level - 1]
    return {"n": rng.randint(least, PRIMES_UP_TO[level - 1])}


def work_prime(notes: Notes, n: int) -> str:
    """Each candidate with its smallest divisor, up to the first that is its own."""
    while True:
        n += 1
        if notes.step(f"{n}:", smallest_divisor(n)) == n:
            return str(n)


def draw_divisors(rng: Random, level: int) -> dict[str, Any]:
    return {"n": rng.randint((6, *LARGEST)[level - 1], LARGEST[level - 1])}


def work_divisors(notes: Notes, n: int) -> str:
    """The sum of the divisors, from those of each prime power."""
    total = 1
    for prime, power in prime_powers(n):
        powers = "+".join(str(prime**i) for i in range(power + 1))
        here = notes.step(powers, sum(prime**i for i in range(power + 1)))
        total = notes.step(f"{total}*{here}", total * here)
    return str(total)


def smallest_divisor(n: int) -> int:
    """Of those above 1."""
    return next((d for d in range(2, isqrt(n) + 1) if n % d == 0), n)


def prime_powers(n: int) -> Iterator[tuple[int, int]]:
    """(prime, exponent) of a number above 1, the smallest prime first."""
    while n > 1:
        prime, power = smallest_divisor(n), 0
        while n % prime == 0:
            n, power = n // prime, power + 1
        yield prime, power


@dataclass(frozen=True)
class NumberTheory(Family):
    """Greatest common divisors, least common multiples, powers modulo, next primes, divisor sums.

    | level | numbers up to | power modulo: exponent, modulus | primes up to about |
    |---|---|---|---|
    | 1 | 60 | 4, 9 | 60 |
    | 2 | 200 | 8, 20 | 200 |
    | 3 | 600 | 16, 50 | 500 |
    | 4 | 2,000 | 40, 100 | 1,200 |
    | 5 | 9,000 | 200, 1,000 | 3,000 |

    Nothing asks yes or no: half the guesses at that are right.
    """

    KINDS: ClassVar[dict[Name, Kind]] = {
        "gcd": Kind("gcd({a}, {b}) = ?", draw_pair, work_gcd),
        "lcm": Kind("lcm({a}, {b}) = ?", draw_pair, work_lcm),
        "power": Kind("{base}^{exponent} mod {modulus} = ?", draw_power, work_power),
        "prime": Kind("What is the smallest prime above {n}?", draw_prime, work_prime),
        "divisors": Kind("What is the sum of all divisors of {n}?", draw_divisors, work_divisors),
    }
    kinds: tuple[Name, ...] = get_args(Name)

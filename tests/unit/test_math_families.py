"""The mathematics families, by hand and against other ways to the same result."""

from datetime import date, timedelta
from fractions import Fraction
from math import comb, gcd, lcm
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.algebra import Algebra
from envs.base import Task
from envs.calculus import Calculus
from envs.counting import Counting, choose
from envs.dates import WEEKDAYS, Dates, work_days, work_weekday
from envs.family import Family, Notes
from envs.linear_systems import LinearSystems, work_system
from envs.number_theory import (
    NumberTheory,
    smallest_divisor,
    work_divisors,
    work_gcd,
    work_lcm,
    work_power,
    work_prime,
)
from envs.terms import exponent, power, read_terms, show_terms
from envs.unit_conversion import SIZES, UnitConversion, show, work

FAMILIES: list[type[Family]] = [
    Algebra, Calculus, Counting, Dates, LinearSystems, NumberTheory, UnitConversion,
]  # fmt: skip

WORKED = [
    (Algebra(), "Solve 3x+5=20 for x.", "20-5=15,x:15/3=5,\\boxed{5}"),
    (Algebra(), "Solve 5x-3=2x+12 for x.", "5-2=3,12-(-3)=15,x:15/3=5,\\boxed{5}"),
    (
        Algebra(),
        "Expand and solve 2(x+3)=6(x-3).",
        "2*3=6,6*(-3)=-18,2-6=-4,-18-6=-24,x:-24/(-4)=6,\\boxed{6}",
    ),
    (
        Algebra(),
        "Find all roots of x^2-5x+6=0.",
        "(-5)^2=25,4*1*6=24,25-24=1,sqrt(1)=1,x:(5-1)/2=2,x:(5+1)/2=3,\\boxed{2, 3}",
    ),
    (
        Algebra(),
        "Find all roots of x^2-6x+9=0.",
        "(-6)^2=36,4*1*9=36,36-36=0,sqrt(0)=0,x:(6-0)/2=3,x:(6+0)/2=3,\\boxed{3}",
    ),
    (Calculus(), "d/dx (3x^4-x+7) = ?", "4*3=12,1*(-1)=-1,\\boxed{12x^3-1}"),
    (
        Calculus(),
        "What is the slope of x^2+x at x=-3?",
        "2*1=2,1*1=1,2*(-3)^1=-6,1*(-3)^0=1,-6+1=-5,\\boxed{-5}",
    ),
    (
        Calculus(),
        "What is the integral of 3x^2+x from x=0 to x=2?",
        "3/3=1,1/2=1/2,1*2^3=8,(1/2)*2^2=2,8+2=10,\\boxed{10}",
    ),
    (
        Counting(),
        "In how many ways can 2 of 5 different hats be chosen?",
        "1*4/1=4,4*5/2=10,\\boxed{10}",
    ),
    (
        Counting(),
        "In how many different orders can the letters of BANANA be written?",
        "6!=720,720/3!=120,120/2!=60,\\boxed{60}",
    ),
    (
        Counting(),
        "Going right or up by 1 each step, how many paths lead from (1,1) to (3,4)?",
        "3-1=2,4-1=3,1*4/1=4,4*5/2=10,\\boxed{10}",
    ),
    (
        LinearSystems(),
        "Solve 2x+3y=8, x-y=-1. Give (x, y).",
        "(-1)*(2)-(3)*(1)=-5,(-1)*(2)-(8)*(1)=-10,y:-10/(-5)=2,8-(3)*(2)=2,x:2/(2)=1,"
        "\\boxed{(1, 2)}",
    ),
    (NumberTheory(), "gcd(48, 18) = ?", "48 mod 18=12,18 mod 12=6,12 mod 6=0,\\boxed{6}"),
    (
        NumberTheory(),
        "What is the sum of all divisors of 12?",
        "1+2+4=7,1*7=7,1+3=4,7*4=28,\\boxed{28}",
    ),
    (
        UnitConversion(),
        "Convert 3.5 km to m, exactly.",
        "3.5*1000000=3500000,3500000/1000=3500,\\boxed{3500}",
    ),
    (
        Dates(),
        "How many days after 2024-02-10 is 2024-03-05?",
        "10+31=41,5+31=36,36+29=65,65-41=24,\\boxed{24}",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("env", "question", "solution"), WORKED, ids=[q for _, q, _ in WORKED])
def test_a_solution_is_worked_step_by_step(env: Family, question: str, solution: str) -> None:
    assert env.solve(Task(question, "")) == solution


def test_a_slip_is_carried_on_to_the_answer() -> None:
    notes = Notes(slip_at=0, change=1)
    assert notes.ending_in(work_gcd(notes, 48, 18)) == (
        "48 mod 18=13,18 mod 13=5,13 mod 5=3,5 mod 3=2,3 mod 2=1,2 mod 1=0,\\boxed{1}"
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_a_question_is_read_back_as_the_kind_that_asked_it(family: type[Family]) -> None:
    for name, kind in family.KINDS.items():
        env = family(kinds=(name,))
        for index in range(50):
            task = env.task(Random(index))
            blanks = kind.read(task.messages[0].content)
            assert blanks is not None
            assert kind.work(Notes(), **blanks) == task.truth
            first = next(k for k in family.KINDS.values() if k.read(task.messages[0].content))
            assert (first.question, first.work) == (kind.question, kind.work)


def test_an_instruction_follows_the_question_and_changes_nothing_else() -> None:
    plain, told = Algebra(), Algebra(instruction="Put the answer into \\boxed{}.")
    task = told.task(Random(3))
    assert task.prompt == f"{plain.task(Random(3)).prompt}\n\nPut the answer into \\boxed{{}}."
    assert told.solve(task) == plain.solve(plain.task(Random(3)))


CANARIES = [
    (Algebra(), "linear", {"left": "3x+5", "right": "20"}, "Solve ?x+5=20 for x."),
    (Counting(), "arrangements", {"word": "BANANA"}, "the letters of ? be written?"),
    (NumberTheory(), "gcd", {"a": 48, "b": 18}, "gcd(?, 18) = ?"),
    (
        UnitConversion(),
        "length",
        {"amount": "3.5", "source": "km", "target": "m"},
        "Convert ? km to m, exactly.",
    ),
    (
        Dates(),
        "weekday",
        {"start": "2024-02-10", "known": "Saturday", "end": "2024-03-05"},
        "2024-02-10 is a Saturday. Which day of the week is ?-03-05?",
    ),
]


@pytest.mark.parametrize(("env", "kind", "blanks", "question"), CANARIES)
def test_what_decides_is_missing_in_a_canary(env: Family, kind: str, blanks, question) -> None:
    assert env.KINDS[kind].unanswerable(blanks).endswith(question)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_kind_of_question_has_canaries_which_are_no_questions(family: type[Family]) -> None:
    for name in family.KINDS:
        env = family(kinds=(name,), level=5, instruction="Box it.")
        for index in range(20):
            task, canary = env.task(Random(index)), env.canary(Random(index))
            assert canary.prompt != task.prompt
            assert canary.messages[0].content.endswith("\n\nBox it.")
            assert env.verify(canary, env.solve(task)).score == 0
            assert len(canary.prompt) <= len(task.prompt)


def test_levels_and_kinds_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="level must be between 1 and 5, got 6"):
        Algebra(level=6)  # pyright: ignore
    with pytest.raises(ValueError, match=r"kinds must be some of gcd, lcm, .*, got \('sum',\)"):
        NumberTheory(kinds=("sum",))  # pyright: ignore
    with pytest.raises(ValueError, match="kinds must be some of"):
        NumberTheory(kinds=())


def test_a_question_of_another_family_is_refused() -> None:
    with pytest.raises(ValueError, match="not a question of Dates: 'gcd"):
        Dates().solve(Task("gcd(48, 18) = ?", "6"))


numbers = st.integers(1, 10**6)


@settings(deadline=None)
@given(numbers, numbers)
def test_common_divisors_and_multiples_are_right(a: int, b: int) -> None:
    assert work_gcd(Notes(), a, b) == str(gcd(a, b))
    assert work_lcm(Notes(), a, b) == str(lcm(a, b))


@settings(deadline=None)
@given(st.integers(0, 999), st.integers(1, 999), st.integers(2, 999))
def test_powers_modulo_are_right(base: int, exponent: int, modulus: int) -> None:
    assert work_power(Notes(), base, exponent, modulus) == str(pow(base, exponent, modulus))


@settings(deadline=None)
@given(st.integers(2, 3000))
def test_primes_and_divisors_are_right(n: int) -> None:
    assert work_divisors(Notes(), n) == str(sum(d for d in range(1, n + 1) if n % d == 0))
    prime = int(work_prime(Notes(), n))
    assert all(smallest_divisor(m) < m for m in range(n + 1, prime))
    assert all(prime % d for d in range(2, prime))


@settings(deadline=None)
@given(st.integers(0, 30), st.integers(0, 30))
def test_choosing_is_the_binomial_coefficient(n: int, k: int) -> None:
    assert choose(Notes(), n + k, k) == comb(n + k, k)


@settings(deadline=None)
@given(st.dates(date(1600, 1, 1), date(2399, 12, 31)), st.integers(0, 150_000))
def test_days_and_weekdays_agree_with_the_calendar(start: date, days: int) -> None:
    end = start + timedelta(days)
    texts = start.isoformat(), end.isoformat()
    assert work_days(Notes(), *texts) == str(days)
    weekday = work_weekday(Notes(), *texts, known=WEEKDAYS[start.weekday()])
    assert weekday == f"\\text{{{WEEKDAYS[end.weekday()]}}}"


def test_weekdays_are_counted_with_both_ends() -> None:
    env = Dates(kinds=("occurrences",), level=2)
    for index in range(100):
        task = env.task(Random(index))
        words = task.messages[0].content.replace("?", " ").replace(",", " ").split()
        start, end = date.fromisoformat(words[0]), date.fromisoformat(words[-3])
        days = [start + timedelta(i) for i in range((end - start).days + 1)]
        wanted = words[words.index("many") + 1].removesuffix("s")
        assert task.truth == str(sum(WEEKDAYS[day.weekday()] == wanted for day in days))


def test_the_solution_of_a_system_solves_it() -> None:
    for level in (1, 3, 5):
        for index in range(50):
            text = LinearSystems(level=level).task(Random(index)).messages[0].content
            body, _, unknowns = text.removeprefix("Solve ").partition(". Give (")
            found = work_system(Notes(), body, unknowns.removesuffix(")."))
            values = dict(zip("xyz", map(int, found.strip("()").split(", ")), strict=False))
            for equation in body.split(", "):
                left, _, right = equation.partition("=")
                assert sum(n * values[u] for n, u in read_terms(left)) == int(right)


def test_roots_that_are_found_are_roots() -> None:
    env = Algebra(kinds=("quadratic",), level=5)
    for index in range(100):
        task = env.task(Random(index))
        left = task.messages[0].content.removeprefix("Find all roots of ").partition("=")[0]
        for root in map(Fraction, task.truth.split(", ")):
            assert sum(n * root ** exponent(u) for n, u in read_terms(left)) == 0


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-99, 99).filter(bool), st.integers(0, 9)), min_size=1))
def test_terms_are_read_as_they_are_shown(found: list[tuple[int, int]]) -> None:
    terms = [(size, power(n)) for size, n in found]
    assert read_terms(show_terms(terms)) == terms
    assert [exponent(unknown) for _, unknown in terms] == [n for _, n in found]


@pytest.mark.parametrize("text", ["", "3x+", "x y", "3**x", "2(x+1)", "+"])
def test_what_is_no_sum_of_terms_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no sum of terms"):
        read_terms(text)


@settings(deadline=None)
@given(st.fractions(max_denominator=10**4))
def test_a_number_is_shown_as_a_decimal_where_that_ends(value: Fraction) -> None:
    shown = show(value)
    assert Fraction(shown) == value
    ends = (10**20 * value).denominator == 1
    assert ("/" in shown) != ends


@pytest.mark.parametrize(
    ("amount", "source", "target", "result"),
    [
        (1, "miles", "km", "1.609344"),
        (2, "pounds", "kg", "0.90718474"),
        ("2.5", "feet", "cm", "76.2"),
        (1, "US gallons", "litres", "3.785411784"),
        (36, "km/h", "m/s", "10"),
        (60, "miles per hour", "m/s", "26.8224"),
        (1, "square feet", "cm^2", "929.0304"),
        (10, "minutes", "weeks", "1/1008"),
    ],
)  # fmt: skip
def test_units_are_converted_exactly(amount, source: str, target: str, result: str) -> None:
    assert work(Notes(), amount, source, target) == result


def test_units_of_one_size_have_one_name() -> None:
    assert len(set(SIZES)) == len(SIZES)

"""Arithmetic's worked solutions, by hand. What every environment must hold to: tests/contract."""

import re
from itertools import pairwise
from random import Random
from statistics import mean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.arithmetic import Arithmetic, Multiples, numbers, work_columns
from envs.base import Task

SUM = r"(\d\+\d\+\d=\d\d,){3}\\boxed\{\d+\}"


def test_a_sum_is_worked_from_the_right_with_every_carry() -> None:
    task = Task("345+678=?", "1023")
    assert Arithmetic().solve(task) == "5+8+0=13,4+7+1=12,3+6+1=10,\\boxed{1023}"


def test_a_difference_is_worked_with_every_borrow() -> None:
    task = Task("645-378=?", "267")
    assert Arithmetic(operations="-").solve(task) == "15-8-0=7,14-7-1=6,06-3-1=2,\\boxed{267}"


def test_a_longer_chain_has_a_line_per_operation() -> None:
    task = Task("95+7-88=?", "14")
    assert Arithmetic(terms=3).solve(task) == (
        "5+7+0=12,9+0+1=10,102\n12-8-0=4,10-8-1=1,01-0-1=0,\\boxed{14}"
    )


@given(st.integers(0, 10**9), st.integers(-(10**9), 10**9))
def test_working_in_columns_gives_the_same_as_adding(total: int, term: int) -> None:
    _, result = work_columns(total, term, 0, None)
    assert result == (total + term if total + term >= 0 else -1)


@given(st.integers(1, 6), st.integers(2, 5), st.sampled_from(["+", "+-"]), st.integers())
def test_no_total_of_a_chain_is_negative_and_the_truth_is_its_sum(
    digits: int, terms: int, operations: str, seed: int
) -> None:
    task = Arithmetic(digits, terms, operations).task(Random(seed))
    drawn = numbers(task)
    assert len(drawn) == terms
    assert all(sum(drawn[:n]) >= 0 for n in range(1, terms + 1))
    assert task.truth == str(sum(drawn))


def test_a_corrupted_sum_keeps_the_format_and_slips_in_one_carry() -> None:
    env = Arithmetic()
    for index in range(300):
        task = env.draw("train", 0, index)
        right, wrong = env.solve(task), env.demonstrate(task, Random(index), corrupt=True)
        assert re.fullmatch(SUM, right)
        assert re.fullmatch(SUM, wrong)
        first = next(i for i, (a, b) in enumerate(zip(right, wrong, strict=False)) if a != b)
        assert first in (13, 22), "the first difference is the third number of a later column"
        assert {right[first], wrong[first]} == {"0", "1"}


def test_without_carry_slips_a_column_is_off_by_one() -> None:
    env = Arithmetic(carry_slips=0.0)
    for index in range(300):
        task = env.draw("train", 0, index)
        right, wrong = env.solve(task), env.demonstrate(task, Random(index), corrupt=True)
        column = next(
            i
            for i, (a, b) in enumerate(zip(right.split(","), wrong.split(","), strict=True))
            if a != b
        )
        values = [int(text.split(",")[column].split("=")[1]) for text in (right, wrong)]
        assert abs(values[0] - values[1]) == 1


def test_more_than_ten_thousand_distinct_tasks_are_held_out() -> None:
    env = Arithmetic()
    assert len({env.draw("test", 0, index).key for index in range(11_000)}) > 10_000


def test_a_product_is_worked_by_adding_up() -> None:
    assert Multiples().solve(Task("4*23=?", "92")) == "1:23,2:46,3:69,4:92,\\boxed{92}"


def test_a_corrupted_product_slips_once_and_goes_on_consistently() -> None:
    env = Multiples()
    task = Task("5*20=?", "100")
    for seed in range(50):
        worked = env.demonstrate(task, Random(seed), corrupt=True)
        totals = [0, *(int(total) for total in re.findall(r":(\d+)", worked))]
        steps = [b - a for a, b in pairwise(totals)]
        assert sorted(step != 20 for step in steps) == [False] * 4 + [True]
        assert worked.endswith(f"\\boxed{{{totals[-1]}}}")


def test_the_first_factors_are_about_log_normal() -> None:
    env = Multiples(mean=20, spread=0.8, largest=120)
    factors = [numbers(env.draw("train", 0, index))[0] for index in range(4000)]
    assert max(factors) == 120
    assert 18 < mean(factors) < 21
    assert 0.7 < stdev(factors) / mean(factors) < 1.0  # log-normal: sqrt(exp(0.8^2) - 1) = 0.95


@pytest.mark.parametrize(
    ("env", "options", "message"),
    [
        (Arithmetic, {"digits": 0}, "digits must be between 1 and 12, got 0"),
        (Arithmetic, {"terms": 10}, "terms must be between 2 and 9, got 10"),
        (Arithmetic, {"operations": "*"}, 'operations must be "+", "-" or "+-", got "*"'),
        (Arithmetic, {"operations": "-", "terms": 3}, 'operations "-" allows 2 terms, got 3'),
        (Arithmetic, {"carry_slips": 1.5}, "carry_slips must be between 0 and 1, got 1.5"),
        (Multiples, {"mean": 1}, "mean must be between 2 and 500, got 1"),
        (Multiples, {"largest": 1}, "largest must be between 2 and 1000, got 1"),
    ],
)
def test_an_option_out_of_range_is_named_with_what_is_allowed(
    env: type, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        env(**options)

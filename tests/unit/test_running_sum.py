"""The running sum without carrying."""

import itertools

from envs.running_sum import CYCLE, RunningSum, add, terms, work


def test_a_step_of_the_solution_is_all_that_is_needed_to_go_on():
    """By hand, digit by digit: 37 + 13 = 40, 40 + 34 = 74."""
    first = "21:3-2=1,4-1=3:0+3=3,0+7=7,"
    right = f"{first}13:3-1=2,4-3=1:3+1=4,7+3=0,34:3-3=0,4-4=0:4+3=7,0+4=4,\\boxed{{74}}"
    assert work(37, 21, 34) == right
    slip = f"{first}13:3-1=2,4-3=1:3+1=4,7+3=2,34:3-3=0,4-4=0:4+3=7,2+4=6,\\boxed{{76}}"
    assert work(37, 21, 34, slip_at=1, change=2) == slip
    assert [add(55, 35), add(80, 42), add(99, 99)] == [80, 22, 88]


def test_the_terms_are_last_digits_of_fibonacci_numbers():
    digits = [1, 1]
    while len(digits) <= CYCLE:
        digits.append((digits[-1] + digits[-2]) % 10)
    assert terms(11, 1) == [10 * a + b for a, b in itertools.pairwise(digits)]
    assert len(set(terms(11, 1))) == CYCLE


def test_the_question_does_not_grow_with_the_steps_and_the_solution_does():
    tasks = {steps: RunningSum(steps).draw("train", 0, 0) for steps in (14, 56)}
    assert len({len(task.prompt) for task in tasks.values()}) == 1
    lengths = {
        steps: RunningSum(steps).solve(task).count(":") // 2 for steps, task in tasks.items()
    }
    assert 8 <= lengths[14] <= 15 < 29 <= lengths[56] <= 57

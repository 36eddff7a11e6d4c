"""The running sum without carrying."""

from envs.running_sum import RunningSum, add, work


def test_a_step_of_the_solution_is_all_that_is_needed_to_go_on():
    """By hand, digit by digit: 372 + 212 = 584, 584 + 213 = 797, 797 + 214 = 901."""
    right = "211/214==-:372,212/214==-:584,213/214==-:797,214/214===:901,\\boxed{901}"
    assert work(372, 211, 214) == right
    slip = "211/214==-:372,212/214==-:584,213/214==-:790,214/214===:904,\\boxed{904}"
    assert work(372, 211, 214, slip_at=213, change=3) == slip
    assert [add(584, 213), add(797, 214), add(999, 999)] == [797, 901, 888]


def test_the_question_does_not_grow_with_the_steps_and_the_solution_does():
    tasks = {steps: RunningSum(steps).draw("train", 0, 0) for steps in (20, 80)}
    assert len({len(task.prompt) for task in tasks.values()}) == 1
    lengths = {steps: RunningSum(steps).solve(task).count(":") for steps, task in tasks.items()}
    assert 11 <= lengths[20] <= 21 < 41 <= lengths[80] <= 81

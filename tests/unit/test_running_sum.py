"""The running sum without carrying."""

from envs.running_sum import RunningSum, add, work


def test_a_step_of_the_solution_is_all_that_is_needed_to_go_on():
    """By hand, digit by digit: 37 + 22 = 59, 59 + 23 = 72, 72 + 24 = 96."""
    right = "21/24=-:37,22/24=-:59,23/24=-:72,24/24==:96,\\boxed{96}"
    assert work(37, 21, 24) == right
    slip = "21/24=-:37,22/24=-:59,23/24=-:75,24/24==:99,\\boxed{99}"
    assert work(37, 21, 24, slip_at=23, change=3) == slip
    assert [add(59, 23), add(72, 24), add(99, 99)] == [72, 96, 88]


def test_the_question_does_not_grow_with_the_steps_and_the_solution_does():
    tasks = {steps: RunningSum(steps).draw("train", 0, 0) for steps in (16, 64)}
    assert len({len(task.prompt) for task in tasks.values()}) == 1
    lengths = {steps: RunningSum(steps).solve(task).count(":") for steps, task in tasks.items()}
    assert 9 <= lengths[16] <= 17 < 33 <= lengths[64] <= 65

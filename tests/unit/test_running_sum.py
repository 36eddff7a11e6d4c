"""The running sum without carrying."""

from envs.running_sum import RunningSum, add, work


def test_a_step_of_the_solution_is_all_that_is_needed_to_go_on():
    """By hand, digit by digit: 37 + 22 = 59, 59 + 23 = 72."""
    right = "21/23=-:0+3=3,0+7=7,22/23=-:3+2=5,7+2=9,23/23==:5+2=7,9+3=2,\\boxed{72}"
    assert work(37, 21, 23) == right
    slip = "21/23=-:0+3=3,0+7=7,22/23=-:3+2=5,7+2=1,23/23==:5+2=7,1+3=4,\\boxed{74}"
    assert work(37, 21, 23, slip_at=22, change=2) == slip
    assert [add(59, 23), add(72, 24), add(99, 99)] == [72, 96, 88]


def test_the_question_does_not_grow_with_the_steps_and_the_solution_does():
    tasks = {steps: RunningSum(steps).draw("train", 0, 0) for steps in (16, 64)}
    assert len({len(task.prompt) for task in tasks.values()}) == 1
    lengths = {steps: RunningSum(steps).solve(task).count(":") for steps, task in tasks.items()}
    assert 9 <= lengths[16] <= 17 < 33 <= lengths[64] <= 65

"""The running sum without carrying."""

from envs.running_sum import RunningSum, add, terms, work


def test_a_step_of_the_solution_is_all_that_is_needed_to_go_on():
    """By hand, digit by digit: 37 + 28 = 55, 55 + 35 = 80."""
    first = "21:3-2=1,5-1=4:0+3=3,0+7=7,"
    right = f"{first}28:3-2=1,5-8=7:3+2=5,7+8=5,35:3-3=0,5-5=0:5+3=8,5+5=0,\\boxed{{80}}"
    assert work(37, 21, 35) == right
    slip = f"{first}28:3-2=1,5-8=7:3+2=5,7+8=7,35:3-3=0,5-5=0:5+3=8,7+5=2,\\boxed{{82}}"
    assert work(37, 21, 35, slip_at=1, change=2) == slip
    assert [add(55, 35), add(80, 42), add(99, 99)] == [80, 22, 88]


def test_past_99_comes_00_and_every_number_is_reached_once():
    assert terms(90, 11) == [90, 97, 4, 11]
    assert sorted(terms(0, 93)) == list(range(100))


def test_the_question_does_not_grow_with_the_steps_and_the_solution_does():
    tasks = {steps: RunningSum(steps).draw("train", 0, 0) for steps in (16, 64)}
    assert len({len(task.prompt) for task in tasks.values()}) == 1
    lengths = {
        steps: RunningSum(steps).solve(task).count(":") // 2 for steps, task in tasks.items()
    }
    assert 9 <= lengths[16] <= 17 < 33 <= lengths[64] <= 65

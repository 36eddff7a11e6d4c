"""The running sum without carrying."""

from envs.running_sum import RunningSum, add, terms, work


def test_a_step_of_the_solution_is_all_that_is_needed_to_go_on():
    """By hand, digit by digit: 37 + 48 = 75, 75 + 15 = 80."""
    first = "21:1-2=9,5-1=4:0+3=3,0+7=7,"
    right = f"{first}48:1-4=7,5-8=7:3+4=7,7+8=5,15:1-1=0,5-5=0:7+1=8,5+5=0,\\boxed{{80}}"
    assert work(37, 21, 15) == right
    slip = f"{first}48:1-4=7,5-8=7:3+4=7,7+8=7,15:1-1=0,5-5=0:7+1=8,7+5=2,\\boxed{{82}}"
    assert work(37, 21, 15, slip_at=1, change=2) == slip
    assert [add(55, 35), add(80, 42), add(99, 99)] == [80, 22, 88]


def test_every_number_comes_once_before_one_comes_again():
    assert terms(21, 22) == [21, 48, 15, 22]
    assert sorted(terms(0, 33)) == list(range(100))


def test_the_question_does_not_grow_with_the_steps_and_the_solution_does():
    tasks = {steps: RunningSum(steps).draw("train", 0, 0) for steps in (16, 64)}
    assert len({len(task.prompt) for task in tasks.values()}) == 1
    lengths = {
        steps: RunningSum(steps).solve(task).count(":") // 2 for steps, task in tasks.items()
    }
    assert 9 <= lengths[16] <= 17 < 33 <= lengths[64] <= 65

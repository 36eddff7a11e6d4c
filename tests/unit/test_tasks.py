from itertools import pairwise

import pytest

from envs.base import NoTasks
from rl.recipe.config import Recipe
from rl.tasks import Tasks, sampling_seed

ENVS = [
    {"name": "arithmetic", "weight": 3.0, "digits": 3},
    {"name": "arithmetic", "weight": 1.0, "digits": 5},
]


def tasks(**changes):
    defaults = {"model": "embedded", "envs": ENVS, "groups_per_step": 16}
    evaluation = {"problems": 40}
    return Tasks(Recipe.model_validate({"evaluation": evaluation, **defaults, **changes}))


def test_a_step_draws_the_same_tasks_and_seeds_every_time():
    assert tasks().step(7) == tasks().step(7)


def test_steps_and_seeds_draw_different_tasks_and_sampling_seeds():
    drawn = [*tasks().step(1), *tasks().step(2), *tasks(seed=1).step(1)]
    assert len({d.task.key for d in drawn}) > 0.95 * len(drawn)
    assert len({d.seed for d in drawn}) == len(drawn)


def test_environments_are_mixed_by_weight():
    drawn = [d for step in range(1, 41) for d in tasks().step(step)]
    share = sum(d.options["digits"] == 3 for d in drawn) / len(drawn)
    assert share == pytest.approx(0.75, abs=0.05)


def test_held_out_tasks_are_distinct_the_same_for_all_seeds_and_never_trained_on():
    some, other = tasks(), tasks(seed=5)
    keys = {d.task.key for d in some.held_out}
    assert len(keys) == 40
    assert some.held_out == other.held_out
    assert not keys & {d.task.key for step in range(1, 60) for d in other.step(step)}


def test_training_avoids_held_out_tasks_of_other_environments_too():
    # 90 sums of one digit: evaluating on the training split of a tiny environment under another
    # name must still keep the tasks apart.
    one_digit = [{"name": "arithmetic", "digits": 1}]
    drawn = tasks(envs=one_digit, evaluation={"problems": 5, "envs": one_digit})
    keys = {d.task.key for d in drawn.held_out}
    assert not keys & {d.task.key for step in range(1, 20) for d in drawn.step(step)}


def test_too_many_held_out_problems_for_an_environment_is_an_error_with_the_key():
    with pytest.raises(NoTasks, match=r"evaluation.problems=300: lower it"):
        tasks(envs=[{"name": "arithmetic", "digits": 1}], evaluation={"problems": 300})


def test_seeds_of_prompts_lie_apart_so_that_groups_share_no_random_numbers():
    seeds = sorted(sampling_seed("train", 0, str(n)) for n in range(20_000))
    assert min(b - a for a, b in pairwise(seeds)) > 1024

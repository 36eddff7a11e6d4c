from dataclasses import replace

import pytest

from rl.alarms import Alarms, Signs
from rl.config import EnvSpec, Recipe
from rl.errors import UserError

RECIPE = Recipe(model="embedded", envs=[EnvSpec(name="arithmetic")])
HEALTHY = Signs(
    step=1, reward=0.5, signal_groups=9, truncated_fraction=0.0, broken_fraction=0.0,
    mismatch_kl=0.0, broken_example="",
)  # fmt: skip


def test_a_healthy_step_is_silent():
    assert Alarms(RECIPE).check(HEALTHY) == []


@pytest.mark.parametrize(
    ("reward", "advice"),
    [(1.0, "harder"), (0.0, "easier"), (0.5, "raise group_size")],
)
def test_three_steps_without_signal_are_said_with_the_key_to_change(reward, advice):
    alarms, idle = Alarms(RECIPE), replace(HEALTHY, signal_groups=0, reward=reward)
    assert [alarms.check(idle), alarms.check(idle)] == [[], []]
    (warning,) = alarms.check(idle)
    assert "last 3 steps" in warning
    assert advice in warning


def test_one_step_with_signal_starts_the_count_again():
    alarms, idle = Alarms(RECIPE), replace(HEALTHY, signal_groups=0)
    said = [alarms.check(signs) for signs in (idle, idle, HEALTHY, idle, idle)]
    assert said == [[]] * 5


def test_mostly_truncated_answers_are_said_with_the_key_to_change():
    (warning,) = Alarms(RECIPE).check(replace(HEALTHY, truncated_fraction=0.6))
    assert "rollout.max_new_tokens (now 1024)" in warning


def test_a_verifier_that_mostly_fails_stops_the_run_and_shows_an_error():
    signs = replace(HEALTHY, broken_fraction=0.5, broken_example="KeyError: 'gold'")
    with pytest.raises(UserError, match=r"50% of the answers, for example: KeyError: 'gold'"):
        Alarms(RECIPE).check(signs)


def test_sampler_and_learner_that_disagree_stop_the_run():
    with pytest.raises(UserError, match=r"disagree by 0.2 nats .*alarms.max_mismatch_kl"):
        Alarms(RECIPE).check(replace(HEALTHY, mismatch_kl=0.2))

from dataclasses import replace

import pytest

from envs.base import Task
from rl.alarms import Signs, Warnings, check_mismatch, check_verifier
from rl.config import EnvSpec, Recipe
from rl.errors import UserError
from rl.types import Completion, Graded, Rollout, Span, Stop
from verifiers.verdict import Verdict, broken, correct

RECIPE = Recipe(model="embedded", envs=[EnvSpec(name="arithmetic")])
HEALTHY = Signs(step=1, reward=0.5, signal_groups=9, truncated_fraction=0.0)


def test_a_healthy_step_is_silent():
    assert Warnings(RECIPE).check(HEALTHY) == []


@pytest.mark.parametrize(
    ("reward", "advice"),
    [(1.0, "harder"), (0.0, "easier"), (0.5, "raise group_size")],
)
def test_three_steps_without_signal_are_said_with_the_key_to_change(reward, advice):
    alarms, idle = Warnings(RECIPE), replace(HEALTHY, signal_groups=0, reward=reward)
    assert [alarms.check(idle), alarms.check(idle)] == [[], []]
    (warning,) = alarms.check(idle)
    assert "last 3 steps" in warning
    assert advice in warning


def test_one_step_with_signal_starts_the_count_again():
    alarms, idle = Warnings(RECIPE), replace(HEALTHY, signal_groups=0)
    said = [alarms.check(signs) for signs in (idle, idle, HEALTHY, idle, idle)]
    assert said == [[]] * 5


def test_mostly_truncated_answers_are_said_with_the_key_to_change():
    warnings, cut_off = Warnings(RECIPE), replace(HEALTHY, truncated_fraction=0.6)
    (warning,) = warnings.check(cut_off)
    assert "rollout.max_new_tokens (now 1024)" in warning
    # It is said once, not after every step; and again if it comes back.
    assert warnings.check(cut_off) == []
    assert warnings.check(HEALTHY) == []
    assert len(warnings.check(cut_off)) == 1


def group(*verdicts: Verdict) -> list[Graded]:
    completion = Completion([1], [0.0], Stop.FINISHED, (Span(0, 0, 1),))
    rollout = Rollout("arithmetic", Task("1+1=?", "2"), [1], completion, "2")
    return [Graded(rollout, verdict, 0.0) for verdict in verdicts]


def test_a_verifier_that_mostly_fails_stops_the_run_and_shows_an_error():
    groups = [group(correct("2"), broken("KeyError: 'gold'"))]
    with pytest.raises(UserError, match=r"step 4: .* 50% of the answers, .* KeyError: 'gold'"):
        check_verifier("step 4", groups, RECIPE.alarms)


def test_a_verifier_that_fails_now_and_then_is_put_up_with():
    check_verifier("step 4", [group(*[correct("2")] * 9, broken("once"))], RECIPE.alarms)


def test_sampler_and_learner_that_disagree_stop_the_run():
    with pytest.raises(UserError, match=r"disagree by 0.2 nats .*alarms.max_mismatch_kl"):
        check_mismatch(1, 0.2, RECIPE.alarms)
    check_mismatch(1, 0.01, RECIPE.alarms)

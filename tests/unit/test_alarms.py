from dataclasses import replace

import pytest

from rl.alarms import BrokenVerdicts, Signs, Warnings, check_mismatch, check_trainable
from rl.errors import UserError
from rl.recipe.config import Recipe
from rl.recipe.sections import Alarms, EnvSpec
from rl.types import ENGINE, Update
from verifiers.verdict import Verdict, broken, correct

RECIPE = Recipe(model="embedded", envs=[EnvSpec(name="arithmetic")])
HEALTHY = Signs(step=1, reward=0.5, signal_groups=9, truncated_fraction=0.0, context_ended=False)


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


@pytest.mark.parametrize(
    "learns", [{"teacher": {"model": "org/b"}}, {"algorithm": {"entropy_coef": 0.1}}]
)
def test_nothing_is_said_where_answers_teach_whatever_their_rewards_are(learns):
    recipe = Recipe.model_validate({**RECIPE.model_dump(include={"model", "envs"}), **learns})
    alarms, idle = Warnings(recipe), replace(HEALTHY, signal_groups=0)
    assert [alarms.check(idle) for _ in range(6)] == [[]] * 6


def test_mostly_truncated_answers_are_said_with_the_key_to_change():
    warnings, cut_off = Warnings(RECIPE), replace(HEALTHY, truncated_fraction=0.6)
    (warning,) = warnings.check(cut_off)
    assert "rollout.max_new_tokens (now 1024)" in warning
    # It is said once, not after every step; and again if it comes back.
    assert warnings.check(cut_off) == []
    assert warnings.check(HEALTHY) == []
    assert len(warnings.check(cut_off)) == 1


def see(total: int, *verdicts: Verdict, recipe: Recipe = RECIPE) -> None:
    seen = BrokenVerdicts("step 4", total, recipe.alarms)
    for verdict in verdicts:
        seen.see(verdict)


def test_answers_cut_off_by_the_models_context_are_said_with_that_key():
    cut_off = replace(HEALTHY, truncated_fraction=0.6, context_ended=True)
    (warning,) = Warnings(RECIPE).check(cut_off)
    assert "raise engine.max_model_tokens (now what the model's configuration says)" in warning
    assert "raise rollout.max_new_tokens" not in warning


def test_a_verifier_that_mostly_fails_stops_the_run_and_shows_an_error():
    wanted = r"step 4: the verifier failed on 1 of the first 2 answers \(of 2\).* KeyError: 'gold'"
    with pytest.raises(UserError, match=wanted):
        see(2, correct("2"), broken("KeyError: 'gold'"))


def test_the_run_stops_as_soon_as_too_many_verdicts_are_broken_whatever_the_others_will_be():
    see(256, *[broken("hangs")] * 51)  # a fifth is put up with
    with pytest.raises(UserError, match=r"52 of the first 52 answers \(of 256\)"):
        see(256, *[broken("hangs")] * 52)


def test_a_long_evaluation_is_not_waited_for_when_nothing_but_broken_verdicts_come():
    with pytest.raises(UserError, match=r"64 of the first 64 answers \(of 4096\)"):
        see(4096, *[broken("hangs")] * 64)
    see(4096, correct("2"), *[broken("hangs")] * 64)


def test_who_puts_up_with_every_broken_verdict_is_not_stopped():
    patient = RECIPE.model_copy(update={"alarms": Alarms(broken_fraction=1.0)})
    see(100, *[broken("hangs")] * 100, recipe=patient)


def test_a_verifier_that_fails_now_and_then_is_put_up_with():
    see(10, *[correct("2")] * 9, broken("once"))


def test_an_engine_that_fails_is_not_blamed_on_the_verifier():
    with pytest.raises(UserError, match=r"the engine failed on 3 .* logs/server-") as stopped:
        see(15, broken("a bug", "math/1"), *[broken("not finished", ENGINE)] * 3)
    assert "verify()" not in str(stopped.value)


def test_a_step_of_which_nothing_may_be_trained_on_names_the_keys_to_change():
    everything = replace(HEALTHY, step=7, truncated_fraction=1.0)
    skipped = [["truncated"] * 3, ["truncated", "verifier_broken", "truncated"]]
    with pytest.raises(UserError) as stopped:
        check_trainable(everything, 0, skipped, RECIPE)
    assert "step 7: no answer can be trained on (truncated 5, verifier_broken 1)" in str(
        stopped.value
    )
    assert "raise rollout.max_new_tokens (now 1024)" in str(stopped.value)
    assert "rollout.truncated=train" in str(stopped.value)
    check_trainable(everything, 1, skipped, RECIPE)


def update(mismatch_kl=0.0, masked_fraction=0.0, prob_diff_max=0.0) -> Update:
    return Update(
        version=1, loss=0.0, grad_norm=0.0, lr=0.0, clip_fraction=0.0,
        masked_fraction=masked_fraction, mismatch_kl=mismatch_kl, logprob_diff_mean=0.0,
        logprob_diff_max=0.0, ratio_max=1.0, prob_diff_max=prob_diff_max, n_tokens=3,
        n_trained_tokens=3, n_micro_batches=1, entropy=0.5, optional={},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (update(mismatch_kl=0.2), r"disagree by 0.2 nats .*alarms.max_mismatch_kl"),
        (update(masked_fraction=0.75), r"75% of the trained tokens .*alarms.max_masked_fraction"),
        (update(prob_diff_max=0.6), r"disagree by 0.6 on the probability .*alarms.max_prob_diff"),
    ],
)
def test_sampler_and_learner_that_disagree_stop_the_run(found, said):
    limits = Alarms(max_prob_diff=0.5)
    with pytest.raises(UserError, match=said):
        check_mismatch(1, found, limits)
    check_mismatch(1, update(0.01, 0.1, 0.4), limits)


def test_a_single_token_stops_no_run_unless_the_recipe_says_so():
    check_mismatch(1, update(prob_diff_max=1.0), RECIPE.alarms)

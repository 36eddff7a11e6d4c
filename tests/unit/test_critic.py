"""The `critic:` section: what is refused; and what a step's values are made into."""

import pytest
import torch
from pydantic import ValidationError

from rl.algorithm.formula import critic_formula
from rl.learner.batch import Batch
from rl.learner.value_learner import judge
from rl.recipe.config import Recipe
from rl.recipe.critic import Critic

PPO = {"preset": "ppo"}


def recipe(**written) -> Recipe:
    return Recipe.model_validate({"model": "embedded", "envs": [{"name": "arithmetic"}], **written})


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"algorithm": PPO}, "algorithm.advantage 'gae' is made of a critic's values, and critic"),
        ({"critic": {}}, "used by algorithm.advantage 'gae' only (found 'group_std')"),
        (
            {"algorithm": PPO, "critic": {}, "curriculum": {"dynamic": True}},
            "critic every group is learned from",
        ),
        ({"group_size": 1}, "group_size 1 leaves algorithm.advantage 'group_std' without"),
        ({"algorithm": PPO, "critic": {}, "steps": 10}, "pretraining_steps (10) must be below"),
        ({"critic": {"trunk": "shared"}}, "'shared' needs critic.coef (found null)"),
        ({"critic": {"coef": 0.1}}, "critic.coef (0.1) weighs the value loss against"),
        ({"critic": {"trunk": "shared", "coef": 1, "updates": 2}}, "critic.updates (2) above 1"),
        ({"critic": {"value_clip": 0.2}}, "critic.value_clip (0.2) acts from the second update"),
        ({"critic": {"lambda_policy": "by_length"}}, "needs critic.length_alpha (found null)"),
        ({"critic": {"length_alpha": 0.05}}, "'by_length' (found 0.95): leave one of the two out"),
    ],
)
def test_what_makes_no_sense_together_is_refused_with_the_reason(written, said):
    with pytest.raises(ValidationError) as refused:
        recipe(**written)
    assert said in str(refused.value)


def test_with_a_critic_one_answer_per_task_is_enough():
    assert recipe(algorithm=PPO, critic={}, group_size=1).critic == Critic()
    assert recipe(algorithm=PPO, critic={}, steps=0).steps == 0


def test_the_policy_is_frozen_for_as_many_steps_as_the_recipe_says():
    frozen = [Critic(pretraining_steps=2).policy_frozen(step) for step in (1, 2, 3)]
    assert frozen == [True, True, False]
    assert not Critic(pretraining_steps=0).policy_frozen(1)


@pytest.mark.parametrize(
    ("critic", "parts"),
    [
        (Critic(), ["lambda 0.95, discount 1, A then", "minimise the mean", "lambda 1, + V"]),
        (Critic(trunk="shared", coef=0.5), ["minimise 0.5 x the mean"]),
        (Critic(lambda_policy="by_length", length_alpha=0.05), ["1 - 1 / (0.05 x tokens of the"]),
        (Critic(updates=2, value_clip=0.2, normalize_advantages=False), ["V held within 0.2 of"]),
    ],
)
def test_the_formula_of_the_critic_has_its_numbers(critic, parts):
    text = "\n".join(critic_formula(critic))
    for part in parts:
        assert part in text
    assert ("scaled" in text) == critic.normalize_advantages


def two_answers() -> Batch:
    """Prompts of one token; three sampled ones with a turn of the environment between, paid 1;
    then one sampled, paid 0."""
    mask = torch.tensor([False, True, True, False, True, False, True])
    zeros = torch.zeros(7)
    rewards = torch.tensor([0, 0, 0, 0, 1.0, 0, 0])
    positions = torch.tensor([0, 1, 2, 3, 4, 0, 1])
    return Batch(torch.arange(7), positions, mask, zeros, zeros, zeros, rewards, 4, 4)


VALUES = torch.tensor([0, 0.25, 0.5, 0, 0.75, 0, 0.5])


def test_a_step_is_judged_on_its_sampled_tokens_by_hand():
    plain = Critic(lambda_policy=0.5, normalize_advantages=False)
    found = judge(two_answers(), VALUES, plain)
    # surprises .25, .25, .25 (the reward of 1 less .75); with lambda 1/2 from the back
    # .25, .25 + .125, .25 + .1875; and 0 - .5 of the other answer, after which nothing comes
    assert found.advantages.tolist() == [0, 0.4375, 0.375, 0, 0.25, 0, -0.5]
    assert found.targets.tolist() == [0, 1, 1, 0, 1, 0, 0], "with lambda 1 what was paid"
    assert torch.equal(found.values, VALUES)


def test_lambda_of_the_critic_and_discount_by_hand():
    settings = Critic(
        lambda_policy=1.0, lambda_critic=0.0, discount=0.5, normalize_advantages=False
    )
    found = judge(two_answers(), VALUES, settings)
    # targets: the next value at half its worth, or the reward
    assert found.targets.tolist() == [0, 0.25, 0.375, 0, 1, 0, 0]
    assert found.advantages.tolist() == [0, 0, 0, 0, 0.25, 0, -0.5]


def test_lambda_by_length_is_that_of_each_answer():
    settings = Critic(lambda_policy="by_length", length_alpha=0.5, normalize_advantages=False)
    found = judge(two_answers(), VALUES, settings)
    # three tokens: 1 - 1 / 1.5; one token: 1 - 1 / 0.5, so 0
    third = 1 / 3
    expected = [0.25 * (1 + third + third**2), 0.25 * (1 + third), 0.25, -0.5]
    torch.testing.assert_close(found.advantages[two_answers().loss_mask], torch.tensor(expected))


def test_normalized_advantages_leave_the_targets_alone():
    scaled = judge(two_answers(), VALUES, Critic(lambda_policy=0.5))
    sampled = scaled.advantages[two_answers().loss_mask]
    assert sampled.mean().abs() < 1e-6
    torch.testing.assert_close(sampled.std(correction=0), torch.tensor(1.0))
    assert scaled.targets.tolist() == [0, 1, 1, 0, 1, 0, 0]
    assert scaled.advantages[[0, 3, 5]].tolist() == [0, 0, 0]


def test_the_chunks_of_an_answer_are_one_answer():
    """The second chunk sees the prompt again, and two tokens of the first."""
    mask = torch.tensor([False, True, True, False, False, False, True])
    zeros = torch.zeros(7)
    rewards = torch.tensor([0, 0, 0, 0, 0, 0, 1.0])
    positions = torch.tensor([0, 1, 2, 0, 1, 2, 3])
    chunks = torch.zeros(7, dtype=torch.int64)
    batch = Batch(torch.arange(7), positions, mask, zeros, zeros, zeros, rewards, 3, 3, chunks)
    values = torch.tensor([0, 0.25, 0.5, 0, 0, 0, 0.75])
    found = judge(batch, values, Critic(lambda_policy=0.5, normalize_advantages=False))
    assert found.advantages.tolist() == [0, 0.4375, 0.375, 0, 0, 0, 0.25]
    assert found.targets.tolist() == [0, 1, 1, 0, 0, 0, 1]

"""The `rollout:` section: budgets, what is refused, and what running out of tokens costs."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rl.plan import Hardware, make_plan
from rl.recipe.config import Recipe
from rl.recipe.load import dump, load_recipe, read_resolved
from rl.recipe.mistakes import RecipeError
from rl.reward import soft_overlong


def recipe(rollout, **sections) -> Recipe:
    return Recipe.model_validate(
        {"model": "embedded", "envs": [{"name": "arithmetic"}], "rollout": rollout, **sections},
        strict=True,
    )


CHUNKS = {"chunk_tokens": 100, "carry_tokens": 40, "chunks": 3}


def test_chunks_add_up_to_the_budget():
    found = recipe(CHUNKS).rollout
    assert found.max_new_tokens == found.budget(None) == found.budget(3) == 100 + 2 * 60
    assert found.budget(12) == 100 + 11 * 60
    assert found.context_tokens == 100
    assert recipe({**CHUNKS, "head_tokens": 8}).rollout.context_tokens == 108
    plain = recipe({"max_new_tokens": 77}).rollout
    assert (plain.budget(None), plain.context_tokens) == (77, 77)


def test_a_resolved_recipe_with_chunks_reads_back(tmp_path):
    found = recipe(CHUNKS, evaluation={"chunks": 12})
    (tmp_path / "recipe.yaml").write_text(dump(found))
    assert read_resolved(tmp_path / "recipe.yaml") == found


def test_what_must_fit_into_a_sequence_is_a_chunk_and_not_the_answer():
    small = {"embedded": {"max_tokens": 128}, "evaluation": {"chunks": 1000}}
    assert recipe(CHUNKS, **small).rollout.budget(1000) > 50_000
    with pytest.raises(ValidationError, match=re.escape("rollout.chunk_tokens (130) must leave")):
        recipe({**CHUNKS, "chunk_tokens": 130}, **small)


@pytest.mark.parametrize(
    ("rollout", "said"),
    [
        ({"chunks": 3}, "rollout.chunks (3) is about chunks, and there are none without"),
        ({"carry_tokens": 3}, "rollout.carry_tokens (3) is about chunks"),
        ({"chunk_tokens": 10, "carry_tokens": 10}, "must be below rollout.chunk_tokens (10)"),
        ({"chunk_tokens": 10, "carry_tokens": 6, "head_tokens": 4}, "must be below"),
        ({**CHUNKS, "max_new_tokens": 99}, "which add up to 220: leave it out"),
        ({"penalty_tokens": 5}, "rollout.penalty_tokens (5) belongs to rollout.truncated penalty"),
        (
            {"truncated": "penalty", "penalty_tokens": 50, "max_new_tokens": 40},
            "rollout.penalty_tokens (50) must be at most rollout.max_new_tokens (40)",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(rollout, said):
    with pytest.raises(ValidationError, match=re.escape(said)):
        recipe(rollout)


def test_an_evaluation_in_chunks_needs_training_in_chunks():
    with pytest.raises(ValidationError, match=r"evaluation.chunks \(4\) is about chunks"):
        recipe({}, evaluation={"chunks": 4})


def test_the_key_of_before_is_refused_with_the_one_of_now(tmp_path):
    path = tmp_path / "old.yaml"
    path.write_text(
        "model: embedded\nenvs: [{name: arithmetic}]\nalgorithm:\n  train_truncated: false\n"
    )
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, profile="cpu")
    assert "old.yaml:4: algorithm.train_truncated: this key is gone" in str(caught.value)
    assert "rollout.truncated=mask for false" in str(caught.value)


def test_a_dry_run_says_how_answers_are_sampled_and_what_happens_at_the_budget():
    machine = Hardware(cores=2, memory_gib=8.0, gpus=(), kind="cpu")
    chunks = recipe(
        {**CHUNKS, "truncated": "interrupt"},
        evaluation={"chunks": 12},
        learner={"dtype": "float32"},
    )
    text = "\n".join(make_plan(chunks, machine).lines)
    assert "at most 3 chunks (held out 12), each in a context of 100 tokens" in text
    assert "interrupted at a random point" in text
    text = "\n".join(make_plan(recipe({"truncated": "penalty"}), machine).lines)
    assert "an answer's last 204 tokens cost up to 1 of its reward" in text


def test_the_penalty_of_dapo_by_hand():
    """L_max 20, L_cache 5: nothing up to 15 tokens, then a fifth for each."""
    found = [soft_overlong(n, budget=20, window=5) for n in (1, 15, 16, 18, 20, 21, 99)]
    assert found == pytest.approx([0, 0, -0.2, -0.6, -1, -1, -1])


@given(n=st.integers(1, 300), window=st.integers(1, 200), more=st.integers(0, 100))
def test_the_penalty_is_between_0_and_1_and_never_falls_with_length(n, window, more):
    budget = window + more
    here, next_ = (soft_overlong(x, budget, window) for x in (n, n + 1))
    assert -1 <= next_ <= here <= 0
    assert (here == 0) == (n <= more)

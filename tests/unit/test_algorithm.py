"""The `algorithm:` section: presets, parts written out, combinations refused; and its formula."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from rl.algorithm.formula import formula
from rl.recipe.algorithm import DEFAULT_PRESET, LOSS_NUMBERS, NUMBERS, PRESETS, Algorithm
from rl.recipe.config import Recipe
from rl.recipe.guides import Reference, Teacher
from rl.recipe.load import dump, load_recipe, read_resolved

PAGE = Path(__file__).parents[2] / "docs" / "algorithms.md"


def section(**written) -> Algorithm:
    return Algorithm.model_validate(written, strict=True)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_expands_into_its_parts_and_null_for_what_it_does_not_use(name):
    found = section(preset=name).model_dump()
    assert PRESETS[name].items() <= found.items()
    assert {key for key in NUMBERS if found[key] is not None} == {
        key for key in PRESETS[name] if key in NUMBERS
    }


@pytest.mark.parametrize(
    ("written", "preset", "loss"),
    [
        ({}, "dapo", "clip"),
        ({"max_staleness": 1}, "dppo", "dppo"),
        ({"max_staleness": 1, "algorithm": {"tv_max": 0.1}}, "dppo", "dppo"),
        ({"max_staleness": 1, "algorithm": {"preset": "cispo"}}, "cispo", "reinforce"),
    ],
)
def test_a_run_that_samples_ahead_has_dppo_unless_it_says_otherwise(written, preset, loss):
    its = {"model": "embedded", "envs": [{"name": "arithmetic"}], **written}
    algorithm = Recipe.model_validate(its).algorithm
    assert (algorithm.preset, algorithm.loss) == (preset, loss)
    assert algorithm.tv_max == (
        written.get("algorithm", {}).get("tv_max", PRESETS[preset].get("tv_max"))
    )


def test_the_defaults_of_the_schema_are_those_of_the_default_preset():
    assert section() == section(preset=DEFAULT_PRESET)
    for key, field in Algorithm.model_fields.items():
        assert getattr(section(), key) == field.default, key


def test_the_recipes_shipped_optimise_what_they_did_before_there_were_presets():
    for path in ("recipes/math_grpo.yaml", "recipes/code_grpo.yaml"):
        for profile in ("cpu", "gpu"):
            found = load_recipe(Path(path), profile=profile).algorithm
            parts = (found.advantage, found.loss, found.aggregation)
            assert parts == ("group_std", "clip", "token"), path
            assert (found.clip_low, found.clip_high, found.clip_dual) == (0.2, 0.28, None)
            assert (found.log_ratio_coef, found.token_band) == (0, None)


def test_a_part_that_is_written_out_replaces_the_one_of_the_preset():
    found = section(preset="grpo", aggregation="token", clip_high=0.28)
    assert (found.aggregation, found.clip_low, found.clip_high) == ("token", 0.2, 0.28)
    assert section(preset="dapo", sequence_band=None).sequence_band is None


@pytest.mark.parametrize("loss", LOSS_NUMBERS)
def test_another_loss_than_the_presets_brings_numbers_of_its_own(loss):
    found = section(preset="sapo", loss=loss)
    numbers = {key: getattr(found, key) for key in NUMBERS}
    assert numbers == {key: LOSS_NUMBERS[loss].get(key) for key in NUMBERS}
    assert found.aggregation == "sequence", "the other parts stay the preset's"


@pytest.mark.parametrize("name", PRESETS)
def test_a_resolved_recipe_is_read_back_as_it_was(name, tmp_path):
    critic = "{}" if PRESETS[name]["advantage"] == "gae" else "null"
    overrides = [f"algorithm={{preset: {name}}}", f"critic={critic}"]
    recipe = load_recipe(Path("recipes/math_grpo.yaml"), overrides, profile="cpu")
    (tmp_path / "recipe.yaml").write_text(dump(recipe))
    assert read_resolved(tmp_path / "recipe.yaml") == recipe


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"preset": "sapo", "clip_low": 0.1}, "clip_low (0.1) belongs to algorithm.loss clip and"),
        ({"preset": "gspo", "weight_max": 2.0}, "a weight would count it twice"),
        ({"preset": "gspo", "token_band": [0.5, 2.0]}, "is that of a whole answer"),
        ({"preset": "ppo", "loss": "gspo"}, "'gae' tells the tokens of an answer apart, and the"),
        ({"preset": "icepop", "loss": "gmpo"}, "algorithm.token_band ([0.5, 5.0]) leaves out"),
        ({"clip_low": None}, "algorithm.loss 'clip' needs algorithm.clip_low (found null)"),
        ({"clip_dual": 1.2}, "algorithm.clip_dual (1.2) must be above 1 + algorithm.clip_high"),
        ({"token_band": [1.5, 2.0]}, "algorithm.token_band ([1.5, 2.0]) must be [low, high]"),
        ({"sequence_band": [0.5, 1.0]}, "low < 1 < high: where sampler and learner agree"),
        ({"constant_tokens": 100}, "divisor of algorithm.aggregation constant (found 'token')"),
        ({"preset": "dppo", "tv_max": None}, "needs algorithm.tv_max (found null)"),
        (
            {"preset": "gspo", "kl_coef": 0.1, "kl_estimator": "k1"},
            "'gspo' is that of a whole answer: take algorithm.kl_estimator unbiased",
        ),
    ],
)
def test_what_makes_no_sense_together_is_refused_with_the_reason(written, said):
    with pytest.raises(ValidationError, match=re.escape(said)):
        section(**written)


def test_a_weight_or_a_dual_clip_may_be_left_away():
    assert section(preset="rloo", weight_max=None).weight_max is None
    assert section(preset="dapo", clip_dual=None).clip_dual is None


@pytest.mark.parametrize(
    ("written", "parts"),
    [
        (
            {},
            ["mean over the step's sampled tokens of -min(r A, clip(r, 0.8, 1.28) A)", "[0.5, 2]"],
        ),
        ({"clip_dual": 4.0}, ["(r at most 4 where A < 0)"]),
        ({"preset": "grpo"}, ["mean over answers of the mean over their tokens", "1.2)"]),
        ({"preset": "dr_grpo"}, ["sum over their tokens / 1,024", "A = R - mean R of the task's"]),
        ({"preset": "dr_grpo", "constant_tokens": 77}, ["sum over their tokens / 77 of"]),
        ({"preset": "gspo"}, ["clip(r, 0.9997, 1.0004)", "r = geometric mean over the answer"]),
        ({"preset": "cispo"}, ["-min(r, 5) A log p"]),
        ({"preset": "rloo", "weight_max": None}, ["of -A log p", "the task's other answers"]),
        ({"preset": "reinforce++"}, ["its standard deviation where R differ"]),
        ({"preset": "gmpo"}, ["at most e^0.4 where A > 0, else at least e^-0.4"]),
        ({"preset": "sapo"}, ["g = 1 where A > 0, else 1.05"]),
        ({"preset": "icepop"}, ["tokens whose p / q is not in [0.5, 5]"]),
        ({"preset": "dppo"}, ["by more than 0.2", "+ 0.001 (log r)^2"]),
        ({"preset": "scalerl"}, ["mean over tasks", "-min(r, 5) A log p"]),
        ({"kl_coef": 0.25, "kl_estimator": "k2"}, [" A) + 0.25 (log(p / p0))^2 / 2"]),
        ({"kl_coef": 0.25, "kl_estimator": "k3"}, [" + 0.25 (p0 / p - 1 - log(p0 / p))"]),
        ({"kl_coef": 0.25}, [" + 0.25 p / q (p0 / p - 1 - log(p0 / p))", "by the starting policy"]),
        ({"kl_coef": 0.25, "kl_estimator": "k1"}, ["task's answers + 0.25 log(p0 / q)"]),
        ({"entropy_coef": 0.01}, [" - 0.01 H", "H = entropy of p, nats"]),
        (
            {"entropy_coef": 0.01, "entropy_target": 0.3, "entropy_coef_step": 0.002},
            [" - c H", "c = 0.01, after each step 0.002 more where H was below 0.3, else less"],
        ),
        ({"preset": "ppo"}, ["clip(r, 0.8, 1.2)", "A = GAE of each token, by the values V"]),
    ],
)
def test_the_formula_has_every_number_of_the_recipe(written, parts):
    lines = formula(section(**written), 1024)
    assert len(lines) <= 4
    for part in parts:
        assert part in "\n".join(lines)


def test_the_formula_names_the_frozen_policies():
    reference, teacher = Reference(model="org/base", every=50), Teacher(model="org/big", coef=0.5)
    lines = formula(
        section(kl_coef=0.1, advantage="none"), 1024, reference=reference, teacher=teacher
    )
    assert "A = 0.5 log(t / q)" in lines[1]
    assert lines[2].startswith("p0 = a token's probability by org/base, the policy itself anew ")
    assert lines[2].endswith("every 50 steps; t = by the teacher org/big")


def test_masked_truncated_answers_are_left_out():
    lines = formula(section(), max_new_tokens=1024, truncated="mask")
    assert lines[-1].endswith("; answers that ran out of tokens")


def test_without_a_correction_nothing_is_left_out():
    assert len(formula(section(sequence_band=None), 1024)) == 2


@pytest.mark.parametrize("name", PRESETS)
def test_the_page_shows_each_preset_with_its_parts(name):
    section = PAGE.read_text().split("## What each one did")[0]
    (row,) = (x for x in section.splitlines() if x.startswith(f"| `{name}` |"))
    for key, value in PRESETS[name].items():
        shown = {"advantage": value, "loss": value, "aggregation": value}.get(key, f"{key} {value}")
        assert f"`{shown}`" in row, key
    assert re.search(r"\[\d{4}\.\d{5}\]\(https://arxiv.org/abs/\d{4}\.\d{5}\)", row)

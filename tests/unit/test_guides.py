"""What a recipe may say of frozen policies, and that they are looked at before anything starts."""

import json
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from rl.policy.starting import main
from rl.recipe.config import Recipe
from rl.recipe.load import dump
from tests.unit.test_frozen import tokenizer


def recipe(**written):
    return Recipe.model_validate({"model": "embedded", "envs": [{"name": "arithmetic"}], **written})


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (
            {"reference": {"every": 50}},
            "reference.every (50) has no effect while",
        ),
        ({"reference": {"model": "org/x"}}, "reference.model (org/x) has no effect while"),
        ({"reference": {"model": "embedded"}}, "give the directory of a policy"),
        ({"teacher": {"model": "embedded"}}, "give the directory of a policy"),
        ({"algorithm": {"advantage": "none"}}, "'none' leaves nothing to learn from but a teacher"),
        (
            {"reference": {"every": 9}, "algorithm": {"kl_coef": 0.1}, "lora": {}},
            "reference.every (9) copies the policy's weights",
        ),
        (
            {"reference": {"every": 9, "model": "org/x"}, "algorithm": {"kl_coef": 0.1}},
            "reference.every turns the reference into the policy",
        ),
        (
            {
                "teacher": {"model": "org/x"},
                "learner": {"ranks": 2, "sequence_parallel": 2},
                "embedded": {"heads": 2, "kv_heads": 2},
            },
            "learner.sequence_parallel (2) does not share the passes of a frozen policy",
        ),
        (
            {
                "teacher": {"model": "org/x"},
                "algorithm": {"advantage": "none"},
                "curriculum": {"dynamic": True},
            },
            "curriculum.dynamic drops groups whose rewards are all equal",
        ),
        (
            {"teacher": {"model": "org/x"}, "algorithm": {"preset": "gspo"}},
            "teacher: it gives every token an advantage of its own",
        ),
    ],
)
def test_what_makes_no_sense_together_is_refused_with_the_reason(written, said):
    with pytest.raises(ValidationError, match=re.escape(said)):
        recipe(**written)


def test_only_frozen_models_that_are_used_are_asked_for():
    assert recipe().frozen_models == {}
    assert recipe(algorithm={"kl_coef": 0.1}).frozen_models == {}, "it is the starting policy"
    both = recipe(
        algorithm={"kl_coef": 0.1}, reference={"model": "org/a"}, teacher={"model": "org/b"}
    )
    assert both.frozen_models == {"reference.model": "org/a", "teacher.model": "org/b"}


def test_only_what_gives_every_answer_a_gradient_makes_every_answer_learn():
    assert not recipe().every_answer_learns
    assert recipe(algorithm={"entropy_target": 0.3}).every_answer_learns
    assert recipe(teacher={"model": "org/b"}).every_answer_learns


def model(directory: Path, vocabulary: list[str]) -> Path:
    tokenizer(directory, vocabulary)
    (directory / "config.json").write_text("{}")
    return directory


@pytest.mark.parametrize("learns", [True, False])
def test_a_teacher_of_other_tokens_is_refused_before_a_run_but_not_before_an_evaluation(
    learns, tmp_path, capsys
):
    policy = model(tmp_path / "policy", ["a", "b"])
    teacher = model(tmp_path / "teacher", ["b", "a"])
    out = tmp_path / "out.json"
    (tmp_path / "recipe.yaml").write_text(
        dump(recipe(model=str(policy), teacher={"model": str(teacher)}))
    )
    argv = ["--recipe", str(tmp_path / "recipe.yaml"), "--out", str(out)]
    found = main([*argv, "--learns"] if learns else argv)
    if learns:
        assert found == 2
        assert "teacher.model" in capsys.readouterr().err
        assert not out.exists()
    else:
        assert found == 0
        assert json.loads(out.read_text())["path"] == str(policy)

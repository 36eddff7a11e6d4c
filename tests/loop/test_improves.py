"""The promise of the README: the recipe makes its policy better, and only a true verifier does."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.coin import COINS
from rl.recipe.sections import EnvSpec
from tests.loop.runs import rows, train

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

RECIPE = "recipes/math_grpo.yaml"


@pytest.fixture(scope="module")
def improved(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("improved")
    done = train(run_dir, "profile=cpu", recipe=RECIPE)
    assert done.returncode == 0, done.stdout + done.stderr
    return run_dir


def summary(run_dir):
    return json.loads((run_dir / "summary.json").read_text())


def test_the_recipe_takes_the_policy_from_at_most_70_to_at_least_95_percent(improved):
    found = summary(improved)
    assert found["problems"] >= 512
    assert found["samples"] == 8
    assert found["before"]["avg_at_k"]["value"] <= 0.70
    assert found["after"]["avg_at_k"]["value"] >= 0.95


def test_held_out_problems_never_occur_in_training(improved):
    samples = rows(improved, "samples.jsonl")
    held_out = {s["task"] for s in samples if s["split"] == "test"}
    trained = {s["task"] for s in samples if s["split"] == "train"}
    assert len(held_out) == summary(improved)["problems"]
    assert not held_out & trained


def test_sampler_and_learner_agree_in_every_step(improved):
    for row in rows(improved):
        assert row["mismatch_kl"] < 1e-6
        assert row["logprob_diff_mean"] < 1e-4
        assert row["weights_logprob_diff"] < 1e-4
        assert row["ratio_max"] == pytest.approx(1, abs=1e-3)
        assert row["staleness_max"] == 0


def test_with_a_verifier_that_pays_at_random_the_same_recipe_does_not_improve(tmp_path):
    from rl.recipe.load import load_recipe

    envs = load_recipe(Path(RECIPE), profile="cpu").envs
    done = train(
        tmp_path,
        "profile=cpu",
        f"envs={json.dumps([coin(env) for env in envs])}",
        f"evaluation.envs={json.dumps([env.model_dump() for env in envs])}",
        "accept_hackable=a coin is the control",
        "alarms={canary_fraction: 0, recheck_fraction: 0}",
        recipe=RECIPE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = summary(tmp_path)
    assert found["before"]["avg_at_k"]["value"] <= 0.70
    assert found["after"]["avg_at_k"]["value"] <= found["before"]["avg_at_k"]["high"]


def coin(env: EnvSpec) -> dict[str, object]:
    return {**env.model_dump(), "name": f"benchmarks/coin.py:{COINS[env.name].__name__}"}


def test_the_final_checkpoint_answers_alike_in_vllm_and_in_transformers(improved, tmp_path):
    done = subprocess.run(
        [
            sys.executable, "-m", "rl", "eval", summary(improved)["checkpoint"],
            "--recipe", str(improved / "recipe.yaml"), f"run_dir={tmp_path}",
            "evaluation.temperature=0", "evaluation.samples=1", "evaluation.problems=64",
        ],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (evaluated,) = (path.parent for path in tmp_path.glob("*/answers.jsonl"))
    answers = rows(evaluated, "answers.jsonl")
    assert len(answers) == 64

    from transformers import AutoModelForCausalLM, AutoTokenizer

    directory = summary(improved)["checkpoint"]
    model = AutoModelForCausalLM.from_pretrained(directory)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    for answer in answers:
        prompt = tokenizer.apply_chat_template(
            [{"role": "user", "content": answer["prompt"]}],
            add_generation_prompt=True, return_tensors="pt", return_dict=True,
        )  # fmt: skip
        tokens = model.generate(**prompt, max_new_tokens=72, do_sample=False)
        response = tokenizer.decode(
            tokens[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True
        )
        assert response == answer["response"]


def test_the_recipe_for_programs_trains_through_the_sandbox(tmp_path):
    """Two steps of it; README.md has what sixty do."""
    done = train(
        tmp_path,
        "profile=cpu",
        "steps=2",
        "sft.demonstrations=800",
        "evaluation.problems=16",
        "evaluation.samples=2",
        recipe="recipes/code_grpo.yaml",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "programs    run in " in done.stdout
    judged = {s["verdict"]["verifier"] for s in rows(tmp_path, "samples.jsonl")}
    assert any(name.startswith("code/1+") for name in judged)
    assert len(rows(tmp_path)) == 2

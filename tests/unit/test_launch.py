"""What `assay train` and `assay eval` refuse or answer before they start anything."""

import json
import os

import pytest

from rl.cli import main
from rl.launch import differing_keys
from rl.recipe.config import Recipe
from rl.recipe.load import dump

SHORT = "tests/loop/short.yaml"
SCORE = {"value": 0.5, "low": 0.4, "high": 0.6}
SCORES = {"avg_at_k": SCORE, "avg_by_env": {"arithmetic": SCORE}, "pass_k": 8, "pass_at_k": SCORE}


@pytest.fixture
def trained(tmp_path):
    """The directory of a run that is complete, as far as the supervisor looks at it."""
    run_dir = tmp_path / "run"
    recipe = Recipe.model_validate(
        {
            "model": "embedded",
            "envs": [{"name": "arithmetic"}],
            "weights": {"transport": "file"},  # resolved, as a run's stored recipe is
            "run_dir": str(run_dir),
        }
    )
    checkpoint = run_dir / "checkpoints" / "step-000002"
    checkpoint.mkdir(parents=True)
    (checkpoint / "manifest.json").write_text('{"files": {}}')
    (run_dir / "recipe.yaml").write_text(dump(recipe))
    summary = {"problems": 8, "samples": 2, "before": SCORES, "after": SCORES}
    (run_dir / "summary.json").write_text(json.dumps(summary))
    return run_dir


def files(directory):
    return {path: path.stat().st_mtime_ns for path in directory.rglob("*")}


@pytest.mark.parametrize("override", ["model=other", "sft=null", "sft.lr=1e-3"])
def test_an_evaluation_of_another_model_than_the_one_named_is_refused(trained, override, capsys):
    assert main(["eval", str(trained), override]) == 1
    assert f"override '{override}': an evaluation scores the model" in capsys.readouterr().err


def test_an_evaluation_into_the_directory_of_a_run_is_refused_and_changes_nothing(trained, capsys):
    before = files(trained)
    assert main(["eval", str(trained), f"run_dir={trained}"]) == 1
    assert "already holds a run" in capsys.readouterr().err
    assert files(trained) == before


def test_a_finished_run_says_when_it_finished_and_that_nothing_was_run(trained, capsys, tmp_path):
    os.utime(trained / "summary.json", (1_000_000_000, 1_000_000_000))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text((trained / "recipe.yaml").read_text())
    assert main(["train", str(recipe)]) == 0
    printed = capsys.readouterr().out
    assert "this run finished on 2001-09-" in printed
    assert "nothing was run now" in printed
    assert "run_dir=DIR" in printed
    assert printed.splitlines()[-1] == str(trained)


def test_a_dry_run_refuses_what_the_run_would(trained, capsys, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text((trained / "recipe.yaml").read_text())
    assert main(["train", str(recipe), "--dry-run", "seed=99"]) == 1
    assert "holds a run of another recipe (differing: seed)" in capsys.readouterr().err
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "evaluation.json").write_text("{}")
    assert main(["train", str(recipe), "--dry-run", f"run_dir={tmp_path / 'out'}"]) == 1
    assert "holds an evaluation, not a training run" in capsys.readouterr().err


def test_another_recipe_in_the_same_directory_is_refused_with_the_full_paths(
    trained, capsys, tmp_path
):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text((trained / "recipe.yaml").read_text())
    assert main(["train", str(recipe), "rollout.max_new_tokens=7", "seed=3"]) == 1
    assert "(differing: rollout.max_new_tokens, seed)" in capsys.readouterr().err


def test_training_into_the_directory_of_an_evaluation_is_refused(trained, capsys, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text((trained / "recipe.yaml").read_text())
    (trained / "settings.json").write_text("{}")
    assert main(["train", str(recipe)]) == 1
    assert "holds an evaluation, not a training run" in capsys.readouterr().err


def test_a_run_directory_that_is_a_file_is_one_sentence(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    for run_dir in (tmp_path / "file", tmp_path / "file" / "below"):
        assert main(["train", SHORT, f"run_dir={run_dir}"]) == 1
        printed = capsys.readouterr().err
        assert printed.startswith(f"error: run_dir {run_dir} cannot be used")
        assert "choose a directory that you can write to with run_dir=DIR" in printed


def test_a_run_directory_that_cannot_be_made_is_one_sentence(capsys):
    assert main(["train", SHORT, "run_dir=/proc/here"]) == 1
    assert "run_dir /proc/here cannot be used" in capsys.readouterr().err


def test_differences_are_named_by_their_full_path():
    old = {"a": {"b": 1, "c": 2}, "d": [{"e": 1}], "f": None, "g": [1], "h": 0}
    new = {"a": {"b": 1, "c": 3}, "d": [{"e": 2}], "f": {"x": 1}, "g": [1, 2], "h": 0}
    assert list(differing_keys(old, new)) == ["a.c", "d.0.e", "f", "g"]


def test_a_run_that_is_not_there_is_answered_with_those_that_are(tmp_path, capsys):
    (tmp_path / "math-1").mkdir()
    (tmp_path / "math-1" / "recipe.yaml").write_text("")
    assert main(["eval", str(tmp_path / "math-2")]) == 1
    assert f"there is no {tmp_path / 'math-2'}; in {tmp_path}: math-1" in capsys.readouterr().err

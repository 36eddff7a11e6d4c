"""Stored answers, judged again."""

import json
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from envs.arithmetic import Arithmetic
from envs.base import Task
from envs.registry import make_env
from rl.cli import main
from rl.metrics import sample_rows
from rl.recipe.config import Recipe
from rl.recipe.load import dump
from rl.recipe.sections import EnvSpec
from rl.types import Completion, Graded, Rollout, Span, Stop
from verifiers.verdict import broken, correct, wrong

OPTIONS = {"digits": 2}
ENV = Arithmetic(**OPTIONS)


def graded(
    response: str,
    verdict,
    task: Task,
    stop: Stop = Stop.FINISHED,
    env: str = "arithmetic",
    options: dict[str, Any] = OPTIONS,
) -> Graded:
    completion = Completion([1], [0.0], stop, (Span(0, 0, 1),))
    rollout = Rollout(env, task, [1], completion, response, options)
    return Graded(rollout, verdict, verdict.score)


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    spec = EnvSpec.model_validate({"name": "arithmetic", **OPTIONS})
    recipe = Recipe(model="embedded", envs=[spec])
    (tmp_path / "recipe.yaml").write_text(dump(recipe))
    task = Task("12+13=?", "25")
    honest = [
        graded("\\boxed{25}", correct("25", "math/0"), task),
        graded("\\boxed{24}", wrong("24", "not 25", "math/0"), task),
    ]
    write(tmp_path, "train", honest)
    write(
        tmp_path, "canary", [graded("\\boxed{1}", wrong("1", "", "math/0"), ENV.canary(Random(0)))]
    )
    return tmp_path


def write(run_dir: Path, split: str, group: list[Graded]) -> None:
    with (run_dir / "samples.jsonl").open("a") as file:
        for row in sample_rows(1, [group], split=split, training=None):
            file.write(json.dumps(row) + "\n")


def test_a_run_whose_verdicts_still_hold_has_exit_code_0(run_dir, capsys):
    assert main(["audit", str(run_dir)]) == 0
    assert "3 answers judged again: 0 verdicts changed" in capsys.readouterr().out
    assert (run_dir / "audit.jsonl").read_text() == ""


def test_every_verdict_that_changed_is_listed_with_what_it_was_and_is(run_dir, capsys):
    task = Task("10+10=?", "20")
    hacked = [
        graded("\\boxed{10+10}", correct("10+10", "math/0"), task),
        graded("\\boxed{20}", broken("KeyError", "pool/1"), task),
        graded("", broken("the engine", "engine"), task, Stop.FAILED),
    ]
    write(run_dir, "test", hacked)
    assert main(["audit", str(run_dir)]) == 1
    said = capsys.readouterr().out
    assert "test/1/0/0  correct -> wrong" in said
    assert "5 answers judged again, 1 left out (no answer was sampled): 2 verdicts changed" in said
    first, second = map(json.loads, (run_dir / "audit.jsonl").read_text().splitlines())
    assert (first["id"], first["then"]["outcome"]) == ("test/1/0/0", "correct")
    assert first["now"]["verifier"].startswith("math/")
    assert (second["then"]["outcome"], second["now"]["outcome"]) == ("broken", "correct")


def test_half_a_surrogate_pair_is_judged_again_and_listed(run_dir, capsys):
    half = "\ud800"
    task = Task("11+11=?", "22")
    group = [graded(f"{half} \\boxed{{22}}", wrong(half, half, half), task)]
    write(run_dir, "test", group)
    assert main(["audit", str(run_dir)]) == 1
    assert "wrong -> correct" in capsys.readouterr().out
    (change,) = map(json.loads, (run_dir / "audit.jsonl").read_text().splitlines())
    assert change["then"]["detail"] == half


def test_an_environment_that_no_longer_solves_a_stored_task_is_said(tmp_path, run_dir, capsys):
    other = Task("Twelve and thirteen?", "25")
    write(run_dir, "train", [graded("\\boxed{25}", correct("25", "math/0"), other)])
    assert main(["audit", str(run_dir)]) == 1
    assert "'arithmetic' no longer solves the stored task of" in capsys.readouterr().err


def test_what_cannot_be_audited_is_said(run_dir, tmp_path_factory, capsys):
    assert main(["audit", str(tmp_path_factory.mktemp("empty"))]) == 1
    assert "holds no recipe.yaml" in capsys.readouterr().err
    with (run_dir / "samples.jsonl").open("a") as file:
        file.write('{"stop": "finished"}\n')
    assert main(["audit", str(run_dir)]) == 1
    assert "samples.jsonl, line 4 is no sample" in capsys.readouterr().err


def test_a_sample_remembers_the_options_of_its_environment():
    one = graded("x", wrong("x", ""), Task("1+1=?", "2"))
    (row,) = sample_rows(1, [[replace(one, reward=0.0)]], split="train", training=None)
    assert row["options"] == OPTIONS


@pytest.mark.parametrize("name", ["algebra", "output_prediction", "stdin_programs"])
def test_canaries_of_every_kind_of_family_are_judged_again(name, tmp_path, capsys):
    """One that was paid for then, by a verifier with a hole, is not today, and is listed."""
    env = make_env(name, {})
    recipe = Recipe(model="embedded", envs=[EnvSpec.model_validate({"name": name})])
    (tmp_path / "recipe.yaml").write_text(dump(recipe))
    task, canary = env.task(Random(0)), env.canary(Random(1))
    assert canary is not None
    solution = env.solve(task)
    write(tmp_path, "train", [graded(solution, correct(""), task, env=name, options={})])
    tried = [
        graded(solution, verdict, canary, env=name, options={})
        for verdict in (env.verify(canary, solution), correct("", "a hole/0"))
    ]
    write(tmp_path, "canary", tried)
    assert main(["audit", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "3 answers judged again: 1 verdicts changed" in said
    assert "canary/1/0/1  correct -> wrong" in said

"""`assay scaling plan` with a real run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rl.children import processes_of
from rl.hardware import find_hardware
from rl.launch import run_directory
from rl.plan import make_plan
from rl.recipe.load import dump, load_recipe

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "tests/loop/short.yaml"
SHARED = [f"envs.0.name={ROOT / 'benchmarks/coin.py'}:Coin"]
DEADLINE_S = 600


def finished_run(steps: int, score: float) -> None:
    """What a run of so many steps leaves, as far as a plan reads it."""
    hardware = find_hardware()
    recipe = load_recipe(RECIPE, [*SHARED, f"steps={steps}"], profile=hardware.kind)
    recipe = make_plan(recipe, hardware).recipe
    run = run_directory(RECIPE, recipe)
    run.mkdir(parents=True)
    (run / "recipe.yaml").write_text(dump(recipe))
    end = {"avg_at_k": {"value": score, "low": score - 0.1, "high": score + 0.1}}
    end |= {"avg_by_env": {}, "pass_k": 1, "pass_at_k": end["avg_at_k"]}
    summary = {"before": end, "after": end, "samples": 1, "problems": 1}
    (run / "summary.json").write_text(json.dumps(summary))


@pytest.mark.slow
def test_a_plan_runs_what_is_missing_and_finds_it_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    finished_run(2, 0.4)
    finished_run(3, 0.5)
    rungs = [word for steps in (1, 2, 3) for word in ("--rung", f"steps={steps}")]
    command = [
        sys.executable, "-m", "rl", "scaling", "plan", str(RECIPE), *SHARED, *rungs,
        "--target", "steps=30",
    ]  # fmt: skip

    def planned() -> str:
        done = subprocess.run(
            command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, timeout=DEADLINE_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    first = planned()
    assert first.count("nothing was run now") == 2
    assert "small run 1 of 3: steps=1" in first
    runs = sorted((tmp_path / "runs").iterdir())
    assert [(run / "summary.json").exists() for run in runs].count(True) == 3
    assert not any(processes_of(run) for run in runs)
    [file] = tmp_path.glob("runs/*/plan.json")
    stored = json.loads(file.read_text())
    assert [rung["answers"] for rung in stored["rungs"]] == [16, 32, 48]
    assert [rung["after"]["value"] for rung in stored["rungs"][1:]] == [0.4, 0.5]
    assert 0 <= stored["prediction"]["low"] <= stored["prediction"]["high"] <= 1
    assert planned().count("nothing was run now") == 3

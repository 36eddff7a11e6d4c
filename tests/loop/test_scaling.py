"""`assay scaling plan` with real runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rl.children import processes_of

ROOT = Path(__file__).parents[2]
DEADLINE_S = 600


@pytest.mark.slow
def test_a_plan_runs_what_is_missing_and_finds_it_the_next_time(tmp_path: Path) -> None:
    rungs = [word for steps in (1, 2, 3) for word in ("--rung", f"steps={steps}")]
    command = [
        sys.executable, "-m", "rl", "scaling", "plan", str(ROOT / "tests/loop/short.yaml"),
        f"envs.0.name={ROOT / 'benchmarks/coin.py'}:Coin", *rungs, "--target", "steps=30",
    ]  # fmt: skip

    def planned() -> str:
        done = subprocess.run(
            command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, timeout=DEADLINE_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    first = planned()
    runs = sorted((tmp_path / "runs").iterdir())
    assert [(run / "summary.json").exists() for run in runs].count(True) == 3
    assert not any(processes_of(run) for run in runs)
    (stored,) = (json.loads((run / "plan.json").read_text()) for run in runs
                 if (run / "plan.json").exists())  # fmt: skip
    assert [rung["answers"] for rung in stored["rungs"]] == [16, 32, 48]
    assert 0 <= stored["prediction"]["low"] <= stored["prediction"]["high"] <= 1
    assert "small run 3 of 3: steps=3" in first
    assert planned().count("nothing was run now") == 3

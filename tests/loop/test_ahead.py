"""Running ahead of the learner, on a real server, learner and verifier pool."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rl.children import memory_directory
from rl.recipe.config import Recipe
from rl.recipe.load import dump
from rl.record import RunDirectory
from tests.loop.conftest import Server
from tests.loop.runs import rows

pytestmark = pytest.mark.slow

STEPS, ANSWERS = 6, 16
DEADLINE_S = 240


def run(mode: str, server: Server, run_dir: Path, **more: Any) -> None:
    """A run of the tiny policy on the shared server, which has the first weights again after."""
    recipe = Recipe.model_validate(
        {
            "model": server.recipe.model,
            "envs": [{"name": "benchmarks/coin.py:Coin", "digits": 2}],
            "steps": STEPS,
            "groups_per_step": 4,
            "group_size": 4,
            "rollout": {"max_new_tokens": 160},
            "engine": {"dtype": "float32"},
            "learner": {"dtype": "float32", "lr": 1e-4, "threads": 1},
            "evaluation": {"problems": 8, "samples": 1},
            "trackers": [],
            "alarms": {"canary_fraction": 0, "recheck_fraction": 0},
            **more,
        }
    )
    (run_dir / "logs").mkdir(parents=True)
    memory = memory_directory(run_dir)
    memory.mkdir(mode=0o700)
    try:
        RunDirectory(run_dir).write_text("recipe.yaml", dump(recipe))
        subprocess.run(
            [sys.executable, "-m", "tests.loop.plain", mode, str(run_dir), server.url],
            env={**os.environ, "ASSAY_API_KEY": server.api_key},
            timeout=DEADLINE_S,
            check=True,
        )
    finally:
        memory.rmdir()


@pytest.fixture(scope="module")
def synchronous(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = tmp_path_factory.mktemp("synchronous") / "run"
    run("train", server, run_dir)
    return run_dir


def test_without_staleness_the_loop_gives_the_numbers_of_a_plain_one_bit_for_bit(
    server: Server, synchronous: Path, tmp_path: Path
) -> None:
    run("plain", server, tmp_path / "run")
    plain = rows(tmp_path / "run")
    assert plain == [{key: row[key] for key in plain[0]} for row in rows(synchronous)]
    assert [row["staleness_max"] for row in plain] == [0] * STEPS
    assert sum(row["n_trained_tokens"] for row in plain) > 1000


def test_answers_go_on_through_updates_and_all_of_them_are_learned_from(
    server: Server, synchronous: Path, tmp_path: Path
) -> None:
    run("train", server, tmp_path / "run", max_staleness=2)
    steps, samples = rows(tmp_path / "run"), rows(tmp_path / "run", "samples.jsonl")
    trained = [sample for sample in samples if sample["split"] == "train"]
    assert len(trained) == STEPS * ANSWERS
    spans = [[tuple(span) for span in sample["versions"]] for sample in trained]
    assert max(map(len, spans)) > 1, "no update came while an answer was under way"
    for sample, each in zip(trained, spans, strict=True):
        assert each[0][0] >= sample["step"] - 1 - 2, "sampled from weights that are too old"
        assert each[-1][0] <= sample["step"] - 1
    assert max(row["staleness_max"] for row in steps) == 2
    assert all(0 < row["mismatch_kl"] < 0.05 for row in steps if row["staleness_max"])

    def tasks(found: list[dict[str, Any]]) -> list[Any]:
        return [(row["step"], row["task"]) for row in found if row["split"] == "train"]

    assert tasks(trained) == tasks(rows(synchronous, "samples.jsonl")), "the same tasks, in order"

"""Evaluations as logs of Inspect: what is in them, and that Inspect's own reader takes them."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rl.evaluation.inspect_log import FOLDER, Times, write_inspect_log
from rl.evaluation.scores import Answer, scores_json
from verifiers.verdict import Outcome, broken, correct, wrong

SETTINGS = {
    "checkpoint": "runs/a/checkpoints/step-000050",
    "identity": "0f" * 32,
    "step": 50,
    "variant": None,
    "parameters": 123_456,
    "envs": [{"name": "arithmetic", "digits": 2}],
    "sampling": {
        "samples": 2,
        "temperature": 1.0,
        "top_p": 1.0,
        "max_new_tokens": 48,
        "chunks": None,
        "seed": 0,
    },
    "versions": {"python": "3.11"},
}
HOSTILE = "</script><script>alert(1)</script> \ud800 \x00"


def row(problem: str, sample: int, verdict: Any, **more: Any) -> dict[str, Any]:
    return {
        "step": 50,
        "split": "test",
        "id": f"{problem}/{sample}",
        "task": problem[:16],
        "problem": problem,
        "family": None,
        "sample": sample,
        "env": "arithmetic",
        "options": {"digits": 2},
        "prompt": "17+25=?",
        "truth": "42",
        "response": "\\boxed{42}",
        "stop": "finished",
        "prompt_tokens": 7,
        "response_tokens": 9,
        "verdict": verdict.to_json(),
        **more,
    }


ROWS = [
    row("a" * 64, 0, correct("42", "math/1")),
    row("a" * 64, 1, wrong("41", "it is 42", "math/1"), stop="length"),
    row("b" * 64, 0, broken("it raised", "math/1"), truth={"tests": ["x" * 9000]}),
    row(
        "b" * 64,
        1,
        correct("42", "math/1"),
        prompt=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "?"}],
        response=HOSTILE,
    ),
]


ANSWERS = [
    Answer(
        env=r["env"],
        problem=r["problem"],
        family=None,
        outcome=Outcome(r["verdict"]["outcome"]),
        score=r["verdict"]["score"],
        answer=r["verdict"]["answer"],
        tokens=9,
        truncated=r["stop"] == "length",
    )
    for r in ROWS
]
SCORES = json.loads(json.dumps(scores_json(ANSWERS)))
TIMES = Times(
    datetime(2026, 11, 22, 8, 30, tzinfo=UTC), datetime(2026, 11, 22, 8, 41, 30, tzinfo=UTC)
)


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    return write_inspect_log(tmp_path, SETTINGS, ROWS, SCORES, TIMES)


def test_a_sample_is_a_problem_and_an_epoch_an_answer(log_file: Path) -> None:
    log = json.loads(log_file.read_text())
    assert [(s["id"][-16:], s["epoch"]) for s in log["samples"]] == [
        ("a" * 16, 1), ("a" * 16, 2), ("b" * 16, 1), ("b" * 16, 2),
    ]  # fmt: skip
    assert log["samples"][0]["scores"]["assay"]["value"] == 1.0
    assert log["samples"][1]["output"]["choices"][0]["stop_reason"] == "max_tokens"
    assert log["samples"][2]["scores"] == {}  # broken
    assert len(log["samples"][2]["target"]) == 2000
    assert log["eval"]["dataset"]["samples"] == 2


def test_every_figure_has_its_interval_in_the_log(log_file: Path) -> None:
    metrics = json.loads(log_file.read_text())["results"]["scores"][0]["metrics"]
    assert metrics["avg@2"]["value"] == pytest.approx(0.75)
    for name in ("avg@2", "pass@1", "pass^2", "majority@2", "mean_tokens"):
        low, high = metrics[f"{name} low"]["value"], metrics[f"{name} high"]["value"]
        assert low <= metrics[name]["value"] <= high


def test_an_evaluation_takes_from_its_beginning_to_its_last_answer(log_file: Path) -> None:
    stats = json.loads(log_file.read_text())["stats"]
    assert stats["started_at"] == "2026-11-22T08:30:00+00:00"
    assert stats["completed_at"] == "2026-11-22T08:41:30+00:00"


def test_a_second_log_takes_the_place_of_the_first(log_file: Path) -> None:
    log = json.loads(log_file.read_text())
    assert log["eval"]["created"] == "2026-11-22T08:30:00+00:00"
    served = {**SETTINGS, "identity": "../../Org/Model\x00"}  # as a server calls its model
    again = write_inspect_log(log_file.parent.parent, served, ROWS, SCORES, TIMES)
    assert list(again.parent.iterdir()) == [again]
    assert again.parent.name == FOLDER


def test_inspect_reads_what_is_written(log_file: Path) -> None:
    reader = pytest.importorskip("inspect_ai.log", reason="inspect-ai is not installed")
    [listed] = reader.list_eval_logs(str(log_file.parent))
    log = reader.read_eval_log(listed)
    assert log.status == "success"
    assert log.results.scores[0].metrics["avg@2"].value == pytest.approx(0.75)
    assert [sample.epoch for sample in log.samples] == [1, 2, 1, 2]
    assert log.samples[0].output.completion == "\\boxed{42}"
    assert log.samples[0].scores["assay"].as_float() == 1.0
    assert log.samples[3].input[0].text == "Be brief."
    assert "<script>alert(1)</script>" in log.samples[3].output.completion
    summaries = reader.read_eval_log_sample_summaries(listed)
    assert [summary.scores["assay"].value for summary in summaries if summary.scores] == [1, 0, 1]

"""A policy with experts: the learner on real ranks, and a run with a real rollout server."""

import json

import pytest

from rl.routes import Experts, read_experts
from tests.loop.rank import run_ranks
from tests.loop.runs import rows, train
from tests.tiny import tiny_experts

pytestmark = pytest.mark.slow

TOKENS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3]
STEPS = [
    ["update", 1, 16],  # names no experts
    ["routed", 1, 16],
    ["routed", 2, 0],
    ["routed", 3, 1],
    ["weights"],
    ["logprobs", TOKENS],
]
EXPERTS = "embedded={layers: 2, hidden: 64, heads: 2, kv_heads: 2, intermediate: 64, experts: 4, max_tokens: 256}"  # noqa: E501


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_experts(tmp_path_factory.mktemp("policy"))


@pytest.fixture(scope="module")
def reference(model):
    """One rank, ZeRO-0, everything in one pass."""
    return run_ranks(model, STEPS, micro_batch_tokens=100_000)


@pytest.mark.parametrize("zero_stage", [2, 3])
def test_any_split_of_replayed_answers_is_the_same_update(zero_stage, model, reference):
    found = run_ranks(model, STEPS, ranks=2, zero_stage=zero_stage, micro_batch_tokens=130)
    for got, want in zip(found[1:4], reference[1:4], strict=True):
        assert got["loss"] == pytest.approx(want["loss"], abs=1e-5)
        assert got["grad_norm"] == pytest.approx(want["grad_norm"], abs=1e-5)
        assert got["logprob_diff_max"] == pytest.approx(want["logprob_diff_max"], abs=1e-4)
    assert found[1]["n_micro_batches"] > 1
    assert found[4] == pytest.approx(reference[4], rel=1e-4)
    assert "model.layers.0.mlp.experts.3.gate_proj.weight" in found[4]
    assert found[5] == pytest.approx(reference[5], abs=1e-3)


def test_the_experts_that_were_chosen_decide_the_update(model, reference):
    (own,) = run_ranks(model, [["update", 1, 16]], moe={"routing": "learner"})
    assert own["loss"] != pytest.approx(reference[1]["loss"], abs=1e-3)


def test_answers_that_name_no_experts_are_refused_with_the_key_that_overrides(reference):
    refused = reference[0]
    assert refused["error"] == "LearnerError"
    assert "set moe.routing=learner" in refused["message"]


def test_a_run_replays_what_its_server_chose_and_both_agree(tmp_path):
    done = train(tmp_path, EXPERTS, "steps=3", "engine.max_num_seqs=64")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "2 of 4 per token and layer" in done.stdout
    metrics = rows(tmp_path)
    assert [row["step"] for row in metrics] == [1, 2, 3]
    for row in metrics:
        assert row["grad_norm"] > 1e-3
        # both compute in float32, so what is left is rounding, where no other expert was taken
        assert row["logprob_diff_max"] < 1e-4
        assert row["weights_logprob_diff"] < 1e-5
    checkpoint = json.loads((tmp_path / "summary.json").read_text())["checkpoint"]
    assert read_experts(checkpoint) == Experts(2, 4, 2, "qwen3_moe")
    assert "routes" not in (tmp_path / "samples.jsonl").read_text()

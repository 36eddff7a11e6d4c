"""The learner in real processes, against plain transformers and against itself split otherwise."""

import math
from itertools import pairwise

import pytest
import torch

from rl.algorithm.loss import clip
from rl.learner.optimization import learning_rate
from tests.loop.rank import run_ranks
from tests.tiny import learner_recipe, random_batch, tiny_model

pytestmark = pytest.mark.slow

TEMPERATURE = 0.7
TOKENS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3]
STEPS = [
    ["logprobs", TOKENS],
    ["update", 1, 16],
    ["update", 2, 1],  # fewer sequences than ranks
    ["update", 3, 0],  # no group carried signal
    ["update", 4, 16],
    ["weights"],
    ["logprobs", TOKENS],
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("policy"))


@pytest.fixture(scope="module")
def reference(model):
    """One rank, ZeRO-0, everything in one pass."""
    return run_ranks(model, STEPS, temperature=TEMPERATURE, micro_batch_tokens=100_000)


def plain_logprobs(model, tokens, temperature=1.0):
    """[len(tokens) - 1] by transformers itself, one sequence alone."""
    logits = model(input_ids=torch.tensor([tokens])).logits[0, :-1] / temperature
    return logits.log_softmax(-1).gather(1, torch.tensor(tokens[1:])[:, None])[:, 0]


@pytest.fixture
def plain(model):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(model, attn_implementation="eager")


def test_log_probabilities_equal_a_plain_transformers_forward(reference, plain):
    with torch.no_grad():
        expected = plain_logprobs(plain, TOKENS)
    torch.testing.assert_close(torch.tensor(reference[0]), expected, rtol=0, atol=1e-5)


def test_loss_and_gradient_equal_plain_transformers_one_sequence_at_a_time(reference, plain):
    batch = random_batch(1, 16)
    starts = [*(batch.positions == 0).nonzero().squeeze(1).tolist(), len(batch.tokens)]
    total = torch.zeros(())
    for begin, end in pairwise(starts):
        logprobs = plain_logprobs(plain, batch.tokens[begin:end].tolist(), TEMPERATURE)
        later = slice(begin + 1, end)
        tokens = (
            logprobs,
            batch.rollout_logprobs[later],
            batch.advantages[later],
            batch.loss_mask[later],
        )
        total = total + clip(*tokens, clip_low=0.2, clip_high=0.28).loss.sum() / batch.n_tokens
    total.backward()
    squares = sum(w.grad.double().square().sum() for w in plain.parameters())
    assert reference[1]["loss"] == pytest.approx(total.item(), abs=1e-5)
    assert reference[1]["grad_norm"] == pytest.approx(math.sqrt(squares), rel=1e-4)
    assert reference[1]["masked_fraction"] == 0
    assert reference[1]["n_tokens"] == batch.n_tokens
    assert reference[1]["n_trained_tokens"] == int(batch.loss_mask.sum())


@pytest.mark.parametrize(
    ("zero_stage", "ranks", "micro_batch_tokens"),
    [(3, 2, 130), (2, 2, 130), (1, 2, 100_000), (0, 2, 130), (0, 1, 50)],
)
def test_any_split_over_ranks_and_passes_is_the_same_update(
    zero_stage, ranks, micro_batch_tokens, model, reference
):
    found = run_ranks(
        model,
        STEPS,
        ranks=ranks,
        temperature=TEMPERATURE,
        zero_stage=zero_stage,
        micro_batch_tokens=micro_batch_tokens,
    )
    for got, want in zip(found[1:5], reference[1:5], strict=True):
        assert got["loss"] == pytest.approx(want["loss"], abs=1e-5)
        assert got["grad_norm"] == pytest.approx(want["grad_norm"], abs=1e-5)
        # a ratio within rounding of the clip bound may count on either side
        assert got["clip_fraction"] == pytest.approx(want["clip_fraction"], abs=0.01)
        for key in (
            "mismatch_kl",
            "logprob_diff_mean",
            "logprob_diff_max",
            "ratio_max",
            "prob_diff_max",
        ):
            assert got[key] == pytest.approx(want[key], rel=1e-3, abs=1e-5)
        for key in ("version", "lr", "n_tokens", "n_trained_tokens"):
            assert got[key] == want[key]
    if micro_batch_tokens < 1000:
        assert found[1]["n_micro_batches"] > 1
    assert found[5] == pytest.approx(reference[5], rel=1e-4)
    assert found[6] == pytest.approx(reference[6], abs=1e-3)


@pytest.mark.parametrize("in_chunks", [False, True])
def test_ratios_of_answers_and_what_is_left_out_survive_any_split(model, in_chunks):
    # far wider a clip than GSPO's own, since the batch is far off: some answers must stay inside
    algorithm = {"preset": "gspo", "clip_low": 0.2, "clip_high": 0.28, "sequence_band": [0.8, 1.6]}
    steps = [["update", 1, 16, 1.0, "sequence", in_chunks], ["logprobs", TOKENS]]
    whole = run_ranks(model, steps, algorithm=algorithm, micro_batch_tokens=100_000)
    split = run_ranks(
        model, steps, ranks=2, algorithm=algorithm, zero_stage=2, micro_batch_tokens=130
    )
    (want, want_logprobs), (got, got_logprobs) = whole, split
    assert 0.05 < want["masked_fraction"] < 0.95
    assert want["grad_norm"] > 0.01
    assert got["n_micro_batches"] > 1
    for key in ("loss", "grad_norm", "clip_fraction", "masked_fraction"):
        assert got[key] == pytest.approx(want[key], abs=1e-5), key
    assert got_logprobs == pytest.approx(want_logprobs, abs=1e-3)


def test_a_step_without_signal_has_gradient_zero_and_counts(reference):
    empty = reference[3]
    assert (empty["loss"], empty["grad_norm"], empty["n_trained_tokens"]) == (0, 0, 0)
    assert (empty["version"], empty["n_tokens"]) == (3, 7)


@pytest.mark.parametrize(
    "settings",
    [{"zero_stage": 0}, {"zero_stage": 2, "dtype": "bfloat16"}],
)
def test_learning_rate_zero_changes_no_bit(model, settings):
    steps = [["digest"], ["update", 1, 16], ["update", 2, 16], ["digest"]]
    before, first, _, after = run_ranks(model, steps, lr=0.0, weight_decay=0.1, **settings)
    assert first["grad_norm"] > 0.01
    assert after == before


@pytest.mark.parametrize("zero_stage", [0, 2])
def test_the_gradient_is_clipped_and_its_norm_told_before_clipping(model, reference, zero_stage):
    tight = run_ranks(
        model, STEPS, temperature=TEMPERATURE, zero_stage=zero_stage, max_grad_norm=1e-12
    )
    assert tight[1]["grad_norm"] == pytest.approx(reference[1]["grad_norm"], rel=1e-5)
    # Adam divides by its own root mean square: clipped far below its epsilon nothing moves.
    assert tight[6] == pytest.approx(tight[0], abs=1e-4)
    assert reference[6] != pytest.approx(reference[0], abs=1e-1)


def test_activation_checkpointing_changes_nothing_but_memory(model, reference):
    found = run_ranks(
        model, STEPS, temperature=TEMPERATURE, activation_checkpointing=True, zero_stage=2
    )
    assert [u["loss"] for u in found[1:5]] == pytest.approx([u["loss"] for u in reference[1:5]])
    assert found[1]["grad_norm"] == pytest.approx(reference[1]["grad_norm"], rel=1e-5)


def test_bfloat16_is_near_float32(model, reference):
    found = run_ranks(model, STEPS, temperature=TEMPERATURE, dtype="bfloat16", zero_stage=0)
    assert found[1]["loss"] == pytest.approx(reference[1]["loss"], abs=5e-3)
    assert found[1]["grad_norm"] == pytest.approx(reference[1]["grad_norm"], rel=0.05)
    assert found[6] == pytest.approx(reference[6], abs=0.2)


@pytest.mark.parametrize(("follower", "deadline_s"), [("die", 120), ("sleep", 15), ("stall", 15)])
def test_a_lost_rank_is_an_error_that_says_so_and_not_a_hang(model, follower, deadline_s):
    (found,) = run_ranks(
        model,
        [["update", 1, 16]],
        ranks=2,
        follower=follower,
        zero_stage=2,
        collective_deadline_s=deadline_s,
    )
    assert found["error"] == "RanksError"
    assert "learner rank 0 of 2 lost the others at: " in found["message"]
    assert "update" in found["message"]
    assert "learner.collective_deadline_s" in found["message"]


def test_a_loss_that_is_not_finite_is_an_error_and_leaves_the_weights_as_they_were(model):
    steps = [["update", 1, 16], ["digest"], ["update", 2, 16, 1e39], ["digest"]]
    _, before, failed, after = run_ranks(model, steps)
    assert failed["error"] == "LearnerError"
    assert "learner.lr=0.001 is likely too high" in failed["message"]
    assert after == before


@pytest.mark.parametrize(
    ("step", "expected"), [(1, 0.25), (2, 0.5), (4, 1.0), (5, 1.0), (1000, 1.0)]
)
def test_warm_up_is_a_line_to_the_peak(step, expected):
    assert learning_rate(step, peak=2.0, warmup_steps=4) == 2.0 * expected


def test_without_warm_up_the_first_step_has_the_peak():
    assert learning_rate(1, peak=2.0, warmup_steps=0) == 2.0


def test_a_recipe_for_the_tests_is_a_recipe():
    assert learner_recipe(zero_stage=3).learner.zero_stage == 3

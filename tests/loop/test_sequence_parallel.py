"""Ranks that share the tokens of every pass, against one rank that has them all."""

import pytest

from tests.loop.rank import run_ranks
from tests.tiny import tiny_model

pytestmark = pytest.mark.slow

TOKENS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3]
FIGURES = ("loss", "grad_norm", "mismatch_kl", "logprob_diff_mean", "logprob_diff_max", "ratio_max")
STEPS = [
    ["update", 1, 16],
    ["weights"],
    ["update", 2, 1],  # one sequence, and an odd number of tokens
    ["update", 3, 0],  # no group carried signal
    ["logprobs", TOKENS],
]
# Far wider a clip than GSPO's own, since the batch is far off: some answers must stay inside.
WHOLE_ANSWERS = {
    "preset": "gspo", "clip_low": 0.2, "clip_high": 0.28, "sequence_band": [0.8, 1.6]
}  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("policy"))


@pytest.fixture(scope="module")
def alone(model):
    """One rank, ZeRO-0, everything in one pass."""
    return run_ranks(model, STEPS, micro_batch_tokens=100_000)


def test_tokens_shared_by_two_ranks_give_the_same_loss_gradient_and_weights(model, alone):
    found = run_ranks(
        model, STEPS, ranks=2, sequence_parallel=2, zero_stage=3, micro_batch_tokens=65
    )
    assert found[0]["n_micro_batches"] == 4, "410 tokens, two times 65 in each pass"
    for key in FIGURES:
        assert found[0][key] == pytest.approx(alone[0][key], rel=1e-6), key
    for key in ("clip_fraction", "masked_fraction", "n_tokens", "n_trained_tokens"):
        assert found[0][key] == alone[0][key]
    assert found[1] == pytest.approx(alone[1], rel=1e-6)
    # Adam divides by the gradient's size: what rounding left there moves the weights after it
    assert found[2]["loss"] == pytest.approx(alone[2]["loss"], rel=1e-4)
    assert (found[3]["loss"], found[3]["grad_norm"]) == (0, 0)
    assert found[4] == pytest.approx(alone[4], abs=1e-4)


@pytest.mark.parametrize(
    "settings",
    [
        {"zero_stage": 0, "activation_checkpointing": True, "logits_mib": 1},
        {"zero_stage": 1, "ranks": 4},  # two groups of two
    ],
)
def test_so_do_they_under_other_stages_and_in_several_groups(model, alone, settings):
    given = {"ranks": 2, "sequence_parallel": 2, "micro_batch_tokens": 65, **settings}
    update, weights = run_ranks(model, STEPS[:2], **given)
    for key in FIGURES:
        assert update[key] == pytest.approx(alone[0][key], rel=1e-6), key
    assert weights == pytest.approx(alone[1], rel=1e-6)


def test_ratios_of_answers_are_of_all_their_tokens_whichever_rank_has_them(model):
    steps = [["update", 1, 16, 1.0, "sequence"], ["weights"]]
    want, weights = run_ranks(model, steps, algorithm=WHOLE_ANSWERS, micro_batch_tokens=100_000)
    got, shared = run_ranks(
        model,
        steps,
        algorithm=WHOLE_ANSWERS,
        ranks=2,
        sequence_parallel=2,
        zero_stage=2,
        micro_batch_tokens=65,
    )
    assert 0.05 < want["masked_fraction"] < 0.95
    for key in (*FIGURES, "clip_fraction", "masked_fraction"):
        assert got[key] == pytest.approx(want[key], rel=1e-6, abs=1e-9), key
    assert shared == pytest.approx(weights, rel=1e-6)


def test_bfloat16_tokens_can_be_shared(model, alone):
    (update,) = run_ranks(
        model, STEPS[:1], ranks=2, sequence_parallel=2, zero_stage=2, dtype="bfloat16"
    )
    assert update["loss"] == pytest.approx(alone[0]["loss"], abs=5e-3)
    assert update["grad_norm"] == pytest.approx(alone[0]["grad_norm"], rel=0.05)


def test_heads_that_cannot_be_shared_out_are_refused_before_anything_is_loaded(model):
    from rl.errors import UserError
    from rl.learner.learner import Learner
    from tests.tiny import learner_recipe

    recipe = learner_recipe(ranks=4, sequence_parallel=4).model_copy(update={"model": str(model)})
    with pytest.raises(UserError, match=r"\(4\) must divide the query heads \(4\) and the key and"):
        Learner(str(model), recipe)

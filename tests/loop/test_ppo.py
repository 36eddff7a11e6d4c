"""PPO's critic in real processes: what it learns, against itself split otherwise, and resumed."""

import pytest

from tests.loop.rank import run_ranks
from tests.tiny import tiny_model

pytestmark = pytest.mark.slow

OWN = {"pretraining_steps": 1, "lr": 1e-3, "updates": 2, "value_clip": 0.02}
SHARED = {"trunk": "shared", "coef": 0.1, "pretraining_steps": 1, "lr": 1e-3}
# A target far below, so that the coefficient falls with every update of the policy.
ENTROPY = {
    "preset": "ppo", "entropy_coef": 0.02, "entropy_target": 1.0, "entropy_coef_step": 0.005
}  # fmt: skip
ONE = {"micro_batch_tokens": 100_000}
TWO = {"micro_batch_tokens": 130, "ranks": 2}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("policy"))


def steps(directory):
    """One of the critic alone, two of both; saved, two more, and these once more from there."""
    target = str(directory / "run")
    later = [["update", 3, 16], ["update", 4, 1], ["digest"]]
    return [
        ["digest"],
        ["update", 1, 16],
        ["digest"],
        ["update", 1, 16],
        ["update", 2, 16],
        ["save", target],
        *later,
        ["load", f"{target}/step-000003"],
        *later,
    ]


@pytest.fixture(scope="module")
def own(model, tmp_path_factory):
    given = {"critic": OWN, "algorithm": ENTROPY}
    return run_ranks(model, steps(tmp_path_factory.mktemp("own")), **given, **ONE)


@pytest.fixture(scope="module")
def shared(model, tmp_path_factory):
    given = {"critic": SHARED, "algorithm": ENTROPY}
    return run_ranks(model, steps(tmp_path_factory.mktemp("shared")), **given, **ONE)


@pytest.mark.parametrize("trunk", ["own", "shared"])
def test_in_pretraining_only_the_critic_learns(trunk, request):
    before, first, after, second, *_ = request.getfixturevalue(trunk)
    assert after == before, "no bit of the policy"
    assert (first["lr"], second["lr"]) == (0, 1e-3)
    assert (first["critic"]["policy_frozen"], second["critic"]["policy_frozen"]) == (True, False)
    assert first["critic"]["value_mean"] == 0, "the head begins at zero"
    assert second["critic"]["loss"] < first["critic"]["loss"], "on the same answers"
    assert second["critic"]["value_mean"] > 0
    assert second["grad_norm"] > first["grad_norm"]
    assert first["mismatch_kl"] == pytest.approx(second["mismatch_kl"], rel=1e-5), "it is watched"


@pytest.mark.parametrize("trunk", ["own", "shared"])
def test_what_entropy_earns_is_not_adapted_before_the_policy_learns(trunk, request):
    found = request.getfixturevalue(trunk)
    coefs = [found[i]["optional"]["entropy_coef"] for i in (1, 3, 4, 6)]
    assert coefs == pytest.approx([0.02, 0.02, 0.015, 0.01])


def test_a_trunk_of_its_own_is_held_back_by_the_clip_and_a_shared_one_never_moves_twice(
    own, shared
):
    assert 0 < own[1]["critic"]["clip_fraction"] < 1
    assert {shared[i]["critic"]["clip_fraction"] for i in (1, 3, 4)} == {0}


@pytest.mark.parametrize("trunk", ["own", "shared"])
def test_from_a_checkpoint_it_goes_on_bit_for_bit(trunk, request):
    found = request.getfixturevalue(trunk)
    assert found[9] == [3]
    assert found[10:] == found[6:9]  # every figure of policy and critic, every weight
    assert found[6]["critic"]["explained_variance"] != found[4]["critic"]["explained_variance"]


@pytest.mark.parametrize(
    ("trunk", "critic", "zero_stage"), [("own", OWN, 3), ("shared", SHARED, 2)]
)
def test_any_split_over_ranks_and_passes_is_the_same_update(
    trunk, critic, zero_stage, model, tmp_path, request
):
    whole = request.getfixturevalue(trunk)
    given = {"critic": critic, "algorithm": ENTROPY, "zero_stage": zero_stage}
    split = run_ranks(model, steps(tmp_path), **given, **TWO)
    assert split[2] == split[0] == whole[0]
    assert split[1]["n_micro_batches"] > 1
    for at in (1, 3, 4):
        got, want = split[at], whole[at]
        for key in ("loss", "grad_norm", "clip_fraction"):
            assert got[key] == pytest.approx(want[key], rel=1e-4, abs=1e-5), key
        for key, value in want["critic"].items():
            # a value within rounding of the clip may count on either side
            near = 0.01 if key == "clip_fraction" else 1e-5
            assert got["critic"][key] == pytest.approx(value, rel=1e-4, abs=near), key
    assert split[9] == [3]
    assert split[10:] == split[6:9], "from a checkpoint bit for bit"


def test_the_explained_variance_rises_and_the_saved_model_has_no_value_head(model, tmp_path):
    repeated = [["update", 1, 16]] * 12
    critic = {"pretraining_steps": 11, "lr": 3e-3, "updates": 2}
    *updates, saved = run_ranks(
        model, [*repeated, ["save", str(tmp_path / "run")]], critic=critic, **ONE
    )
    known = [update["critic"]["explained_variance"] for update in updates]
    assert known[0] == 0
    assert known[-1] > 0.9
    assert updates[-1]["critic"]["loss"] < 0.1 * updates[0]["critic"]["loss"]

    from safetensors import safe_open

    def names(directory):
        with safe_open(f"{directory}/model.safetensors", "pt") as file:
            return set(file.keys())

    assert names(saved) == names(model)


def test_a_critic_that_diverges_is_an_error_that_names_its_learning_rate(model):
    steps = [["digest"], ["update", 1, 16], ["digest"]]
    critic = {**OWN, "lr": 1e30, "value_clip": None}
    before, failed, after = run_ranks(model, steps, critic=critic, **ONE)
    assert failed["error"] == "CriticError"
    assert "update 1: its loss is " in failed["message"]
    assert "critic.lr=1e+30 is likely too high" in failed["message"]
    assert after == before

"""Reference, teacher and entropy in real learner processes: split otherwise, and resumed."""

import pytest

from tests.loop.rank import run_ranks
from tests.tiny import tiny_model
from tests.unit.test_frozen import another_model

pytestmark = pytest.mark.slow

# All parts at once, with large coefficients, so that each of them decides where the policy goes.
ALGORITHM = {
    "kl_coef": 0.5,
    "kl_estimator": "unbiased",
    "entropy_coef": 0.2,
    "entropy_target": 5.0,
    "entropy_coef_step": 0.05,
}
STEPS = [["update", seed, 16] for seed in (1, 2, 3)]
LAST = [["update", 4, 16], ["digest"]]
OPTIONAL = {"reference_kl", "teacher_kl", "entropy_coef"}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("policy"))


@pytest.fixture(scope="module")
def settings(model, tmp_path_factory):
    teacher = another_model(model, tmp_path_factory.mktemp("teacher"))
    sections = {"reference": {"every": 2}, "teacher": {"model": str(teacher), "coef": 0.3}}
    return {"temperature": 0.7, "algorithm": ALGORITHM, "sections": sections, "lr": 3e-3}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    return tmp_path_factory.mktemp("checkpoints")


@pytest.fixture(scope="module")
def whole(model, settings, checkpoints):
    """One rank, everything in one pass; saved one update after the reference was reset."""
    steps = [*STEPS, ["save", str(checkpoints)], *LAST]
    return run_ranks(model, steps, micro_batch_tokens=100_000, **settings)


def test_the_figures_of_the_optional_parts(whole):
    updates = [*whole[:3], whole[4]]
    assert all(set(update["optional"]) == OPTIONAL for update in updates)
    distance = [update["optional"]["reference_kl"] for update in updates]
    # Of the policy before the update: 0 where it is the reference, at first and after update 2.
    assert distance[0] == distance[2] == 0
    assert min(distance[1], distance[3]) > 1e-4
    coefs = [update["optional"]["entropy_coef"] for update in updates]
    assert coefs == pytest.approx([0.2, 0.15, 0.1, 0.05]), "entropy above its target"
    assert all(5 < update["entropy"] < 7.1 for update in updates)


def test_ranks_with_split_weights_and_small_passes_make_the_same_updates(model, settings, whole):
    found = run_ranks(
        model, [*STEPS, *LAST], ranks=2, zero_stage=3, micro_batch_tokens=130, **settings
    )
    for got, want in zip(found[:4], [*whole[:3], whole[4]], strict=True):
        assert got["n_micro_batches"] > 1
        for key in ("loss", "grad_norm", "entropy"):
            assert got[key] == pytest.approx(want[key], rel=1e-4, abs=1e-5), key
        assert got["optional"] == pytest.approx(want["optional"], rel=1e-3, abs=1e-6)


def test_a_resumed_run_goes_on_bit_for_bit(model, settings, whole):
    _, *resumed = run_ranks(
        model, [["load", whole[3]], *LAST], micro_batch_tokens=100_000, **settings
    )
    assert resumed == whole[4:]

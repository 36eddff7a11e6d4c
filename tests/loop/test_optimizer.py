"""AdamW with less memory: moments of 8 bits, and state or weights that wait in the CPU's memory."""

import pytest

from tests.loop.rank import run_ranks
from tests.tiny import tiny_model

pytestmark = pytest.mark.slow

TOKENS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3]
THEN = [["update", 2, 16], ["update", 3, 16], ["logprobs", TOKENS], ["digest"]]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("policy"))


@pytest.fixture(scope="module")
def reference(model):
    return run_ranks(model, [["logprobs", TOKENS], ["update", 1, 16], *THEN])


def updates_and_resumed(model, tmp_path, **settings):
    """What the steps gave without an interruption; with one it must be the same bit for bit."""
    save = ["save", str(tmp_path)]
    first, _, *found = run_ranks(model, [["update", 1, 16], save, *THEN], **settings)
    load = ["load", str(tmp_path / "step-000001")]
    assert run_ranks(model, [load, *THEN], **settings)[1:] == found
    return [first, *found]


@pytest.mark.parametrize(
    "settings",
    [
        {"offload": "optimizer", "zero_stage": 2},
        {"offload": "weights", "zero_stage": 3},
    ],
)
def test_where_the_state_waits_changes_no_number(settings, model, reference, tmp_path):
    found = updates_and_resumed(model, tmp_path, **settings)
    for got, want in zip(found[:3], reference[1:4], strict=True):
        assert got["loss"] == pytest.approx(want["loss"], abs=1e-5)
        assert got["grad_norm"] == pytest.approx(want["grad_norm"], abs=1e-5)
    assert found[3] == pytest.approx(reference[4], abs=1e-3)


@pytest.mark.parametrize("settings", [{"zero_stage": 0}, {"zero_stage": 2, "dtype": "bfloat16"}])
def test_moments_of_8_bits_are_smaller_and_learn_nearly_the_same(
    settings, model, reference, tmp_path
):
    before, after = reference[0], reference[4]
    found = updates_and_resumed(model, tmp_path, optimizer="adamw_8bit", **settings)[3]
    assert found != after
    moved = sum(abs(a - b) for a, b in zip(after, before, strict=True))
    apart = sum(abs(a - b) for a, b in zip(after, found, strict=True))
    assert apart < 0.25 * moved
    checkpoint = tmp_path / "step-000001"
    weight_bytes = 2 if "dtype" in settings else 4
    elements = (checkpoint / "model.safetensors").stat().st_size / weight_bytes
    state = sum(file.stat().st_size for file in checkpoint.rglob("*.pt"))
    # Weights, in bfloat16 their float32 copy, and two moments: of 32 bits they alone take 8 bytes.
    assert state / elements < weight_bytes + (4 if "dtype" in settings else 0) + 3

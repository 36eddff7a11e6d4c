"""The arithmetic and the names of adapters, and which recipes may have them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rl.hardware import Gpu, Hardware
from rl.learner.lora import (
    Adapter,
    LoraError,
    adapters,
    add_adapter,
    merge,
    mistake,
    published,
    whole_model,
)
from rl.plan import make_plan
from rl.recipe.config import Recipe
from rl.recipe.learner import Lora
from tests.tiny import tiny_model

W = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
DOWN = torch.tensor([[1.0, 0.0, -1.0]])
UP = torch.tensor([[2.0], [10.0]])


def test_a_merged_weight_by_hand():
    expected = torch.tensor([[3.0, 2.0, 1.0], [14.0, 5.0, -4.0]])
    assert torch.equal(merge(W, Adapter(DOWN, UP)), expected)


@settings(deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([torch.float32, torch.bfloat16]))
def test_a_merged_layer_answers_like_layer_and_adapter(seed, dtype):
    generator = torch.Generator().manual_seed(seed)
    weight, down, up, x = (
        torch.randn(shape, generator=generator, dtype=dtype)
        for shape in ((7, 5), (2, 5), (7, 2), (5,))
    )
    merged = merge(weight, Adapter(down, up)) @ x.float()
    apart = weight.float() @ x.float() + up.float() @ (down.float() @ x.float())
    torch.testing.assert_close(merged, apart, rtol=1e-4, atol=1e-4)


LEARNED = {
    "layers.0.proj.lora_A.default.weight": DOWN,
    "layers.0.proj.lora_B.default.weight": UP,
}
FROZEN = {"layers.0.proj.base_layer.weight": W, "norm.weight": torch.ones(3)}


def test_what_is_published_has_the_scale_in_it():
    sent = dict(published({**FROZEN, **LEARNED}.items(), 0.5))
    assert sent.keys() == {"layers.0.proj.lora_A.weight", "layers.0.proj.lora_B.weight"}
    assert torch.equal(sent["layers.0.proj.lora_B.weight"], UP / 2)
    assert torch.equal(sent["layers.0.proj.lora_A.weight"], DOWN)


def test_a_whole_model_has_the_names_of_before_and_the_types():
    weights = {k: w.bfloat16() for k, w in {**FROZEN, **LEARNED}.items()}
    whole = whole_model(weights, 1.0)
    assert whole.keys() == {"layers.0.proj.weight", "norm.weight"}
    assert whole["layers.0.proj.weight"].tolist() == [[3.0, 2.0, 1.0], [14.0, 5.0, -4.0]]
    assert {w.dtype for w in whole.values()} == {torch.bfloat16}


A, B = "layers.0.proj.lora_A.weight", "layers.0.proj.lora_B.weight"


@pytest.mark.parametrize(
    ("tensors", "named"),
    [({A: DOWN}, A), ({B: UP}, B), ({A: DOWN, B: UP, "norm.weight": W}, "norm.weight")],
)
def test_what_is_not_whole_adapters_is_refused(tensors, named):
    with pytest.raises(ValueError, match=f"{named} is not half of an adapter"):
        adapters(tensors)


@pytest.mark.parametrize(
    ("down", "up", "shapes", "said"),
    [
        (DOWN, UP, {"layers.0.proj.weight": (2, 3)}, None),
        (DOWN, UP, {"layers.1.proj.weight": (2, 3)}, "no weight layers.0.proj.weight"),
        (DOWN, UP, {"layers.0.proj.weight": (3, 2)}, r"has the shape [3, 2], its adapter [2, 1] x"),
        (torch.ones(2, 3), UP, {"layers.0.proj.weight": (2, 3)}, "[2, 1] x [2, 3]"),
        (torch.ones(3), UP, {"layers.0.proj.weight": (2, 3)}, "[2, 1] x [3]"),
    ],
)
def test_adapters_that_fit_no_weight_are_told(down, up, shapes, said):
    found = mistake(adapters({A: down, B: up}), shapes)
    assert found == said if said is None else said in (found or "")


@pytest.fixture(scope="module")
def model_directory(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("policy"))


def loaded(directory):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(directory)


def test_the_same_seed_starts_the_same_adapter_and_no_other_random_number_moves(model_directory):
    models = [loaded(model_directory) for _ in range(3)]
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    for model, seed in zip(models, (1, 1, 2), strict=True):
        add_adapter(model, Lora(rank=4), seed)
    assert torch.equal(torch.random.get_rng_state(), before)
    first, second, other = (dict(published(model.named_parameters(), 8.0)) for model in models)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first if "lora_A" in name)
    assert not any(first[name].any() for name in first if "lora_B" in name)


def test_only_the_layers_that_are_named_have_adapters(model_directory):
    model = loaded(model_directory)
    add_adapter(model, Lora(rank=2, targets=["q_proj", "down_proj"]), 0)
    learned = {name.split(".")[4] for name, w in model.named_parameters() if w.requires_grad}
    assert learned == {"q_proj", "down_proj"}


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        (["nowhere"], "nowhere"),
        (["q_proj", "nowhere"], "no linear layer is called nowhere"),
        (["embed_tokens"], "model.embed_tokens cannot have an adapter"),
        (["lm_head"], "lm_head cannot have an adapter"),
    ],
)
def test_targets_that_are_no_linear_layers_are_refused(targets, said, model_directory):
    with pytest.raises(LoraError, match=f"lora.targets.*{said}"):
        add_adapter(loaded(model_directory), Lora(targets=targets), 0)


def recipe(**changes):
    return Recipe.model_validate({"model": "embedded", "envs": [{"name": "arithmetic"}], **changes})


def test_an_adapter_does_not_go_by_nccl():
    with pytest.raises(ValueError, match=r"weights.transport nccl moves whole models"):
        recipe(lora={}, weights={"transport": "nccl"})


def test_where_nccl_could_be_used_an_adapter_goes_through_a_file_all_the_same():
    gpus = tuple(Gpu(str(i), "Some GPU") for i in range(2))
    plan = make_plan(recipe(lora={}), Hardware(cores=16, memory_gib=128, gpus=gpus, kind="gpu"))
    assert plan.recipe.weights.transport == "file"
    assert any("the adapter, to the servers through a file" in line for line in plan.lines)


@pytest.mark.parametrize(
    ("learner", "said"),
    [
        ({"offload": "optimizer"}, "needs learner.zero_stage of at least 1 .found 0"),
        (
            {"offload": "weights", "zero_stage": 2},
            "needs learner.zero_stage of at least 3",
        ),
        (
            {"offload": "optimizer", "zero_stage": 1, "optimizer": "adamw_8bit"},
            "choose one of them",
        ),
    ],
)
def test_offloading_that_cannot_be_is_refused_with_the_reason(learner, said):
    with pytest.raises(ValueError, match=said):
        recipe(learner=learner)

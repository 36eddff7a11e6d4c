"""Rounding weights to few values."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rl.evaluation.quantized import SCHEMES, Scheme, group_size, is_quantized, quantized, rounded


def test_int8_by_hand():
    weight = torch.tensor([[127.0, 1.4, -0.6, 0.0], [1.27, 0.014, 0.0, -1.27]])
    expected = torch.tensor([[127.0, 1.0, -1.0, 0.0], [1.27, 0.01, 0.0, -1.27]])
    assert torch.allclose(rounded(weight, SCHEMES["int8"]), expected, atol=1e-6)


def test_int4_has_a_scale_for_every_group():
    weight = torch.cat([torch.full((1, 16), 7.0), torch.full((1, 16), 0.7)], 1)
    weight[0, 1], weight[0, 17] = 2.6, 0.26
    found = rounded(weight, Scheme(4, 16))
    assert torch.allclose(found[0, [0, 1, 16, 17]], torch.tensor([7.0, 3.0, 0.7, 0.3]))


def test_a_group_of_zeros_stays_zero():
    assert not rounded(torch.zeros(2, 32), SCHEMES["int4"]).any()


@given(
    st.sampled_from(["int8", "int4"]),
    st.integers(0, 2**31),
    st.sampled_from([16, 48, 96, 128, 384]),
)
@settings(max_examples=30, deadline=None)
def test_no_weight_moves_further_than_half_a_step_and_doing_it_twice_changes_nothing(
    variant, seed, inputs
):
    weight = torch.randn(3, inputs, generator=torch.Generator().manual_seed(seed))
    scheme = SCHEMES[variant]
    found = rounded(weight, scheme)
    groups = weight.reshape(3, -1, group_size(inputs, scheme))
    step = groups.abs().amax(-1, keepdim=True) / (2 ** (scheme.bits - 1) - 1)
    assert ((found.reshape(groups.shape) - groups).abs() <= step * 0.5001).all()
    assert torch.allclose(rounded(found, scheme), found, atol=1e-6)
    values = found.reshape(groups.shape) / step
    assert max(len(row.round().unique()) for row in values.flatten(0, 1)) <= 2**scheme.bits - 1


def test_groups_are_as_large_as_fits():
    sizes = {n: group_size(n, SCHEMES["int4"]) for n in (256, 96, 48, 40)}
    assert sizes == {256: 128, 96: 32, 48: 16, 40: 40}


def test_embeddings_norms_and_routers_stay_as_they_are():
    torch.manual_seed(0)
    names = [
        "model.embed_tokens.weight",
        "lm_head.weight",
        "model.norm.weight",
        "model.layers.0.mlp.gate.weight",
        "model.layers.0.mlp.down_proj.weight",
    ]
    weights = {name: torch.randn(8, 32) if "norm" not in name else torch.ones(8) for name in names}
    found = dict(quantized(weights.items(), "int4"))
    changed = [name for name in names if not torch.equal(found[name], weights[name])]
    assert changed == ["model.layers.0.mlp.down_proj.weight"]
    assert not is_quantized("x.weight", torch.ones(4, 4, dtype=torch.int32))


def test_the_type_of_the_weights_is_kept():
    assert rounded(torch.randn(4, 32).bfloat16(), SCHEMES["int4"]).dtype == torch.bfloat16

"""The learner with the sampler's experts, on a tiny model of random weights."""

import json

import pytest
import torch

from rl.errors import UserError
from rl.learner.attention import segments
from rl.learner.packed_model import PackedPolicy, in_checkpoint_names, load_model
from rl.learner.replay import expert_weights
from rl.plan import n_parameters
from rl.policy.embedded import make_embedded
from rl.recipe.sections import EmbeddedPolicy
from rl.sampling.routes import REPLAYED, Experts, read_experts, replayed_experts
from tests.tiny import VOCABULARY, learner_recipe, tiny_experts, tiny_model

LENGTHS = [40, 30, 30]
ARCHITECTURES = {"olmoe": "Olmoe", "qwen2_moe": "Qwen2Moe", "qwen3_moe": "Qwen3Moe"}


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tiny_experts(tmp_path_factory.mktemp("policy"))


def policy_of(directory):
    return PackedPolicy(
        load_model(str(directory), "float32", False), experts=read_experts(directory)
    )


def routers(policy):
    return [layer.mlp.gate for layer in policy.model.base_model.layers]


def logprobs(policy, routes=None, lengths=LENGTHS):
    """Of the second to the last token of every sequence."""
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(VOCABULARY, (sum(lengths),), generator=generator)
    positions = torch.cat([torch.arange(n) for n in lengths])
    rows = (positions > 0).nonzero().squeeze(1) - 1
    return policy(tokens, positions, segments(lengths), rows, tokens[rows + 1], 1.0, routes=routes)[
        0
    ]


def own_choice(policy):
    """[T, layers * k] uint8: what the routers take by themselves."""
    taken = []
    hooks = [
        router.register_forward_hook(lambda _, inputs, output: taken.append(output[2]))
        for router in routers(policy)
    ]
    with torch.no_grad():
        logprobs(policy)
    for hook in hooks:
        hook.remove()
    return torch.stack(taken, 1).flatten(1).to(torch.uint8)


def disturbed(policy, size=0.003):
    """Routers a little off, as a sampler's are that computes in another order or precision."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for router in routers(policy):
            router.weight.add_(torch.randn(router.weight.shape, generator=generator) * size)
    return policy


@pytest.mark.parametrize("normalised", [True, False])
def test_weights_of_chosen_experts_by_hand(normalised):
    logits = torch.tensor([[1.0, 2.0, 3.0, 4.0]]).log()
    found = expert_weights(logits, torch.tensor([[3, 0]]), normalised=normalised)
    whole = 5.0 if normalised else 10.0
    torch.testing.assert_close(found, torch.tensor([[4 / whole, 1 / whole]]))


@pytest.mark.parametrize("kind", REPLAYED)
def test_replaying_a_routers_own_choice_changes_no_bit(kind, tmp_path):
    sizes = {"num_experts": 4, "num_experts_per_tok": 2}
    if kind != "olmoe":
        sizes |= {"moe_intermediate_size": 64}
    policy = policy_of(tiny_model(tmp_path, ARCHITECTURES[kind], **sizes))
    routes = own_choice(policy)
    assert torch.equal(logprobs(policy, routes), logprobs(policy))


def test_replayed_log_probabilities_stay_where_the_learners_own_choice_jumps(directory):
    sampler, learner = policy_of(directory), disturbed(policy_of(directory))
    routes = own_choice(sampler)
    changed = (own_choice(learner) != routes).any(1)
    assert 0 < changed.float().mean() < 0.5  # the disturbance is a small one
    with torch.no_grad():
        wanted, alone, replayed = logprobs(sampler), logprobs(learner), logprobs(learner, routes)
    jump, rest = (alone - wanted).abs().max(), (replayed - wanted).abs().max()
    assert jump > 5 * rest
    assert rest < 0.1


def test_what_was_chosen_decides_and_the_gradient_reaches_the_routers(directory):
    policy = policy_of(directory)
    routes = own_choice(policy)
    others = 3 - routes  # experts 0, 1, 2, 3 become 3, 2, 1, 0
    found = logprobs(policy, others)
    assert (found - logprobs(policy, routes)).abs().max() > 0.1
    found.sum().backward()
    for router in routers(policy):
        assert router.weight.grad.norm() > 1e-3


def test_recomputed_activations_take_the_same_experts(directory):
    gradients = []
    for checkpointing in (False, True):
        model = load_model(str(directory), "float32", checkpointing)
        policy = PackedPolicy(model, experts=read_experts(directory)).train()
        logprobs(policy, 3 - own_choice(policy)).sum().backward()
        gradients.append(routers(policy)[0].weight.grad)
    torch.testing.assert_close(*gradients)


def test_after_a_replay_the_routers_choose_for_themselves_again(directory):
    policy = policy_of(directory)
    before = logprobs(policy)
    logprobs(policy, 3 - own_choice(policy))
    assert torch.equal(logprobs(policy), before)


def test_weights_of_experts_go_out_under_the_names_of_the_checkpoint(directory):
    from safetensors.torch import load_file

    model = load_model(str(directory), "float32", False)
    sent = dict(in_checkpoint_names(model, model.named_parameters()))
    stored = load_file(directory / "model.safetensors")
    assert sent.keys() == stored.keys()
    assert "model.layers.1.mlp.experts.3.up_proj.weight" in sent
    assert all(torch.equal(sent[name], stored[name]) for name in stored)


def test_the_plan_counts_the_weights_of_experts(tmp_path):
    embedded = {"layers": 2, "hidden": 32, "intermediate": 32, "experts": 4}
    recipe = learner_recipe().model_copy(update={"embedded": EmbeddedPolicy(**embedded)})
    assert make_embedded(tmp_path, recipe.embedded, seed=0) == n_parameters(recipe)
    assert read_experts(tmp_path) == Experts(2, 4, 2, "qwen3_moe")


@pytest.mark.parametrize("changes", [{"chunk_tokens": 64}, {"truncated": "interrupt"}])
def test_answers_in_several_pieces_are_refused_with_the_key_that_overrides(changes, directory):
    recipe = learner_recipe()
    rollout = recipe.rollout.model_copy(update=changes)
    with pytest.raises(UserError, match=r"with moe.routing=learner"):
        replayed_experts(directory, recipe.model_copy(update={"rollout": rollout}))


def test_a_dense_policy_has_nothing_to_replay(tmp_path):
    assert replayed_experts(tiny_model(tmp_path), learner_recipe()) is None


def test_experts_that_cannot_be_replayed_are_refused_with_the_key_that_overrides(tmp_path):
    sizes = {"num_local_experts": 4, "num_experts_per_tok": 2}
    directory = tiny_model(tmp_path, "Mixtral", **sizes)
    recipe = learner_recipe()
    with pytest.raises(UserError, match=r"is mixtral with 4: .* with moe.routing=learner"):
        replayed_experts(directory, recipe)
    moe = recipe.moe.model_copy(update={"routing": "learner"})
    assert replayed_experts(directory, recipe.model_copy(update={"moe": moe})) is None


@pytest.mark.parametrize("name", ["moe_topk", "num_selected_experts"])
def test_experts_per_token_under_another_name_are_refused_with_the_key_that_overrides(
    name, directory, tmp_path
):
    config = json.loads((directory / "config.json").read_text())
    config[name] = config.pop("num_experts_per_tok")
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"has no num_experts_per_tok: .*moe.routing=learner"):
        replayed_experts(tmp_path, learner_recipe())
    own = learner_recipe(sections={"moe": {"routing": "learner"}})
    assert replayed_experts(tmp_path, own) is None

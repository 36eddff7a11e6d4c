"""How much memory a pass takes: counted tensor by tensor, so the same on every machine."""

import pytest
import torch

from benchmarks.peak import Peak
from rl.learner.batch import Batch
from rl.learner.frozen import FrozenPolicies
from rl.learner.microbatch import plan, sequence_lengths, take
from rl.learner.packed_model import PackedPolicy, load_model
from tests.tiny import VOCABULARY, learner_recipe, tiny_model

MIB = 2**20
HIDDEN, INTERMEDIATE = 96, 192  # of tests/tiny.py


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(tiny_model(tmp_path_factory.mktemp("policy"), num_hidden_layers=6))


def passes(lengths):
    """One pass of sequences of which all but the first token is trained."""
    total = sum(lengths)
    positions = torch.cat([torch.arange(n) for n in lengths])
    tokens = torch.arange(total) % VOCABULARY
    zero = torch.zeros(total)
    batch = Batch(tokens, positions, positions > 0, *[zero] * 4, total, total)
    (((sequences,),),) = (plan(sequence_lengths(batch), 1, total),)
    return take(batch, sequence_lengths(batch), sequences)


def peak_of(model, lengths, *, logits_mib=1024, checkpointing=False):
    """Of one forward and backward pass; weights and what the pass is given are not counted."""
    policy = PackedPolicy(load_model(model, "float32", checkpointing), logits_mib)
    policy.train()
    micro = passes(lengths)
    with Peak() as found:
        logprobs, _ = policy(
            micro.tokens, micro.positions, micro.segments, micro.rows, micro.targets, 0.7
        )
        logprobs.sum().backward()
    return found


def test_logits_never_exist_whole_in_forward_and_backward(model):
    lengths = [900, 500, 300, 300]
    whole = peak_of(model, lengths)
    parts = peak_of(model, lengths, logits_mib=1)
    logits = (sum(lengths) - len(lengths)) * VOCABULARY
    assert logits * 4 > 9 * MIB
    assert whole.elements == logits, "the measure sees them where they are whole"
    assert parts.elements <= max(MIB // 4, sum(lengths) * INTERMEDIATE) < logits / 5
    # the log-probabilities of all of the vocabulary, their gradient, and one more
    assert whole.bytes - parts.bytes > 2 * (logits * 4 - MIB)


def largest_of_reference(model, lengths, logits_mib):
    """Elements of the largest tensor while a reference looks at a pass."""
    recipe = learner_recipe(0.7, {"kl_coef": 0.1}, logits_mib=logits_mib)
    policies = FrozenPolicies(model, recipe, torch.device("cpu"))
    with Peak() as found:
        policies.guides(passes(lengths))
    return found.elements


def test_logits_of_a_frozen_policy_never_exist_whole_either(model):
    lengths = [900, 500, 300, 300]
    logits = (sum(lengths) - len(lengths)) * VOCABULARY
    assert largest_of_reference(model, lengths, 1024) == logits
    parts = largest_of_reference(model, lengths, 1)
    assert parts <= max(MIB // 4, sum(lengths) * INTERMEDIATE) < logits / 5


def test_no_tensor_grows_with_the_square_of_an_answer(model):
    for lengths in ([2000], [1000, 800, 100, 100]):
        widest = sum(lengths) / 0.75 * INTERMEDIATE
        assert peak_of(model, lengths, logits_mib=1).elements <= widest < 2000**2 / 4


def test_padding_inside_attention_costs_no_more_than_its_share(model):
    even = peak_of(model, [500] * 4, logits_mib=1)
    skewed = peak_of(model, [1400, 200, 190, 60, 58, 50, 42], logits_mib=1)
    assert skewed.bytes < even.bytes * 1.15


def test_activation_checkpointing_keeps_one_layer_in_place_of_all(model):
    kept = peak_of(model, [2000], logits_mib=1)
    again = peak_of(model, [2000], logits_mib=1, checkpointing=True)
    inputs = 6 * 2000 * HIDDEN * 4  # what is kept of each layer
    assert again.bytes < inputs + (kept.bytes - inputs) / 6 * 2
    assert again.bytes < kept.bytes / 2.5

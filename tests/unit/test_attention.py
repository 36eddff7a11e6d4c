"""Packed sequences give what each sequence gives alone, for value and gradient."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rl.learner.attention import segments, select_rows
from rl.learner.batch import Batch
from rl.learner.microbatch import plan, sequence_lengths, take
from rl.learner.packed_model import ModelError, PackedPolicy, load_model
from tests.tiny import VOCABULARY, random_batch, tiny_model

ARCHITECTURES = ["Qwen3", "Llama", "Qwen2"]
LENGTHS = [37, 37, 30, 21, 9, 8, 2]  # several buckets, some padded, some not


@pytest.fixture(scope="module")
def directories(tmp_path_factory):
    return {a: tiny_model(tmp_path_factory.mktemp(a), a) for a in ARCHITECTURES}


def tokens_of(lengths, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(VOCABULARY, (n,), generator=generator) for n in lengths]


def packed_hidden(model, sequences):
    return model.base_model(
        input_ids=torch.cat(sequences)[None],
        position_ids=torch.cat([torch.arange(len(s)) for s in sequences])[None],
        use_cache=False,
        segments=segments([len(s) for s in sequences]),
    ).last_hidden_state[0]


def gradients(model):
    return {name: weight.grad for name, weight in model.named_parameters()}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_value_and_gradient_equal_those_of_each_sequence_alone(directories, architecture):
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(
        directories[architecture], attn_implementation="eager"
    )
    packed = load_model(str(directories[architecture]), "float32", False)
    sequences = tokens_of(LENGTHS)
    weight = torch.randn(sum(LENGTHS), 96, generator=torch.Generator().manual_seed(1)) / 1000

    alone = torch.cat([plain.base_model(input_ids=s[None])[0][0] for s in sequences])
    (alone * weight).sum().backward()
    together = packed_hidden(packed, sequences)
    (together * weight).sum().backward()

    torch.testing.assert_close(together, alone, rtol=1e-6, atol=1e-5)  # of size 1 to 4
    expected = gradients(plain)
    for name, gradient in gradients(packed).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_no_token_feels_another_sequence_by_a_single_bit(directories, architecture):
    model = load_model(str(directories[architecture]), "float32", False)
    first, second, third = tokens_of([12, 12, 9])
    before = packed_hidden(model, [first, second, third])
    after = packed_hidden(model, [first, tokens_of([12], seed=5)[0], third])
    assert torch.equal(before[:12], after[:12])
    assert torch.equal(before[24:], after[24:])
    assert not torch.equal(before[12:24], after[12:24])


def test_attention_itself_is_exact_to_1e_6():
    from rl.learner.attention import packed_attention

    generator = torch.Generator().manual_seed(2)
    total = sum(LENGTHS)
    query = torch.randn(1, 4, total, 8, generator=generator, requires_grad=True)
    key = torch.randn(1, 2, total, 8, generator=generator, requires_grad=True)
    value = torch.randn(1, 2, total, 8, generator=generator, requires_grad=True)
    upstream = torch.randn(1, total, 4, 8, generator=generator)
    found, _ = packed_attention(
        torch.nn.Identity(), query, key, value, None, segments=segments(LENGTHS), scaling=0.3
    )
    got = [found, *torch.autograd.grad(found, (query, key, value), upstream)]

    parts = []
    for q, k, v in zip(*(x.split(LENGTHS, dim=2) for x in (query, key, value)), strict=True):
        k, v = k.repeat_interleave(2, 1), v.repeat_interleave(2, 1)
        scores = (q @ k.transpose(2, 3) * 0.3).masked_fill(
            torch.ones(q.shape[2], q.shape[2]).triu(1) > 0, float("-inf")
        )
        parts.append((scores.softmax(-1) @ v).transpose(1, 2))
    expected = torch.cat(parts, dim=1)
    want = [expected, *torch.autograd.grad(expected, (query, key, value), upstream)]
    for g, w in zip(got, want, strict=True):
        torch.testing.assert_close(g, w, rtol=1e-6, atol=2e-6)


@given(lengths=st.lists(st.integers(1, 200), min_size=1, max_size=40))
@settings(deadline=None)
def test_padding_and_unpadding_is_the_identity_and_wastes_little(lengths):
    lengths = sorted(lengths, reverse=True)
    found = segments(lengths)
    slots = sum(count * width for count, width in found.buckets)
    assert sum(count for count, _ in found.buckets) == len(lengths)
    assert slots <= sum(lengths) / 0.75
    if found.pad is None:
        assert slots == sum(lengths)
        return
    everything = torch.arange(sum(lengths))
    assert torch.equal(everything[found.pad][found.unpad], everything)


@pytest.mark.parametrize("lengths", [[], [3, 4], [2, 0]])
def test_lengths_out_of_order_are_refused(lengths):
    with pytest.raises(ValueError, match="longest first"):
        segments(lengths)


def test_rows_are_selected_with_their_gradient():
    x = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    rows = torch.tensor([4, 0, 2])
    assert torch.equal(select_rows(x, rows), x[rows])
    assert torch.autograd.gradcheck(lambda x: select_rows(x, rows), (x,))


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_the_head_in_parts_is_the_head_in_one(directories, temperature):
    batch = random_batch(1, n_sequences=32)
    lengths = sequence_lengths(batch)
    micro = take(batch, lengths, plan(lengths, 1, 10**6)[0][0])
    arguments = (micro.tokens, micro.positions, micro.segments, micro.rows, micro.targets)
    results = []
    assert len(micro.rows) * VOCABULARY * 4 > 2 * 2**20
    for logits_mib in (1024, 1):  # all rows together, then 218 at a time
        policy = PackedPolicy(load_model(str(directories["Qwen3"]), "float32", False), logits_mib)
        logprobs, entropy = policy(*arguments, temperature, entropy_gradient=True)
        (logprobs + entropy).sum().backward()
        results.append((torch.stack([logprobs, entropy]), gradients(policy)))
    (whole, whole_gradient), (parts, parts_gradient) = results
    assert whole.dtype == torch.float32
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-5)
    for name, gradient in parts_gradient.items():
        torch.testing.assert_close(gradient, whole_gradient[name], rtol=1e-4, atol=1e-4)


def test_logits_of_a_bfloat16_model_are_float32(directories):
    policy = PackedPolicy(load_model(str(directories["Qwen3"]), "bfloat16", False))
    tokens = tokens_of([9])[0]
    hidden = torch.randn(8, 96, dtype=torch.bfloat16)
    head = policy.model.get_output_embeddings()
    exact = (hidden.double() @ head.weight.double().T).log_softmax(-1)
    expected = exact.gather(1, tokens[1:, None])[:, 0]
    found, _ = head(hidden, tokens[1:], 1.0, entropy_gradient=False)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-5)


@given(
    lengths=st.lists(st.integers(1, 90), max_size=40),
    ranks=st.integers(1, 5),
    budget=st.integers(1, 200),
)
def test_every_sequence_is_planned_once_within_the_budget(lengths, ranks, budget):
    found = plan(lengths, ranks, budget)
    assert len(found) == ranks
    assert len({len(passes) for passes in found}) == 1
    assert len(found[0]) >= 1
    every = [sequence for passes in found for one in passes for sequence in one]
    assert sorted(every) == list(range(len(lengths)))
    for passes in found:
        for one in passes:
            sizes = [lengths[i] for i in one]
            assert sum(sizes) <= budget or len(one) == 1
            assert sizes == sorted(sizes, reverse=True)
    loads = [sum(lengths[i] for one in passes for i in one) for passes in found]
    assert max(loads) - min(loads) <= max(lengths, default=0)


def test_a_pass_holds_each_trained_token_and_the_one_before_it():
    batch = random_batch(3, n_sequences=4)
    lengths = sequence_lengths(batch)
    micro = take(batch, lengths, sorted(range(4), key=lambda i: -lengths[i]))
    assert torch.equal(micro.tokens[micro.rows + 1], micro.targets)
    assert (micro.positions[micro.rows + 1] == micro.positions[micro.rows] + 1).all()
    trained = batch.loss_mask
    assert len(micro.targets) == int(trained.sum())
    assert sorted(micro.advantages.tolist()) == sorted(batch.advantages[trained].tolist())
    assert sorted(micro.targets.tolist()) == sorted(batch.tokens[trained].tolist())
    # longest sequence first, as it was asked for
    longest = sorted(range(4), key=lambda i: -lengths[i])
    sampled = [int(part.sum()) for part in trained.split(lengths)]
    assert micro.sequence.bincount().tolist() == [sampled[i] for i in longest]
    assert (micro.sequence.diff() >= 0).all()


def test_sequences_of_a_pass_are_numbered_without_gaps_also_where_one_has_no_trained_token():
    positions = torch.tensor([0, 1, 0, 1, 0, 1])
    mask = torch.tensor([False, False, False, True, False, True])
    zero = torch.zeros(6)
    batch = Batch(torch.arange(6), positions, mask, zero, zero, zero, zero, 2, 2)
    assert take(batch, sequence_lengths(batch), [0, 1, 2]).sequence.tolist() == [0, 1]


def test_a_first_token_marked_as_sampled_is_refused():
    zero = torch.zeros(3)
    batch = Batch(torch.arange(3), torch.arange(3), torch.ones(3) > 0, zero, zero, zero, zero, 3, 3)
    with pytest.raises(ValueError, match="first token"):
        sequence_lengths(batch)


@pytest.mark.parametrize(
    ("architecture", "changes", "said"),
    [
        ("Gemma2", {"final_logit_softcapping": 30.0}, "final_logit_softcapping"),
        ("Cohere", {"logit_scale": 0.0625}, "logit_scale"),
        ("Lfm2", {"layer_types": ["conv", "full_attention"], "num_hidden_layers": 2}, "conv"),
    ],
)
def test_models_that_packing_would_get_wrong_are_refused(tmp_path, architecture, changes, said):
    import transformers

    config = getattr(transformers, f"{architecture}Config")(**changes)
    config.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=f"{said}.*Take a Llama, Qwen2, Qwen3 or Qwen3-MoE model"):
        load_model(str(tmp_path), "float32", False)


def test_a_window_shorter_than_the_sequences_is_refused(tmp_path):
    tiny_model(
        tmp_path,
        use_sliding_window=True,
        sliding_window=8,
        max_window_layers=0,
        layer_types=["sliding_attention"] * 2,
    )
    model = load_model(str(tmp_path), "float32", False)
    packed_hidden(model, tokens_of([8, 7]))
    with pytest.raises(ValueError, match="a window of 8 tokens on sequences of up to 9 tokens"):
        packed_hidden(model, tokens_of([9, 8]))

"""Frozen policies: what they say of packed tokens, what a teacher teaches, whose tokens fit."""

import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from rl.algorithm.objective import contribution, distances
from rl.errors import UserError
from rl.learner.attention import segments
from rl.learner.frozen import REFERENCE_FILE, Frozen, FrozenPolicies
from rl.learner.microbatch import MicroBatch, plan, sequence_lengths, take
from rl.learner.packed_model import PackedPolicy, load_model
from rl.policy.tokens import refuse_other_tokens
from tests.tiny import VOCABULARY, learner_recipe, random_batch, tiny_model

CPU = torch.device("cpu")


def another_model(model, directory, noise=0.05):
    """The same policy, every weight moved a little; a directory that a recipe may name."""
    policy = AutoModelForCausalLM.from_pretrained(model)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in policy.parameters():
            weight += noise * torch.randn(weight.shape, generator=generator)
    policy.save_pretrained(directory)
    (directory / "tokenizer_config.json").write_text("{}")
    return directory


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("policy"))


@pytest.fixture(scope="module")
def teacher(model, tmp_path_factory):
    return another_model(model, tmp_path_factory.mktemp("teacher"))


def micro_batch() -> MicroBatch:
    batch = random_batch(1)
    lengths = sequence_lengths(batch)
    return take(batch, lengths, plan(lengths, 1, 10**6)[0][0])


def test_what_a_frozen_policy_says_equals_plain_transformers_at_the_temperature(teacher):
    batch = random_batch(3, n_sequences=1)
    micro = take(batch, sequence_lengths(batch), [0])
    found = Frozen(teacher, "float32", CPU).logprobs(micro, 0.7)
    plain = AutoModelForCausalLM.from_pretrained(teacher, attn_implementation="eager")
    with torch.no_grad():
        logits = plain(input_ids=batch.tokens[None]).logits[0] / 0.7
    expected = logits.log_softmax(-1)[micro.rows, micro.targets]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert not found.requires_grad


def test_a_recipe_without_guides_loads_none_and_one_with_them_tells_them_apart(model, teacher):
    micro = micro_batch()
    none = FrozenPolicies(str(model), learner_recipe(), CPU)
    assert none.guides(micro) == (None, None)
    sections = {"teacher": {"model": str(teacher), "coef": 0.3}}
    recipe = learner_recipe(0.7, {"kl_coef": 0.1}, sections=sections)
    both = FrozenPolicies(str(model), recipe, CPU)
    guides = both.guides(micro)
    assert both.teacher_coef == 0.3
    own = Frozen(model, "float32", CPU).logprobs(micro, 0.7)
    other = Frozen(teacher, "float32", CPU).logprobs(micro, 0.7)
    assert torch.equal(guides.reference, own)
    assert torch.equal(guides.teacher, other)
    swapped = learner_recipe(0.7, {"kl_coef": 0.1}, sections={"reference": {"model": str(teacher)}})
    assert torch.equal(FrozenPolicies(str(model), swapped, CPU).guides(micro).reference, other)


def test_a_reference_is_reset_when_it_is_due_and_survives_a_checkpoint(model, teacher, tmp_path):
    micro = micro_batch()
    recipe = learner_recipe(1.0, {"kl_coef": 0.1}, sections={"reference": {"every": 3}})
    policies = FrozenPolicies(str(model), recipe, CPU)
    assert [version for version in range(1, 8) if policies.is_reset_due(version)] == [3, 6]
    later = PackedPolicy(load_model(str(teacher), "float32", False)).model
    before = policies.guides(micro).reference
    policies.reset_reference((name, w.detach()) for name, w in later.named_parameters())
    after = policies.guides(micro).reference
    assert torch.equal(after, Frozen(teacher, "float32", CPU).logprobs(micro, 1.0))
    assert not torch.equal(after, before)

    policies.save(tmp_path)
    assert (tmp_path / REFERENCE_FILE).stat().st_size >= policies.checkpoint_bytes > 1_000_000
    resumed = FrozenPolicies(str(model), recipe, CPU)
    resumed.load(tmp_path)
    assert torch.equal(resumed.guides(micro).reference, after)
    with pytest.raises(UserError, match=r"was written without reference\.every"):
        resumed.load(tmp_path / "elsewhere")


def test_a_reference_that_never_changes_is_not_in_the_checkpoint(model, tmp_path):
    policies = FrozenPolicies(str(model), learner_recipe(1.0, {"kl_coef": 0.1}), CPU)
    policies.save(tmp_path)
    policies.load(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert policies.checkpoint_bytes == 0
    assert not policies.is_reset_due(1)


PROMPTS, SAMPLES = 12, 24


def exact(policy, prompts):
    """[prompts, vocabulary]: log-probabilities of the token after each prompt, all tokens asked."""
    n, length = prompts.shape
    rows = torch.arange(n) * length + length - 1
    with torch.no_grad():
        hidden = policy.model.base_model(
            input_ids=prompts.reshape(1, -1),
            position_ids=torch.arange(length).repeat(n)[None],
            use_cache=False,
            segments=segments([length] * n),
        ).last_hidden_state[0, rows]
        return (hidden @ policy.model.get_output_embeddings().weight.T).log_softmax(-1)


def test_a_teacher_alone_brings_the_student_nearer_whatever_the_rewards_are(model, teacher):
    """Reverse KL over the whole vocabulary, exact, after a few updates on the student's samples."""
    recipe = learner_recipe(
        1.0, {"advantage": "none"}, sections={"teacher": {"model": str(teacher), "coef": 1.0}}
    )
    student = PackedPolicy(load_model(str(model), "float32", False))
    policies = FrozenPolicies(str(model), recipe, CPU)
    optimizer = torch.optim.Adam(student.parameters(), lr=2e-3)
    generator = torch.Generator().manual_seed(0)
    prompts = torch.randint(VOCABULARY, (PROMPTS, 2), generator=generator)
    wanted = exact(PackedPolicy(load_model(str(teacher), "float32", False)), prompts)
    distance, told = [], []
    for _ in range(8):
        own = exact(student, prompts)
        distance.append((own.exp() * (own - wanted)).sum(-1).mean().item())
        sampled = torch.multinomial(own.exp(), SAMPLES, replacement=True, generator=generator)
        micro = single_tokens(prompts, sampled, own)
        guides = policies.guides(micro)
        logprobs, _ = student(
            micro.tokens, micro.positions, micro.segments, micro.rows, micro.targets, 1.0
        )
        told.append(distances(guides, logprobs.detach(), micro)[1].item() / sampled.numel())
        out = contribution(recipe.algorithm, logprobs, micro, sampled.numel(), guides, 1.0)
        optimizer.zero_grad()
        out.loss.backward()
        optimizer.step()
    assert distance[-1] < 0.7 * distance[0], distance
    assert sum(told) == pytest.approx(sum(distance), rel=0.15), "the metric estimates it"


def single_tokens(prompts, sampled, logprobs) -> MicroBatch:
    """One sequence per sampled token: its prompt and the token; rewards say nothing."""
    n, length = sampled.numel(), prompts.shape[1] + 1
    whole = torch.cat([prompts.repeat_interleave(SAMPLES, 0), sampled.reshape(-1, 1)], 1)
    rows = torch.arange(n) * length + length - 2
    targets = sampled.reshape(-1)
    ones = torch.ones(n)
    batch = micro_batch()
    return batch._replace(
        tokens=whole.reshape(-1),
        positions=torch.arange(length).repeat(n),
        segments=segments([length] * n),
        rows=rows,
        targets=targets,
        loss_mask=ones > 0,
        rollout_logprobs=logprobs.gather(1, sampled).reshape(-1),
        advantages=0 * ones,
        weights=ones,
        sequence=torch.arange(n),
    )


def tokenizer(directory, vocabulary):
    made = Tokenizer(models.WordLevel({token: i for i, token in enumerate(vocabulary)}, "a"))
    PreTrainedTokenizerFast(tokenizer_object=made).save_pretrained(directory)
    return directory


def test_a_model_of_other_tokens_is_refused_with_the_first_difference(tmp_path):
    policy = tokenizer(tmp_path / "policy", ["a", "b", "c"])
    same = tokenizer(tmp_path / "same", ["a", "b", "c"])
    more = tokenizer(tmp_path / "more", ["a", "b", "c", "only theirs"])
    refuse_other_tokens(policy, same, "teacher.model", "same")
    refuse_other_tokens(policy, more, "teacher.model", "more")
    swapped = tokenizer(tmp_path / "swapped", ["a", "c", "b"])
    with pytest.raises(
        UserError, match=r"teacher\.model 'x' has other tokens .* 2 of 3 differ"
    ) as e:
        refuse_other_tokens(policy, swapped, "teacher.model", "x")
    assert "example 1, which is 'b' to the policy and 'c' to it" in str(e.value)
    fewer = tokenizer(tmp_path / "fewer", ["a", "b"])
    with pytest.raises(UserError, match="'c' to the policy and nothing to it"):
        refuse_other_tokens(policy, fewer, "reference.model", "x")

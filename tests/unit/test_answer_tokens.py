"""What samples.jsonl says of the tokens of an answer."""

import os

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

from envs.base import Task
from rl.answer_tokens import TokenRows, characters
from rl.chat import decode
from rl.learner.batch import pack
from rl.learner.microbatch import plan, sequence_lengths, take
from rl.learner.ranks import Ranks
from rl.learner.token_record import TokenRecord
from rl.metrics import sample_rows
from rl.policy.embedded import make_tokenizer
from rl.recipe.config import Recipe
from rl.types import Completion, Graded, Rollout, Span, Stop, TokenFigures
from verifiers.verdict import correct, wrong

TOKENIZER = make_tokenizer(512)
RECIPE = Recipe.model_validate({"model": "embedded", "envs": [{"name": "arithmetic"}]})


def tokens_of(text):
    return TOKENIZER.encode(text, add_special_tokens=False)


def answer(text, right=True, spans=None, first_logprob=-0.5):
    tokens = tokens_of(text)
    logprobs = [first_logprob - n / 8 for n in range(len(tokens))]
    spans = spans or (Span(3, 0, len(tokens)),)
    completion = Completion(tokens, logprobs, Stop.FINISHED, spans)
    rollout = Rollout("arithmetic", Task("1+1=?", "2"), [1, 2], completion, text)
    verdict = correct("2") if right else wrong("3", "not 2")
    return Graded(rollout, verdict, float(right))


def recorded(groups, most=1000, figures=None):
    rows = TokenRows(TOKENIZER, most, figures)
    training = pack(groups, RECIPE)
    return [
        row.get("tokens")
        for row in sample_rows(1, groups, split="train", training=training, tokens=rows)
    ]


def test_a_token_that_only_begins_a_character_has_none_of_the_text():
    assert characters(TOKENIZER, tokens_of("1é😀2"), "1é😀2") == [1, 0, 1, 0, 0, 0, 1, 1]


def test_a_special_token_has_none_of_the_text():
    assert characters(TOKENIZER, [*tokens_of("12"), TOKENIZER.eos_token_id], "12") == [1, 1, 0]


def test_a_character_that_was_never_finished_counts_as_the_last_tokens():
    tokens = tokens_of("1é")[:-1]
    assert sum(characters(TOKENIZER, tokens, decode(TOKENIZER, tokens))) == 2


def test_a_text_that_the_tokens_do_not_make_is_not_split():
    assert characters(TOKENIZER, tokens_of("12"), "21") is None


def test_a_tokenizer_that_takes_back_what_it_said_of_bytes_splits_nothing():
    vocabulary = {"<unk>": 0, "<0x20>": 1, "<0xE4>": 2, "a": 3}
    inner = Tokenizer(BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True))
    inner.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner)
    assert characters(tokenizer, [1, 3], " a") == [1, 1]
    assert characters(tokenizer, [1, 2, 3], decode(tokenizer, [1, 2, 3])) is None


@settings(deadline=None)  # the first call imports
@given(st.lists(st.integers(0, len(TOKENIZER) - 1), min_size=1, max_size=40))
def test_the_characters_of_any_tokens_add_up_to_their_text(tokens):
    text = decode(TOKENIZER, tokens)
    found = characters(TOKENIZER, tokens, text)
    assert found is None or (sum(found) == len(text) and len(found) == len(tokens))


def test_figures_go_to_the_tokens_that_were_trained_on_and_to_no_others():
    alike = [answer("1"), answer("22")]  # the same reward: no signal, not trained on
    group = [answer("34"), answer("5", right=False)]
    figures = TokenFigures(log_ratios=[0.1, 0.2, 0.3], advantages=[1.0, 1.0, -1.0])
    first, second, third, fourth = recorded([alike, group], figures=figures)
    assert "advantages" not in first
    assert "advantages" not in second
    assert (third["log_ratios"], third["advantages"]) == ([0.1, 0.2], [1.0, 1.0])
    assert (fourth["log_ratios"], fourth["advantages"]) == ([0.3], [-1.0])
    assert (third["characters"], third["logprobs"]) == ([1, 1], [-0.5, -0.625])


def test_a_token_that_was_put_in_has_no_figures():
    spans = (Span(3, 0, 1), Span(3, 2, 3))
    group = [answer("1+2", spans=spans), answer("9", right=False)]
    figures = TokenFigures([0.1, 0.2, 0.3], [1.0, 1.0, -1.0])
    first, _ = recorded([group], figures=figures)
    assert first["log_ratios"] == [0.1, 0.0, 0.2]


@pytest.mark.parametrize(("most", "written"), [(0, 0), (2, 1), (3, 1), (4, 2), (1000, 3)])
def test_the_first_answers_are_written_until_there_are_enough_tokens(most, written):
    group = [answer("12"), answer("34", right=False), answer("5")]
    figures = TokenFigures([0.0] * 5, [0.5] * 5)
    found = [row is not None for row in recorded([group], most, figures)]
    assert found == [n < written for n in range(3)]


def test_the_record_of_an_update_does_not_depend_on_its_micro_batches():
    groups = [
        [answer("123"), answer("45", right=False)],
        [answer("6"), answer("7", right=False)],
    ]
    batch = pack(groups, RECIPE).batch
    logprobs = batch.rollout_logprobs + torch.arange(len(batch.tokens)) / 100
    lengths = sequence_lengths(batch)
    ranks = Ranks(0, 1, 60.0)
    try:
        found = []
        for budget in (4, 1000):
            record = TokenRecord(batch, 6)
            for sequences in plan(lengths, 1, budget)[0]:
                micro = take(batch, lengths, sequences)
                record.add(micro, logprobs[micro.source], micro.advantages)
            found.append(record.figures(ranks))
    finally:
        ranks.leave()
    assert found[0] == found[1]
    trained = batch.loss_mask.nonzero().squeeze(1)[:6]
    assert found[0].log_ratios == pytest.approx((trained / 100).tolist(), abs=1e-6)
    assert found[0].advantages == batch.advantages[trained].tolist()


def test_an_update_of_which_nothing_is_recorded_has_no_figures():
    batch = pack([[answer("1"), answer("2", right=False)]], RECIPE).batch
    before = dict(os.environ)
    ranks = Ranks(0, 1, 60.0)
    try:
        assert TokenRecord(batch, 0).figures(ranks) is None
    finally:
        ranks.leave()
    assert os.environ == before  # a launched rank is what accelerate would take this process for

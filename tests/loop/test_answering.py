"""Answers in chunks and interrupted ones, sampled by a real server and judged by a real pool."""

import asyncio
import os
from itertools import chain
from math import ceil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from rl.evaluation.evaluate import held_out_groups
from rl.events import Events
from rl.recipe.config import Recipe
from rl.sampling.answering import pieces
from rl.sampling.engine import Engine, Sampling
from rl.sampling.rollouts import Rollouts
from rl.tasks import Tasks
from rl.types import Group, Stop
from tests.loop.conftest import Server
from verifiers.pool import Limits, VerifierPool

pytestmark = pytest.mark.slow

PHRASE = " So: "
ROLLOUT = {
    "chunk_tokens": 24,
    "carry_tokens": 8,
    "head_tokens": 2,
    "chunks": 6,  # 24 + 5 x 16 = 104 tokens
    "truncated": "interrupt",
    "closing_phrase": PHRASE,
}


def recipe_of(server: Server, rollout: dict[str, Any]) -> Recipe:
    sections = server.recipe.model_dump(mode="json")
    return Recipe.model_validate({**sections, "rollout": rollout, "group_size": 3})


def groups_of(
    server: Server, recipe: Recipe, directory: Path, *, held_out: bool = False
) -> list[Group]:
    """The answers to the first four tasks, sampled as in training or as in an evaluation."""
    tokenizer = AutoTokenizer.from_pretrained(recipe.model)
    sampling = Sampling(recipe.rollout.max_new_tokens, 1.0, n=recipe.group_size)
    drawn = Tasks(recipe).step(1)[:4]
    events = os.open(os.devnull, os.O_WRONLY)

    async def inside() -> list[Group]:
        limits = Limits(20.0, 10.0, 1024)
        pool = VerifierPool("envs.registry:judge", 1, limits, directory / "verifiers.log")
        async with Engine([server.url], server.api_key, recipe) as engine, pool:
            await engine.wait_ready(recipe.engine.start_deadline_s)
            rollouts = Rollouts(tokenizer, engine, pool, recipe, Events(events))
            if held_out:
                return await held_out_groups(rollouts, drawn, recipe, "evaluation")
            return await rollouts.groups(drawn, sampling, "step 1")

    try:
        return asyncio.run(inside())
    finally:
        os.close(events)


def test_every_sampled_token_has_the_probability_that_its_context_gives_it(
    server: Server, tmp_path: Path
) -> None:
    recipe = recipe_of(server, ROLLOUT)
    model = AutoModelForCausalLM.from_pretrained(recipe.model, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(recipe.model)
    groups = groups_of(server, recipe, tmp_path)
    rollouts = [graded.rollout for group in groups for graded in group]
    assert {r.completion.stop for r in rollouts} <= {Stop.FINISHED, Stop.LENGTH}
    interrupted = 0
    for rollout in rollouts:
        answer = rollout.completion
        put_in = {i for start, end in answer.injected for i in range(start, end)}
        for piece in pieces(rollout.prompt_tokens, answer.tokens, answer.chunks):
            ids = torch.tensor([piece.context + answer.tokens[piece.start : piece.end]])
            assert ids.shape[1] <= len(rollout.prompt_tokens) + 24 + 2
            with torch.no_grad():
                every = model(ids).logits[0, :-1].log_softmax(-1)
            own = every.gather(1, ids[0, 1:, None])[len(piece.context) - 1 :, 0].tolist()
            for i, expected in zip(range(piece.start, piece.end), own, strict=True):
                found = answer.logprobs[i]
                assert found == (0.0 if i in put_in else pytest.approx(expected, abs=1e-4))
        assert answer.n_sampled + len(put_in) == len(answer.tokens) <= 104
        for start, end in answer.injected:
            interrupted += 1
            assert tokenizer.decode(answer.tokens[start:end]) == PHRASE
            assert start >= ceil(0.85 * 104)
            assert PHRASE in rollout.response
    assert interrupted
    assert any(len(rollout.completion.chunks) == 6 for rollout in rollouts)
    assert groups_of(server, recipe, tmp_path) == groups, "fixed by tasks and seeds"


def test_an_answer_that_fits_the_first_chunk_is_the_one_without_chunks(
    server: Server, tmp_path: Path
) -> None:
    """The first call has the seed and the context of a plain answer."""
    plain = groups_of(server, recipe_of(server, {"max_new_tokens": 48}), tmp_path)
    chunks = {"chunk_tokens": 48, "carry_tokens": 8, "chunks": 2}
    chunked = groups_of(server, recipe_of(server, chunks), tmp_path)
    for one, other in zip(chain(*plain), chain(*chunked), strict=True):
        assert other.rollout.completion.tokens[:48] == one.rollout.completion.tokens
        assert other.rollout.completion.logprobs[:48] == one.rollout.completion.logprobs


def test_an_evaluation_may_have_more_chunks_than_were_trained(
    server: Server, tmp_path: Path
) -> None:
    chunks = {"chunk_tokens": 24, "carry_tokens": 8}
    two = recipe_of(server, {**chunks, "chunks": 2})
    evaluation = two.evaluation.model_copy(update={"chunks": 6, "samples": 3, "temperature": 1.0})
    more = two.model_copy(update={"evaluation": evaluation})
    trained = [g.rollout.completion for g in chain(*groups_of(server, more, tmp_path))]
    evaluated = groups_of(server, more, tmp_path, held_out=True)
    found = [g.rollout.completion for g in chain(*evaluated)]
    assert max(len(answer.chunks) for answer in trained) == 2
    assert max(len(answer.chunks) for answer in found) > 2
    for one, other in zip(trained, found, strict=True):
        assert other.tokens[:40] == one.tokens, "the same answers, which go on"
    six = recipe_of(server, {**chunks, "chunks": 6})
    assert [[g.rollout.completion for g in group] for group in evaluated] == [
        [g.rollout.completion for g in group] for group in groups_of(server, six, tmp_path)
    ]

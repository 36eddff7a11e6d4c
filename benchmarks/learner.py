"""Tokens per second of `Learner.update`, against a bare transformers forward and backward pass.

The baseline does nothing else: no policy loss, no clipping, no optimiser. It gets the same tokens
in the way of feeding them that is its fastest, found by trying: sequences sorted by length and
padded on the right, or laid end to end, in passes of several sizes.

As a helper process: python -m benchmarks.learner RESOLVED.yaml MODEL
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks.harness import (
    LONG,
    SHORT,
    Helper,
    Result,
    Row,
    answer_requests,
    interleave,
    recipe_of,
    scratch_directory,
    starting_policy,
    timed,
    write_recipe,
)
from envs.registry import make_env
from rl.chat import encode
from rl.learner.batch import Batch, pack
from rl.learner.learner import Learner
from rl.recipe.config import Recipe
from rl.recipe.load import read_resolved
from rl.tasks import Tasks
from rl.types import Completion, Graded, Group, Rollout, Span, Stop
from verifiers.verdict import correct, wrong

AIM = 0.9
PASS_TOKENS = (8192, 2048, 512)  # sizes of a pass that the baseline may choose
IGNORED = -100  # label of a token that transformers leaves out of the loss


def learner(repeats: int) -> Result:
    """One update on a whole step's answers: short ones, and long ones of unequal length."""
    result = Result("learner")
    for name, path in (("short", SHORT), ("long", LONG)):
        with scratch_directory() as scratch:
            recipe = recipe_of(path, "learner.lr=0")  # every repetition computes the same
            model = starting_policy(recipe_of(path), scratch)
            argv = [sys.executable, "-m", "benchmarks.learner"]
            argv += [str(write_recipe(recipe, scratch)), model]
            with Helper(argv, scratch / "learner.log", {}) as helper:
                chosen = helper.ask("choose")
                ours, baseline = interleave(
                    lambda ask=helper.ask: ask("ours"),
                    lambda ask=helper.ask: ask("baseline"),
                    repeats,
                )
            row = Row(f"learner, {name} answers", "tokens/s", ours, baseline, True, AIM)
            result.rows.append(row)
            result.notes.append(f"learner, {name} answers: {chosen}")
    return result


def make_batch(recipe: Recipe, tokenizer: Any) -> Batch:
    """A step's worth of worked solutions, half of them rewarded, as if they had been sampled."""
    groups: list[Group] = []
    for drawn in Tasks(recipe).step(1):
        env = make_env(drawn.env, drawn.options)
        prompt = encode(tokenizer, drawn.task)
        group: Group = []
        for index in range(recipe.group_size):
            good = index % 2 == 0
            rng = Random(f"benchmark/{drawn.seed}/{index}")
            text = env.demonstrate(drawn.task, rng, corrupt=not good)
            tokens = [*tokenizer.encode(text, add_special_tokens=False), tokenizer.eos_token_id]
            tokens = tokens[: recipe.rollout.max_new_tokens]
            completion = Completion(
                tokens, [-0.1] * len(tokens), Stop.FINISHED, (Span(0, 0, len(tokens)),)
            )
            rollout = Rollout(drawn.env, drawn.task, prompt, completion, text)
            verdict = correct(text) if good else wrong(text, "a slip")
            group.append(Graded(rollout, verdict, float(good)))
        groups.append(group)
    return pack(groups, recipe).batch


class Pass(NamedTuple):
    """One forward and backward pass of the baseline."""

    tokens: Tensor  # [rows, length] int64
    positions: Tensor | None  # [1, T]: sequences laid end to end; None: one sequence per row
    labels: Tensor  # [rows, length] int64, IGNORED where not sampled


def padded_passes(batch: Batch, at_most: int) -> Iterator[Pass]:
    """Longest sequences first, as many rows as fit into `at_most` tokens with their padding.

    Padding on the right needs no mask: causality keeps real tokens from looking at it.
    """
    rows: list[tuple[Tensor, Tensor]] = []
    for sequence in sequences(batch):
        if rows and (len(rows) + 1) * len(rows[0][0]) > at_most:
            yield _padded(rows)
            rows = []
        rows.append(sequence)
    yield _padded(rows)


def _padded(rows: list[tuple[Tensor, Tensor]]) -> Pass:
    pad = torch.nn.utils.rnn.pad_sequence
    tokens = pad([tokens for tokens, _ in rows], batch_first=True)
    labels = pad([labels for _, labels in rows], batch_first=True, padding_value=IGNORED)
    return Pass(tokens, None, labels)


def packed_passes(batch: Batch, at_most: int) -> Iterator[Pass]:
    """Sequences laid end to end; transformers reads their bounds off the positions."""
    rows: list[tuple[Tensor, Tensor]] = []
    for sequence in sequences(batch):
        if rows and sum(len(tokens) for tokens, _ in [*rows, sequence]) > at_most:
            yield _packed(rows)
            rows = []
        rows.append(sequence)
    yield _packed(rows)


def _packed(rows: list[tuple[Tensor, Tensor]]) -> Pass:
    return Pass(
        torch.cat([tokens for tokens, _ in rows])[None],
        torch.cat([torch.arange(len(tokens)) for tokens, _ in rows])[None],
        torch.cat([labels for _, labels in rows])[None],
    )


def sequences(batch: Batch) -> list[tuple[Tensor, Tensor]]:
    """Tokens and labels of each sequence, the longest first."""
    starts = (batch.positions == 0).nonzero().squeeze(1).tolist()
    labels = torch.where(batch.loss_mask, batch.tokens, IGNORED)
    bounds = zip(starts, [*starts[1:], len(batch.tokens)], strict=True)
    found = [(batch.tokens[a:b], labels[a:b]) for a, b in bounds]
    return sorted(found, key=lambda sequence: -len(sequence[0]))


class Bare:
    """The plain library: forward, mean cross-entropy over the sampled tokens, backward."""

    def __init__(self, model: str, dtype: str, batch: Batch) -> None:
        self._model = AutoModelForCausalLM.from_pretrained(model, dtype=getattr(torch, dtype))
        self._model.train()
        self._batch = batch
        self._passes: list[Pass] = []

    def choose(self) -> str:
        """Settle on the fastest way to feed the batch; returns it in words."""
        trials: list[tuple[float, str, list[Pass]]] = []
        for way, make in (("padded, sorted by length", padded_passes), ("packed", packed_passes)):
            for at_most in PASS_TOKENS:
                passes = list(make(self._batch, at_most))
                # A packed pass makes a mask of its length squared; more would not fit in memory.
                if passes[0].positions is not None and at_most > 4096:
                    continue
                seconds = min(timed(lambda passes=passes: self.compute(passes)) for _ in range(2))
                trials.append((seconds, f"{way}, passes of at most {at_most} tokens", passes))
        _, words, self._passes = min(trials, key=lambda trial: trial[0])
        return f"{len(self._batch.tokens):,} tokens; baseline {words}"

    def compute(self, passes: list[Pass] | None = None) -> float:
        """Forward and backward over the whole batch; its loss."""
        self._model.zero_grad(set_to_none=True)
        total = 0.0
        for one in self._passes if passes is None else passes:
            loss = self._model(
                input_ids=one.tokens,
                position_ids=one.positions,
                labels=one.labels,
                use_cache=False,
                num_items_in_batch=self._batch.n_tokens,
            ).loss
            loss.backward()
            total += loss.item()
        return total


def main() -> None:
    recipe, model = read_resolved(Path(sys.argv[1])), sys.argv[2]
    batch = make_batch(recipe, AutoTokenizer.from_pretrained(model))
    ours = Learner(model, recipe)  # sets the number of threads, for both
    bare = Bare(model, recipe.learner.dtype, batch)
    length = len(batch.tokens)
    answers = {
        "choose": bare.choose,
        "ours": lambda: length / timed(lambda: ours.update(batch)),
        "baseline": lambda: length / timed(bare.compute),
    }
    answer_requests(lambda request: answers[request]())
    ours.close()


if __name__ == "__main__":
    main()

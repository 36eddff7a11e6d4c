"""`Learner.update` on sequences laid end to end, against the same update on padded ones.

Both sides are the same learner with the same weights, passes of the same size and one loss: the
baseline's sequences carry tokens that are no part of any answer. Two ways of padding: to the
longest answer of the step, and to the longest of its pass, with answers in the order they came.

As a helper process: python -m benchmarks.packing RESOLVED.yaml MODEL
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoTokenizer

from benchmarks.harness import (
    LONG,
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
from benchmarks.learner import make_batch
from rl.learner.batch import Batch
from rl.learner.learner import Learner
from rl.learner.microbatch import sequence_lengths
from rl.recipe.load import read_resolved

AIM = 2.0
WAYS = {"pass": "to the longest of each pass", "step": "to the longest of the step"}


def packing(repeats: int) -> Result:
    """One update on a step of answers of very unequal length."""
    result = Result("packing")
    with scratch_directory() as scratch:
        recipe = recipe_of(LONG, "learner.lr=0")  # every repetition computes the same
        model = starting_policy(recipe_of(LONG), scratch)
        argv = [sys.executable, "-m", "benchmarks.packing"]
        argv += [str(write_recipe(recipe, scratch)), model]
        with Helper(argv, scratch / "packing.log", {}) as helper:
            for way, words in WAYS.items():
                ours, baseline = interleave(
                    lambda: helper.ask("packed"), lambda way=way: helper.ask(way), repeats
                )
                name = f"learner, packed against padded {words}"
                result.rows.append(Row(name, "s", ours, baseline, False, AIM))
            result.notes.append(f"packing: {helper.ask('sizes')}")
    return result


def padded(batch: Batch, at_most: int, *, way: str) -> Batch:
    """The same answers, each followed by tokens up to the length of the longest beside it.

    Args:
        at_most: tokens of a pass, its padding included; one longer answer goes alone.
        way: see WAYS.
    """
    lengths = sequence_lengths(batch)
    whole = [max(lengths)] * len(lengths)
    widths = whole if way == "step" else list(_pass_widths(lengths, at_most))
    starts = torch.tensor(lengths).cumsum(0) - torch.tensor(lengths)
    index, real = [], []
    for start, length, width in zip(starts.tolist(), lengths, widths, strict=True):
        offset = torch.arange(width)
        index.append(start + offset.clamp(max=length - 1))
        real.append(offset < length)
    at, kept = torch.cat(index), torch.cat(real)

    def numbers(values: Tensor) -> Tensor:
        return torch.where(kept, values[at], torch.zeros((), dtype=values.dtype))

    return batch._replace(
        tokens=numbers(batch.tokens),
        positions=torch.cat([torch.arange(width) for width in widths]),
        loss_mask=batch.loss_mask[at] & kept,
        rollout_logprobs=numbers(batch.rollout_logprobs),
        advantages=numbers(batch.advantages),
        weights=numbers(batch.weights),
        rewards=numbers(batch.rewards),
    )


def _pass_widths(lengths: list[int], at_most: int) -> Iterator[int]:
    """For each answer the longest of its pass, where passes take answers in their order."""
    rows: list[int] = []
    for length in lengths:
        if rows and max(*rows, length) * (len(rows) + 1) > at_most:
            yield from [max(rows)] * len(rows)
            rows = []
        rows.append(length)
    yield from [max(rows)] * len(rows)


def main() -> None:
    recipe, model = read_resolved(Path(sys.argv[1])), sys.argv[2]
    batch = make_batch(recipe, AutoTokenizer.from_pretrained(model))
    budget = recipe.learner.micro_batch_tokens
    batches = {"packed": batch, **{way: padded(batch, budget, way=way) for way in WAYS}}
    learner = Learner(model, recipe)
    losses = {name: learner.update(one).loss for name, one in batches.items()}
    assert max(losses.values()) - min(losses.values()) < 1e-5, f"not the same step: {losses}"
    sizes = ", ".join(f"{name} {len(one.tokens):,} tokens" for name, one in batches.items())
    answer_requests(
        lambda request: (
            sizes if request == "sizes" else timed(lambda: learner.update(batches[request]))
        )
    )
    learner.close()


if __name__ == "__main__":
    main()

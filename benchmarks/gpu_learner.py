"""Tokens/s and model FLOPs utilisation of `Learner.update` with Qwen3-shaped random models.

    python -m benchmarks.gpu_learner [--out FILE.json]

Models of 0.5 B and 1.5 B parameters in bfloat16, passes of 4,096 and of 32,768 packed tokens, on
one GPU. Where there is none, a toy in float32, so that the script itself is tested.

Utilisation is the arithmetic that the model asks for, over the time of whole updates (optimiser
and all), over the rate of a large matrix product measured on the same card in the same process:
    6 N T       forward and backward; N weights that each of T tokens is multiplied with: all but
                the input embedding, and the output layer only for trained tokens
    6 A sum L^2 attention, per layer: scores and weighted sums over half of the L x L pairs of
                every sequence, and twice that backward; A = query heads x head size
What activation checkpointing and logits in parts compute again does not count.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.harness import run, scratch_directory, three_digits, timed

Sizes = dict[str, Any]
QWEN3: Sizes = {"head_dim": 128, "vocab_size": 151936, "tie_word_embeddings": True}
MODELS: dict[str, Sizes] = {
    "0.5B": {
        **QWEN3, "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 22,
        "num_attention_heads": 16, "num_key_value_heads": 8,
    },
    "1.5B": {
        **QWEN3, "hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 24,
        "num_attention_heads": 16, "num_key_value_heads": 8,
    },
}  # fmt: skip
PASSES = {4096: 16, 32768: 4}  # tokens of a pass -> passes of an update
TOY: dict[str, Sizes] = {
    "toy": {
        "vocab_size": 512, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
        "tie_word_embeddings": True,
    }
}  # fmt: skip
TOY_PASSES = {256: 2}
SHARES = (2, 4, 8, 16, 16)  # a pass is answers of 1/2, 1/4, ... of its tokens: several buckets
CHECKPOINTED_FROM = 32768  # tokens of a pass
MATRIX = {"cuda": 8192, "cpu": 512}  # side of the matrices whose product is measured
REPEATS = 5


@dataclass(frozen=True)
class Work:
    """Of one update."""

    tokens: int
    linear_flops: float
    attention_flops: float

    @property
    def flops(self) -> float:
        return self.linear_flops + self.attention_flops


def work(sizes: Sizes, lengths: Sequence[int], n_trained: int) -> Work:
    """The arithmetic of an update on sequences of `lengths` tokens, see above."""
    hidden, head = sizes["hidden_size"], sizes["head_dim"]
    queries, keys = sizes["num_attention_heads"], sizes["num_key_value_heads"]
    attention = hidden * head * (2 * queries + 2 * keys)
    per_layer = attention + 3 * hidden * sizes["intermediate_size"]
    layers, tokens = sizes["num_hidden_layers"], sum(lengths)
    linear = 6 * (layers * per_layer * tokens + hidden * sizes["vocab_size"] * n_trained)
    pairs = sum(length**2 for length in lengths)
    return Work(tokens, linear, 6 * layers * queries * head * pairs)


def lengths_of(pass_tokens: int, passes: int) -> list[int]:
    return [pass_tokens // share for share in SHARES] * passes


def matrix_rate(device: str, dtype: torch.dtype) -> float:
    """FLOP/s of a large square matrix product: the best of several, after one to warm up."""
    side = MATRIX[device]
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))

    def product() -> None:
        for _ in range(10):
            a @ b
        if device == "cuda":
            torch.cuda.synchronize()

    product()
    return 10 * 2 * side**3 / min(timed(product) for _ in range(REPEATS))


def measure(name: str, pass_tokens: int, model: Path) -> dict[str, Any]:
    """The figures of one model and size of pass."""
    from benchmarks.random_policy import learner_recipe, random_answers
    from rl.learner.learner import Learner

    cuda = torch.cuda.is_available()
    sizes, passes = {**MODELS, **TOY}[name], {**PASSES, **TOY_PASSES}[pass_tokens]
    dtype = "bfloat16" if cuda else "float32"
    threads = 0 if cuda else 1
    torch.set_num_threads(threads or torch.get_num_threads())
    rate = matrix_rate("cuda" if cuda else "cpu", getattr(torch, dtype))
    recipe = learner_recipe(
        model,
        dtype=dtype,
        threads=threads,
        micro_batch_tokens=pass_tokens,
        activation_checkpointing=pass_tokens >= CHECKPOINTED_FROM,
    )
    lengths = lengths_of(pass_tokens, passes)
    batch = random_answers(lengths, sizes["vocab_size"])
    found = work(sizes, lengths, batch.n_tokens)
    learner = Learner(str(model), recipe)
    learner.update(batch)  # makes the optimiser's state, chooses kernels
    seconds = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        done = learner.update(batch)  # reads its figures back, so it waits for the GPU
        seconds.append(time.perf_counter() - begin)
    assert done.n_micro_batches == passes
    learner.close()
    median = sorted(seconds)[REPEATS // 2]
    return {
        "device": torch.cuda.get_device_name() if cuda else "CPU",
        "model": name,
        "dtype": dtype,
        "pass_tokens": pass_tokens,
        "passes": passes,
        "seconds": seconds,
        "tokens_per_s": found.tokens / median,
        "flops_per_update": found.flops,
        "attention_share": found.attention_flops / found.flops,
        "matrix_flops_per_s": rate,
        "utilisation": found.flops / median / rate,
        "peak_gib": torch.cuda.max_memory_allocated() / 2**30 if cuda else None,
    }


def measure_all(scratch: Path) -> list[dict[str, Any]]:
    """Every model with every size of pass, each in a process of its own."""
    from benchmarks.random_policy import random_policy

    cuda = torch.cuda.is_available()
    models, passes = (MODELS, PASSES) if cuda else (TOY, TOY_PASSES)
    found = []
    for name, sizes in models.items():
        model = random_policy(scratch / name, sizes, "bfloat16" if cuda else "float32")
        for tokens in passes:
            out = scratch / f"{name}-{tokens}.json"
            one = ["--one", name, str(tokens), str(model), "--out", str(out)]
            argv = [sys.executable, "-m", "benchmarks.gpu_learner", *one]
            run(argv, scratch / f"{name}-{tokens}.log")
            found += json.loads(out.read_text())
    return found


def table(found: list[dict[str, Any]]) -> str:
    """A line for each measurement, in Markdown."""
    lines = [
        f"On {found[0]['device']}, {found[0]['dtype']}: matrix product "
        f"{three_digits(found[0]['matrix_flops_per_s'] / 1e12)} TFLOP/s",
        "",
        "| model | tokens per pass | tokens/s | TFLOP/s | utilisation | attention's share | GiB |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in found:
        rate = one["utilisation"] * one["matrix_flops_per_s"] / 1e12
        memory = "" if one["peak_gib"] is None else f"{one['peak_gib']:.1f}"
        lines.append(
            f"| {one['model']} | {one['pass_tokens']:,} | {three_digits(one['tokens_per_s'])} | "
            f"{three_digits(rate)} | {one['utilisation']:.1%} | {one['attention_share']:.0%} | "
            f"{memory} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.gpu_learner", description=__doc__)
    parser.add_argument("--out", type=Path, help="JSON file for every figure")
    parser.add_argument("--one", nargs=3, metavar=("MODEL", "TOKENS", "DIRECTORY"))
    arguments = parser.parse_args()
    if arguments.one:
        name, tokens, directory = arguments.one
        found = [measure(name, int(tokens), Path(directory))]
    else:
        with scratch_directory() as scratch:
            found = measure_all(scratch)
    if arguments.out:
        arguments.out.write_text(json.dumps(found, indent=2) + "\n")
    print(table(found))


if __name__ == "__main__":
    main()

"""A tiny random policy and batches for it, made from seeds."""

from pathlib import Path
from typing import Any

import torch

from rl.learner.batch import Batch
from rl.recipe.config import Recipe

VOCABULARY = 1200  # times 96 is above the size from which ZeRO-3 splits a weight by default


def tiny_model(directory: Path, architecture: str = "Qwen3", **changes: Any) -> Path:
    """Save a model of 0.3 M random float32 weights with grouped-query attention."""
    import transformers

    sizes = {
        "vocab_size": VOCABULARY,
        "hidden_size": 96,
        "intermediate_size": 192,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 24,
        "tie_word_embeddings": True,
        "initializer_range": 0.1,
    }
    config = getattr(transformers, f"{architecture}Config")(**{**sizes, **changes})
    torch.manual_seed(0)
    model = getattr(transformers, f"{architecture}ForCausalLM")(config)
    model.save_pretrained(directory)
    return directory


def tiny_experts(directory: Path) -> Path:
    """The same with four experts in each layer, of which each token takes two."""
    return tiny_model(
        directory,
        "Qwen3Moe",
        moe_intermediate_size=64,
        num_experts=4,
        num_experts_per_tok=2,
        norm_topk_prob=True,
    )


def routed(batch: Batch, seed: int) -> Batch:
    """The batch with experts chosen at random for it, as many as `tiny_experts` has."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(len(batch.tokens), 2, 4, generator=generator)
    return batch._replace(routes=scores.topk(2).indices.flatten(1).to(torch.uint8))


def learner_recipe(
    temperature: float = 1.0,
    algorithm: dict[str, Any] | None = None,
    critic: dict[str, Any] | None = None,
    lora: dict[str, Any] | None = None,
    sections: dict[str, Any] | None = None,
    **learner: Any,
) -> Recipe:
    settings = {"dtype": "float32", "lr": 1e-3, "threads": 1, "collective_deadline_s": 120}
    return Recipe.model_validate(
        {
            "model": "embedded",
            "envs": [{"name": "arithmetic"}],
            "rollout": {"temperature": temperature},
            # The answers of a random batch are far off: by default none is left out for that.
            "algorithm": {"sequence_band": None, **(algorithm or {})},
            "critic": critic,
            "learner": {**settings, **learner},
            "lora": lora,
            **(sections or {}),
        }
    )


def random_batch(
    seed: int,
    n_sequences: int = 16,
    advantage: float = 1.0,
    weights: str = "token",
    in_chunks: bool = False,
) -> Batch:
    """Sequences of 4 to 60 tokens; sampler log-probabilities a little off a uniform policy's.

    The loss is the mean over tokens, or with `weights` "sequence" that over sequences. With
    `in_chunks` every two sequences are one answer.
    """
    generator = torch.Generator().manual_seed(seed)

    def number(low: int, high: int) -> int:
        return int(torch.randint(low, high, (1,), generator=generator))

    tokens, positions, mask, logprobs, advantages, shares, rewards = [], [], [], [], [], [], []
    for _ in range(n_sequences):
        length = number(4, 60)
        sampled = torch.arange(length) >= number(1, 4)
        tokens.append(torch.randint(VOCABULARY, (length,), generator=generator))
        positions.append(torch.arange(length))
        mask.append(sampled)
        logprobs.append((torch.randn(length, generator=generator) * 0.2 - 7.5) * sampled)
        advantages.append(torch.randn(1, generator=generator) * sampled * advantage)
        shares.append(sampled / sampled.sum() if weights == "sequence" else sampled.float())
        # paid after the last token, by whether the first sampled one is in half of the vocabulary
        right = tokens[-1][sampled][0] < VOCABULARY // 2
        rewards.append((torch.arange(length) == length - 1) * right.float())
    if not n_sequences:
        whole = torch.zeros(0, dtype=torch.int64)
        none = torch.zeros(0)
        return Batch(whole, whole, whole > 0, none, none, none, none, denominator=7, n_tokens=7)
    trained = torch.cat(mask)
    n_tokens = int(trained.sum()) + 50  # 50 more in groups without signal
    return Batch(
        torch.cat(tokens),
        torch.cat(positions),
        trained,
        torch.cat(logprobs),
        torch.cat(advantages),
        torch.cat(shares),
        torch.cat(rewards),
        denominator=n_sequences if weights == "sequence" else n_tokens,
        n_tokens=n_tokens,
        answers=(torch.cat(positions) == 0).cumsum(0).sub(1) // 2 if in_chunks else None,
    )

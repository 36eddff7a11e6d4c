"""Random policies of any size, answers of any length: for what does not depend on their values."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from rl.learner.batch import Batch
from rl.recipe.config import Recipe

PROMPT_TOKENS = 32


def random_policy(directory: Path, sizes: dict[str, Any], dtype: str = "float32") -> Path:
    """Write a Qwen3 model of random weights; `sizes` are keys of its configuration."""
    torch.manual_seed(0)
    # The weights of a 1.5 B model take minutes to draw on a CPU.
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = Qwen3ForCausalLM(Qwen3Config(**sizes))
    model.to(getattr(torch, dtype)).save_pretrained(directory)
    return directory


def random_answers(lengths: Sequence[int], vocabulary: int) -> Batch:
    """Sequences of `lengths` tokens behind a short prompt, half of them rewarded.

    The sampler's probabilities are those of a policy that knows nothing, as a random one nearly is.
    """
    generator = torch.Generator().manual_seed(0)
    positions = torch.cat([torch.arange(length) for length in lengths])
    mask = torch.cat([torch.arange(n) >= min(PROMPT_TOKENS, n // 2) for n in lengths])
    signs = torch.cat([torch.full((n,), (-1.0) ** i) for i, n in enumerate(lengths)])
    n_tokens = int(mask.sum())
    return Batch(
        tokens=torch.randint(vocabulary, (len(positions),), generator=generator),
        positions=positions,
        loss_mask=mask,
        rollout_logprobs=mask * -math.log(vocabulary),
        advantages=mask * signs,
        weights=mask.float(),
        rewards=mask * 0.0,
        denominator=n_tokens,
        n_tokens=n_tokens,
    )


def learner_recipe(model: Path, **learner: Any) -> Recipe:
    """A recipe of which only the learner matters. At learning rate 0 all updates are alike."""
    return Recipe.model_validate(
        {
            "model": str(model),
            "envs": [{"name": "arithmetic"}],
            "learner": {"lr": 0.0, "collective_deadline_s": 1800, **learner},
        }
    )

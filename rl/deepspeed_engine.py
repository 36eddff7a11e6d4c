"""Hands the policy to DeepSpeed, by way of accelerate, with the settings that a recipe implies."""

import logging
import os
import warnings
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from rl.config import Recipe
from rl.lora import add_adapter
from rl.packed_model import PackedPolicy, load_model
from rl.ranks import Ranks
from rl.routes import replayed_experts


def start_engine(model_path: str, recipe: Recipe, ranks: Ranks) -> Any:
    """Load the model and hand it to DeepSpeed."""
    if ranks.device.type == "cpu":
        os.environ["DS_ACCELERATOR"] = "cpu"
    import deepspeed
    from accelerate import Accelerator, DeepSpeedPlugin
    from accelerate.utils import DummyOptim

    logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
    # Of bitsandbytes' AdamW under ZeRO, which our tests test.
    logging.getLogger("DeepSpeed").addFilter(lambda r: "untested optimizer" not in r.getMessage())
    # DeepSpeed calls collectives by names that torch has begun to rename.
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch.distributed")
    # DeepSpeed would compile an operator that only its inference engine calls: 80 s at the first
    # start on a machine, and a compiler needed. It asks this table, whose edits last.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False

    settings = recipe.learner
    if ranks.device.type == "cuda" and settings.dtype == "bfloat16":
        # The output layer's float32 product of bfloat16 numbers: TF32 holds them exactly, and is
        # several times as fast.
        torch.set_float32_matmul_precision("high")
    plugin = DeepSpeedPlugin(hf_ds_config=_deepspeed_settings(recipe))
    accelerator = Accelerator(deepspeed_plugin=plugin)
    model = load_model(model_path, settings.dtype, settings.activation_checkpointing)
    if recipe.lora is not None:
        add_adapter(model, recipe.lora, recipe.seed)
    experts = replayed_experts(model_path, recipe)
    policy = PackedPolicy(model, settings.logits_mib, experts)
    policy.train()
    learned = [weight for weight in policy.parameters() if weight.requires_grad]
    optimizer: Any = DummyOptim(learned)  # stands for the one in the settings
    if settings.optimizer == "adamw_8bit":
        from bitsandbytes.optim import AdamW8bit

        optimizer = AdamW8bit(learned, **_adamw(recipe))
    with ranks.waiting("starting DeepSpeed"):
        engine, _ = accelerator.prepare(policy, optimizer)
    if ranks.world_size > 1:
        # DeepSpeed makes a group of its own, with torch's deadline of half an hour.
        engine.seq_data_parallel_group.set_timeout(timedelta(seconds=ranks.deadline_s))
    return engine


def shared_attention(attention: Callable[..., Tensor], group: dist.ProcessGroup) -> Any:
    """`attention` on all tokens of some heads, called with some tokens of all heads.

    Takes and gives [1, T / ranks, heads, head size]; differentiable. Each rank of the group attends
    for its share of the heads, which it gets from the others and gives back by all-to-all.

    Source: DeepSpeed Ulysses (arXiv:2309.14509).
    """
    from deepspeed.sequence.layer import DistributedAttention

    return DistributedAttention(attention, group, scatter_idx=2, gather_idx=1)  # pyright: ignore[reportArgumentType]


def gathered(weights: list[Any]) -> Any:
    """Context in which weights that ZeRO-3 splits are whole on every rank; every rank enters it."""
    import deepspeed

    return deepspeed.zero.GatheredParameters(weights)


def _deepspeed_settings(recipe: Recipe) -> dict[str, Any]:
    settings = recipe.learner
    plain = settings.dtype == "float32"
    # In bfloat16 DeepSpeed without ZeRO adds gradients up in bfloat16, and starts Adam's bias
    # correction a step late (seen: the first step is 27 % short). Its stage 1 does neither.
    stage = settings.zero_stage if plain else max(1, settings.zero_stage)
    found = {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,  # the boundary is ours, and nothing is divided by it
        # In float32 without ZeRO DeepSpeed clips but does not tell the norm: then we clip.
        "gradient_clipping": settings.max_grad_norm if stage else 0.0,
        "bf16": {"enabled": not plain},
        "data_types": {"grad_accum_dtype": "fp32"},
        "zero_optimization": {"stage": stage, **_offload(recipe)},
        "zero_force_ds_cpu_optimizer": False,
    }
    if settings.optimizer == "adamw":
        # torch's own: DeepSpeed's for offloaded states would have to be compiled first.
        params = {**_adamw(recipe), "torch_adam": True}
        found["optimizer"] = {"type": "AdamW", "params": params}
    return found


def _adamw(recipe: Recipe) -> dict[str, Any]:
    settings = recipe.learner
    return {
        "lr": settings.lr,
        "betas": list(settings.betas),
        "eps": 1e-8,
        "weight_decay": settings.weight_decay,
    }


def _offload(recipe: Recipe) -> dict[str, Any]:
    to_cpu = {"device": "cpu", "pin_memory": torch.cuda.is_available()}
    match recipe.learner.offload:
        case "none":
            return {}
        case "optimizer":
            return {"offload_optimizer": to_cpu}
        case "weights":
            return {"offload_optimizer": to_cpu, "offload_param": to_cpu}

"""Hands the policy to DeepSpeed, by way of accelerate, with the settings that a recipe implies."""

import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from rl.learner.lora import add_adapter
from rl.learner.packed_critic import PackedCritic, PackedPolicyWithValues
from rl.learner.packed_model import PackedPolicy, load_model
from rl.learner.ranks import Ranks
from rl.recipe.config import Recipe
from rl.sampling.routes import replayed_experts


def start_engine(model_path: str, recipe: Recipe, ranks: Ranks) -> Any:
    """Load the policy and hand it to DeepSpeed, with a value head where the recipe has one there.

    Its optimiser has a group of weights for the policy, and a second one for the value head.
    """
    accelerator = _accelerator(recipe, ranks)
    model, experts = _load(model_path, recipe), replayed_experts(model_path, recipe)
    if recipe.critic is None or recipe.critic.trunk == "own":
        policy = PackedPolicy(model, recipe.learner.logits_mib, experts)
        return _start(accelerator, policy, [policy], recipe, ranks)
    policy = PackedPolicyWithValues(model, recipe.learner.logits_mib, experts)
    return _start(accelerator, policy, [policy.model, policy.value_head], recipe, ranks)


def start_critic(model_path: str, recipe: Recipe, ranks: Ranks) -> Any:
    """A critic with a trunk of its own, that of the starting policy; after `start_engine`."""
    from accelerate import Accelerator

    critic = PackedCritic(_load(model_path, recipe))
    # Without settings: accelerate keeps those of the first one for the whole process.
    return _start(Accelerator(), critic, [critic], recipe, ranks)


def _load(model_path: str, recipe: Recipe) -> Any:
    """The model of that directory, with an adapter where the recipe has one."""
    settings = recipe.learner
    model = load_model(model_path, settings.dtype, settings.activation_checkpointing)
    if recipe.lora is not None:
        add_adapter(model, recipe.lora, recipe.seed)
    return model


def _accelerator(recipe: Recipe, ranks: Ranks) -> Any:
    """The first in this process, with the settings; models are loaded after it, which ZeRO-3
    splits as they come."""
    if ranks.device.type == "cpu":
        os.environ["DS_ACCELERATOR"] = "cpu"
    import deepspeed
    from accelerate import Accelerator, DeepSpeedPlugin

    logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
    # Of bitsandbytes' AdamW under ZeRO, which our tests test.
    logging.getLogger("DeepSpeed").addFilter(lambda r: "untested optimizer" not in r.getMessage())
    # DeepSpeed calls collectives by names that torch has begun to rename.
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch.distributed")
    # DeepSpeed would compile an operator that only its inference engine calls: 80 s at the first
    # start on a machine, and a compiler needed. It asks this table, whose edits last.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False

    if ranks.device.type == "cuda" and recipe.learner.dtype == "bfloat16":
        # The output layer's float32 product of bfloat16 numbers: TF32 holds them exactly, and is
        # several times as fast.
        torch.set_float32_matmul_precision("high")
    plugin = DeepSpeedPlugin(hf_ds_config=_deepspeed_settings(recipe))
    return Accelerator(deepspeed_plugin=plugin)


def _start(
    accelerator: Any, module: nn.Module, groups: list[nn.Module], recipe: Recipe, ranks: Ranks
) -> Any:
    """Hand `module` to DeepSpeed; the optimiser has a group for what each of `groups` learns."""
    from accelerate.utils import DummyOptim

    module.train()
    learned = [{"params": [w for w in own.parameters() if w.requires_grad]} for own in groups]
    optimizer: Any = DummyOptim(learned)  # stands for the one in the settings
    if recipe.learner.optimizer == "adamw_8bit":
        from bitsandbytes.optim import AdamW8bit

        optimizer = AdamW8bit(learned, **_adamw(recipe))
    with ranks.waiting("starting DeepSpeed"):
        engine, _ = accelerator.prepare(module, optimizer)
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


@contextmanager
def looking(engine: Any) -> Iterator[None]:
    """Context in which forward passes keep nothing for a backward pass."""
    engine.eval()
    with torch.no_grad():
        yield
    engine.train()


def optimizer_step(engine: Any, learning_rates: list[float], max_grad_norm: float) -> float:
    """Clip, update, forget the gradient. Returns the gradient's norm before clipping.

    Args:
        learning_rates: of each group of weights.
    """
    for group, lr in zip(engine.optimizer.param_groups, learning_rates, strict=True):
        group["lr"] = lr
    if engine.gradient_clipping() > 0:
        engine.step()
        return float(engine.get_global_grad_norm())
    norm = _clip(engine.module, max_grad_norm)  # see _deepspeed_settings
    engine.step()
    return norm


def _clip(module: nn.Module, max_grad_norm: float) -> float:
    """Clip gradients that every rank holds whole. Returns their norm before.

    Summed in float64, as ZeRO does: in float32 the norm is off by 3e-6 of itself.
    """
    weights = [w for w in module.parameters() if w.grad is not None]
    norms = [torch.linalg.vector_norm(w.grad, dtype=torch.float64) for w in weights]
    norm = torch.linalg.vector_norm(torch.stack(norms))
    torch.nn.utils.clip_grads_with_norm_(weights, max_grad_norm, norm.float())
    return float(norm)


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

"""What a recipe will need on this machine, before anything is started."""

import json
from dataclasses import dataclass
from pathlib import Path

from rl.config import Recipe
from rl.embedded import HEAD_DIM, SPECIAL, WHOLE_WORDS
from rl.errors import UserError
from rl.hardware import Hardware

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
RUNTIME_GIB = 1.2  # resident size of a process with torch and vLLM or DeepSpeed loaded, measured


@dataclass(frozen=True, slots=True)
class Plan:
    """`place` gives each process its GPUs; `lines` is what --dry-run prints."""

    server_gpus: list[str]  # CUDA_VISIBLE_DEVICES of each server; empty strings without GPUs
    rank_gpus: list[str]
    lines: list[str]


def n_parameters(recipe: Recipe) -> int | None:
    """Weights of the policy; None where the model is not on this machine."""
    if recipe.model == "embedded":
        e = recipe.embedded
        attention = e.hidden * HEAD_DIM * (2 * e.heads + 2 * e.kv_heads) + 2 * HEAD_DIM
        per_layer = attention + 3 * e.hidden * e.intermediate + 2 * e.hidden
        vocabulary = 256 + len(SPECIAL) + len(WHOLE_WORDS)
        return e.layers * per_layer + (vocabulary + 1) * e.hidden
    directory = Path(recipe.model)
    sizes = [_safetensors_parameters(file) for file in directory.glob("*.safetensors")]
    return sum(sizes) or None


def _safetensors_parameters(file: Path) -> int:
    """The header is eight bytes of length and JSON; the weights are not read."""
    with file.open("rb") as content:
        header = json.loads(content.read(int.from_bytes(content.read(8), "little")))
    total = 0
    for name, tensor in header.items():
        if name != "__metadata__":
            count = 1
            for dimension in tensor["shape"]:
                count *= dimension
            total += count
    return total


def make_plan(recipe: Recipe, hardware: Hardware) -> Plan:
    """Processes, their memory and devices, tokens per step, disk.

    Raises:
        UserError: the recipe cannot run on this machine.
    """
    server_gpus, rank_gpus = _place(recipe, hardware)
    weights = n_parameters(recipe)
    answers = recipe.groups_per_step * recipe.group_size
    budget = answers * recipe.rollout.max_new_tokens
    checkpoints = (recipe.checkpoint.keep + 1) * _gib(weights, 4 + 8)
    sampled = recipe.steps * answers + 2 * recipe.evaluation.problems * recipe.evaluation.samples
    lines = [
        f"policy      {recipe.model}, {_count(weights)}",
        f"machine     {hardware}",
        f"servers     {recipe.engine.servers} x vLLM, {_server_memory(recipe, weights)} each"
        + _on(server_gpus),
        f"learner     {recipe.learner.ranks} ranks, ZeRO {recipe.learner.zero_stage}, "
        f"{_rank_memory(recipe, weights)} each" + _on(rank_gpus),
        f"verifiers   {recipe.verify.workers} workers, at most {recipe.verify.memory_mib} MiB each",
        f"step        {recipe.groups_per_step} groups x {recipe.group_size} = {answers} answers, "
        f"at most {budget:,} sampled tokens",
        f"learning    1 update per step on all of them, in micro-batches of "
        f"{recipe.learner.micro_batch_tokens:,} tokens per rank",
        f"evaluation  {recipe.evaluation.problems} held-out tasks x {recipe.evaluation.samples}, "
        + (f"every {recipe.evaluation.every} steps, " if recipe.evaluation.every else "")
        + "before and after",
        f"disk        about {checkpoints + sampled * 2e-6:.1f} GiB for checkpoints and samples",
    ]
    return Plan(server_gpus, rank_gpus, lines)


def _place(recipe: Recipe, hardware: Hardware) -> tuple[list[str], list[str]]:
    servers, ranks = recipe.engine.servers, recipe.learner.ranks
    n_gpus = len(hardware.gpus)
    if n_gpus == 0:
        if recipe.weights.transport == "nccl":
            raise UserError(
                "weights.transport: nccl moves weights between GPUs and this machine has none; "
                "set weights.transport=file, or profile=cpu where the recipe has it"
            )
        return [""] * servers, [""] * ranks
    if servers + ranks <= n_gpus:
        return [str(i) for i in range(servers)], [str(servers + i) for i in range(ranks)]
    if recipe.weights.transport == "nccl":
        raise UserError(
            f"weights.transport: nccl needs a GPU for each of the {servers} servers and {ranks} "
            f"ranks, and this machine has {n_gpus}; lower engine.servers and learner.ranks, or let "
            "them share GPUs with weights.transport=file"
        )
    return [str(i % n_gpus) for i in range(servers)], [str(i % n_gpus) for i in range(ranks)]


def _on(gpus: list[str]) -> str:
    return f", on GPU {', '.join(gpus)}" if any(gpus) else ""


def _gib(weights: int | None, bytes_each: float) -> float:
    return (weights or 0) * bytes_each / 2**30


def _count(weights: int | None) -> str:
    return "size known once it is downloaded" if weights is None else f"{weights:,} parameters"


def _server_memory(recipe: Recipe, weights: int | None) -> str:
    if weights is None:
        return "memory known once the policy is downloaded"
    total = RUNTIME_GIB + _gib(weights, BYTES[recipe.engine.dtype])
    return f"{total + (recipe.engine.kv_cache_gib or 0):.1f} GiB"


def _rank_memory(recipe: Recipe, weights: int | None) -> str:
    if weights is None:
        return "memory known once the policy is downloaded"
    learner = recipe.learner
    size = BYTES[learner.dtype]
    master = 4 if learner.dtype != "float32" else 0
    split = learner.ranks
    state = _gib(weights, 8 + master) / (split if learner.zero_stage >= 1 else 1)
    gradients = _gib(weights, size) / (split if learner.zero_stage >= 2 else 1)
    own = _gib(weights, size) / (split if learner.zero_stage >= 3 else 1)
    return f"{RUNTIME_GIB + state + gradients + own:.1f} GiB and activations"

"""What a recipe will need on this machine, before anything is started."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from envs.base import EnvError
from envs.dataset import Dataset, find_files
from envs.registry import make_env
from rl.algorithm.formula import critic_formula, formula
from rl.errors import UserError
from rl.hardware import Hardware
from rl.policy.embedded import HEAD_DIM, SPECIAL, WHOLE_WORDS, check_size
from rl.policy.model_files import check_heads, count_parameters, local_model
from rl.progress import how_many
from rl.recipe.config import Recipe
from rl.recipe.sections import EnvSpec
from rl.sampling.routes import read_experts

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
MOVED = {
    "file": "to the servers through a file in memory (weights.transport: file)",
    "nccl": "to the servers from GPU to GPU (weights.transport: nccl)",
}
BYTES_PER_ANSWER, BYTES_PER_TOKEN = 1000, 6  # of samples.jsonl; 1,450 for 75 tokens, measured
TINY_LR = 5e-5  # above it only policies of a few million parameters learn without LoRA
RUNTIME_GIB = 1.2  # resident size of a process with torch and vLLM or DeepSpeed loaded, measured


@dataclass(frozen=True, slots=True)
class Plan:
    """What runs where; `lines` is what --dry-run prints."""

    recipe: Recipe  # with everything resolved that depends on the machine
    server_gpus: list[str]  # CUDA_VISIBLE_DEVICES of each server; empty strings without GPUs
    rank_gpus: list[str]  # the same for each rank of the learner; none where nothing is learned
    lines: list[str]


def n_parameters(recipe: Recipe) -> int | None:
    """Weights of the policy; None where the model is not on this machine."""
    if recipe.model == "embedded":
        e = recipe.embedded
        attention = e.hidden * HEAD_DIM * (2 * e.heads + 2 * e.kv_heads) + 2 * HEAD_DIM
        feed_forward = 3 * e.hidden * e.intermediate
        if e.experts:
            feed_forward = e.experts * (feed_forward + e.hidden)  # a row of the router for each
        per_layer = attention + feed_forward + 2 * e.hidden
        vocabulary = 256 + len(SPECIAL) + len(WHOLE_WORDS)
        return e.layers * per_layer + (vocabulary + 1) * e.hidden
    return count_parameters(Path(recipe.model).expanduser()) or None


def make_plan(recipe: Recipe, hardware: Hardware, *, learns: bool = True) -> Plan:
    """Processes, their memory and devices, tokens per step, disk.

    Args:
        learns: False where a policy is only evaluated: then there are no ranks, no GPU is kept for
            them, and no weights are moved.

    Raises:
        UserError: the recipe cannot run on this machine.
    """
    if missing := "\n".join(_missing_here(recipe, learns)):
        raise UserError(missing)
    ranks = recipe.learner.ranks if learns else 0
    server_gpus, rank_gpus = _place(recipe.engine.servers, ranks, hardware)
    transport = _transport(recipe, hardware) if learns else "file"
    moved = recipe.weights.model_copy(update={"transport": transport})
    resolved = recipe.model_copy(update={"weights": moved})
    lines = _lines(resolved, hardware, server_gpus, rank_gpus)
    return Plan(resolved, server_gpus, rank_gpus, lines)


def _missing_here(recipe: Recipe, learns: bool) -> Iterator[str]:
    """What the recipe names and this machine does not have, a sentence each."""
    try:
        if recipe.model == "embedded":
            check_size(n_parameters(recipe) or 0)
        else:
            if (found := local_model(recipe.model)) is not None and learns:
                check_heads(found, recipe.learner.sequence_parallel)
    except UserError as error:
        yield str(error)
    for model in recipe.frozen_models.values() if learns else ():
        try:
            local_model(model)
        except UserError as error:
            yield str(error)
    data = recipe.sft and recipe.sft.data
    if data and Path(data).suffix in (".json", ".jsonl") and not Path(data).is_file():
        yield f"sft.data '{data}': no such file; give JSON lines of prompt and response"
    for spec in [*recipe.envs, *(recipe.evaluation.envs or [])]:
        env = make_env(spec.name, spec.options)
        paths = {env.path, env.test_path or env.path} if isinstance(env, Dataset) else set[str]()
        for path in sorted(paths):
            try:
                find_files(path)
            except EnvError as error:
                yield str(error)
        try:
            isolation_of(spec)
        except UserError as error:
            yield str(error)
    for name in recipe.trackers if learns else []:
        if find_spec(name) is None:
            yield (
                f"trackers: {name} is not installed; `uv pip install {name}` into .venv, or take "
                "it out of the recipe"
            )


def isolation_of(spec: EnvSpec) -> str | None:
    """In what an environment's programs run here, in one line; None if it runs none.

    Raises:
        UserError: there is nothing as strong here as its options ask for.
    """
    try:
        found = make_env(spec.name, spec.options).isolation()
    except EnvError as error:
        raise UserError(f"environment '{spec.name}': {error}") from error
    return found and found.description


def _place(servers: int, ranks: int, hardware: Hardware) -> tuple[list[str], list[str]]:
    """A GPU for each server and each rank: of their own where there are enough, else shared."""
    ids = [gpu.id for gpu in hardware.gpus]
    if 0 < len(ids) < ranks:
        raise UserError(
            f"learner.ranks: {ranks} ranks need a GPU each, since NCCL takes none twice, and this "
            f"machine has {hardware}: set learner.ranks={len(ids)}"
        )
    if not ids:
        if hardware.kind == "gpu":
            raise UserError(
                "what is installed is for GPUs, and this process sees none: look at `nvidia-smi` "
                "and CUDA_VISIBLE_DEVICES, or run launch.sh with ASSAY_HARDWARE=cpu, which sets "
                "up for CPUs"
            )
        return [""] * servers, [""] * ranks
    first = servers if servers + ranks <= len(ids) else 0
    places = [ids[i % len(ids)] for i in range(first + ranks)]
    return [ids[i % len(ids)] for i in range(servers)], places[first:]


def _transport(recipe: Recipe, hardware: Hardware) -> Literal["file", "nccl"]:
    servers, ranks, wish = recipe.engine.servers, recipe.learner.ranks, recipe.weights.transport
    n_gpus = len(hardware.gpus)
    # NCCL takes neither one GPU twice nor slices of one.
    possible = servers + ranks <= n_gpus and not any(gpu.is_slice for gpu in hardware.gpus)
    if recipe.lora is not None or wish == "file" or (wish == "auto" and not possible):
        return "file"
    if possible:
        return "nccl"
    if n_gpus == 0:
        raise UserError(
            "weights.transport: nccl moves weights between GPUs and this machine has none; "
            "set weights.transport=auto"
        )
    raise UserError(
        f"weights.transport: nccl needs a whole GPU for each of the {servers} servers and {ranks} "
        f"ranks, and this machine has {hardware}; let them share with weights.transport=auto"
        + (", or lower engine.servers or learner.ranks" if servers + ranks > 2 else "")
    )


def _size(gib: float) -> str:
    return (
        f"{gib:,.0f} GiB"
        if gib >= 10
        else f"{gib:.1f} GiB"
        if gib >= 1
        else f"{gib * 1024:.0f} MiB"
    )


def _lines(
    recipe: Recipe, hardware: Hardware, server_gpus: list[str], rank_gpus: list[str]
) -> list[str]:
    weights = n_parameters(recipe)
    answers = recipe.groups_per_step * recipe.group_size
    budget = answers * recipe.rollout.max_new_tokens
    models = 2 if _critic_of_its_own(recipe) else 1
    checkpoints = (recipe.checkpoint.keep + 1) * models * _gib(weights, 4 + 8)
    rollout, guides = recipe.rollout, (recipe.reference, recipe.teacher)
    objective = formula(recipe.algorithm, rollout.max_new_tokens, rollout.truncated, *guides)
    if recipe.critic is not None:
        objective += critic_formula(recipe.critic)
    between = recipe.steps // recipe.evaluation.every if recipe.evaluation.every else 0
    held_out = (2 + between) * recipe.evaluation.problems * recipe.evaluation.samples
    written = (recipe.steps * answers + held_out) * (
        BYTES_PER_ANSWER + BYTES_PER_TOKEN * recipe.rollout.max_new_tokens
    )
    lines = [
        f"policy      {recipe.model}, {_count(weights)}",
        f"machine     {hardware}",
        f"servers     {recipe.engine.servers} x vLLM, {_server_memory(recipe, weights)} each"
        + _on(server_gpus),
        f"learner     {how_many(recipe.learner.ranks, 'rank')}, ZeRO {recipe.learner.zero_stage}, "
        f"{_rank_memory(recipe, weights)} each" + _on(rank_gpus),
        *_critic_lines(recipe),
        f"weights     {'the adapter, ' if recipe.lora else ''}{MOVED[recipe.weights.backend]}",
        f"verifiers   {how_many(recipe.verify.workers, 'worker')}, at most "
        f"{recipe.verify.memory_mib} MiB each",
        *(f"programs    run in {found}" for found in _isolations(recipe)),
        f"step        {recipe.groups_per_step} groups x {recipe.group_size} = {answers} answers, "
        f"at most {budget:,} sampled tokens",
        f"learning    1 update per step on all of them, in micro-batches of "
        f"{recipe.learner.micro_batch_tokens:,} tokens per rank" + _shared_passes(recipe),
        *_answers(recipe),
        *_schedule(recipe),
        *(f"{'' if i else 'objective':12}{line}" for i, line in enumerate(objective)),
        f"evaluation  {recipe.evaluation.problems} held-out tasks x {recipe.evaluation.samples}, "
        + (f"every {recipe.evaluation.every} steps, " if recipe.evaluation.every else "")
        + "before and after",
        f"disk        {_size(checkpoints)} for checkpoints, "
        f"at most {_size(written / 2**30)} for samples",
    ]
    experts = _experts(recipe)
    if experts is not None:
        count, per_token = experts
        chosen = "the sampler chose" if recipe.moe.routing == "replay" else "its own router chooses"
        lines.insert(
            1,
            f"experts     {per_token or '?'} of {count} per token and layer; the learner takes "
            f"those that {chosen} (moe.routing: {recipe.moe.routing})",
        )
    if recipe.sft is not None:
        source = recipe.sft.data or "the environments"
        lines.insert(
            1,
            f"warm start  on at most {recipe.sft.demonstrations:,} worked solutions from {source} "
            "(none with sft=null)",
        )
    return [*lines, *_warnings(recipe, hardware), *_idle_keys(recipe)]


def _experts(recipe: Recipe) -> tuple[int, int] | None:
    """In a layer, and for a token; None where the policy is dense, or not on this machine."""
    if recipe.model == "embedded":
        size = recipe.embedded
        return (size.experts, size.experts_per_token) if size.experts else None
    found = read_experts(recipe.model)
    return found and (found.count, found.per_token)


def _shared_passes(recipe: Recipe) -> str:
    size = recipe.learner.sequence_parallel
    return f", {size} ranks sharing each pass" if size > 1 else ""


def _critic_lines(recipe: Recipe) -> Iterator[str]:
    critic = recipe.critic
    if critic is not None:
        where = "a trunk of its own" if _critic_of_its_own(recipe) else "the policy's trunk"
        yield (
            f"critic      a value head on {where}, alone in learning for the first "
            f"{critic.pretraining_steps} steps"
        )


def _critic_of_its_own(recipe: Recipe) -> bool:
    """Whether a second model is trained beside the policy."""
    return recipe.critic is not None and recipe.critic.trunk == "own"


def _answers(recipe: Recipe) -> Iterator[str]:
    """How answers are sampled, where it is not in one context to the end of the budget."""
    rollout = recipe.rollout
    if rollout.chunk_tokens is not None:
        held_out = recipe.evaluation.chunks
        yield (
            f"answers     in at most {rollout.chunks} chunks"
            + (f" (held out {held_out})" if held_out not in (None, rollout.chunks) else "")
            + f", each in a context of {rollout.context_tokens:,} tokens and the prompt; "
            f"{rollout.carry_tokens:,} are carried over"
        )
    if rollout.truncated == "penalty":
        window = rollout.penalty_window(rollout.max_new_tokens)
        yield f"overlong    an answer's last {window:,} tokens cost up to 1 of its reward"
    if rollout.truncated == "interrupt":
        yield "overlong    interrupted at a random point of the last 15 % of the budget"


def _schedule(recipe: Recipe) -> Iterator[str]:
    if recipe.max_staleness:
        late = recipe.rollout.straggler_s
        yield (
            f"schedule    sampling runs up to {recipe.max_staleness} steps ahead of the learner"
            + (f"; a step waits {late:g} s for its last answers" if late is not None else "")
        )


def _isolations(recipe: Recipe) -> list[str]:
    """What programs of the policy run in, each once."""
    specs = [*recipe.envs, *(recipe.evaluation.envs or [])]
    return list(dict.fromkeys(filter(None, map(isolation_of, specs))))


def _warnings(recipe: Recipe, hardware: Hardware) -> Iterator[str]:
    wanted = {"engine.servers": recipe.engine.servers, "learner.ranks": recipe.learner.ranks}
    for key, processes in wanted.items():
        if not hardware.gpus and processes > hardware.cores:
            yield (
                f"warning     {key} {processes} on {hardware.cores} cores: the processes will wait "
                "for each other"
            )
    if recipe.model == "embedded" or recipe.lora is not None:
        return
    rates = {"learner.lr": (recipe.learner.lr, "1e-6")}
    if recipe.sft is not None:
        rates["sft.lr"] = (recipe.sft.lr, "1e-5")
    for key, (rate, usual) in rates.items():
        if rate > TINY_LR:
            yield (
                f"warning     {key} {rate:g} is for tiny policies and ruins a large model: "
                f"{key}={usual} is usual"
            )


def _on(gpus: list[str]) -> str:
    return f", on GPU {', '.join(gpus)}" if any(gpus) else ""


def _gib(weights: int | None, bytes_each: float) -> float:
    return (weights or 0) * bytes_each / 2**30


# Key, what has to be set beside it, and whether it is.
NEEDS: tuple[tuple[str, str, Callable[[Recipe], Any]], ...] = (
    ("curriculum.max_draws", "curriculum.dynamic=true", lambda r: r.curriculum.dynamic),
    ("curriculum.review_fraction", "curriculum.retire_at", lambda r: r.curriculum.retire_at),
    ("algorithm.kl_estimator", "algorithm.kl_coef", lambda r: r.algorithm.kl_coef),
    (
        "algorithm.entropy_coef_step",
        "algorithm.entropy_target",
        lambda r: r.algorithm.entropy_target,
    ),
    (
        "rollout.closing_phrase",
        "rollout.truncated=interrupt",
        lambda r: r.rollout.truncated == "interrupt",
    ),
)


def _idle_keys(recipe: Recipe) -> Iterator[str]:
    """Not refused: who tries a recipe without the one key need not take the other out."""
    for key, needed, is_set in NEEDS:
        section, name = key.split(".")
        fields = getattr(recipe, section)
        value = getattr(fields, name)
        if value != type(fields).model_fields[name].default and not is_set(recipe):
            yield f"warning     {key} ({value}) has no effect without {needed}"


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
    if recipe.lora is not None:  # its own state is far smaller than the weights
        own = _gib(weights, size) / (learner.ranks if learner.zero_stage >= 3 else 1)
        return (
            f"{RUNTIME_GIB + own:.1f} GiB, the adapter of rank {recipe.lora.rank} and activations"
        )
    master = 4 if learner.dtype != "float32" else 0
    split = learner.ranks
    if _critic_of_its_own(recipe):
        weights *= 2
    state = _gib(weights, 8 + master) / (split if learner.zero_stage >= 1 else 1)
    gradients = _gib(weights, size) / (split if learner.zero_stage >= 2 else 1)
    own = _gib(weights, size) / (split if learner.zero_stage >= 3 else 1)
    guides = sum(_gib(count, size) for count in _guides(recipe, weights))
    return f"{RUNTIME_GIB + state + gradients + own + guides:.1f} GiB and activations"


def _guides(recipe: Recipe, weights: int) -> Iterator[int]:
    """Weights of each frozen policy that a rank holds beside its own; of one that is not on this
    machine yet as many as the policy's."""
    if recipe.algorithm.kl_coef and recipe.reference.model is None:
        yield weights
    for model in recipe.frozen_models.values():
        yield count_parameters(Path(model).expanduser()) or weights

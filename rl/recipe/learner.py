"""Sections of a recipe about the learner: processes, adapters, experts, how weights leave it."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from rl.recipe.schema import (
    Clash,
    Count,
    Decay,
    Name,
    NotNegative,
    Positive,
    Section,
)


class Learner(Section):
    ranks: Count = 1
    """Learner processes; on GPUs one for each."""

    zero_stage: Annotated[int, Field(ge=0, le=3)] = 0
    """DeepSpeed ZeRO: 0 nothing is split over the ranks, 1 optimiser state, 2 gradients too,
    3 weights too. In bfloat16 0 runs as 1, whose sums are float32."""

    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    """Of weights and activations while learning; sums and logits are float32."""

    optimizer: Literal["adamw", "adamw_8bit"] = "adamw"
    """adamw_8bit keeps AdamW's two moments in 8 bits each (bitsandbytes; tensors of fewer than 4096
    elements keep 32)."""

    offload: Literal["none", "optimizer", "weights"] = "none"
    """What waits in the CPU's memory instead of the GPU's (ZeRO-Offload). optimizer: its state, and
    its steps are computed there, from zero_stage 1; weights: them too, with zero_stage 3."""

    lr: NotNegative = 1e-6
    """Peak learning rate of AdamW."""

    warmup_steps: Annotated[int, Field(ge=0)] = 0
    """Updates over which the learning rate rises in a line to its peak."""

    betas: Annotated[list[Decay], Field(min_length=2, max_length=2)] = Field(default=[0.9, 0.95])
    """Decay of AdamW's two moments."""

    weight_decay: NotNegative = 0.0
    """Of AdamW."""

    max_grad_norm: Positive = 1.0
    """The gradient is scaled down to this norm."""

    micro_batch_tokens: Count = 16384
    """Token budget of one forward and backward pass on one rank; a longer sequence goes alone."""

    sequence_parallel: Count = 1
    """So many neighbouring ranks share the tokens of every pass, for sequences too long for one
    (Ulysses). Divides `ranks` and the model's query, key and value heads; the pass may have
    so many times micro_batch_tokens."""

    activation_checkpointing: bool = False
    """True keeps fewer activations and computes them again: less memory, more time."""

    logits_mib: Count = 1024
    """Largest matrix of tokens x vocabulary on one rank, MiB. Where a pass needs more, its logits
    are made in parts, and made again for the gradient."""

    threads: Annotated[int, Field(ge=0)] = 0
    """CPU threads per rank; 0: the machine's cores over the ranks."""

    collective_deadline_s: Positive = 600.0
    """Longest that ranks wait for each other inside an update."""

    @model_validator(mode="after")
    def _ranks_make_whole_groups(self) -> "Learner":
        if self.ranks % self.sequence_parallel:
            raise Clash(
                f"learner.sequence_parallel ({self.sequence_parallel}) must divide learner.ranks "
                f"({self.ranks}): every rank belongs to one group of so many",
                "sequence_parallel",
                "ranks",
            )
        return self

    @model_validator(mode="after")
    def _what_is_offloaded_is_split(self) -> "Learner":
        least = {"none": 0, "optimizer": 1, "weights": 3}[self.offload]
        if self.zero_stage < least:
            raise Clash(
                f"learner.offload {self.offload} needs learner.zero_stage of at least {least} "
                f"(found {self.zero_stage})",
                "offload",
                "zero_stage",
            )
        if self.offload != "none" and self.optimizer != "adamw":
            raise Clash(
                f"learner.optimizer {self.optimizer} saves a GPU's memory, of which the optimiser "
                f"uses none with learner.offload {self.offload}: choose one of them",
                "optimizer",
                "offload",
            )
        return self


class Lora(Section):
    """Low-rank adapters beside frozen weights (peft). Only they are learned, and sent to the
    servers; learner.lr is usually ten times that of all weights."""

    rank: Annotated[int, Field(ge=1, le=1024)] = 16
    """Rank of what is added to a layer's weight."""

    alpha: Positive = 32.0
    """What is added counts alpha / rank times."""

    targets: Annotated[list[Name], Field(min_length=1)] | None = None
    """Linear layers by the last part of their name, such as q_proj; null: every one but the output
    layer."""


class MixtureOfExperts(Section):
    """Of policies with experts; unused by dense ones."""

    routing: Literal["replay", "learner"] = "replay"
    """Which experts the learner computes a sampled token with. replay: those that the sampler chose
    for it; the run is refused where these are not to be had. learner: its own router's choice,
    which now and then is another, and then the token's log-probability jumps."""


class Weights(Section):
    """How new weights reach the rollout servers."""

    transport: Literal["auto", "file", "nccl"] = "auto"
    """file: a safetensors file in a memory file system (one machine); nccl: GPU to GPU; auto: nccl
    where every server and rank has a GPU of its own, else file."""

    max_logprob_diff: Positive = 1e-4
    """After every update the servers' log-probabilities of a fixed prompt may differ from the
    learner's by at most so much on average (nats per token), or the run stops."""

    @property
    def backend(self) -> Literal["file", "nccl"]:
        """What moves them; `auto` that no plan has resolved is the one that works everywhere."""
        return "nccl" if self.transport == "nccl" else "file"

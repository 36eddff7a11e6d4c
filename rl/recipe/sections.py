"""Sections of a recipe: policy, environments, servers, judging, evaluation, alarms."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rl.recipe.rollout import MIN_TEMPERATURE
from rl.recipe.schema import (
    Clash,
    Count,
    Finite,
    Name,
    NotNegative,
    Positive,
    Section,
    Share,
    Width,
)
from verifiers.process import Limits

MIN_VERIFIER_MIB = 256  # a worker with sympy loaded fills 68 before it has judged anything

Action = Literal["log", "stop"]


class EnvSpec(BaseModel):
    """One environment; keys beside `name` and `weight` are the environment's own options."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)

    name: Name
    """A name listed in envs/__init__.py, or `path/to/file.py:ClassName`."""

    weight: Positive = 1.0
    """Share of the tasks drawn from it, relative to the other environments."""

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class EmbeddedPolicy(Section):
    """Size of the policy that `model: embedded` makes (Qwen3 or Qwen3-MoE, character tokens)."""

    layers: Annotated[int, Field(ge=1, le=16)] = 3
    """Transformer layers."""

    hidden: Annotated[Width, Field(le=512)] = 96
    """Width of the residual stream."""

    heads: Annotated[int, Field(ge=1, le=16)] = 4
    """Query heads, of 32 dimensions each."""

    kv_heads: Annotated[int, Field(ge=1, le=16)] = 4
    """Key and value heads; fewer than `heads` is grouped-query attention."""

    intermediate: Annotated[Width, Field(le=2048)] = 256
    """Width of the feed-forward layers; with `experts`, of each of them."""

    experts: Annotated[int, Field(ge=0, le=64)] = 0
    """Experts in each layer (Qwen3-MoE architecture), of which `hidden` must be a multiple of 32;
    0: none, a dense policy."""

    experts_per_token: Annotated[int, Field(ge=1, le=8)] = 2
    """Experts that compute each token; unused without `experts`."""

    max_tokens: Annotated[int, Field(ge=64, le=262144)] = 2048
    """Longest sequence the position embedding is made for."""

    @model_validator(mode="after")
    def _query_heads_share_evenly(self) -> "EmbeddedPolicy":
        if self.heads % self.kv_heads:
            raise Clash(
                f"embedded.heads ({self.heads}) must be a multiple of embedded.kv_heads "
                f"({self.kv_heads})",
                "heads",
                "kv_heads",
            )
        return self

    @model_validator(mode="after")
    def _experts_can_be_chosen_and_computed(self) -> "EmbeddedPolicy":
        if self.experts and self.experts_per_token > self.experts:
            raise Clash(
                f"embedded.experts_per_token ({self.experts_per_token}) must not exceed "
                f"embedded.experts ({self.experts})",
                "experts_per_token",
                "experts",
            )
        if self.experts and self.hidden % 32:
            raise Clash(
                f"embedded.hidden ({self.hidden}) must be a multiple of 32 where there are "
                f"embedded.experts ({self.experts}): vLLM's kernel on CPUs wants it",
                "hidden",
                "experts",
            )
        return self


class Sft(Section):
    """Supervised warm start before the reinforcement (TRL's SFTTrainer)."""

    data: str | None = None
    """JSONL file or hub dataset with `prompt` and `response`; None: the environments' own worked
    solutions."""

    demonstrations: Count = 20000
    """Worked solutions to draw (with `data`: at most so many rows)."""

    corrupted_fraction: Share = 0.0
    """Share of the environments' worked solutions that carry a slip."""

    epochs: Positive = 1.0
    """Passes over the worked solutions."""

    lr: Positive = 1e-5
    """Peak learning rate of the warm start."""

    batch_tokens: Count = 4096
    """Tokens per optimiser step."""


class Engine(Section):
    """The rollout servers (vLLM)."""

    servers: Count = 1
    """Rollout servers; on GPUs one for each, on CPUs each uses one core."""

    dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16"
    """Of weights and activations while sampling; best the same as learner.dtype."""

    port: Annotated[int, Field(ge=0, le=65535)] = 0
    """Port of the first server on loopback, the next ones count up; 0: any free ones."""

    max_num_seqs: Count = 256
    """Answers in flight per server."""

    max_model_tokens: Count | None = None
    """Longest prompt plus answer; None: what the model's configuration says."""

    kv_cache_gib: Positive | None = None
    """Memory for the key-value cache per server; None: vLLM decides (GPUs)."""

    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] = 0.45
    """Share of a GPU that a server may fill; the learner needs the rest. Unused on CPUs."""

    eager: bool = False
    """True starts in seconds; False compiles first and samples faster."""

    extra_args: dict[str, str | int | float | bool] = Field(default={})
    """More options of `vllm serve`, by their long name without the dashes."""

    start_deadline_s: Positive = 600.0
    """Longest wait for the servers to come up."""

    update_deadline_s: Positive = 300.0
    """Longest a weight update may take."""


class Curriculum(Section):
    """Which tasks are drawn, given what became of those before."""

    dynamic: bool = False
    """True: a step draws on until groups_per_step of its groups carry signal, and the others do not
    count in the loss (DAPO)."""

    max_draws: Annotated[Finite, Field(ge=1)] = 4.0
    """dynamic: at most so many times groups_per_step tasks are drawn for one step; then it goes on
    with what it has."""

    retire_at: Annotated[float, Field(gt=0, le=1)] | None = None
    """A task with this share of right answers is retired: not drawn again, for finite data sets.
    null: none is."""

    review_fraction: Share = 0.05
    """Share of the draws that go to retired tasks. One below retire_at comes back."""


class Verify(Section):
    """The killable processes in which answers are judged."""

    workers: Count = 2
    """Processes that judge at the same time."""

    deadline_s: Positive = 10.0
    """Wall seconds per answer."""

    cpu_s: Positive = 5.0
    """CPU seconds per answer."""

    memory_mib: Annotated[int, Field(ge=MIN_VERIFIER_MIB)] = 2048
    """Address space of one worker."""

    @property
    def limits(self) -> Limits:
        return Limits(self.deadline_s, self.cpu_s, self.memory_mib)


class Reward(Section):
    """What a verdict is worth. A broken verdict has no worth: it is left out of the loss."""

    correct: Finite = 1.0
    """Worth of a right answer."""

    partial: Literal["score"] | Finite = "score"
    """`score`: as much as was solved, 0 to 1; or one number for all."""

    wrong: Finite = 0.0
    """Worth of a wrong answer."""

    unparsed: Finite = 0.0
    """Worth of an answer that could not be read."""

    exceeded: Finite = 0.0
    """Worth of an answer whose judging used up a limit."""


class Evaluation(Section):
    """On held-out tasks, before the first step and after the last."""

    problems: Count = 512
    """Held-out tasks."""

    samples: Count = 8
    """Answers per problem: the k of avg@k and pass@k."""

    every: Annotated[int, Field(ge=0)] = 0
    """Also every so many steps; 0: only before and after."""

    temperature: NotNegative = 1.0
    """Of sampling; 0 takes the most likely token every time, and allows one answer per problem;
    else at least 0.01."""

    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Of sampling: only the most likely tokens that together have this probability; 1: all."""

    envs: list[EnvSpec] | None = None
    """Environments to draw held-out tasks from; None: those trained on."""

    chunks: Count | None = None
    """With rollout.chunk_tokens: most chunks of an answer here. None: rollout.chunks."""

    @model_validator(mode="after")
    def _temperature_is_one_that_is_sampled_at(self) -> "Evaluation":
        if 0 < self.temperature < MIN_TEMPERATURE:
            raise Clash(
                f"evaluation.temperature must be 0 or at least {MIN_TEMPERATURE} (found "
                f"{self.temperature})",
                "temperature",
            )
        if self.temperature == 0 and self.samples > 1:
            raise Clash(
                "evaluation.temperature 0 always gives the same answer: set evaluation.samples to "
                f"1 (found {self.samples})",
                "temperature",
                "samples",
            )
        return self


class Checkpoint(Section):
    every: Count = 50
    """Steps between checkpoints; one is always written after the last step."""

    keep: Count = 2
    """So many of the newest stay, and the last one always."""


class Record(Section):
    """What is written down beside the figures of every step."""

    tokens_per_step: Annotated[int, Field(ge=0)] = 4096
    """Tokens of answers that samples.jsonl has with their log-probability, ratio and advantage, at
    most so many per step and evaluation, for `assay report` to colour. 0: none."""


class Alarms(Section):
    """What stops a run that goes wrong, or says so loudly."""

    no_signal_steps: Count = 3
    """Consecutive steps without a single group that carries signal, before it is said loudly."""

    truncated_fraction: Share = 0.5
    """Share of a step's answers cut off by rollout.max_new_tokens from which a warning is shown."""

    broken_fraction: Share = 0.2
    """Share of broken verdicts in a step above which the run stops."""

    max_mismatch_kl: Positive = 0.1
    """Nats per token between sampler and learner above which the run stops."""

    max_masked_fraction: Share = 0.5
    """Share of a step's trained tokens that algorithm.sequence_band and algorithm.token_band may
    leave out before the run stops."""

    max_prob_diff: Share = 1.0
    """Largest difference between sampler and learner in the probability of one token, above which
    the run stops. 1: never."""

    canary_fraction: Share = 0.01
    """Canary tasks, which have no answer, as a share of a step's tasks. They are sampled beside
    these and left out of the loss. 0: none; nor where the environments have none."""

    canary_action: Action = "stop"
    """When an answer to a canary is paid for, which only a trick can be."""

    recheck_fraction: Share = 0.02
    """Share of the answers found right that the environment's stricter rules judge too, in a
    process of their own."""

    recheck_disagreement: Share = 0.1
    """Share refused among the last 100 answers that were judged so (from 10 on) above which
    `recheck_action` follows."""

    recheck_action: Action = "stop"
    """When the stricter rules refuse too many."""

    duplicate_fraction: Share = 0.9
    """Share of a step's answers that are letter by letter the same one, whatever the task, from
    which `duplicate_action` follows."""

    duplicate_action: Action = "log"
    """When one answer is given to nearly every task."""

    held_out_drop: Share = 0.05
    """How far avg@k on held-out tasks may fall below its best, while the reward of training rises,
    before `held_out_action` follows. Needs evaluation.every."""

    held_out_action: Action = "log"
    """When the reward rises and the held-out score falls."""

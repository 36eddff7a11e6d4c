"""Everything a recipe may say. Each field: what it means, its unit, what is allowed."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rl.algorithm import PRESET_AHEAD, RATIO_OF_ANSWERS, Algorithm
from rl.critic import Critic
from rl.guides import Reference, Teacher
from rl.rollout_section import MIN_TEMPERATURE, Rollouts
from rl.schema import (
    Clash,
    Count,
    Decay,
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


class Recipe(Section):
    model: Name
    """`embedded`, a hub id, or a local directory in Hugging Face format."""

    embedded: EmbeddedPolicy = EmbeddedPolicy()
    """The tiny policy of `model: embedded`."""

    sft: Sft | None = None
    """Supervised warm start, or null."""

    envs: Annotated[list[EnvSpec], Field(min_length=1)]
    """Where the tasks come from."""

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Of tasks, sampling and the warm start. The held-out tasks are the same for every seed."""

    steps: Annotated[int, Field(ge=0)] = 200
    """Optimiser updates."""

    groups_per_step: Count = 32
    """Tasks drawn per step."""

    group_size: Count = 8
    """Answers sampled per task; their mean is the baseline. 1 only with a critic."""

    max_staleness: Annotated[int, Field(ge=0)] = 0
    """Steps that sampling may run ahead of the learner: so many updates may lie between the weights
    that began an answer and those that learn from it. 0: they take turns. Above 0 the default of
    algorithm.preset is dppo."""

    curriculum: Curriculum = Curriculum()
    """Which tasks are drawn."""

    rollout: Rollouts = Rollouts()
    """How answers are sampled."""

    engine: Engine = Engine()
    """The rollout servers."""

    verify: Verify = Verify()
    """The processes that judge."""

    reward: Reward = Reward()
    """What a verdict is worth."""

    algorithm: Algorithm = Algorithm()
    """The policy gradient."""

    critic: Critic | None = None
    """What PPO estimates values with; null without it."""

    reference: Reference = Reference()
    """The frozen policy of algorithm.kl_coef."""

    teacher: Teacher | None = None
    """A frozen policy to learn from, token by token; null: none."""

    learner: Learner = Learner()
    """The optimiser and its processes."""

    moe: MixtureOfExperts = MixtureOfExperts()
    """What differs for policies with experts."""

    lora: Lora | None = None
    """Low-rank adapters; null: all weights are learned."""

    weights: Weights = Weights()
    """How new weights reach the servers."""

    evaluation: Evaluation = Evaluation()
    """Scores on held-out tasks."""

    checkpoint: Checkpoint = Checkpoint()
    """What is kept, and when."""

    alarms: Alarms = Alarms()
    """What stops a run or is said loudly."""

    accept_hackable: Name | None = None
    """Why to train although `assay attack` refuses an environment; it is shown and kept in
    summary.json. null: such a run is refused."""

    trackers: list[Literal["tensorboard", "wandb", "trackio"]] = Field(default=["tensorboard"])
    """Where the metrics go besides metrics.jsonl."""

    run_dir: str | None = None
    """Where the run lives; None: runs/<recipe>-<hash of what is resolved>, so that the same command
    finds its run again."""

    @model_validator(mode="before")
    @classmethod
    def _running_ahead_has_its_own_preset(cls, written: Any) -> Any:
        """What other keys of `algorithm` are written stays."""
        if not isinstance(written, dict) or not written.get("max_staleness"):
            return written
        algorithm = written.get("algorithm", {})
        if not isinstance(algorithm, dict):
            return written
        return {**written, "algorithm": {"preset": PRESET_AHEAD, **algorithm}}

    @model_validator(mode="after")
    def _running_ahead_is_corrected_for(self) -> "Recipe":
        if self.max_staleness == 0 and self.rollout.straggler_s is not None:
            raise Clash(
                f"rollout.straggler_s ({self.rollout.straggler_s:g}) lets answers be late, which "
                "needs max_staleness of at least 1 (found 0)",
                "rollout.straggler_s",
                "max_staleness",
            )
        algorithm = self.algorithm
        if self.max_staleness and algorithm.loss == "reinforce" and algorithm.weight_max is None:
            raise Clash(
                f"algorithm.weight_max null is right only where the sampler is the learner, and "
                f"max_staleness ({self.max_staleness}) lets it be older: give a bound, usually 2",
                "algorithm.weight_max",
                "max_staleness",
            )
        return self

    @model_validator(mode="after")
    def _guides_are_followed(self) -> "Recipe":
        algorithm, coef = self.algorithm, self.algorithm.kl_coef
        for key in ("model", "every"):
            value = getattr(self.reference, key)
            if value and not coef:
                raise Clash(
                    f"reference.{key} ({value}) has no effect while algorithm.kl_coef is 0: set "
                    "algorithm.kl_coef, usually 1e-3, or leave it out",
                    f"reference.{key}",
                    "algorithm.kl_coef",
                )
        if algorithm.advantage == "none" and self.teacher is None:
            raise Clash(
                "algorithm.advantage 'none' leaves nothing to learn from but a teacher, and there "
                "is none: give a section teacher, or another advantage",
                "algorithm.advantage",
            )
        if self.teacher is not None and algorithm.loss in RATIO_OF_ANSWERS:
            raise Clash(
                "teacher: it gives every token an advantage of its own, and the ratio of "
                f"algorithm.loss '{algorithm.loss}' is that of a whole answer: take another loss, "
                "usually clip",
                "teacher",
                "algorithm.loss",
            )
        if self.lora is not None and self.reference.every:
            raise Clash(
                f"reference.every ({self.reference.every}) copies the policy's weights, and with "
                "lora only those of the adapter change: set reference.every=0, or lora=null",
                "reference.every",
                "lora",
            )
        if self.curriculum.dynamic and algorithm.advantage == "none":
            raise Clash(
                "curriculum.dynamic drops groups whose rewards are all equal, and "
                "algorithm.advantage 'none' does not look at rewards: leave one of the two out",
                "curriculum.dynamic",
                "algorithm.advantage",
            )
        return self

    @property
    def frozen_models(self) -> dict[str, str]:
        """Models beside the policy that the learner needs, by their keys."""
        wanted = {}
        if self.algorithm.kl_coef and self.reference.model is not None:
            wanted["reference.model"] = self.reference.model
        if self.teacher is not None:
            wanted["teacher.model"] = self.teacher.model
        return wanted

    @property
    def every_answer_learns(self) -> bool:
        """Whether an answer has a gradient whatever its reward is."""
        algorithm = self.algorithm
        entropy = algorithm.entropy_coef > 0 or algorithm.entropy_target is not None
        return self.teacher is not None or algorithm.kl_coef > 0 or entropy

    @model_validator(mode="after")
    def _heads_of_the_embedded_policy_can_be_shared_out(self) -> "Recipe":
        size = self.learner.sequence_parallel
        heads = (self.embedded.heads, self.embedded.kv_heads)
        if self.model == "embedded" and any(n % size for n in heads):
            raise Clash(
                f"learner.sequence_parallel ({size}) must divide embedded.heads ({heads[0]}) and "
                f"embedded.kv_heads ({heads[1]}): every rank of a group attends for some of them",
                "learner.sequence_parallel",
                "embedded.heads",
                "embedded.kv_heads",
            )
        return self

    @model_validator(mode="after")
    def _every_advantage_has_its_baseline(self) -> "Recipe":
        gae = self.algorithm.advantage == "gae"
        if gae and self.critic is None:
            raise Clash(
                "algorithm.advantage 'gae' is made of a critic's values, and critic is null: give "
                "it, critic={} for its defaults",
                "algorithm.advantage",
                "algorithm.preset",
            )
        if self.critic is not None and not gae:
            raise Clash(
                f"critic: its values are used by algorithm.advantage 'gae' only (found "
                f"'{self.algorithm.advantage}'): set algorithm.preset=ppo, or leave critic out",
                "critic",
                "algorithm.advantage",
            )
        if gae and self.curriculum.dynamic:
            raise Clash(
                "curriculum.dynamic (true) looks for groups whose rewards differ, and with a "
                "critic every group is learned from: set curriculum.dynamic=false",
                "curriculum.dynamic",
                "critic",
            )
        if self.critic is not None and self.learner.sequence_parallel > 1:
            raise Clash(
                f"learner.sequence_parallel ({self.learner.sequence_parallel}) does not share the "
                "critic's passes out over ranks: set it to 1, or leave critic out",
                "learner.sequence_parallel",
                "critic",
            )
        if self.group_size == 1 and self.algorithm.advantage not in ("gae", "none"):
            raise Clash(
                f"group_size 1 leaves algorithm.advantage '{self.algorithm.advantage}' without a "
                "baseline, the mean of the task's answers: at least 2, or a critic and "
                "algorithm.preset=ppo",
                "group_size",
            )
        return self

    @model_validator(mode="after")
    def _a_curriculum_sees_whole_groups(self) -> "Recipe":
        used = "curriculum.dynamic" if self.curriculum.dynamic else "curriculum.retire_at"
        if self.rollout.straggler_s is not None and (
            self.curriculum.dynamic or self.curriculum.retire_at is not None
        ):
            raise Clash(
                f"{used} looks at whole groups, and rollout.straggler_s "
                f"({self.rollout.straggler_s:g}) splits them: set one of the two to null or false",
                used,
                "rollout.straggler_s",
            )
        return self

    @model_validator(mode="after")
    def _the_policy_is_not_frozen_for_ever(self) -> "Recipe":
        if self.critic is not None and 0 < self.steps <= self.critic.pretraining_steps:
            raise Clash(
                f"critic.pretraining_steps ({self.critic.pretraining_steps}) must be below steps "
                f"({self.steps}): until then the policy is frozen",
                "critic.pretraining_steps",
                "steps",
            )
        return self

    @model_validator(mode="after")
    def _an_adapter_goes_through_a_file(self) -> "Recipe":
        if self.lora is not None and self.weights.transport == "nccl":
            raise Clash(
                "weights.transport nccl moves whole models, and with lora only the adapter is "
                "sent: set weights.transport=auto, or lora=null",
                "weights.transport",
                "lora",
            )
        return self

    @model_validator(mode="after")
    def _an_answer_fits_into_a_sequence(self) -> "Recipe":
        answer = self.rollout.context_tokens
        key = "max_new_tokens" if self.rollout.chunk_tokens is None else "chunk_tokens"
        limits = {"engine.max_model_tokens": self.engine.max_model_tokens}
        if self.model == "embedded":
            limits["embedded.max_tokens"] = self.embedded.max_tokens
            if (self.engine.max_model_tokens or 0) > self.embedded.max_tokens:
                raise Clash(
                    f"engine.max_model_tokens ({self.engine.max_model_tokens}) must not exceed "
                    f"embedded.max_tokens ({self.embedded.max_tokens})",
                    "engine.max_model_tokens",
                    "embedded.max_tokens",
                )
        for limit_key, limit in limits.items():
            if limit is not None and answer >= limit:
                raise Clash(
                    f"rollout.{key} ({answer}) must leave room for a prompt in {limit_key} "
                    f"({limit}): lower the one or raise the other",
                    f"rollout.{key}",
                    limit_key,
                )
        return self

    @model_validator(mode="after")
    def _an_evaluation_has_chunks_where_training_has(self) -> "Recipe":
        if self.evaluation.chunks is not None and self.rollout.chunk_tokens is None:
            raise Clash(
                f"evaluation.chunks ({self.evaluation.chunks}) is about chunks, and there are none "
                "without rollout.chunk_tokens (found null): set it, or leave this out",
                "evaluation.chunks",
                "rollout.chunk_tokens",
            )
        return self

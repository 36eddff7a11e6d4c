"""Everything a recipe may say. Each field: what it means, its unit, what is allowed."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from rl.recipe.algorithm import PRESET_AHEAD, Algorithm
from rl.recipe.critic import Critic
from rl.recipe.guides import Reference, Teacher
from rl.recipe.learner import Learner, Lora, MixtureOfExperts, Weights
from rl.recipe.rollout import Rollouts
from rl.recipe.schema import Clashes, Count, Name, Section
from rl.recipe.sections import (
    Alarms,
    Checkpoint,
    Curriculum,
    EmbeddedPolicy,
    Engine,
    EnvSpec,
    Evaluation,
    Record,
    Reward,
    Sft,
    Verify,
)
from rl.recipe.together import clashes


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

    record: Record = Record()
    """What is written down of every step."""

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
    def _all_of_it_goes_together(self) -> "Recipe":
        if found := list(clashes(self)):
            raise Clashes(found)
        return self

    def writes_checkpoint(self, step: int) -> bool:
        return step % self.checkpoint.every == 0 or step == self.steps

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

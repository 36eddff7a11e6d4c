"""What of a recipe goes together: keys that are allowed each, but not with one another."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rl.recipe.algorithm import RATIO_OF_ANSWERS
from rl.recipe.schema import Clash

if TYPE_CHECKING:
    from rl.recipe.config import Recipe


def clashes(recipe: "Recipe") -> Iterator[Clash]:
    """Every one of them."""
    for check in CHECKS:
        yield from check(recipe)


def running_ahead_is_corrected_for(recipe: "Recipe") -> Iterator[Clash]:
    if recipe.max_staleness == 0 and recipe.rollout.straggler_s is not None:
        yield Clash(
            f"rollout.straggler_s ({recipe.rollout.straggler_s:g}) lets answers be late, which "
            "needs max_staleness of at least 1 (found 0)",
            "rollout.straggler_s",
            "max_staleness",
        )
    algorithm = recipe.algorithm
    if recipe.max_staleness and algorithm.loss == "reinforce" and algorithm.weight_max is None:
        yield Clash(
            f"algorithm.weight_max null is right only where the sampler is the learner, and "
            f"max_staleness ({recipe.max_staleness}) lets it be older: give a bound, usually 2",
            "algorithm.weight_max",
            "max_staleness",
        )


def guides_are_followed(recipe: "Recipe") -> Iterator[Clash]:
    algorithm, coef = recipe.algorithm, recipe.algorithm.kl_coef
    for key in ("model", "every"):
        value = getattr(recipe.reference, key)
        if value and not coef:
            yield Clash(
                f"reference.{key} ({value}) has no effect while algorithm.kl_coef is 0: set "
                "algorithm.kl_coef, usually 1e-3, or leave it out",
                f"reference.{key}",
                "algorithm.kl_coef",
            )
    if algorithm.advantage == "none" and recipe.teacher is None:
        yield Clash(
            "algorithm.advantage 'none' leaves nothing to learn from but a teacher, and there "
            "is none: give a section teacher, or another advantage",
            "algorithm.advantage",
        )
    if recipe.teacher is not None and algorithm.loss in RATIO_OF_ANSWERS:
        yield Clash(
            "teacher: it gives every token an advantage of its own, and the ratio of "
            f"algorithm.loss '{algorithm.loss}' is that of a whole answer: take another loss, "
            "usually clip",
            "teacher",
            "algorithm.loss",
        )
    if recipe.lora is not None and recipe.reference.every:
        yield Clash(
            f"reference.every ({recipe.reference.every}) copies the policy's weights, and with "
            "lora only those of the adapter change: set reference.every=0, or lora=null",
            "reference.every",
            "lora",
        )
    if recipe.curriculum.dynamic and algorithm.advantage == "none":
        yield Clash(
            "curriculum.dynamic drops groups whose rewards are all equal, and "
            "algorithm.advantage 'none' does not look at rewards: leave one of the two out",
            "curriculum.dynamic",
            "algorithm.advantage",
        )


def heads_of_the_embedded_policy_can_be_shared_out(recipe: "Recipe") -> Iterator[Clash]:
    size = recipe.learner.sequence_parallel
    heads = (recipe.embedded.heads, recipe.embedded.kv_heads)
    if recipe.model == "embedded" and any(n % size for n in heads):
        yield Clash(
            f"learner.sequence_parallel ({size}) must divide embedded.heads ({heads[0]}) and "
            f"embedded.kv_heads ({heads[1]}): every rank of a group attends for some of them",
            "learner.sequence_parallel",
            "embedded.heads",
            "embedded.kv_heads",
        )


def every_advantage_has_its_baseline(recipe: "Recipe") -> Iterator[Clash]:
    gae = recipe.algorithm.advantage == "gae"
    if gae and recipe.critic is None:
        yield Clash(
            "algorithm.advantage 'gae' is made of a critic's values, and critic is null: give "
            "it, critic={} for its defaults",
            "algorithm.advantage",
            "algorithm.preset",
        )
    if recipe.critic is not None and not gae:
        yield Clash(
            f"critic: its values are used by algorithm.advantage 'gae' only (found "
            f"'{recipe.algorithm.advantage}'): set algorithm.preset=ppo, or leave critic out",
            "critic",
            "algorithm.advantage",
        )
    if gae and recipe.curriculum.dynamic:
        yield Clash(
            "curriculum.dynamic (true) looks for groups whose rewards differ, and with a "
            "critic every group is learned from: set curriculum.dynamic=false",
            "curriculum.dynamic",
            "critic",
        )
    if recipe.critic is not None and recipe.learner.sequence_parallel > 1:
        yield Clash(
            f"learner.sequence_parallel ({recipe.learner.sequence_parallel}) does not share the "
            "critic's passes out over ranks: set it to 1, or leave critic out",
            "learner.sequence_parallel",
            "critic",
        )
    guides = [key for key, used in {
        "teacher": recipe.teacher is not None, "algorithm.kl_coef": recipe.algorithm.kl_coef > 0
    }.items() if used]  # fmt: skip
    if guides and recipe.learner.sequence_parallel > 1:
        yield Clash(
            f"learner.sequence_parallel ({recipe.learner.sequence_parallel}) does not share the "
            f"passes of a frozen policy out over ranks ({guides[0]}): set it to 1, or leave that "
            "out",
            "learner.sequence_parallel",
            guides[0],
        )
    if recipe.reference.every and recipe.reference.model is not None:
        yield Clash(
            "reference.every turns the reference into the policy, and reference.model may have "
            "another shape: set one of the two to 0 or null",
            "reference.every",
            "reference.model",
        )
    if recipe.group_size == 1 and recipe.algorithm.advantage not in ("gae", "none"):
        yield Clash(
            f"group_size 1 leaves algorithm.advantage '{recipe.algorithm.advantage}' without a "
            "baseline, the mean of the task's answers: at least 2, or a critic and "
            "algorithm.preset=ppo",
            "group_size",
        )


def a_curriculum_sees_whole_groups(recipe: "Recipe") -> Iterator[Clash]:
    used = "curriculum.dynamic" if recipe.curriculum.dynamic else "curriculum.retire_at"
    if recipe.rollout.straggler_s is not None and (
        recipe.curriculum.dynamic or recipe.curriculum.retire_at is not None
    ):
        yield Clash(
            f"{used} looks at whole groups, and rollout.straggler_s "
            f"({recipe.rollout.straggler_s:g}) splits them: set one of the two to null or false",
            used,
            "rollout.straggler_s",
        )
    if recipe.curriculum.retire_at is not None and recipe.group_size == 1:
        yield Clash(
            f"curriculum.retire_at ({recipe.curriculum.retire_at:g}) needs a pass rate, and one "
            "answer has none: set curriculum.retire_at to null, or group_size to 2 or more",
            "curriculum.retire_at",
            "group_size",
        )


def the_policy_is_not_frozen_for_ever(recipe: "Recipe") -> Iterator[Clash]:
    if recipe.critic is not None and 0 < recipe.steps <= recipe.critic.pretraining_steps:
        yield Clash(
            f"critic.pretraining_steps ({recipe.critic.pretraining_steps}) must be below steps "
            f"({recipe.steps}): until then the policy is frozen",
            "critic.pretraining_steps",
            "steps",
        )


def an_adapter_goes_through_a_file(recipe: "Recipe") -> Iterator[Clash]:
    if recipe.lora is not None and recipe.weights.transport == "nccl":
        yield Clash(
            "weights.transport nccl moves whole models, and with lora only the adapter is "
            "sent: set weights.transport=auto, or lora=null",
            "weights.transport",
            "lora",
        )


def an_answer_fits_into_a_sequence(recipe: "Recipe") -> Iterator[Clash]:
    answer = recipe.rollout.context_tokens
    key = "max_new_tokens" if recipe.rollout.chunk_tokens is None else "chunk_tokens"
    limits = {"engine.max_model_tokens": recipe.engine.max_model_tokens}
    if recipe.model == "embedded":
        limits["embedded.max_tokens"] = recipe.embedded.max_tokens
        if (recipe.engine.max_model_tokens or 0) > recipe.embedded.max_tokens:
            yield Clash(
                f"engine.max_model_tokens ({recipe.engine.max_model_tokens}) must not exceed "
                f"embedded.max_tokens ({recipe.embedded.max_tokens})",
                "engine.max_model_tokens",
                "embedded.max_tokens",
            )
    for limit_key, limit in limits.items():
        if limit is not None and answer >= limit:
            yield Clash(
                f"rollout.{key} ({answer}) must leave room for a prompt in {limit_key} "
                f"({limit}): lower the one or raise the other",
                f"rollout.{key}",
                limit_key,
            )


def an_evaluation_has_chunks_where_training_has(recipe: "Recipe") -> Iterator[Clash]:
    if recipe.evaluation.chunks is not None and recipe.rollout.chunk_tokens is None:
        yield Clash(
            f"evaluation.chunks ({recipe.evaluation.chunks}) is about chunks, and there are none "
            "without rollout.chunk_tokens (found null): set it, or leave this out",
            "evaluation.chunks",
            "rollout.chunk_tokens",
        )


CHECKS = (
    running_ahead_is_corrected_for,
    guides_are_followed,
    heads_of_the_embedded_policy_can_be_shared_out,
    every_advantage_has_its_baseline,
    a_curriculum_sees_whole_groups,
    the_policy_is_not_frozen_for_ever,
    an_adapter_goes_through_a_file,
    an_answer_fits_into_a_sequence,
    an_evaluation_has_chunks_where_training_has,
)

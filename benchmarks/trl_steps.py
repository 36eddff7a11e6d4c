"""Whole training steps of TRL's GRPOTrainer on a recipe: the baseline of `steps-short` and `-long`.

python -m benchmarks.trl_steps RESOLVED.yaml MODEL STEPS OUT.json [micro_batch]

Same tasks in the same order, same groups, loss, clip distances, optimiser and rewards as the
recipe's own run. Everything that costs time and that the comparison does not need is off.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from envs.base import Message, Task
from envs.registry import make_env
from rl.recipe.config import Recipe
from rl.recipe.load import read_resolved
from rl.reward import reward_of
from rl.tasks import Tasks

# Of answers in one forward and backward pass. Measured: benchmarks/README.md.
MICRO_BATCH = 256


class Clock(TrainerCallback):
    """Wall seconds of every step, sampling included: from the end of one to the end of the next."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.ends = [time.perf_counter()]

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.ends.append(time.perf_counter())

    def seconds(self) -> list[float]:
        return [b - a for a, b in zip(self.ends, self.ends[1:], strict=False)]


def dataset(recipe: Recipe, steps: int) -> Dataset:
    """The tasks that the recipe's own run would draw, in its order."""
    tasks = Tasks(recipe)
    rows = []
    for drawn in (d for step in range(1, steps + 1) for d in tasks.step(step)):
        messages = [{"role": m.role, "content": m.content} for m in drawn.task.messages]
        rows.append(
            {
                "prompt": messages,
                "env": drawn.env,
                "options": json.dumps(drawn.options),
                "truth": json.dumps(drawn.task.truth),
            }
        )
    return Dataset.from_list(rows)


class Rewards:
    """The recipe's verifier and rewards, called directly; notes how long the answers were."""

    __name__ = "verifier"

    def __init__(self, recipe: Recipe) -> None:
        self._worth = recipe.reward
        self.tokens: list[int] = []  # sampled in each step
        self.rewards: list[float] = []  # mean of each step

    def __call__(
        self,
        *,
        prompts: list[Any],
        completions: list[Any],
        completion_ids: list[list[int]],
        env: list[str],
        options: list[str],
        truth: list[str],
        **_: Any,
    ) -> list[float]:
        rewards = []
        for prompt, answer, name, chosen, right in zip(
            prompts, completions, env, options, truth, strict=True
        ):
            task = Task(tuple(Message(**message) for message in prompt), json.loads(right))
            verdict = make_env(name, json.loads(chosen)).verify(task, answer[0]["content"])
            rewards.append(reward_of(verdict, self._worth))
        self.tokens.append(sum(map(len, completion_ids)))
        self.rewards.append(sum(rewards) / len(rewards))
        return rewards


def arguments(recipe: Recipe, steps: int, micro_batch: int, scratch: Path) -> GRPOConfig:
    """The recipe in TRL's words, at TRL's fastest settings for this machine."""
    batch = recipe.groups_per_step * recipe.group_size
    micro_batch = min(micro_batch, batch)
    algorithm, learner = recipe.algorithm, recipe.learner
    if (algorithm.loss, algorithm.aggregation) != ("clip", "token"):
        raise ValueError(f"TRL is set up for the clipped token mean only, not {algorithm!r}")
    return GRPOConfig(
        output_dir=str(scratch),
        max_steps=steps,
        per_device_train_batch_size=micro_batch,
        gradient_accumulation_steps=batch // micro_batch,
        steps_per_generation=batch // micro_batch,  # one update per batch of answers
        num_generations=recipe.group_size,
        max_completion_length=recipe.rollout.max_new_tokens,
        temperature=recipe.rollout.temperature,
        top_p=1.0,
        top_k=0,
        loss_type="dapo",  # sum over tokens, divided by the tokens of the whole step
        scale_rewards="group" if algorithm.advantage == "group_std" else "none",
        epsilon=algorithm.clip_low,
        epsilon_high=algorithm.clip_high,
        beta=0.0,  # no reference model
        mask_truncated_completions=recipe.rollout.truncated == "mask",
        learning_rate=learner.lr,
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=learner.warmup_steps,
        adam_beta1=learner.betas[0],
        adam_beta2=learner.betas[1],
        weight_decay=learner.weight_decay,
        max_grad_norm=learner.max_grad_norm,
        optim="adamw_torch_fused",
        seed=recipe.seed,
        shuffle_dataset=False,
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=True,
        disable_tqdm=True,
        report_to="none",
        save_strategy="no",
        eval_strategy="no",
        logging_steps=10 * steps,
    )


def main() -> None:
    path, model, steps, out, *rest = sys.argv[1:]
    recipe = read_resolved(Path(path))
    tokenizer = AutoTokenizer.from_pretrained(model, padding_side="left")
    rewards, clock = Rewards(recipe), Clock()
    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32),
        reward_funcs=rewards,
        args=arguments(
            recipe, int(steps), int(rest[0]) if rest else MICRO_BATCH, Path(out).parent / "trl"
        ),
        train_dataset=dataset(recipe, int(steps)),
        processing_class=tokenizer,
        callbacks=[clock],
    )
    trainer.train()
    rows = [
        {"seconds": seconds, "tokens": tokens, "reward": reward}
        for seconds, tokens, reward in zip(
            clock.seconds(), rewards.tokens, rewards.rewards, strict=True
        )
    ]
    Path(out).write_text(json.dumps(rows))


if __name__ == "__main__":
    main()

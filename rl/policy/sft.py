"""Warm start: supervised learning on worked solutions, with TRL's SFTTrainer.

Demonstrations become tokens the same way that the loop's prompts do (rl/chat.py), so that the
policy meets in the loop exactly what it learned from. Only the response is learned, and the token
that ends it. Where answers are sampled in chunks, solutions are cut as those would be: each chunk
stands behind what the loop would have carried over.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from envs.base import Message, Task
from envs.registry import make_env
from rl import chat
from rl.errors import UserError
from rl.recipe.config import Recipe
from rl.recipe.sections import Sft
from rl.sampling.answering import Answering, cut, pieces

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase
    from trl.trainer.sft_config import SFTConfig

Say = Callable[[str], None]

FIRST_INDEX = 10**12  # of the tasks demonstrated: far from those that the loop draws
REPORT_EVERY_S = 5.0
BUCKET_BATCHES = 50  # within so many batches, neighbours are of similar length: less padding
BUCKET_TOKENS = 32  # rows whose lengths differ by less stay in random order: less biased batches


@dataclass(frozen=True)
class Demonstration:
    task: Task
    response: str


def demonstrations(recipe: Recipe, sft: Sft) -> list[Demonstration]:
    """What to imitate: `sft.data`, or worked solutions of the recipe's environments.

    Raises:
        UserError: the file, a row of it, or the environments cannot give any.
    """
    found = list(from_data(sft) if sft.data else from_envs(recipe, sft))
    if not found:
        raise UserError(f"sft.data '{sft.data}' has no rows: give a file with at least one")
    return found


def from_envs(recipe: Recipe, sft: Sft) -> Iterator[Demonstration]:
    """Worked solutions of training tasks, drawn by weight, some with a slip in them."""
    envs = [make_env(spec.name, spec.options) for spec in recipe.envs]
    weights = [spec.weight for spec in recipe.envs]
    for index in range(sft.demonstrations):
        rng = Random(f"sft/{recipe.seed}/{index}")
        env = rng.choices(envs, weights)[0]
        task = env.draw("train", recipe.seed, FIRST_INDEX + index)
        corrupt = rng.random() < sft.corrupted_fraction
        try:
            yield Demonstration(task, env.demonstrate(task, rng, corrupt))
        except TypeError as error:
            raise UserError(
                f"{error} (sft.data=FILE, JSON lines with prompt and response)"
            ) from error


def from_data(sft: Sft) -> Iterator[Demonstration]:
    """Rows of a JSON lines file or of a hub dataset's train split, at most `sft.demonstrations`.

    `prompt` is a text or a list of {role, content}; `response` is a text.
    """
    for number, row in enumerate(_rows(str(sft.data)), start=1):
        if number > sft.demonstrations:
            return
        where = f"sft.data '{sft.data}', row {number}"
        if not isinstance(row, dict) or not {"prompt", "response"} <= row.keys():
            found = ", ".join(row) if isinstance(row, dict) else type(row).__name__
            raise UserError(f"{where}: needs the keys prompt and response, found: {found}")
        prompt, response = row["prompt"], row["response"]
        if isinstance(prompt, list):
            try:
                prompt = tuple(Message(turn["role"], turn["content"]) for turn in prompt)
            except (KeyError, TypeError) as error:
                raise UserError(f"{where}: every turn of prompt needs role and content") from error
        elif not isinstance(prompt, str):
            raise UserError(f"{where}: prompt must be a text or a list of turns, found {prompt!r}")
        if not isinstance(response, str):
            raise UserError(f"{where}: response must be a text, found {response!r}")
        yield Demonstration(Task(prompt, None), response)


def _rows(data: str) -> Iterator[Any]:
    path = Path(data)
    if path.suffix not in (".jsonl", ".json") and not path.exists():
        yield from _hub_rows(data)
        return
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"sft.data '{data}' cannot be read: {error}") from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield json.loads(line)
            except ValueError as error:
                raise UserError(f"sft.data '{data}', line {number} is not JSON: {error}") from error


def _hub_rows(name: str) -> Iterator[Any]:
    from datasets import load_dataset
    from datasets.exceptions import DatasetNotFoundError

    try:
        yield from load_dataset(name, split="train")
    except (DatasetNotFoundError, OSError, ValueError) as error:
        raise UserError(
            f"sft.data '{name}' is neither a file nor a dataset that can be fetched from the hub: "
            f"{error}"
        ) from error


def tokenise(
    tokenizer: PreTrainedTokenizerBase,
    found: list[Demonstration],
    answering: Answering = Answering(),  # noqa: B008  (it cannot be changed)
) -> list[dict[str, Any]]:
    """Rows of `input_ids` and `labels` (-100 where nothing is learned: the prompt, and what is
    carried over); a row for every chunk."""
    rows = []
    for demonstration in found:
        prompt = chat.encode(tokenizer, demonstration.task)
        answer = tokenizer(demonstration.response, add_special_tokens=False, verbose=False)
        answer = [*answer["input_ids"], tokenizer.eos_token_id]
        for piece in pieces(prompt, answer, cut(len(answer), answering)):
            new, known = answer[piece.start : piece.end], len(piece.context)
            rows.append({"input_ids": piece.context + new, "labels": [-100] * known + new})
    return rows


def batches_of_similar_length(
    rows: list[dict[str, Any]], batch_size: int, rng: Random
) -> list[dict[str, Any]]:
    """The same rows in an order in which consecutive batches hold rows of similar length."""
    batches: list[list[dict[str, Any]]] = []
    window = batch_size * BUCKET_BATCHES
    for start in range(0, len(rows), window):
        near = sorted(
            rows[start : start + window], key=lambda row: len(row["input_ids"]) // BUCKET_TOKENS
        )
        found = [near[i : i + batch_size] for i in range(0, len(near), batch_size)]
        rng.shuffle(found)
        batches += found
    batches.sort(key=len, reverse=True)  # stable: only the last, smaller batch moves
    return [row for batch in batches for row in batch]


def warm_start(source: Path, target: Path, recipe: Recipe, sft: Sft, say: Say) -> int:
    """Train the policy in `source` and write it to `target`. Returns its number of parameters.

    Deterministic for a recipe, a machine and a number of threads.

    Raises:
        UserError: there is nothing to imitate, or the policy has no chat template.
    """
    found = demonstrations(recipe, sft)
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback
    from transformers.utils.logging import disable_progress_bar
    from trl.trainer.sft_trainer import SFTTrainer

    disable_progress_bar()
    if recipe.learner.threads:
        torch.set_num_threads(recipe.learner.threads)
    tokenizer = AutoTokenizer.from_pretrained(source)
    rows = tokenise(tokenizer, found, Answering.of(recipe.rollout))
    n_tokens = sum(len(row["input_ids"]) for row in rows)
    batch_size = max(1, min(len(rows), sft.batch_tokens * len(rows) // n_tokens))
    rows = batches_of_similar_length(rows, batch_size, Random(f"batches/{recipe.seed}"))
    model = AutoModelForCausalLM.from_pretrained(source, dtype=recipe.learner.dtype)
    say(f"warm start: {len(rows):,} worked solutions, {n_tokens:,} tokens")
    trainer = SFTTrainer(
        model=model,
        args=_arguments(recipe, sft, target, len(rows), batch_size),
        train_dataset=_dataset(rows),
        processing_class=tokenizer,
        callbacks=[_progress(say)],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    return model.num_parameters()


def _dataset(rows: list[dict[str, Any]]) -> Dataset:
    from datasets import Dataset

    return Dataset.from_list(rows)


def _arguments(recipe: Recipe, sft: Sft, target: Path, n_rows: int, batch_size: int) -> SFTConfig:
    import torch
    from trl.trainer.sft_config import SFTConfig

    updates = max(1, round(sft.epochs * n_rows / batch_size))
    return SFTConfig(
        output_dir=str(target),
        seed=recipe.seed,
        per_device_train_batch_size=batch_size,
        max_steps=updates,
        learning_rate=sft.lr,
        lr_scheduler_type="cosine",
        warmup_steps=updates // 20,
        adam_beta2=0.95,
        weight_decay=0.0,
        max_grad_norm=1.0,
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        train_sampling_strategy="sequential",  # the rows come in a random order already
        use_cpu=not torch.cuda.is_available(),
        bf16=recipe.learner.dtype == "bfloat16" and torch.cuda.is_available(),
        gradient_checkpointing=recipe.learner.activation_checkpointing,
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
        save_strategy="no",
        report_to="none",
        logging_steps=1,
        disable_tqdm=True,
    )


def _progress(say: Say) -> Any:
    """A callback that says where the warm start is, every few seconds."""
    from transformers import TrainerCallback

    class Progress(TrainerCallback):
        said_at = time.monotonic()
        began_at = time.monotonic()

        def on_log(self, args, state, control, logs=None, **kwargs) -> None:
            now = time.monotonic()
            last = state.global_step == state.max_steps
            if not logs or "loss" not in logs or (now - self.said_at < REPORT_EVERY_S and not last):
                return
            self.said_at = now
            say(
                f"warm start: update {state.global_step} of {state.max_steps}, "
                f"loss {float(logs['loss']):.3f}, {now - self.began_at:.0f} s"
            )

    return Progress()

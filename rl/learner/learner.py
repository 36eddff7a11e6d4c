"""The learner: DeepSpeed through accelerate, on one or more ranks. The only door to both."""

import json
import os
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rl.checkpoint import write_model
from rl.learner import lora
from rl.learner.attention import segments
from rl.learner.batch import Batch
from rl.learner.deepspeed_engine import gathered, looking
from rl.learner.optimization import LearnerError, Optimization
from rl.learner.packed_model import in_checkpoint_names
from rl.learner.ranks import Command, Ranks
from rl.policy.model_files import check_heads
from rl.recipe.config import Recipe
from rl.sampling.routes import read_experts, replayed_experts
from rl.types import Update

GATHER_ELEMENTS = 2**26  # ZeRO-3: so many weights are whole on every rank at once while publishing

# What decides how DeepSpeed lays its state out in files, and the recipe's keys for it.
LAYOUT = {
    "zero_stage": "learner.zero_stage",
    "ranks": "learner.ranks",
    "dtype": "learner.dtype",
    "critic": "critic.trunk",
}


class Learner:
    """The policy that learns, the same object on every rank.

    Rank 0 calls `update`, `logprobs`, `weights`, `save`, `load` and in the end `close`; the other
    ranks sit in `follow` and do their share of each. Whatever waits for other ranks does so for at
    most recipe.learner.collective_deadline_s.
    """

    def __init__(self, model_path: str, recipe: Recipe, rank: int = 0, world_size: int = 1) -> None:
        """Load the model in `model_path` (Hugging Face format) and meet the other ranks.

        Raises:
            ModelError: the model does something that packed training would get wrong.
            RanksError: the other ranks did not come in time.
            UserError: learner.sequence_parallel does not divide the model's heads.
        """
        settings = recipe.learner
        check_heads(Path(model_path), settings.sequence_parallel)
        self._recipe = recipe
        self._has_experts = read_experts(model_path) is not None
        replayed = replayed_experts(model_path, recipe)
        self._routes_per_token = 0 if replayed is None else replayed.per_row
        self.model_path = Path(model_path)
        self.version = 0  # of the weights held: updates since the starting policy
        cores = len(os.sched_getaffinity(0))
        torch.set_num_threads(settings.threads or max(1, cores // world_size))
        self._ranks = Ranks(rank, world_size, settings.collective_deadline_s)
        self._optimization = Optimization(model_path, recipe, self._ranks)
        self._engine = self._optimization.engine
        self._model: Any = self._engine.module.model

    @property
    def rank(self) -> int:
        return self._ranks.rank

    # What rank 0 calls, each with the share that every rank does.

    def update(self, batch: Batch) -> Update:
        """One optimiser step. The same for every split over ranks and micro-batches.

        Raises:
            ValueError: a batch in which nothing was sampled.
            LearnerError: the loss is not finite; the weights are as they were.
            RanksError: a rank was lost.
        """
        if batch.n_tokens < 1:
            raise ValueError("an update needs at least one sampled token (n_tokens is 0)")
        if self._routes_per_token and len(batch.tokens) and batch.routes is None:
            raise LearnerError(
                "the answers do not say which experts computed them, which moe.routing: replay "
                "needs: set moe.routing=learner"
            )
        numbers = len(batch.tokens), batch.denominator, batch.n_tokens
        self._ranks.announce(Command.UPDATE, *numbers)
        return self._update(batch, *numbers)

    def logprobs(self, tokens: list[int]) -> list[float]:
        """Natural-log probabilities of tokens[1:], each given what precedes it, at temperature 1.

        That is what a rollout server reports for a prompt, whatever its sampling temperature is.
        """
        shared = self._split_weights
        if shared:
            self._ranks.announce(Command.LOGPROBS, len(tokens))
        return self._logprobs(torch.tensor(tokens), shared)

    def weights(self) -> Iterator[tuple[str, Tensor]]:
        """Name and whole tensor of every weight, under the names of the Hugging Face checkpoint.

        With `lora` those of the adapter, as rl/learner/lora.py says. Tied weights come once. The
        tensors are the live ones: copy what must outlast the next update. Run it to its end: under
        ZeRO-3 the other ranks take part.
        """
        if self._split_weights:
            self._ranks.announce(Command.WEIGHTS)
        if self._has_experts and self._recipe.lora is None:
            return in_checkpoint_names(self._model, self._weights())
        return self._weights()

    @property
    def checkpoint_bytes(self) -> int:
        """What `save` writes at the least: weights, and of those that are learned a copy and two
        moments in float32."""
        weights = list(self._model.parameters())
        engines = self._optimization.engines(self.model_path)
        trained = [w for _, engine in engines for w in engine.module.parameters()]
        learned = sum(n_elements(w) for w in trained if w.requires_grad)
        own = sum(w.element_size() * n_elements(w) for w in weights) + 12 * learned
        return own + self._optimization.frozen.checkpoint_bytes

    def save(self, directory: Path) -> None:
        """Write the model and the trainer's state into an existing directory.

        Not atomic: rl/checkpoint.py makes it so.

        Raises:
            OSError: the disk is full or cannot be written to.
        """
        text = str(directory.absolute())
        self._ranks.announce(Command.SAVE, len(text.encode()))
        self._save(text, len(text.encode()))

    def load(self, directory: Path) -> None:
        """Take up the state that `save` wrote, so that training goes on bit for bit.

        Raises:
            LearnerError: it was written under another number of ranks or ZeRO stage.
        """
        text = str(directory.absolute())
        self._ranks.announce(Command.LOAD, len(text.encode()))
        self._load(text, len(text.encode()))

    def close(self) -> None:
        """Release the followers and leave the process group. Nothing can be called afterwards."""
        if self.rank == 0:
            # A follower that is lost already was reported where it was lost.
            with suppress(RuntimeError):
                self._ranks.announce(Command.STOP)
        for _, engine in self._optimization.engines(self.model_path):
            engine.destroy()
        self._ranks.leave()

    def follow(self) -> None:
        """On ranks above 0: do this rank's share of what rank 0 calls, until it closes.

        Waits for rank 0's commands without a deadline; a lost connection ends the wait with an
        error, and the supervisor ends this process when rank 0 is gone.
        """
        while True:
            command, *numbers = self._ranks.next_command()
            first, denominator, n_tokens = numbers
            match command:
                case Command.UPDATE:
                    self._update(None, first, denominator, n_tokens)
                case Command.LOGPROBS:
                    self._logprobs(torch.zeros(first, dtype=torch.int64), shared=True)
                case Command.WEIGHTS:
                    for _ in self._weights():
                        pass
                case Command.SAVE:
                    self._save(None, first)
                case Command.LOAD:
                    self._load(None, first)
                case Command.STOP:
                    self.close()
                    return

    # The share of every rank.

    def _update(self, batch: Batch | None, length: int, denominator: int, n_tokens: int) -> Update:
        step = self.version + 1
        with self._ranks.waiting(f"update {step}"):
            batch = self._ranks.share_batch(
                batch, length, denominator, n_tokens, self._routes_per_token
            )
            update = self._optimization.step(step, batch)
        self.version = step
        self._optimization.adapt(update, self._weights())
        return update

    @property
    def _split_weights(self) -> bool:
        """Whether no rank holds all weights, so that every rank takes part in using them."""
        return self._recipe.learner.zero_stage == 3 and self._ranks.world_size > 1

    def _logprobs(self, tokens: Tensor, shared: bool) -> list[float]:
        with self._ranks.waiting("log-probabilities of the fixed prompt"):
            if shared:
                self._ranks.share(tokens)
            tokens = tokens.to(self._ranks.device)
            count = len(tokens)
            rows = torch.arange(count - 1, device=tokens.device)
            positions = torch.arange(count, device=tokens.device)
            with looking(self._engine):
                found, *_ = self._engine(
                    tokens, positions, segments([count], tokens.device), rows, tokens[1:], 1.0
                )
        return found.tolist()

    def _weights(self) -> Iterator[tuple[str, Tensor]]:
        adapter = self._recipe.lora
        if adapter is None:
            return self._gathered(list(self._model.named_parameters()))
        learned = [pair for pair in self._model.named_parameters() if pair[1].requires_grad]
        return lora.published(self._gathered(learned), lora.scale(adapter))

    def _gathered(self, weights: list[tuple[str, Any]]) -> Iterator[tuple[str, Tensor]]:
        """Whole tensors; every rank takes part."""
        split = self._recipe.learner.zero_stage == 3
        for part in _in_parts(weights):
            with (
                self._ranks.waiting("gathering the weights"),
                gathered([weight for _, weight in part]) if split else nullcontext(),
            ):
                for name, weight in part:
                    yield name, weight.detach()

    def _whole_weights(self) -> dict[str, Tensor]:
        """Copies on the CPU for rank 0, nothing for the others, which take part."""
        every = self._gathered(list(self._model.named_parameters()))
        return {name: weight.to("cpu", copy=True) for name, weight in every if self.rank == 0}

    def _save(self, text: str | None, length: int) -> None:
        with self._ranks.waiting("writing a checkpoint"):
            directory = Path(self._ranks.share_text(text, length))
            weights = self._whole_weights()
            trainer = directory / "trainer"
            adapter = self._recipe.lora
            if self.rank == 0:
                if adapter is not None:
                    lora.write_adapter(
                        directory / "adapter", weights, adapter, str(self.model_path)
                    )
                    weights = lora.whole_model(weights, lora.scale(adapter))
                write_model(directory, self._model, weights, self.model_path)
                trainer.mkdir()
                state = {"version": self.version, "entropy_coef": self._optimization.entropy_coef}
                (trainer / "learner.json").write_text(
                    json.dumps({**state, **self._layout}), encoding="utf-8"
                )
                self._optimization.frozen.save(trainer)
            for where, engine in self._optimization.engines(trainer):
                engine.save_checkpoint(
                    where, tag="state", exclude_frozen_parameters=adapter is not None
                )

    def _load(self, text: str | None, length: int) -> None:
        with self._ranks.waiting("reading a checkpoint"):
            trainer = Path(self._ranks.share_text(text, length)) / "trainer"
            written = json.loads((trainer / "learner.json").read_text(encoding="utf-8"))
            now = self._layout
            differing = [key for key in now if written.get(key) != now[key]]
            if differing:
                raise LearnerError(
                    f"{trainer} was written with "
                    + ", ".join(f"{LAYOUT[key]}={written.get(key)}" for key in differing)
                    + " and can only be resumed with that; now it is "
                    + ", ".join(f"{LAYOUT[key]}={now[key]}" for key in differing)
                    + f". Or start a new run from its weights: model={trainer.parent}"
                )
            whole = self._recipe.lora is None  # else the frozen weights are not in it
            for where, engine in self._optimization.engines(trainer):
                engine.load_checkpoint(where, tag="state", load_module_strict=whole)
            self._optimization.frozen.load(trainer)
        self.version = written["version"]
        if self._recipe.algorithm.entropy_target is not None:
            self._optimization.entropy_coef = written["entropy_coef"]

    @property
    def _layout(self) -> dict[str, Any]:
        """The values of `LAYOUT` now."""
        settings, critic = self._recipe.learner, self._recipe.critic
        return {
            "zero_stage": settings.zero_stage,
            "ranks": self._ranks.world_size,
            "dtype": settings.dtype,
            "critic": critic and critic.trunk,
        }


def n_elements(weight: Any) -> int:
    """Of the whole weight, also where ZeRO-3 keeps only a part of it here."""
    return getattr(weight, "ds_numel", weight.numel())


def _in_parts(weights: list[tuple[str, Any]]) -> Iterator[list[tuple[str, Any]]]:
    """In their order, so many at a time that their elements stay below `GATHER_ELEMENTS`."""
    part: list[tuple[str, Any]] = []
    elements = 0
    for name, weight in weights:
        size = n_elements(weight)
        if part and elements + size > GATHER_ELEMENTS:
            yield part
            part, elements = [], 0
        part.append((name, weight))
        elements += size
    yield part

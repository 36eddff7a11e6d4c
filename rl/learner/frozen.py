"""Policies that do not learn, on every learner rank: a reference to stay near, a teacher.

Each rank holds them whole, whatever ZeRO splits of the policy, and works out the log-probabilities
of its own micro-batches: nothing waits for other ranks.
"""

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from rl.algorithm.objective import Guides
from rl.errors import UserError
from rl.learner.microbatch import MicroBatch
from rl.learner.packed_model import LOGITS_MIB, PackedPolicy, load_model
from rl.recipe.config import Recipe

REFERENCE_FILE = "reference.safetensors"  # in a checkpoint's trainer/, where it is ever replaced


class FrozenError(UserError):
    """A frozen policy cannot guide this one."""


class Frozen:
    """A causal language model that gives log-probabilities and never changes by itself."""

    def __init__(
        self, model_path: str | Path, dtype: str, device: torch.device, logits_mib: int = LOGITS_MIB
    ) -> None:
        """Load the model in `model_path` (Hugging Face format).

        Raises:
            ModelError: the model does something that packed sequences would get wrong.
        """
        model = load_model(str(model_path), dtype, activation_checkpointing=False)
        policy = PackedPolicy(model, logits_mib)
        self._policy = policy.requires_grad_(False).eval().to(device)

    @property
    def n_bytes(self) -> int:
        return sum(w.numel() * w.element_size() for w in self._policy.model.parameters())

    @torch.no_grad()
    def logprobs(self, micro: MicroBatch, temperature: float) -> Tensor:
        """[N] float32, nats, of micro.targets; logits are divided by `temperature`."""
        found, _ = self._policy(
            micro.tokens, micro.positions, micro.segments, micro.rows, micro.targets, temperature
        )
        return found

    @torch.no_grad()
    def become(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        """Take over the weights of another policy of the same shape, under the same names."""
        own = dict(self._policy.model.named_parameters())
        for name, weight in weights:
            own[name].copy_(weight)

    def save(self, file: Path) -> None:
        """Write the weights as safetensors; tied ones once."""
        from safetensors.torch import save_file

        save_file({n: w.contiguous() for n, w in self._policy.model.named_parameters()}, file)

    def load(self, file: Path) -> None:
        """Take over what `save` wrote.

        Raises:
            FrozenError: there is no such file.
        """
        from safetensors.torch import load_file

        if not file.is_file():
            raise FrozenError(
                f"{file} is missing: the checkpoint was written without reference.every, and does "
                "not say what the reference was. Resume with the recipe that it was written with"
            )
        self.become(load_file(file).items())


class FrozenPolicies:
    """Those that a recipe asks for: none, a reference, a teacher, or both."""

    def __init__(self, model_path: str, recipe: Recipe, device: torch.device) -> None:
        """Load them. Must come before DeepSpeed is started: under ZeRO-3 a model that transformers
        loads afterwards is split over the ranks.

        Args:
            model_path: directory of the policy that training starts from.

        Raises:
            UserError: no such model.
        """
        self._temperature = recipe.rollout.temperature
        self._every = recipe.reference.every
        self.teacher_coef = 0.0 if recipe.teacher is None else recipe.teacher.coef
        how = (recipe.learner.dtype, device, recipe.learner.logits_mib)
        self._reference = self._teacher = None
        if recipe.algorithm.kl_coef:
            model = recipe.reference.model
            self._reference = Frozen(_directory(model) if model else model_path, *how)
        if recipe.teacher is not None:
            self._teacher = Frozen(_directory(recipe.teacher.model), *how)

    def guides(self, micro: MicroBatch) -> Guides:
        """What they say of a micro-batch."""
        return Guides(
            *(
                None if policy is None else policy.logprobs(micro, self._temperature)
                for policy in (self._reference, self._teacher)
            )
        )

    def is_reset_due(self, version: int) -> bool:
        """Whether the reference is to become the policy after update number `version`."""
        return bool(self._every) and version % self._every == 0

    def reset_reference(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        assert self._reference is not None  # the recipe has no reference.every without it
        self._reference.become(weights)

    @property
    def checkpoint_bytes(self) -> int:
        return self._reference.n_bytes if self._reference is not None and self._every else 0

    def save(self, trainer: Path) -> None:
        """Write what cannot be loaded again from where it came: a reference that changes."""
        if self._reference is not None and self._every:
            self._reference.save(trainer / REFERENCE_FILE)

    def load(self, trainer: Path) -> None:
        if self._reference is not None and self._every:
            self._reference.load(trainer / REFERENCE_FILE)


def _directory(model: str) -> Path:
    """Of a model that is on this machine since before the ranks were started."""
    from rl.policy.starting import find_model

    return find_model(model, print)

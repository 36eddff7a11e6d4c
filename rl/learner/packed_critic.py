"""Models with a value head: packed tokens in, the value before each trained token out."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from rl.learner.attention import Segments
from rl.learner.packed_model import PackedPolicy, hidden_states
from rl.sampling.routes import Experts


class ValueHead(nn.Linear):
    """[N, hidden] -> [N] float32, reward units. Begins at zero, so that every value does.

    Computed in float32 whatever the weights are: bfloat16 has steps of 0.004 near a reward of 1.
    """

    def __init__(self, width: int, dtype: torch.dtype) -> None:
        super().__init__(width, 1, dtype=dtype)
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, hidden: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return linear(hidden.float(), self.weight.float(), self.bias.float())[:, 0]


class PackedCritic(nn.Module):
    """A causal language model without its output layer, and a value head in its place."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.trunk = model.base_model
        self.value_head = ValueHead(model.config.get_text_config().hidden_size, model.dtype)

    def forward(
        self,
        tokens: Tensor,  # [T] int64
        positions: Tensor,  # [T] int64
        segments: Segments,
        rows: Tensor,  # [N] int64, distinct: where in T a value is wanted
    ) -> Tensor:
        """[N] float32: the reward expected after each of the N tokens."""
        return self.value_head(hidden_states(self.trunk, tokens, positions, segments, rows))


class PackedPolicyWithValues(PackedPolicy):
    """The policy with a value head beside its own, which is no part of `model`."""

    def __init__(self, model: Any, logits_mib: int, experts: Experts | None) -> None:
        super().__init__(model, logits_mib, experts)
        self.value_head = ValueHead(model.config.get_text_config().hidden_size, model.dtype)

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        tokens: Tensor,
        positions: Tensor,
        segments: Segments,
        rows: Tensor,
        targets: Tensor,
        temperature: float,
        entropy_gradient: bool = False,
        routes: Tensor | None = None,
        frozen: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Log-probabilities and entropies as the policy gives them, and values, [N] each.

        Args:
            frozen: the values have no gradient but that of their head.
        """
        hidden = self.hidden(tokens, positions, segments, rows, routes)
        head = self.model.get_output_embeddings()
        logprobs, entropies = head(hidden, targets, temperature, entropy_gradient)
        values = self.value_head(hidden.detach() if frozen else hidden)
        return logprobs, entropies, values

"""Makes a model's routers take the experts that the sampler took; sampling/routes.py says why."""

import re
from functools import partial
from typing import Any

from torch import Tensor, nn

from rl.sampling.routes import Experts

ROUTER = re.compile(r"\blayers\.(\d+)\.mlp\.gate$")


def expert_weights(logits: Tensor, chosen: Tensor, *, normalised: bool) -> Tensor:
    """What each chosen expert's output is multiplied by.

    The probabilities are the router's own, so its gradient flows; only the choice is given.

    Args:
        logits: [T, experts] of the router.
        chosen: [T, k] int64.
        normalised: whether those of a token add up to 1.

    Returns:
        [T, k], of the logits' type; computed in float32, as the routers themselves do.
    """
    weights = logits.float().softmax(-1).gather(-1, chosen)
    if normalised:
        weights = weights / weights.sum(-1, keepdim=True)
    return weights.to(logits.dtype)


class Replay:
    """The routers of one model. While `routes` is set they take those, else their own choice.

    What is recomputed in a backward pass takes them too: leave them until it is done.
    """

    def __init__(self, model: nn.Module, experts: Experts) -> None:
        """
        Raises:
            ValueError: the model has no routers where they are known to be.
        """
        self._experts = experts
        self._routes: Tensor | None = None  # [T, layers, k] int64
        found = [(ROUTER.search(name), module) for name, module in model.named_modules()]
        routers = [(int(match[1]), module) for match, module in found if match]
        if not routers:
            raise ValueError(f"no routers to replay in a model of type {experts.model_type}")
        for layer, router in routers:
            router.register_forward_hook(partial(self._take, layer))

    def set(self, routes: Tensor | None) -> None:
        """From now on the experts of every token: [T, layers * k] uint8; None: the routers' own."""
        shape = -1, self._experts.layers, self._experts.per_token
        self._routes = None if routes is None else routes.view(shape).long()

    def _take(self, layer: int, router: Any, _: Any, output: tuple[Tensor, ...]) -> Any:
        """Forward hook of a router: logits [T, experts], weights [T, k], chosen [T, k]."""
        if self._routes is None:
            return None
        logits, chosen = output[0], self._routes[:, layer]
        weights = expert_weights(logits, chosen, normalised=router.norm_topk_prob)
        return logits, weights, chosen

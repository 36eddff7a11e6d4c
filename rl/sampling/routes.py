"""Which experts the sampler chose for every token: what a mixture-of-experts run replays.

Sampler and learner compute in different orders, so where two experts are nearly as likely each may
choose another one, and the log-probabilities of the token jump. Replayed, the learner computes with
the sampler's experts (Ma et al., "Stabilizing MoE reinforcement learning by aligning training and
inference routers", arXiv 2510.11370); rl/learner/replay.py does it.

Knows neither torch nor vLLM: the supervisor asks it, too.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from rl.errors import UserError
from rl.recipe.config import Recipe

# Model types whose routers are a softmax over the experts, of which the largest are taken.
REPLAYED = ("olmoe", "qwen2_moe", "qwen3_moe")
COUNTS = ("num_experts", "num_local_experts", "n_routed_experts")  # as configurations call it
NPY = b"\x93NUMPY\x01\x00"  # how version 1.0 of the file format starts
MAX_EXPERTS = 256  # one byte each


@dataclass(frozen=True, slots=True)
class Experts:
    """The experts of a model, by its configuration."""

    layers: int  # of the model, whether or not they have experts
    count: int  # in a layer
    per_token: int  # 0: the configuration has another name for it
    model_type: str

    @property
    def per_row(self) -> int:
        """Bytes of routes for one token."""
        return self.layers * self.per_token


class BadRoutes(ValueError):
    """What a server calls its chosen experts cannot be that. The message says what it is."""


def read_experts(model: str | Path) -> Experts | None:
    """Of the model in a directory; None where it is dense, or not on this machine."""
    file = Path(model).expanduser() / "config.json"
    if not file.is_file():
        return None
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    count = next((found[key] for key in COUNTS if found.get(key)), None)
    if count is None:
        return None
    return Experts(
        layers=found["num_hidden_layers"],
        count=count,
        per_token=found.get("num_experts_per_tok") or 0,
        model_type=found["model_type"],
    )


def replayed_experts(model: str | Path, recipe: Recipe) -> Experts | None:
    """Those that a run of this model replays; None where it is dense or the recipe replays none.

    Raises:
        UserError: this kind of model, or answers of this kind, cannot be replayed.
    """
    experts = read_experts(model)
    if experts is None or recipe.moe.routing == "learner":
        return None
    if experts.model_type not in REPLAYED or experts.count > MAX_EXPERTS:
        raise UserError(
            f"moe.routing: replay knows the routers of {', '.join(REPLAYED)} with up to "
            f"{MAX_EXPERTS} experts, and {model} is {experts.model_type} with {experts.count}: let "
            "the learner choose the experts itself with moe.routing=learner"
        )
    if not experts.per_token:
        raise UserError(
            "moe.routing: replay needs to know how many experts a token takes, and the "
            f"configuration of {model} has no num_experts_per_tok: let the learner choose the "
            "experts itself with moe.routing=learner"
        )
    rollout = recipe.rollout
    if rollout.chunk_tokens is not None or rollout.truncated == "interrupt":
        raise UserError(
            "moe.routing: replay knows the experts of answers that were sampled in one piece, not "
            f"of those under rollout.chunk_tokens: {rollout.chunk_tokens} and rollout.truncated: "
            f"{rollout.truncated}: let the learner choose the experts itself with "
            "moe.routing=learner"
        )
    return experts


def read_routes(answer: Any, experts: Experts, tokens: int) -> bytes:
    """The experts chosen for the first `tokens` tokens of prompt and answer.

    Args:
        answer: what the server sent: base64 of a .npy file, [tokens, layers, per_token] uint8.

    Returns:
        One byte per expert: [tokens, layers, per_token], flat.

    Raises:
        BadRoutes: it is anything else, or names an expert that does not exist.
    """
    if answer is None:
        raise BadRoutes(
            "no `routed_experts` beside the tokens, which moe.routing: replay needs (a run can do "
            "without them by moe.routing=learner)"
        )
    if not isinstance(answer, str):
        raise BadRoutes(f"`routed_experts` that is {type(answer).__name__}, not a text")
    try:
        file = base64.b64decode(answer, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadRoutes(f"`routed_experts` that cannot be read: {error}") from error
    shape = (tokens, experts.layers, experts.per_token)
    header, routes = _npy(file)
    expected = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}"
    if header != expected:
        raise BadRoutes(f"`routed_experts` that is {header[:120]}, not {expected}")
    if len(routes) != prod(shape):
        raise BadRoutes(f"`routed_experts` of {len(routes)} bytes, not {prod(shape)}")
    if max(routes) >= experts.count:
        raise BadRoutes(f"expert {max(routes)} of {experts.count}")
    return routes


def _npy(file: bytes) -> tuple[str, bytes]:
    """Header and contents of NumPy's file format, version 1.0.

    The header is Python's text of a dictionary. Of the one that fits every letter is known, so it
    is compared and never evaluated.
    """
    if not file.startswith(NPY):
        raise BadRoutes(f"`routed_experts` that is no .npy file: it starts with {file[:8]!r}")
    start = len(NPY) + 2
    end = start + int.from_bytes(file[len(NPY) : start], "little")
    return file[start:end].decode("latin-1").strip(), file[end:]

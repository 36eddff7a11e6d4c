"""A Hugging Face model made into: packed tokens in, log-probabilities of the trained ones out."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear
from torch.utils.checkpoint import checkpoint

from rl.algorithm.entropy import entropies
from rl.errors import UserError
from rl.learner.attention import NAME as PACKED_ATTENTION
from rl.learner.attention import Segments, select_rows
from rl.learner.replay import Replay
from rl.sampling.routes import Experts

LOGITS_MIB = 1024

# Configuration keys of models whose logits are more than hidden states times a matrix.
LOGIT_CHANGES = (
    "final_logit_softcapping",
    "attn_logit_softcapping",
    "logits_scaling",
    "logit_scale",
)


class ModelError(UserError):
    """The model cannot be trained packed."""


class LogprobHead(nn.Linear):
    """A model's output embedding that gives log-probability of one token, and entropy, per row.

    Takes the place of the model's own and shares its weight, so names, tying and checkpoints stay
    as they are. Logits are computed in float32 whatever the weights are: rounded to bfloat16 they
    move log-probabilities by 1e-2, more than an update does.

    The matrix of rows x vocabulary is never larger than `logits_mib`: with 150 k tokens of
    vocabulary that of a long answer would fill a GPU. Above it rows are taken in parts, whose
    logits are made again in the backward pass. Up to three matrices of that size are alive there.
    """

    logits_mib = LOGITS_MIB

    @classmethod
    def replace(cls, model: Any, logits_mib: int) -> None:
        """Put one in the place of the model's output embedding."""
        old = model.get_output_embeddings()
        with torch.device("meta"):
            new = cls(old.in_features, old.out_features, bias=old.bias is not None)
        new.weight, new.bias = old.weight, old.bias
        new.logits_mib = logits_mib
        model.set_output_embeddings(new)

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, hidden: Tensor, targets: Tensor, temperature: float, entropy_gradient: bool
    ) -> tuple[Tensor, Tensor]:
        """[N, hidden], [N] int64 -> log-probabilities and entropies, both [N] float32, nats.

        They are those of softmax(logits / temperature). Entropies have a gradient only where
        `entropy_gradient` asks for it.
        """
        weight = self.weight.float()
        bias = None if self.bias is None else self.bias.float()

        def outputs(rows: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
            logits = linear(rows.float(), weight, bias)
            if temperature != 1.0:
                logits = logits / temperature
            logprobs = -cross_entropy(logits, wanted, reduction="none")
            return logprobs, entropies(logits, differentiable=entropy_gradient)

        at_once = max(1, self.logits_mib * 2**20 // (4 * self.out_features))
        if len(targets) <= at_once:
            return outputs(hidden, targets)
        return _in_parts(outputs, hidden, targets, at_once)


def _in_parts(
    function: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    hidden: Tensor,
    targets: Tensor,
    at_once: int,
) -> tuple[Tensor, Tensor]:
    parts = zip(hidden.split(at_once), targets.split(at_once), strict=True)
    found = [checkpoint(function, *part, use_reentrant=False) for part in parts]
    logprobs, entropy = zip(*found, strict=True)
    return torch.cat(logprobs), torch.cat(entropy)


class PackedPolicy(nn.Module):
    """A causal language model as the learner sees it: packed tokens in, log-probabilities out."""

    def __init__(
        self, model: Any, logits_mib: int = LOGITS_MIB, experts: Experts | None = None
    ) -> None:
        """
        Args:
            experts: those of the model, where its routers are to take the sampler's choice.
        """
        super().__init__()
        LogprobHead.replace(model, logits_mib)
        self.model = model
        self._replay = None if experts is None else Replay(model, experts)

    def forward(
        self,
        tokens: Tensor,  # [T] int64
        positions: Tensor,  # [T] int64; restart at 0 in every sequence
        segments: Segments,
        rows: Tensor,  # [N] int64, distinct: where in T a target is predicted, one before it
        targets: Tensor,  # [N] int64: the tokens predicted there
        temperature: float,
        entropy_gradient: bool = False,
        routes: Tensor | None = None,  # [T, layers * experts per token] uint8; None: its own
    ) -> tuple[Tensor, Tensor]:
        """Log-probabilities of the targets, and entropies there, see `LogprobHead`.

        Both [N] float32, nats. The head is applied to the N rows only.
        """
        hidden = self.hidden(tokens, positions, segments, rows, routes)
        head = self.model.get_output_embeddings()
        return head(hidden, targets, temperature, entropy_gradient)

    def hidden(
        self,
        tokens: Tensor,
        positions: Tensor,
        segments: Segments,
        rows: Tensor,
        routes: Tensor | None,
    ) -> Tensor:
        """[N, hidden], of the N rows; the arguments are those of `forward`."""
        if self._replay is not None:
            self._replay.set(routes)
        return hidden_states(self.model.base_model, tokens, positions, segments, rows)


def hidden_states(
    trunk: Any, tokens: Tensor, positions: Tensor, segments: Segments, rows: Tensor
) -> Tensor:
    """[N, hidden]: what a model without its head makes of packed tokens, at the N rows."""
    hidden = trunk(
        input_ids=tokens.unsqueeze(0),
        position_ids=positions.unsqueeze(0),
        use_cache=False,
        segments=segments,
    ).last_hidden_state[0]
    return select_rows(hidden, rows)


def load_model(model_path: str, dtype: str, activation_checkpointing: bool) -> Any:
    """A causal language model set up for packed training.

    Raises:
        ModelError: it does something that packed training would silently get wrong.
    """
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    config = AutoConfig.from_pretrained(model_path)
    _refuse_what_packing_breaks(model_path, config)
    model = AutoModelForCausalLM.from_pretrained(
        model_path, dtype=getattr(torch, dtype), attn_implementation=PACKED_ATTENTION
    )
    if not model._supports_attention_backend:
        raise _cannot_pack(model_path, [f"{type(model).__name__} chooses its own attention"])
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0  # the sampler has none
    if activation_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return model


def in_checkpoint_names(
    model: Any, weights: Iterable[tuple[str, Tensor]]
) -> Iterator[tuple[str, Tensor]]:
    """The weights of a model with experts as its checkpoints hold them, which servers expect.

    transformers keeps the experts of a layer in one tensor, checkpoints each by itself. The tensors
    given are views of those taken.
    """
    from transformers.core_model_loading import revert_weight_conversion

    for name, weight in weights:
        yield from revert_weight_conversion(model, {name: weight}).items()


def _refuse_what_packing_breaks(model_path: str, config: Any) -> None:
    text = config.get_text_config()
    layers = set(getattr(text, "layer_types", None) or ["full_attention"])
    mixing = layers - {"full_attention", "sliding_attention"}
    scaled = [key for key in LOGIT_CHANGES if getattr(text, key, None) not in (None, 1, 1.0)]
    if mixing or scaled:
        raise _cannot_pack(model_path, sorted(mixing) + scaled)


def _cannot_pack(model_path: str, why: list[str]) -> ModelError:
    return ModelError(
        f"model {model_path}: cannot be trained packed, it is not plain attention with a plain "
        f"output layer: {', '.join(why)}. Take a Llama, Qwen2, Qwen3 or Qwen3-MoE model"
    )

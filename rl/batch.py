"""Groups of graded rollouts -> one packed Batch, and what became of every rollout."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from rl.advantage import ADVANTAGES
from rl.config import Recipe
from rl.types import Graded, Group, Rollout, Stop
from verifiers.verdict import Outcome


class Batch(NamedTuple):
    """What one optimiser step trains on: sequences laid end to end, without padding.

    T counts all their tokens, prompts included. The log-probability of token t is predicted at
    t - 1, which is of the same sequence wherever `loss_mask` is true.
    """

    tokens: Tensor  # [T] int64
    positions: Tensor  # [T] int64; 0 starts a new sequence
    loss_mask: Tensor  # [T] bool: sampled by the policy
    rollout_logprobs: Tensor  # [T] float32, nats, of the sampler at sampling time; 0 where masked
    advantages: Tensor  # [T] float32; 0 where masked
    n_tokens: int  # sampled tokens of every valid rollout of the step, packed or not


class Packed(NamedTuple):
    """The batch, and per group and rollout, in their order, what became of it."""

    batch: Batch
    advantages: list[list[float]]  # 0 where there is none
    skipped: list[list[str | None]]  # why a rollout was not trained on; None: it was
    signal_groups: int  # with at least one rollout trained on


def why_invalid(graded: Graded, recipe: Recipe) -> str | None:
    """The reason to treat this rollout as if it had never been sampled; None: it counts."""
    completion = graded.rollout.completion
    if completion.stop is Stop.FAILED:
        return "rollout_failed"
    if graded.verdict.outcome is Outcome.BROKEN:
        return "verifier_broken"
    if not completion.tokens:
        return "no_tokens"
    if completion.stop is Stop.LENGTH and not recipe.algorithm.train_truncated:
        return "truncated"
    return None


def why_skip(valid: Group) -> str | None:
    """The reason why this group's valid rollouts carry no gradient; None: they do."""
    if len(valid) < 2:
        return "no_baseline"
    if len({graded.reward for graded in valid}) == 1:
        return "constant_reward"
    return None


def pack(groups: list[Group], recipe: Recipe) -> Packed:
    """Give every rollout its advantage and lay those that carry a gradient end to end.

    Valid rollouts of groups without signal need no forward pass, since their advantage is 0, but
    their tokens count in `n_tokens`: the step's size does not shrink as the policy gets better.

    Raises:
        ValueError: an answer whose log-probabilities are not finite or not one per token.
    """
    advantage_of = ADVANTAGES[recipe.algorithm.advantage]
    chosen: list[tuple[Rollout, float]] = []
    advantages: list[list[float]] = []
    skipped: list[list[str | None]] = []
    n_tokens = signal_groups = 0
    for group in groups:
        reasons = [why_invalid(graded, recipe) for graded in group]
        valid = [g for g, reason in zip(group, reasons, strict=True) if reason is None]
        n_tokens += sum(len(g.rollout.completion.tokens) for g in valid)
        no_signal = why_skip(valid)
        if no_signal is None:
            rewards = torch.tensor([g.reward for g in valid], dtype=torch.float64)
            values = iter(advantage_of(rewards).tolist())
            signal_groups += 1
        else:
            values = iter([0.0] * len(valid))
        own = [next(values) if reason is None else 0.0 for reason in reasons]
        fates = [reason or no_signal for reason in reasons]
        chosen += [
            (g.rollout, advantage)
            for g, advantage, why in zip(group, own, fates, strict=True)
            if why is None
        ]
        advantages.append(own)
        skipped.append(fates)
    return Packed(_lay_out(chosen, n_tokens), advantages, skipped, signal_groups)


def _lay_out(chosen: list[tuple[Rollout, float]], n_tokens: int) -> Batch:
    tokens: list[int] = []
    positions: list[int] = []
    mask: list[bool] = []
    logprobs: list[float] = []
    advantages: list[float] = []
    for rollout, advantage in chosen:
        prompt, completion = rollout.prompt_tokens, rollout.completion
        _check(rollout)
        sampled = len(completion.tokens)
        tokens += prompt
        tokens += completion.tokens
        positions += range(len(prompt) + sampled)
        mask += [False] * len(prompt) + [True] * sampled
        logprobs += [0.0] * len(prompt)
        logprobs += completion.logprobs
        advantages += [0.0] * len(prompt) + [advantage] * sampled
    return Batch(
        tokens=torch.tensor(tokens, dtype=torch.int64),
        positions=torch.tensor(positions, dtype=torch.int64),
        loss_mask=torch.tensor(mask, dtype=torch.bool),
        rollout_logprobs=torch.tensor(logprobs, dtype=torch.float32),
        advantages=torch.tensor(advantages, dtype=torch.float32),
        n_tokens=n_tokens,
    )


def _check(rollout: Rollout) -> None:
    """Refuse what would train on nonsense: the engine broke its promise."""
    completion = rollout.completion
    where = f"answer {rollout.response[:40]!r} of environment {rollout.env}"
    if not rollout.prompt_tokens:
        raise ValueError(f"{where}: its prompt has no tokens, so its first token has no context")
    if len(completion.logprobs) != len(completion.tokens):
        raise ValueError(
            f"{where}: {len(completion.tokens)} tokens but {len(completion.logprobs)} "
            "log-probabilities from the rollout server"
        )
    if not all(map(math.isfinite, completion.logprobs)):
        raise ValueError(f"{where}: the rollout server gave a log-probability that is not finite")

"""Groups of graded rollouts -> one packed Batch, and what became of every rollout."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from rl.algorithm.advantage import step_advantages
from rl.algorithm.aggregate import (
    Aggregation,
    Lengths,
    by_constant,
    by_prompt,
    by_sequence,
    by_token,
)
from rl.recipe.config import Recipe
from rl.sampling.answering import pieces
from rl.types import Completion, Graded, Group, Rollout, Stop
from verifiers.verdict import Outcome


class Batch(NamedTuple):
    """What one optimiser step trains on: sequences laid end to end, without padding.

    A sequence is an answer behind its prompt, or a chunk of one behind all that it was sampled
    from. T counts all their tokens, prompts included. The log-probability of token t is predicted
    at t - 1, which is of the same sequence wherever `loss_mask` is true.
    """

    tokens: Tensor  # [T] int64
    positions: Tensor  # [T] int64; 0 starts a new sequence
    loss_mask: Tensor  # [T] bool: sampled by the policy
    rollout_logprobs: Tensor  # [T] float32, nats, of the sampler at sampling time; 0 where masked
    advantages: Tensor  # [T] float32; 0 where masked, and until a critic has judged
    weights: Tensor  # [T] float32, of a token's loss in the sum; 0 where masked
    rewards: Tensor  # [T] float32, paid after a token: an answer's after its last sampled one
    denominator: int  # of that sum, over the whole step: see rl/algorithm/aggregate.py
    n_tokens: int  # sampled tokens of every valid rollout of the step, packed or not
    answers: Tensor | None = None  # [T] int64: which answer; None: each sequence is one of its own
    # [T, layers * experts per token] uint8: the sampler's; None where no experts are replayed
    routes: Tensor | None = None


class Packed(NamedTuple):
    """The batch, and per group and rollout, in their order, what became of it."""

    batch: Batch
    advantages: list[list[float | None]]  # 0 where there is none; None: its tokens' differ
    skipped: list[list[str | None]]  # why a rollout was not trained on; None: it was
    signal_groups: int  # whose rewards may say what was better, see why_skip


def why_invalid(graded: Graded, recipe: Recipe) -> str | None:
    """The reason to treat this rollout as if it had never been sampled; None: it counts."""
    completion = graded.rollout.completion
    if completion.stop is Stop.FAILED:
        return "rollout_failed"
    if graded.verdict.outcome is Outcome.BROKEN:
        return "verifier_broken"
    if not completion.tokens:
        return "no_tokens"
    if completion.stop is Stop.LENGTH and recipe.rollout.truncated == "mask":
        return "truncated"
    return None


def why_skip(valid: Group, recipe: Recipe) -> str | None:
    """The reason why the rewards of this group's valid rollouts say nothing; None: they do."""
    # Rewards are not looked at, or the baseline is a critic's: any answer can be better than
    # expected.
    if recipe.algorithm.advantage == "none" or recipe.critic is not None:
        return None if valid else "no_answer"
    if len(valid) < 2:
        return "no_baseline"
    if len({graded.reward for graded in valid}) == 1:
        return "constant_reward"
    return None


def has_signal(group: Group, recipe: Recipe) -> bool:
    """Whether anything of a group is trained on."""
    valid = [graded for graded in group if why_invalid(graded, recipe) is None]
    return why_skip(valid, recipe) is None


def pack(groups: list[Group], recipe: Recipe) -> Packed:
    """Give every rollout its advantage and lay those that carry a gradient end to end.

    Valid rollouts of groups without signal need no forward pass, since their advantage is 0, but
    their tokens count in `n_tokens`: the step's size does not shrink as the policy gets better.
    With curriculum.dynamic they do not, since other groups take their place.
    Else, where every answer learns from a frozen policy or its own entropy, they are laid out too.

    Raises:
        ValueError: an answer whose log-probabilities are not finite or not one per token.
    """
    reasons = [[why_invalid(graded, recipe) for graded in group] for group in groups]
    valid = [
        [graded for graded, why in zip(group, own, strict=True) if why is None]
        for group, own in zip(groups, reasons, strict=True)
    ]
    no_signal = [why_skip(group, recipe) for group in valid]
    dropped = recipe.curriculum.dynamic and None in no_signal
    learns = recipe.every_answer_learns and not dropped
    left_out = [None if learns else why for why in no_signal]
    advantages = _advantages(valid, no_signal, recipe.algorithm.advantage)
    new = [
        [pair for pair in zip(group, own, strict=True) if not pair[0].baseline_only]
        for group, own in zip(valid, advantages, strict=True)
    ]
    lengths = [[graded.rollout.completion.n_sampled for graded, _ in group] for group in new]
    if dropped:
        lengths = [own if why is None else [] for own, why in zip(lengths, no_signal, strict=True)]
    weights, denominator = aggregate(lengths, recipe)
    chosen = [
        _Chosen(graded.rollout, graded.reward, advantage, weight)
        for group, shares, why in zip(new, weights, left_out, strict=True)
        if why is None
        for (graded, advantage), weight in zip(group, shares, strict=True)
    ]
    return Packed(
        _lay_out(chosen, denominator, n_tokens=sum(map(sum, lengths))),
        [_spread(own, why) for own, why in zip(advantages, reasons, strict=True)],
        [_skipped(*each) for each in zip(groups, reasons, left_out, strict=True)],
        no_signal.count(None),
    )


def _advantages(
    valid: list[Group], no_signal: list[str | None], estimator: str
) -> list[list[float | None]]:
    """One per valid rollout of each group; zeros in groups without signal; with a critic none."""
    if estimator == "gae":
        return [[None] * len(group) for group in valid]
    rewards = [
        torch.tensor([graded.reward for graded in group], dtype=torch.float64)
        for group, why in zip(valid, no_signal, strict=True)
        if why is None
    ]
    found = iter(step_advantages(estimator, rewards))
    return [
        next(found).tolist() if why is None else [0.0] * len(group)
        for group, why in zip(valid, no_signal, strict=True)
    ]


def _skipped(group: Group, invalid: list[str | None], lacking: str | None) -> list[str | None]:
    """Why each rollout of a group is not trained on in this step; None: it is."""
    return [
        why or ("baseline_only" if graded.baseline_only else lacking)
        for graded, why in zip(group, invalid, strict=True)
    ]


def _spread(values: list[float | None], reasons: list[str | None]) -> list[float | None]:
    """The values of the valid rollouts in their places among all, 0 where there is none."""
    left = iter(values)
    return [next(left) if why is None else 0.0 for why in reasons]


def aggregate(lengths: Lengths, recipe: Recipe) -> Aggregation:
    """Weights and denominator of the step, as the recipe wants it."""
    algorithm = recipe.algorithm
    match algorithm.aggregation:
        case "token":
            return by_token(lengths)
        case "sequence":
            return by_sequence(lengths)
        case "prompt":
            return by_prompt(lengths)
        case "constant":
            divisor = algorithm.constant_tokens or recipe.rollout.max_new_tokens
            return by_constant(lengths, divisor)


class _Chosen(NamedTuple):
    rollout: Rollout
    reward: float
    advantage: float | None
    weight: float


def _lay_out(chosen: list[_Chosen], denominator: int, n_tokens: int) -> Batch:
    tokens: list[int] = []
    positions: list[int] = []
    mask: list[bool] = []
    logprobs: list[float] = []
    advantages: list[float] = []
    weights: list[float] = []
    rewards: list[float] = []
    answers: list[int] = []
    for number, (rollout, reward, advantage, weight) in enumerate(chosen):
        _check(rollout)
        completion = rollout.completion
        sampled = _sampled(completion)
        for piece in pieces(rollout.prompt_tokens, completion.tokens, completion.chunks):
            own = slice(piece.start, piece.end)
            trained = [False] * len(piece.context) + sampled[own]
            tokens += piece.context
            tokens += completion.tokens[own]
            positions += range(len(trained))
            mask += trained
            logprobs += [0.0] * len(piece.context) + completion.logprobs[own]
            advantages += [advantage or 0.0 if here else 0.0 for here in trained]
            weights += [weight if here else 0.0 for here in trained]
            answers += [number] * len(trained)
        rewards += [0.0] * (len(mask) - len(rewards))
        last = len(mask) - 1
        while not mask[last]:
            last -= 1
        rewards[last] = reward
    in_chunks = any(len(rollout.completion.chunks) > 1 for rollout, *_ in chosen)
    return Batch(
        tokens=torch.tensor(tokens, dtype=torch.int64),
        positions=torch.tensor(positions, dtype=torch.int64),
        loss_mask=torch.tensor(mask, dtype=torch.bool),
        rollout_logprobs=torch.tensor(logprobs, dtype=torch.float32),
        advantages=torch.tensor(advantages, dtype=torch.float32),
        weights=torch.tensor(weights, dtype=torch.float32),
        rewards=torch.tensor(rewards, dtype=torch.float32),
        denominator=denominator,
        n_tokens=n_tokens,
        answers=torch.tensor(answers, dtype=torch.int64) if in_chunks else None,
        routes=_routes([rollout for rollout, *_ in chosen]),
    )


def _routes(rollouts: list[Rollout]) -> Tensor | None:
    """[T, layers * experts per token] uint8; None where no rollout has any.

    Raises:
        ValueError: some have, and others not, or other ones.
    """
    computed = [len(r.prompt_tokens) + len(r.completion.tokens) - 1 for r in rollouts]
    sizes = [len(rollout.completion.routes) for rollout in rollouts]
    widths = {size / rows for size, rows in zip(sizes, computed, strict=True)}
    if widths <= {0}:
        return None
    if len(widths) > 1:
        raise ValueError(f"answers with different numbers of experts per token: {sorted(widths)}")
    parts = []
    for rollout, rows in zip(rollouts, computed, strict=True):
        taken = torch.frombuffer(bytearray(rollout.completion.routes), dtype=torch.uint8)
        # No expert saw the last token. The learner computes it all the same, and uses nothing
        # of it.
        parts += [taken.view(rows, -1), taken.view(rows, -1)[-1:]]
    return torch.cat(parts)


def _sampled(completion: Completion) -> list[bool]:
    """Of each token whether the policy chose it."""
    sampled = [True] * len(completion.tokens)
    for start, end in completion.injected:
        sampled[start:end] = [False] * (end - start)
    return sampled


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

"""The data that flows: Task -> Rollout -> Verdict -> Graded -> Group -> Batch -> Update -> version.

Each stage has a type of its own, so that no field is ever empty until somebody fills it in.
Nothing here knows torch; the tensors begin in rl/learner/batch.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from envs.base import Task
from verifiers.verdict import Verdict

ENGINE = "engine"  # signs the broken verdict of an answer that no verifier saw


class Stop(StrEnum):
    FINISHED = "finished"  # the policy ended its answer
    LENGTH = "length"  # the token budget ran out
    FAILED = "failed"  # the engine or the environment raised: never trained on


class Span(NamedTuple):
    """Sampled tokens [start, end) of a completion came from weights `version`."""

    version: int
    start: int
    end: int


class Chunk(NamedTuple):
    """From token `start` on an answer went on in a fresh context: the prompt, the first `head`
    tokens of the answer, and the `tail` tokens before `start`."""

    start: int
    head: int
    tail: int


ONE_CHUNK = (Chunk(start=0, head=0, tail=0),)  # an answer that had its whole past before it


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer as it was sampled. `tokens` and `logprobs` have length L."""

    tokens: list[int]
    # Nats, of the distribution really sampled from, at sampling time. Whoever only judges answers
    # asks for none: then what stands here means nothing.
    logprobs: list[float]
    stop: Stop
    spans: tuple[Span, ...]  # in order; a token outside of them was put in, not sampled
    chunks: tuple[Chunk, ...] = ONE_CHUNK  # in order, the first at 0
    # The experts that computed prompt and answer but for its last token, which nothing was computed
    # from: [prompt + L - 1, layers, experts per token], a byte each. Empty where none are replayed.
    routes: bytes = b""

    @property
    def n_sampled(self) -> int:
        """Tokens that the policy chose: those that can be trained on."""
        return sum(span.end - span.start for span in self.spans)

    @property
    def injected(self) -> list[tuple[int, int]]:
        """[start, end) of the tokens that were put in, in order."""
        edges = [0, *(edge for span in self.spans for edge in span[1:]), len(self.tokens)]
        gaps = zip(edges[::2], edges[1::2], strict=True)
        return [(start, end) for start, end in gaps if start < end]


@dataclass(frozen=True, slots=True)
class Rollout:
    """One episode, in the exact tokens that the engine saw."""

    env: str  # name in the recipe
    task: Task
    prompt_tokens: list[int]
    completion: Completion
    response: str  # text of the completion
    options: dict[str, Any] = field(default_factory=dict)  # of the environment, in the recipe

    @property
    def version(self) -> int:
        """The oldest weights that sampled any of its tokens.

        Raises:
            ValueError: it has no tokens, which only an answer that FAILED can have.
        """
        return min(span.version for span in self.completion.spans)


@dataclass(frozen=True, slots=True)
class Graded:
    rollout: Rollout
    verdict: Verdict
    reward: float
    baseline_only: bool = False  # trained on in an earlier step; here beside late answers


Group = list[Graded]  # the rollouts of one task: unit of baseline, filtering and pacing


def new_answers(groups: Sequence[Group]) -> list[Graded]:
    """Those of all groups that no earlier step has had."""
    return [graded for group in groups for graded in group if not graded.baseline_only]


class CriticUpdate(NamedTuple):
    """What a step did to the critic. Over the step's sampled tokens, of values before the update
    where nothing else is said."""

    loss: float  # half the mean squared error
    explained_variance: float  # 1: every target was known; 0: no better than their mean; or NaN
    value_mean: float
    target_mean: float
    clip_fraction: float  # held back by critic.value_clip, in the step's last update
    grad_norm: float  # before clipping, in the last update; with a shared trunk of both losses
    policy_frozen: bool  # only the critic learned


class TokenFigures(NamedTuple):
    """Of the first tokens that a step trained on, in the order of its groups, for the record."""

    log_ratios: list[float]  # learner before the update - sampler, nats
    advantages: list[float]  # that they were trained with, what a frozen policy added included


class Update(NamedTuple):
    """What one optimiser step did. Shares are of the tokens trained on."""

    version: int  # of the weights it made
    loss: float
    grad_norm: float  # before clipping
    lr: float
    clip_fraction: float  # where a bound of the policy loss acted
    masked_fraction: float  # left out by the correction
    mismatch_kl: float  # nats per token, sampler against learner, k3 estimate
    logprob_diff_mean: float  # mean |learner - sampler| per token, nats
    logprob_diff_max: float
    ratio_max: float
    prob_diff_max: float  # largest |learner - sampler| of a token's probability, 0 to 1
    n_tokens: int  # sampled tokens of every valid rollout of the step
    n_trained_tokens: int  # those with a gradient: rollouts of groups with signal
    n_micro_batches: int
    entropy: float  # nats per token, of the policy before the update, at rollout.temperature
    optional: dict[str, float]  # figures of the optional parts of the objective; {} without any
    critic: CriticUpdate | None = None  # None: the recipe has none
    tokens: TokenFigures | None = None  # None: none are recorded

"""How one answer is sampled: in one context or in chunks, with or without an interruption.

Pure but for the calls into the engine, which come as a function. Chunks are those of Delethink
(arXiv:2510.06557), the interruption is ScaleRL's (arXiv:2510.13786).
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from math import ceil
from random import Random
from typing import NamedTuple

from rl.recipe.rollout import Rollouts
from rl.types import Chunk, Completion, Span, Stop

# Tokens of the context, seed, most new tokens -> what the engine samples behind that context.
SampleOne = Callable[[list[int], int, int], Awaitable[Completion]]

LAST_SHARE = 0.15  # of the budget: an interruption falls into it (ScaleRL, section 3)


class Answering(NamedTuple):
    """How answers are sampled, as the recipe's `rollout` has it."""

    chunk_tokens: int | None = None  # None: one context holds the whole answer
    carry_tokens: int = 0
    head_tokens: int = 0
    closing: tuple[int, ...] = ()  # tokens put in near the end of the budget; none: nothing is

    @property
    def plain(self) -> bool:
        """Whether an answer is one call of the engine."""
        return self.chunk_tokens is None and not self.closing

    @classmethod
    def of(cls, rollout: Rollouts, closing: Sequence[int] = ()) -> "Answering":
        """`closing`: tokens of rollout.closing_phrase, where answers are interrupted."""
        chunks = rollout.chunk_tokens, rollout.carry_tokens, rollout.head_tokens
        return cls(*chunks, closing=tuple(closing))


def interruption(seed: int, budget: int, closing: Sequence[int]) -> int | None:
    """After how many tokens the answer with this seed is interrupted; None: never.

    Uniform over the last 15 % of the budget, as far as the closing phrase and one token more fit.

    Raises:
        ValueError: they fit nowhere.
    """
    if not closing:
        return None
    first, last = first_and_last_interruption(budget, closing)
    if first > last:
        raise ValueError(f"{len(closing)} tokens do not fit into the last 15 % of {budget}")
    return Random(f"interruption/{seed}").randint(first, last)


def first_and_last_interruption(budget: int, closing: Sequence[int]) -> tuple[int, int]:
    """The range that `interruption` draws from; empty where the phrase is too long."""
    return ceil((1 - LAST_SHARE) * budget), budget - len(closing) - 1


def next_chunk(start: int, answering: Answering) -> Chunk:
    """The chunk that begins after `start` tokens of an answer."""
    head = min(start, answering.head_tokens)
    return Chunk(start, head, min(start - head, answering.carry_tokens))


def cut(n_tokens: int, answering: Answering) -> tuple[Chunk, ...]:
    """The chunks of an answer of that length, uninterrupted: what `answer` would have made of it.

    The first has chunk_tokens, each later one so many less what is carried over.
    """
    chunks, start = [next_chunk(0, answering)], answering.chunk_tokens
    while start is not None and start < n_tokens:
        chunks.append(next_chunk(start, answering))
        start += (answering.chunk_tokens or 0) - chunks[-1].tail
    return tuple(chunks)


def context(prompt: Sequence[int], tokens: Sequence[int], chunk: Chunk) -> list[int]:
    """What stood before the first token of a chunk: prompt, head and tail of the answer so far."""
    return [*prompt, *tokens[: chunk.head], *tokens[chunk.start - chunk.tail : chunk.start]]


class Piece(NamedTuple):
    """A chunk as it is computed: tokens [start, end) of the answer behind their context."""

    context: list[int]
    start: int
    end: int


def pieces(
    prompt: Sequence[int], tokens: Sequence[int], chunks: Sequence[Chunk]
) -> Iterator[Piece]:
    """The chunks of an answer, each with its context. Every token of the answer is in one."""
    ends = [*(chunk.start for chunk in chunks[1:]), len(tokens)]
    for chunk, end in zip(chunks, ends, strict=True):
        yield Piece(context(prompt, tokens, chunk), chunk.start, end)


@dataclass
class _Answer:
    """An answer so far."""

    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=lambda: [Chunk(0, 0, 0)])

    def add(self, sampled: Completion) -> None:
        offset = len(self.tokens)
        self.tokens += sampled.tokens
        self.logprobs += sampled.logprobs
        self.spans += [Span(v, start + offset, end + offset) for v, start, end in sampled.spans]

    def put_in(self, tokens: Sequence[int]) -> None:
        self.tokens += tokens
        self.logprobs += [0.0] * len(tokens)

    def room(self, answering: Answering) -> int | None:
        """Tokens that the chunk under way still takes; None: any number."""
        if answering.chunk_tokens is None:
            return None
        chunk = self.chunks[-1]
        return answering.chunk_tokens - chunk.tail - (len(self.tokens) - chunk.start)

    def finished(self, stop: Stop) -> Completion:
        return Completion(self.tokens, self.logprobs, stop, tuple(self.spans), tuple(self.chunks))


async def answer(
    sample_one: SampleOne, prompt: list[int], seed: int, budget: int, answering: Answering
) -> Completion:
    """Sample one answer of at most `budget` tokens, what is put in included.

    No context is longer than the prompt, the head and chunk_tokens, however long the answer gets.
    Where the engine ends an answer before the tokens it was allowed, its own limit ended it.

    Args:
        seed: of the first call; later ones have seeds that follow from it and their number.
    """
    found = _Answer()
    interrupt_at = interruption(seed, budget, answering.closing)
    call = 0
    while True:
        if found.room(answering) == 0:
            found.chunks.append(next_chunk(len(found.tokens), answering))
        chunk, n = found.chunks[-1], len(found.tokens)
        due = budget if interrupt_at is None else interrupt_at
        most = min(due - n, found.room(answering) or budget)
        before = context(prompt, found.tokens, chunk) + found.tokens[chunk.start :]
        sampled = await sample_one(before, seed if call == 0 else _seed(seed, call), most)
        call += 1
        found.add(sampled)
        if sampled.stop is not Stop.LENGTH or len(sampled.tokens) < most:
            return found.finished(sampled.stop)
        if len(found.tokens) == interrupt_at:
            interrupt_at = None
            room = found.room(answering)
            if room is not None and room <= len(answering.closing):
                # Whole, and in the context of what follows: what is carried over may be shorter.
                found.chunks.append(next_chunk(len(found.tokens), answering))
            found.put_in(answering.closing)
        if len(found.tokens) == budget:
            return found.finished(Stop.LENGTH)


def _seed(seed: int, call: int) -> int:
    """Of a later call for the same answer: with the same seed it would draw the same numbers."""
    return int(sha256(f"call/{seed}/{call}".encode()).hexdigest()[:12], 16)

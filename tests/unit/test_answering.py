"""How one answer is sampled: chunks, what they carry over, and the interruption."""

import asyncio
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl.sampling.answering import Answering, answer, cut, interruption, pieces
from rl.types import Chunk, Completion, Span, Stop

PROMPT = [901, 902]
CLOSING = (801, 802, 803)


class Calls:
    """Samples 0, 1, 2, ... as an engine would; the answer ends with its token number `length - 1`.

    Remembers what it was asked. `own_limit`: the longest context it can hold.
    """

    def __init__(self, length: int, own_limit: int = 10**9, fails_at: int = -1) -> None:
        self.length, self.own_limit, self.fails_at = length, own_limit, fails_at
        self.asked: list[tuple[list[int], int, int]] = []
        self.n = 0

    async def __call__(self, context: list[int], seed: int, most: int) -> Completion:
        self.asked.append((list(context), seed, most))
        if len(self.asked) - 1 == self.fails_at:
            return Completion([], [], Stop.FAILED, ())
        n = min(most, self.length - self.n, self.own_limit - len(context))
        tokens = list(range(self.n, self.n + n))
        self.n += n
        stop = Stop.FINISHED if self.n == self.length else Stop.LENGTH
        version = len(self.asked)  # new weights before every call
        logprobs = [-0.001 * (token + 1) for token in tokens]
        return Completion(tokens, logprobs, stop, (Span(version, 0, n),))


def run(calls: Calls, budget: int, answering: Answering, seed: int = 7) -> Completion:
    return asyncio.run(answer(calls, PROMPT, seed, budget, answering))


def test_a_plain_answer_is_one_call_and_what_the_engine_gave():
    calls = Calls(5)
    found = run(calls, 9, Answering())
    assert calls.asked == [(PROMPT, 7, 9)]
    expected = [-0.001, -0.002, -0.003, -0.004, -0.005]
    assert found == Completion(list(range(5)), expected, Stop.FINISHED, (Span(1, 0, 5),))
    assert (found.injected, found.n_sampled) == ([], 5)


def test_chunks_go_on_behind_prompt_head_and_tail_by_hand():
    calls = Calls(11)
    found = run(calls, 5 + 3 + 3, Answering(chunk_tokens=5, carry_tokens=2, head_tokens=1))
    assert [(context, most) for context, _, most in calls.asked] == [
        (PROMPT, 5),  # 0 1 2 3 4
        ([*PROMPT, 0, 3, 4], 3),  # 5 6 7
        ([*PROMPT, 0, 6, 7], 3),  # 8 9 10
    ]
    assert found.tokens == list(range(11))
    assert found.stop is Stop.FINISHED
    assert found.chunks == (Chunk(0, 0, 0), Chunk(5, 1, 2), Chunk(8, 1, 2))
    assert found.spans == (Span(1, 0, 5), Span(2, 5, 8), Span(3, 8, 11))


def test_an_answer_that_is_not_done_in_all_its_chunks_ran_out_of_tokens():
    found = run(Calls(100), 11, Answering(chunk_tokens=5, carry_tokens=2))
    assert (len(found.tokens), found.stop) == (11, Stop.LENGTH)


def test_calls_for_one_answer_draw_from_different_seeds_that_follow_from_the_first():
    one, again, other = Calls(11), Calls(11), Calls(11)
    for calls, seed in ((one, 7), (again, 7), (other, 8)):
        run(calls, 11, Answering(chunk_tokens=5, carry_tokens=2), seed)
    seeds = [[seed for _, seed, _ in calls.asked] for calls in (one, again, other)]
    assert seeds[0][0] == 7
    assert seeds[0] == seeds[1]
    assert len({*seeds[0], *seeds[2]}) == 6


def test_a_call_that_fails_ends_the_answer():
    found = run(Calls(11, fails_at=1), 11, Answering(chunk_tokens=5, carry_tokens=2))
    assert (found.tokens, found.stop) == (list(range(5)), Stop.FAILED)


def test_an_engine_that_stops_at_a_limit_of_its_own_ends_the_answer():
    found = run(Calls(50, own_limit=6), 50, Answering(chunk_tokens=9, carry_tokens=4))
    assert (found.tokens, found.stop) == ([0, 1, 2, 3], Stop.LENGTH)


chunked = st.integers(2, 12).flatmap(
    lambda size: st.tuples(st.just(size), st.integers(0, size - 1)).flatmap(
        lambda pair: st.tuples(*map(st.just, pair), st.integers(0, pair[0] - pair[1] - 1))
    )
)


@given(sizes=chunked, length=st.integers(1, 60), budget=st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_no_context_grows_with_the_answer_and_every_token_is_in_one_piece(sizes, length, budget):
    answering = Answering(*sizes)
    calls = Calls(length)
    found = run(calls, budget, answering)
    for context, _, most in calls.asked:
        assert len(context) + most <= len(PROMPT) + answering.head_tokens + sizes[0]
    assert found.tokens == list(range(min(length, budget)))
    laid = list(pieces(PROMPT, found.tokens, found.chunks))
    assert [t for piece in laid for t in found.tokens[piece.start : piece.end]] == found.tokens
    assert [piece.context for piece in laid] == [context for context, _, _ in calls.asked]
    assert cut(len(found.tokens), answering) == found.chunks


def test_an_interruption_puts_the_phrase_in_and_the_answer_goes_on_with_what_is_left():
    budget, seed = 100, 3
    at = interruption(seed, budget, CLOSING)
    calls = Calls(98)  # beyond the interruption, and past the budget with the phrase
    found = run(calls, budget, Answering(closing=CLOSING), seed)
    assert calls.asked[0] == (PROMPT, seed, at)
    assert calls.asked[1][0] == [*PROMPT, *range(at), *CLOSING]
    assert calls.asked[1][2] == budget - at - 3
    assert found.tokens == [*range(at), *CLOSING, *range(at, budget - 3)]
    assert found.injected == [(at, at + 3)]
    assert found.logprobs[at : at + 3] == [0.0] * 3
    assert found.n_sampled == 97
    assert found.stop is Stop.LENGTH
    assert found.chunks == (Chunk(0, 0, 0),)


def test_an_answer_that_is_done_before_it_is_not_interrupted():
    found = run(Calls(20), 100, Answering(closing=CLOSING))
    assert (found.tokens, found.injected, found.stop) == (list(range(20)), [], Stop.FINISHED)


def test_interruptions_are_fixed_by_the_seed_and_spread_over_the_last_15_per_cent():
    at = [interruption(seed, 1000, CLOSING) for seed in range(3000)]
    assert at == [interruption(seed, 1000, CLOSING) for seed in range(3000)]
    assert min(at) == ceil(0.85 * 1000)
    assert max(at) == 1000 - 3 - 1
    assert len(set(at)) == 996 - 850 + 1
    assert interruption(0, 1000, ()) is None
    with pytest.raises(ValueError, match="3 tokens do not fit into the last 15 % of 20"):
        interruption(0, 20, CLOSING)


@given(sizes=chunked, seed=st.integers(0, 10**6), budget=st.integers(40, 90))
@settings(max_examples=60, deadline=None)
def test_an_interrupted_answer_in_chunks_keeps_to_the_context_and_the_budget(sizes, seed, budget):
    if sizes[0] - sizes[1] <= len(CLOSING):
        return  # refused: the phrase does not fit into a chunk
    calls = Calls(200)
    found = run(calls, budget, Answering(*sizes, closing=CLOSING), seed)
    assert len(found.tokens) == len(found.logprobs) == budget
    [(start, end)] = found.injected
    assert found.tokens[start:end] == list(CLOSING)
    assert 0.85 * budget <= start
    for context, _, most in calls.asked:
        assert len(context) + most <= len(PROMPT) + sizes[2] + sizes[0]
    for piece in pieces(PROMPT, found.tokens, found.chunks):
        assert piece.end - piece.start + len(piece.context) <= len(PROMPT) + sizes[2] + sizes[0]

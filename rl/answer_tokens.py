"""The tokens of answers in samples.jsonl: what each of them is of the text, and what it got.

They make a row several times as long, so a step writes those of its first answers only, at most
`record.tokens_per_step` of them (groups come in no order that could mislead).
"""

from collections.abc import Sequence
from itertools import islice
from typing import Any

from rl.types import Completion, Rollout, TokenFigures

DIGITS = 4  # of log-probabilities and advantages; a ratio is seen to a hundredth of a per cent


def characters(tokenizer: Any, tokens: Sequence[int], text: str) -> list[int] | None:
    """How many characters of the text each token is: 0 for a special one, and for one that only
    begins a character. What the last ones left unfinished counts as the last one's.

    None where the tokenizer has no way to say so (it is written in Python, or falls back to bytes
    and takes back what it said of them when more come), or says another text.
    """
    if not getattr(tokenizer, "is_fast", False):
        return None
    from tokenizers.decoders import DecodeStream

    stream = DecodeStream(skip_special_tokens=True)
    try:
        pieces = [stream.step(tokenizer.backend_tokenizer, token) or "" for token in tokens]
    except Exception as error:  # it has no narrower type for this
        if "Invalid prefix" in str(error):
            return None
        raise
    if not pieces or not text.startswith("".join(pieces)):
        return None
    counts = [len(piece) for piece in pieces]
    counts[-1] += len(text) - sum(counts)
    return counts


class TokenRows:
    """Gives the answers of one step, in the order of its groups, their `tokens`.

    figures: of the tokens trained on, in that order; None: nothing was trained on.
    """

    def __init__(self, tokenizer: Any, most: int, figures: TokenFigures | None = None) -> None:
        self._tokenizer = tokenizer
        self._left = most
        self._log_ratios = iter(figures.log_ratios if figures else ())
        self._advantages = iter(figures.advantages if figures else ())

    def of(self, rollout: Rollout, *, trained: bool) -> dict[str, Any] | None:
        """What to write of an answer's tokens; None: nothing, since those before it were enough."""
        completion = rollout.completion
        log_ratios, advantages = self._figures(completion) if trained else (None, None)
        self._left -= len(completion.tokens)
        if self._left < 0:
            return None
        counts = characters(self._tokenizer, completion.tokens, rollout.response)
        if counts is None:
            return None
        found = {"characters": counts, "logprobs": _rounded(completion.logprobs)}
        if log_ratios is not None and advantages is not None:
            found["log_ratios"] = _at_sampled(completion, log_ratios)
            found["advantages"] = _at_sampled(completion, advantages)
        return found

    def _figures(self, completion: Completion) -> tuple[list[float], list[float]]:
        """Of its sampled tokens."""
        n = completion.n_sampled
        return list(islice(self._log_ratios, n)), list(islice(self._advantages, n))


def _at_sampled(completion: Completion, values: Sequence[float]) -> list[float]:
    """The values of sampled tokens in their places among all, 0 for those that were put in."""
    found = [0.0] * len(completion.tokens)
    places = (place for span in completion.spans for place in range(span.start, span.end))
    for place, value in zip(places, _rounded(values), strict=True):
        found[place] = value
    return found


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, DIGITS) for value in values]

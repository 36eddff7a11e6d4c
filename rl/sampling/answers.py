"""What a rollout server answers, read as data: checked for type, length and range, or refused."""

import math
from dataclasses import replace
from typing import Any

from rl.errors import UserError
from rl.sampling.routes import BadRoutes, Experts, read_routes
from rl.types import Completion, Span, Stop

STARTING_VERSION = "default"  # what vLLM calls the weights that it was started with
STOPS = {"stop": Stop.FINISHED, "length": Stop.LENGTH}


class EngineError(UserError):
    """A rollout server failed. The message says which one, what was asked, and what it answered."""


class Malformed(ValueError):
    """An answer that is not what the interface promises. The message goes on with 'gave ...'."""


def read_completions(
    answer: Any,
    n: int,
    max_new_tokens: int,
    prompt_tokens: int = 0,
    experts: Experts | None = None,
    *,
    logprobs: bool = True,
) -> list[Completion]:
    """The `n` completions in an answer of /inference/v1/generate, in the order of their seeds.

    Args:
        prompt_tokens: of the prompt.
        experts: of the model, where an answer has to say which of them computed it.
        logprobs: whether they were asked for.

    Raises:
        Malformed: anything is missing, of another type, or of another length than it must be.
    """
    choices = _list(_dict(answer, "an answer").get("choices"), "choices")
    by_index = {_dict(choice, "a choice").get("index"): choice for choice in choices}
    if sorted(by_index, key=repr) != sorted(range(n), key=repr) or len(choices) != n:
        raise Malformed(f"choices {list(by_index)} where 0 to {n - 1} were due")
    found = [_completion(by_index[index], max_new_tokens, logprobs) for index in range(n)]
    if experts is None:
        return found
    return [_routed(c, by_index[i], prompt_tokens, experts) for i, c in enumerate(found)]


def _completion(choice: dict[str, Any], max_new_tokens: int, logprobs: bool) -> Completion:
    tokens = [_token(t) for t in _list(choice.get("token_ids"), "token_ids")]
    if len(tokens) > max_new_tokens:
        raise Malformed(f"{len(tokens)} tokens where {max_new_tokens} were allowed")
    stop = STOPS.get(str(choice.get("finish_reason")), Stop.FAILED)
    if not tokens and stop is not Stop.FAILED:
        raise Malformed(f"a {stop} answer without a token")
    return Completion(
        tokens=tokens,
        logprobs=_logprobs(choice, tokens) if logprobs else [],
        stop=stop,
        spans=_spans(choice.get("weight_versions") or [], len(tokens)),
    )


def _logprobs(choice: dict[str, Any], tokens: list[int]) -> list[float]:
    content = _list(_dict(choice.get("logprobs"), "logprobs").get("content"), "logprobs.content")
    pairs = [_dict(entry, "a log-probability") for entry in content]
    if [pair.get("token_id") for pair in pairs] != tokens:
        raise Malformed(f"{len(tokens)} tokens but log-probabilities of {len(pairs)} other ones")
    return [_logprob(pair.get("logprob")) for pair in pairs]


def _routed(
    completion: Completion, choice: dict[str, Any], prompt_tokens: int, experts: Experts
) -> Completion:
    if completion.stop is Stop.FAILED:
        return completion
    computed = prompt_tokens + len(completion.tokens) - 1
    try:
        routes = read_routes(choice.get("routed_experts"), experts, computed)
    except BadRoutes as error:
        raise Malformed(str(error)) from error
    return replace(completion, routes=routes)


def _spans(versions: Any, length: int) -> tuple[Span, ...]:
    spans = []
    for entry in _list(versions, "weight_versions"):
        span = _dict(entry, "a span")
        start, end = _token(span.get("start")), _token(span.get("end"))
        if start != (spans[-1].end if spans else 0) or end <= start:
            raise Malformed(f"weights versions that do not follow each other: {versions}")
        spans.append(Span(read_version(span.get("version")), start, end))
    if (spans[-1].end if spans else 0) != length:
        raise Malformed(f"weights versions {versions} for {length} tokens")
    return tuple(spans)


def read_version(value: Any) -> int:
    """A version as it was published; 0 for the weights that a server was started with.

    Raises:
        Malformed: neither.
    """
    if value == STARTING_VERSION:
        return 0
    if not (isinstance(value, str) and value.isascii() and value.isdigit()):
        raise Malformed(f"the weights version {value!r}")
    return int(value)


def read_scores(answer: Any, tokens: list[int]) -> list[float]:
    """Log-probabilities of tokens[1:] out of an answer with `prompt_logprobs`.

    Raises:
        Malformed: there are more or fewer, or not of these tokens.
    """
    found = _list(_dict(answer, "an answer").get("prompt_logprobs"), "prompt_logprobs")
    if len(found) != len(tokens):
        raise Malformed(f"log-probabilities of {len(found)} tokens")
    scores = []
    for token, entry in zip(tokens[1:], found[1:], strict=True):
        by_token = _dict(entry, "a log-probability")
        scores.append(_logprob(_dict(by_token.get(str(token)), f"token {token}").get("logprob")))
    return scores


def read_context(answer: Any) -> int:
    """The longest sequence that a server computes, prompt and answer, out of /v1/models.

    Raises:
        Malformed: it is not there.
    """
    [model, *_] = _list(_dict(answer, "an answer").get("data"), "data") or [None]
    return _token(_dict(model, "a model").get("max_model_len"))


def _dict(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Malformed(f"{what} that is {type(value).__name__}, not an object")
    return value


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise Malformed(f"{what} that is {type(value).__name__}, not a list")
    return value


def _token(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise Malformed(f"the token or position {value!r}")
    return value


def _logprob(value: Any) -> float:
    # vLLM writes -9999 for minus infinity and not-a-number; neither can have been sampled.
    if type(value) not in (int, float) or not math.isfinite(value) or not -9998 < value <= 1e-4:
        raise Malformed(f"the log-probability {value!r}")
    return float(value)

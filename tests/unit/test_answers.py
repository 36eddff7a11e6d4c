"""What a rollout server answers is data: read where it is right, refused where it is not."""

from copy import deepcopy
from typing import Any

import pytest

from rl.sampling.answers import Malformed, read_completions, read_context, read_scores, read_version
from rl.types import Completion, Span, Stop


def choice(index: int, tokens: list[int], stop: str = "stop", **changes: Any) -> dict[str, Any]:
    content = [{"token_id": token, "logprob": -0.5 * token} for token in tokens]
    return {
        "index": index,
        "token_ids": tokens,
        "finish_reason": stop,
        "logprobs": {"content": content},
        "weight_versions": [{"version": "3", "start": 0, "end": len(tokens)}],
        **changes,
    }


def answer(*choices: dict[str, Any]) -> dict[str, Any]:
    return {"choices": list(choices)}


def test_completions_are_read_in_the_order_of_their_seeds() -> None:
    read = read_completions(answer(choice(1, [4, 1]), choice(0, [2, 3, 5], "length")), 2, 3)
    assert read == [
        Completion([2, 3, 5], [-1.0, -1.5, -2.5], Stop.LENGTH, (Span(3, 0, 3),)),
        Completion([4, 1], [-2.0, -0.5], Stop.FINISHED, (Span(3, 0, 2),)),
    ]


def test_an_answer_of_the_end_token_alone_is_read() -> None:
    [completion] = read_completions(answer(choice(0, [1])), 1, 8)
    assert completion.tokens == [1]
    assert completion.stop is Stop.FINISHED


def test_spans_of_two_versions_are_read() -> None:
    versions = [
        {"version": "default", "start": 0, "end": 1},
        {"version": "12", "start": 1, "end": 3},
    ]
    [completion] = read_completions(answer(choice(0, [1, 2, 3], weight_versions=versions)), 1, 8)
    assert completion.spans == (Span(0, 0, 1), Span(12, 1, 3))


@pytest.mark.parametrize("reason", ["abort", "error", None])
def test_an_answer_that_was_not_finished_is_failed(reason: str | None) -> None:
    [completion] = read_completions(answer(choice(0, [2], stop=reason)), 1, 8)  # type: ignore[arg-type]
    assert completion.stop is Stop.FAILED


def test_an_answer_aborted_before_its_first_token_is_failed_and_empty() -> None:
    aborted = choice(0, [], stop="abort", weight_versions=None)
    assert read_completions(answer(aborted), 1, 8) == [Completion([], [], Stop.FAILED, ())]


SPAN = {"version": "3", "start": 0, "end": 2}
WRONG: dict[str, dict[str, Any]] = {
    "tokens are text": {"token_ids": ["a", "b"]},
    "a token is negative": {"token_ids": [-1, 2]},
    "a token is a truth value": {"token_ids": [True, 2]},
    "fewer log-probabilities": {"logprobs": {"content": [{"token_id": 1, "logprob": -1.0}]}},
    "log-probabilities of other tokens": {
        "logprobs": {"content": [{"token_id": t, "logprob": -1.0} for t in (2, 1)]}
    },
    "no log-probabilities": {"logprobs": None},
    "minus infinity": {
        "logprobs": {"content": [{"token_id": t, "logprob": -9999.0} for t in (1, 2)]}
    },
    "not a number": {
        "logprobs": {"content": [{"token_id": t, "logprob": float("nan")} for t in (1, 2)]}
    },
    "more than certain": {
        "logprobs": {"content": [{"token_id": t, "logprob": 0.5} for t in (1, 2)]}
    },
    "no versions": {"weight_versions": None},
    "a gap between versions": {
        "weight_versions": [SPAN | {"end": 1}, SPAN | {"start": 2, "end": 2}]
    },
    "versions that end early": {"weight_versions": [SPAN | {"end": 1}]},
    "versions that go on": {"weight_versions": [SPAN | {"end": 3}]},
    "a version that is no number": {"weight_versions": [SPAN | {"version": "new"}]},
    "nothing sampled": {"token_ids": [], "logprobs": {"content": []}, "weight_versions": []},
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG.keys())
def test_an_answer_with_a_mistake_is_refused(change: dict[str, Any]) -> None:
    read_completions(answer(choice(0, [1, 2])), 1, 8)
    with pytest.raises(Malformed):
        read_completions(answer(choice(0, [1, 2]) | deepcopy(change)), 1, 8)


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        [],
        {},
        {"choices": {}},
        answer(),
        answer(choice(0, [1])),
        answer(choice(0, [1]), choice(0, [1])),
        answer(choice(0, [1]), choice(2, [1])),
        answer(choice(0, [1]), choice(1, [1]), choice(2, [1])),
    ],
)
def test_another_number_of_answers_than_asked_for_is_refused(wrong: Any) -> None:
    with pytest.raises(Malformed):
        read_completions(wrong, 2, 8)


def test_more_tokens_than_allowed_are_refused() -> None:
    with pytest.raises(Malformed, match="3 tokens where 2 were allowed"):
        read_completions(answer(choice(0, [1, 2, 3])), 1, 2)


def test_scores_are_read_by_token() -> None:
    found = [None, {"7": {"logprob": -1.0}}, {"9": {"logprob": -3.0}, "8": {"logprob": -2.0}}]
    assert read_scores({"prompt_logprobs": found}, [5, 7, 8]) == [-1.0, -2.0]


@pytest.mark.parametrize(
    "found", [None, [], [None], [None, {"6": {"logprob": -1.0}}], [None, {"7": {}}], [None, None]]
)
def test_scores_of_other_tokens_are_refused(found: Any) -> None:
    with pytest.raises(Malformed):
        read_scores({"prompt_logprobs": found}, [5, 7])


@pytest.mark.parametrize("wrong", [None, 3, "", "-1", "1.0", "new", "²"])
def test_a_version_is_a_number_in_text(wrong: Any) -> None:
    assert read_version("12") == 12
    assert read_version("default") == 0
    with pytest.raises(Malformed):
        read_version(wrong)


def test_the_context_of_a_server():
    assert read_context({"data": [{"id": "policy", "max_model_len": 256}]}) == 256


@pytest.mark.parametrize(
    "bad", [{}, {"data": []}, {"data": [{}]}, {"data": [{"max_model_len": "9"}]}]
)
def test_a_context_that_is_none(bad):
    with pytest.raises(Malformed):
        read_context(bad)


def test_log_probabilities_that_nobody_asked_for_need_not_be_there():
    one = choice(0, [1, 2]) | {"logprobs": None}
    [completion] = read_completions(answer(one), 1, 8, logprobs=False)
    assert (completion.tokens, completion.logprobs) == ([1, 2], [])
    with pytest.raises(Malformed):
        read_completions(answer(one), 1, 8)

"""Verdicts are facts: the score fits the outcome, and nothing else gets through from outside."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifiers.verdict import Outcome, Verdict, broken, correct, exceeded, unparsed, wrong

SCORES = {Outcome.CORRECT: st.just(1.0), Outcome.PARTIAL: st.floats(0, 1)}


@st.composite
def verdicts(draw: st.DrawFn) -> Verdict:
    outcome = draw(st.sampled_from(Outcome))
    score = draw(SCORES.get(outcome, st.just(0.0)))
    answer = draw(st.none() | st.text())
    return Verdict(outcome, score, answer, draw(st.text()), draw(st.text()))


@given(verdicts())
def test_a_verdict_survives_being_sent_as_json(verdict: Verdict) -> None:
    assert Verdict.from_json(json.loads(json.dumps(verdict.to_json()))) == verdict


@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize("score", [-0.1, 1.1, math.nan, math.inf])
def test_no_outcome_has_a_score_outside_0_to_1(outcome: Outcome, score: float) -> None:
    with pytest.raises(ValueError, match="cannot have the score"):
        Verdict(outcome, score)


@pytest.mark.parametrize(
    ("outcome", "score"),
    [(Outcome.CORRECT, 0.0), (Outcome.CORRECT, 0.5)]
    + [(o, 1.0) for o in Outcome if o not in (Outcome.CORRECT, Outcome.PARTIAL)],
)
def test_the_score_must_fit_the_outcome(outcome: Outcome, score: float) -> None:
    with pytest.raises(ValueError, match=f"'{outcome}' cannot have the score {score}"):
        Verdict(outcome, score)


def test_the_shorthands_say_what_was_found() -> None:
    assert correct("4", "v/1") == Verdict(Outcome.CORRECT, 1.0, "4", "", "v/1")
    assert wrong("5", "not 4", "v/1") == Verdict(Outcome.WRONG, 0.0, "5", "not 4", "v/1")
    found = [unparsed("a"), exceeded("b"), broken("c")]
    assert [v.outcome for v in found] == [Outcome.UNPARSED, Outcome.EXCEEDED, Outcome.BROKEN]
    assert [(v.answer, v.detail) for v in found] == [(None, "a"), (None, "b"), (None, "c")]


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"outcome": "correct"},
        {"outcome": "right", "score": 1.0},
        {"outcome": "correct", "score": "1"},
        {"outcome": "correct", "score": True},
        {"outcome": "correct", "score": None},
        {"outcome": "correct", "score": 1.0, "answer": 4},
        {"outcome": "correct", "score": 1.0, "detail": ["x"]},
        {"outcome": "correct", "score": 1.0, "verifier": None},
        {"outcome": "correct", "score": 1.0, "reward": 1.0},
        ["correct", 1.0],
        "correct",
        None,
    ],
)
def test_what_another_process_sends_is_checked(data: object) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Verdict.from_json(data)  # type: ignore[arg-type]

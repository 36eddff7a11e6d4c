"""What a verifier says about a response. Standard library only: every other layer imports this."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self

SHOWN = 500  # characters of an answer that a verdict carries


def shown(answer: str) -> str:
    """An answer as a verdict carries it."""
    return answer if len(answer) <= SHOWN else answer[:SHOWN] + "..."


class Outcome(StrEnum):
    CORRECT = "correct"
    PARTIAL = "partial"  # part of the task was done; `score` says how much
    WRONG = "wrong"
    UNPARSED = "unparsed"  # no answer could be read out of the response
    EXCEEDED = "exceeded"  # judging this answer used up a limit that an honest answer keeps
    BROKEN = "broken"  # the verifier failed, not the policy: never rewarded, never trained on


@dataclass(frozen=True, slots=True)
class Verdict:
    """A finding of fact. What it is worth as a reward is the recipe's decision (rl/reward.py).

    Raises:
        ValueError: a score outside [0, 1], or one that contradicts the outcome.
    """

    outcome: Outcome
    score: float  # share of the task that was solved, 0 to 1
    answer: str | None = None  # what was read out of the response
    detail: str = ""  # one line for a person: why not correct
    verifier: str = ""  # name and version of what judged, such as "math/1"

    def __post_init__(self) -> None:
        allowed = {Outcome.CORRECT: (1.0, 1.0), Outcome.PARTIAL: (0.0, 1.0)}
        low, high = allowed.get(self.outcome, (0.0, 0.0))
        if not low <= self.score <= high:
            raise ValueError(f"a verdict '{self.outcome}' cannot have the score {self.score}")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The inverse of `to_json`, for data that another process sent.

        Raises:
            KeyError, TypeError, ValueError: it is no verdict.
        """
        verdict = cls(**{**data, "outcome": Outcome(data["outcome"])})
        texts = (verdict.answer or "", verdict.detail, verdict.verifier)
        if not all(isinstance(text, str) for text in texts) or isinstance(verdict.score, bool):
            raise TypeError(f"a verdict with a field of a wrong type: {data}")
        return verdict


def correct(answer: str, verifier: str = "") -> Verdict:
    return Verdict(Outcome.CORRECT, 1.0, answer, "", verifier)


def wrong(answer: str, detail: str, verifier: str = "") -> Verdict:
    return Verdict(Outcome.WRONG, 0.0, answer, detail, verifier)


def unparsed(detail: str, verifier: str = "") -> Verdict:
    return Verdict(Outcome.UNPARSED, 0.0, None, detail, verifier)


def exceeded(detail: str, verifier: str = "") -> Verdict:
    return Verdict(Outcome.EXCEEDED, 0.0, None, detail, verifier)


def broken(detail: str, verifier: str = "") -> Verdict:
    return Verdict(Outcome.BROKEN, 0.0, None, detail, verifier)

"""From size to loss to score, and back: the curve that a reference family makes. Pure functions.

    L(N, D) = a N^-alpha + b D^-beta
    S(L)    = c / (1 + exp(-gamma (L - l))) + d,   gamma < 0: it falls as L rises

with N parameters trained on D tokens, and L the mean negative log-likelihood of worked solutions
(Xiao et al., Densing Law of LLMs, arXiv:2412.04315: loss estimation, performance estimation).
The effective size of a score is the N at which a family trained on D0 tokens has it.
"""

from dataclasses import dataclass
from math import exp, inf, log
from typing import NamedTuple


class Span(NamedTuple):
    """What is known of a positive number: it lies between these. Equal: it is known."""

    low: float
    high: float

    @property
    def known(self) -> bool:
        return self.low == self.high


@dataclass(frozen=True, slots=True)
class LossLaw:
    """L(N, D) = a N^-alpha + b D^-beta. A family trained on one D tells no beta: then it is 0, and
    b is what no size of it can fall below."""

    a: float
    alpha: float
    b: float
    beta: float

    def loss(self, parameters: float, tokens: float) -> float:
        return self.a * parameters**-self.alpha + self.b * tokens**-self.beta

    def parameters(self, loss: float, tokens: float) -> float:
        """The size that has this loss; infinite where no size has it."""
        above = loss - self.b * tokens**-self.beta
        return (above / self.a) ** (-1 / self.alpha) if above > 0 else inf


@dataclass(frozen=True, slots=True)
class LogSize:
    """Stands for the loss of a family whose losses are not known: -ln N. It falls with size as a
    loss of small alpha does, up to factors that the score law has anyway."""

    def loss(self, parameters: float, tokens: float) -> float:
        return -log(parameters)

    def parameters(self, loss: float, tokens: float) -> float:
        return exp(-loss)


@dataclass(frozen=True, slots=True)
class ScoreLaw:
    """S(L) = c / (1 + exp(-gamma (L - l))) + d, with gamma < 0, c > 0, d >= 0, c + d <= 1."""

    c: float
    gamma: float
    l: float  # noqa: E741  (the paper's name)
    d: float

    def score(self, loss: float) -> float:
        x = -self.gamma * (loss - self.l)
        share = 1 / (1 + exp(x)) if x < 0 else exp(-x) / (1 + exp(-x))  # neither overflows
        return self.c * share + self.d

    def loss(self, score: float) -> float:
        """The loss that has this score.

        Raises:
            ValueError: no loss has it.
        """
        if not self.d < score < self.c + self.d:
            raise ValueError(f"score {score} is not between {self.d} and {self.c + self.d}")
        return self.l - log(self.c / (score - self.d) - 1) / self.gamma


@dataclass(frozen=True, slots=True)
class Curve:
    """Scores of a reference family over its sizes, known from its smallest to its largest."""

    loss_law: LossLaw | LogSize
    score_law: ScoreLaw
    tokens: float  # D0
    smallest: float  # parameters
    largest: float

    def score(self, parameters: float) -> float:
        return self.score_law.score(self.loss_law.loss(parameters, self.tokens))

    def effective_size(self, score: float) -> Span:
        """The size at which the family has this score. At or beyond an end of the family all that
        is known is on which side of that end it lies."""
        if score >= self.score(self.largest):
            return Span(self.largest, inf)
        if score <= self.score(self.smallest):
            return Span(0.0, self.smallest)
        found = self.loss_law.parameters(self.score_law.loss(score), self.tokens)
        found = min(max(found, self.smallest), self.largest)  # by rounding only
        return Span(found, found)

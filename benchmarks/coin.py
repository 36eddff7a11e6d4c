"""Environments that pay at random: nothing can be learned, however long one trains."""

from dataclasses import dataclass
from hashlib import sha256

from envs.arithmetic import Arithmetic, Multiples
from envs.base import Env, Task
from envs.calculus import Calculus
from envs.number_theory import NumberTheory
from verifiers.verdict import Verdict, correct, wrong


class Toss(Env):
    """Answers are right by the toss of a coin, the same for equal task and answer."""

    def verify(self, task: Task, response: str) -> Verdict:
        heads = sha256(f"{task.key}/{response}".encode()).digest()[0] & 1
        return correct(response, "coin/1") if heads else wrong(response, "tails", "coin/1")


@dataclass(frozen=True)
class Coin(Toss, Arithmetic):
    """Sums."""


@dataclass(frozen=True)
class CalculusCoin(Toss, Calculus):
    """Derivatives and integrals."""


@dataclass(frozen=True)
class NumberTheoryCoin(Toss, NumberTheory):
    """Primes and divisors."""


@dataclass(frozen=True)
class MultiplesCoin(Toss, Multiples):
    """Answers of very unequal length."""


COINS = {"arithmetic": Coin, "calculus": CalculusCoin, "number_theory": NumberTheoryCoin}

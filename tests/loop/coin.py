"""An environment that pays at random: nothing can be learned from it, however long one trains."""

from dataclasses import dataclass
from hashlib import sha256

from envs.arithmetic import Arithmetic
from envs.base import Task
from verifiers.verdict import Verdict, correct, wrong


@dataclass(frozen=True)
class Coin(Arithmetic):
    """Sums whose answers are right by the toss of a coin, the same for equal task and answer."""

    def verify(self, task: Task, response: str) -> Verdict:
        heads = sha256(f"{task.key}/{response}".encode()).digest()[0] & 1
        return correct(response, "coin/1") if heads else wrong(response, "tails", "coin/1")

"""Verifiers as reward functions of TRL's GRPOTrainer, in one line:

GRPOTrainer(..., reward_funcs=[verifiers.trl.reward("math", gold="solution")])
"""

import os
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from verifiers.blocking import BlockingPool
from verifiers.pool import Limits
from verifiers.rules import STRICT, MathRules
from verifiers.verdict import Outcome, Verdict

ENTRIES = {"math": "verifiers.math:judge"}


def reward(
    verifier: str = "math",
    *,
    gold: str = "solution",
    problem: str | None = None,
    rules: MathRules = STRICT,
    workers: int = 2,
    limits: Limits = Limits(),  # noqa: B008, a tuple
) -> "Reward":
    """A reward function: the verdict's score, 0 to 1; None, which TRL leaves out of its means and
    advantages, when the verifier failed.

    verifier: "math", or an entry `module:function` or `path/to/file.py:function` that takes the
        job {"gold", "response", "problem", "rules"} and returns a Verdict.
    gold: the dataset's column with the reference answers.
    problem: its column with the problem's text, for judging the form of answers; by default none.
    workers: processes that judge, started at the first call and ended by `close` or at exit.

    Raises:
        ValueError: no such verifier.
    """
    if verifier not in ENTRIES and ":" not in verifier:
        raise ValueError(
            f"no verifier '{verifier}': there is {', '.join(ENTRIES)}, or 'module:function'"
        )
    return Reward(verifier, gold, problem, rules, workers, limits)


class Reward:
    """What `reward` returns; TRL calls it with lists of equal length."""

    def __init__(
        self,
        verifier: str,
        gold: str,
        problem: str | None,
        rules: MathRules,
        workers: int,
        limits: Limits,
    ) -> None:
        self.__name__ = f"verifiers.{verifier}"  # TRL logs rewards under it
        self.verdicts: list[Verdict] = []  # of the latest call, in its order
        self._entry = ENTRIES.get(verifier, verifier)
        self._columns = {"gold": gold} | ({"problem": problem} if problem else {})
        self._rules = asdict(rules)
        self._workers, self._limits = workers, limits
        self._pool: BlockingPool | None = None
        self._owner = 0  # process that started the pool

    def __call__(
        self, *, prompts: Sequence[Any], completions: Sequence[Any], **columns: Any
    ) -> list[float | None]:
        """Judge completions, as text or as lists of messages of which the last one counts.

        Raises:
            KeyError: the dataset lacks a column that was named.
        """
        for name in self._columns.values():
            if name not in columns:
                there = ", ".join(sorted(key for key, v in columns.items() if isinstance(v, list)))
                raise KeyError(f"the dataset has no column '{name}' (it has {there}): name another")
        jobs = [
            {
                "response": text_of(completion),
                "rules": self._rules,
                **{key: str(columns[name][row]) for key, name in self._columns.items()},
            }
            for row, completion in enumerate(completions)
        ]
        self.verdicts = self._started().verify(jobs)
        return [None if v.outcome is Outcome.BROKEN else v.score for v in self.verdicts]

    def close(self) -> None:
        """End the worker processes; the next call starts new ones."""
        if self._pool is not None and self._owner == os.getpid():
            self._pool.close()
        self._pool = None

    def _started(self) -> BlockingPool:
        if self._pool is None or self._owner != os.getpid():  # a fork has no worker of its own
            prepare = [{}] if self._entry in ENTRIES.values() else []
            self._pool = BlockingPool(self._entry, self._workers, self._limits, prepare)
            self._owner = os.getpid()
        return self._pool


def text_of(completion: Any) -> str:
    """A completion's text: itself, or the content of its last message.

    Raises:
        TypeError: it is neither.
    """
    content = completion
    if isinstance(completion, list) and completion and isinstance(completion[-1], dict):
        content = completion[-1].get("content")
    if not isinstance(content, str):
        raise TypeError(f"a completion is text or a list of messages (found {completion!r:.200})")
    return content

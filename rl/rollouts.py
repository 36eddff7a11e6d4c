"""Tasks -> groups of graded rollouts: sample, and verify answers as soon as their group is in."""

import asyncio
import math
from collections.abc import Sequence
from typing import Any

from envs.registry import job
from rl.chat import decode, encode
from rl.config import Recipe
from rl.engine import Engine, Sampling
from rl.reward import reward_of
from rl.tasks import Drawn
from rl.types import Completion, Graded, Group, Rollout, Stop
from verifiers.pool import VerifierPool
from verifiers.verdict import Outcome, Verdict, broken


class Rollouts:
    """Samples from the engine and judges in the verifier pool; knows nothing of learning."""

    def __init__(self, tokenizer: Any, engine: Engine, pool: VerifierPool, recipe: Recipe) -> None:
        self._tokenizer = tokenizer
        self._engine = engine
        self._pool = pool
        self._worth = recipe.reward

    async def groups(self, drawn: Sequence[Drawn], sampling: Sampling) -> list[Group]:
        """One group of `sampling.n` graded rollouts per task, in the order of the tasks.

        Waits for the engine and the pool, each of which has a deadline of its own.

        Raises:
            EngineError, PoolError: a server or the pool itself failed.
        """
        prompts = [encode(self._tokenizer, d.task) for d in drawn]
        judging: list[list[asyncio.Task[Graded]]] = [[] for _ in drawn]
        try:
            async for index, completions in self._engine.sample(
                prompts, [d.seed for d in drawn], sampling
            ):
                judging[index] = [
                    asyncio.create_task(self._grade(drawn[index], prompts[index], completion))
                    for completion in completions
                ]
            return [[await graded for graded in group] for group in judging]
        finally:
            for graded in (g for group in judging for g in group):
                graded.cancel()

    async def _grade(self, drawn: Drawn, prompt: list[int], completion: Completion) -> Graded:
        rollout = Rollout(
            env=drawn.env,
            task=drawn.task,
            prompt_tokens=prompt,
            completion=completion,
            response=decode(self._tokenizer, completion.tokens),
            options=drawn.options,
        )
        verdict = await self._verdict(drawn, rollout)
        # Not a number: whoever trains on a broken verdict by mistake sees it in the loss at once.
        worthless = verdict.outcome is Outcome.BROKEN
        return Graded(rollout, verdict, math.nan if worthless else reward_of(verdict, self._worth))

    async def _verdict(self, drawn: Drawn, rollout: Rollout) -> Verdict:
        if rollout.completion.stop is Stop.FAILED:
            return broken("the engine did not finish this answer", verifier="engine")
        return await self._pool.verify(
            job(drawn.env, drawn.options, drawn.task, rollout.response),
            control=job(drawn.env, drawn.options, drawn.task, drawn.solution),
        )

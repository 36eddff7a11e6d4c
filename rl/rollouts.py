"""Tasks -> groups of graded rollouts: sample, and verify answers as soon as their group is in."""

import asyncio
import math
from collections.abc import Sequence
from typing import Any

from envs.registry import job
from rl.alarms import BrokenVerdicts
from rl.chat import decode, encode
from rl.config import Recipe
from rl.engine import Engine, Sampling, all_or_first_error
from rl.events import Events
from rl.reward import reward_of
from rl.tasks import Drawn
from rl.types import ENGINE, Completion, Graded, Group, Rollout, Stop
from verifiers.pool import VerifierPool
from verifiers.verdict import Outcome, Verdict, broken


class Rollouts:
    """Samples from the engine and judges in the verifier pool; knows nothing of learning."""

    def __init__(
        self, tokenizer: Any, engine: Engine, pool: VerifierPool, recipe: Recipe, events: Events
    ) -> None:
        self._tokenizer = tokenizer
        self._engine = engine
        self._pool = pool
        self._recipe = recipe
        self._events = events

    async def groups(self, drawn: Sequence[Drawn], sampling: Sampling, when: str) -> list[Group]:
        """One group of `sampling.n` graded rollouts per task, in the order of the tasks.

        Waits for the engine until rollout.deadline_s, then for the pool as long as verdicts keep
        coming; tells the supervisor which of the two it is. `when` is what both are called.

        Raises:
            EngineError: a server failed.
            UserError: so many verdicts are broken that the run has to stop; said at once.
        """
        prompts = [encode(self._tokenizer, d.task) for d in drawn]
        sampled: list[asyncio.Future[list[Completion]]] = [asyncio.Future() for _ in drawn]
        verdicts = BrokenVerdicts(when, len(drawn) * sampling.n, self._recipe.alarms)
        self._events.wait(f"{when}: sampling", self._recipe.rollout.deadline_s)

        async def sample() -> None:
            seeds = [d.seed for d in drawn]
            async for index, completions in self._engine.sample(prompts, seeds, sampling):
                if not sampled[index].cancelled():  # judging has failed, and says why itself
                    sampled[index].set_result(completions)
            self._await_verdict(when)

        async def judge(index: int) -> Group:
            completions = await sampled[index]
            return await all_or_first_error(grade(index, c) for c in completions)

        async def grade(index: int, completion: Completion) -> Graded:
            graded = await self._grade(drawn[index], prompts[index], completion)
            verdicts.see(graded.verdict)
            if sampling_done.done():
                self._await_verdict(when)
            return graded

        sampling_done = asyncio.create_task(sample())
        judging = asyncio.create_task(all_or_first_error(map(judge, range(len(drawn)))))
        await all_or_first_error([sampling_done, judging])
        return judging.result()

    def _await_verdict(self, when: str) -> None:
        """Wait for the next verdict only: the deadline moves on with every one that comes."""
        self._events.wait(f"{when}: verifying", self._pool.verdict_deadline_s)

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
        if verdict.outcome is Outcome.BROKEN:
            # Not a number: whoever trains on it by mistake sees it in the loss at once.
            return Graded(rollout, verdict, math.nan)
        return Graded(rollout, verdict, reward_of(verdict, self._recipe.reward))

    async def _verdict(self, drawn: Drawn, rollout: Rollout) -> Verdict:
        if rollout.completion.stop is Stop.FAILED:
            return broken("the engine did not finish this answer", ENGINE)
        one = job(drawn.env, drawn.options, drawn.task, rollout.response)
        if drawn.solution is None:
            return await self._pool.verify(one)
        control = job(drawn.env, drawn.options, drawn.task, drawn.solution)
        return await self._pool.verify(one, control)

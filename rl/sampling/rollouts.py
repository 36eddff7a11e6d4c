"""Tasks -> groups of graded rollouts: sample, and verify answers as soon as their group is in."""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from envs.registry import job
from rl.alarms import BrokenVerdicts
from rl.chat import decode, encode
from rl.errors import UserError
from rl.events import Events
from rl.recipe.config import Recipe
from rl.reward import reward_of, soft_overlong
from rl.sampling.answering import Answering, answer, first_and_last_interruption
from rl.sampling.engine import Deadline, Engine, Sampling, all_or_first_error, give_up
from rl.sampling.schedule import baseline_size
from rl.tasks import Drawn
from rl.types import ENGINE, Completion, Graded, Group, Rollout, Stop
from verifiers.pool import VerifierPool
from verifiers.verdict import Outcome, Verdict, broken


class Rollouts:
    """Samples from the engine and judges in the verifier pool; knows nothing of learning."""

    def __init__(
        self, tokenizer: Any, engine: Engine, pool: VerifierPool, recipe: Recipe, events: Events
    ) -> None:
        self.tokenizer = tokenizer
        self.engine = engine
        self.pool = pool
        self.recipe = recipe
        self.events = events
        self._answering = answering_of(tokenizer, recipe)

    async def groups(self, drawn: Sequence[Drawn], sampling: Sampling, when: str) -> list[Group]:
        """One group of `sampling.n` graded rollouts per task, in the order of the tasks.

        Waits for the engine until rollout.deadline_s, then for the pool as long as verdicts keep
        coming; tells the supervisor which of the two it is. `when` is what both are called.

        Raises:
            EngineError: a server failed.
            UserError: so many verdicts are broken that the run has to stop; said at once.
        """
        news = asyncio.Event()
        under_way = self.start(drawn, sampling, when, news=news)
        under_way.task.add_done_callback(lambda _: news.set())
        try:
            await self.until(under_way.task.done, news, [under_way], when)
            under_way.task.result()  # raises what ended it
            return under_way.take_new()
        finally:
            await give_up([under_way.task])

    async def until(
        self,
        condition: Callable[[], bool],
        news: asyncio.Event,
        waited: "Sequence[UnderWay]",
        when: str,
    ) -> None:
        """Wait for it, and tell the supervisor what for: answers to `waited`, or their verdicts.

        Where all is sampled the wait is for the next verdict only: with every one that comes the
        deadline moves on. It ends when whoever sets `news` makes the condition true or raise; the
        engine's deadlines, which begin here, and the pool's see to it that this happens.
        """
        for batch in waited:
            batch.deadline.begin()
        said_sampling = False
        while True:
            news.clear()
            if condition():
                return
            if not any(batch.unsampled for batch in waited):
                self.events.wait(f"{when}: verifying", self.pool.verdict_deadline_s)
            elif not said_sampling:
                self.events.wait(f"{when}: sampling", self.recipe.rollout.deadline_s)
                said_sampling = True
            await news.wait()

    def start(
        self,
        drawn: Sequence[Drawn],
        sampling: Sampling,
        when: str,
        *,
        order: int = 0,
        singly: bool = False,
        news: asyncio.Event | None = None,
    ) -> "UnderWay":
        """Begin to sample and judge groups; whoever calls owns what is returned, and ends it.

        Args:
            order: of all that wait for places in the servers the lowest goes first.
            singly: each answer is a request of its own, and judged as soon as it is finished; else
                a group is one request, which costs less.
            news: is set whenever all has been sampled, and with every answer that was judged.
        """
        return UnderWay(self, drawn, sampling, when, order, singly, news or asyncio.Event())

    async def completions(
        self,
        prompt: list[int],
        seed: int,
        sampling: Sampling,
        index: int,
        deadline: Deadline,
        order: int,
    ) -> list[Completion]:
        """`sampling.n` answers as the recipe wants them sampled; see Engine.completions."""
        engine = self.engine
        if self._answering.plain:
            return await engine.completions(prompt, seed, sampling, index, deadline, order)

        async def one(context: list[int], own_seed: int, most: int) -> Completion:
            if not engine.fits(context) and engine.fits(prompt):
                return Completion([], [], Stop.LENGTH, ())  # the answer ends where the context does
            single = sampling._replace(max_new_tokens=most, n=1)
            [found] = await engine.completions(context, own_seed, single, index, deadline, order)
            return found

        budget = sampling.max_new_tokens
        return await all_or_first_error(
            answer(one, prompt, seed + k, budget, self._answering) for k in range(sampling.n)
        )

    async def grade(
        self, drawn: Drawn, prompt: list[int], completion: Completion, budget: int
    ) -> Graded:
        """`budget`: of this answer, in tokens."""
        rollout = Rollout(
            env=drawn.env,
            task=drawn.task,
            prompt_tokens=prompt,
            completion=completion,
            response=decode(self.tokenizer, completion.tokens),
            options=drawn.options,
        )
        verdict = await self._verdict(drawn, rollout)
        if verdict.outcome is Outcome.BROKEN:
            # Not a number: whoever trains on it by mistake sees it in the loss at once.
            return Graded(rollout, verdict, math.nan)
        reward = reward_of(verdict, self.recipe.reward)
        if self.recipe.rollout.truncated == "penalty":
            window = self.recipe.rollout.penalty_window(budget)
            reward += soft_overlong(len(completion.tokens), budget, window)
        return Graded(rollout, verdict, reward)

    async def _verdict(self, drawn: Drawn, rollout: Rollout) -> Verdict:
        if rollout.completion.stop is Stop.FAILED:
            return broken(self._why_failed(rollout.prompt_tokens), ENGINE)
        one = job(drawn.env, drawn.options, drawn.task, rollout.response)
        if drawn.solution is None:
            return await self.pool.verify(one)
        control = job(drawn.env, drawn.options, drawn.task, drawn.solution)
        return await self.pool.verify(one, control)

    def _why_failed(self, prompt: Sequence[int]) -> str:
        if self.engine.fits(prompt):
            return "the engine did not finish this answer"
        return (
            f"the question has {len(prompt):,} tokens, and with an answer the model takes "
            f"{self.engine.context_tokens:,} (engine.max_model_tokens): leave such questions out"
        )


def answering_of(tokenizer: Any, recipe: Recipe) -> Answering:
    """How the recipe's answers are sampled.

    Raises:
        UserError: rollout.closing_phrase has too many tokens for the budget.
    """
    rollout = recipe.rollout
    if rollout.truncated != "interrupt":
        return Answering.of(rollout)
    closing = tokenizer.encode(rollout.closing_phrase, add_special_tokens=False)
    budget = min(rollout.max_new_tokens, rollout.budget(recipe.evaluation.chunks))
    first, last = first_and_last_interruption(budget, closing)
    new_tokens = (rollout.chunk_tokens or budget) - rollout.carry_tokens
    if first > last or len(closing) >= new_tokens:
        raise UserError(
            f"rollout.closing_phrase has {len(closing)} tokens and has to fit, with at least one "
            f"more, into the last 15 % of an answer's {budget} tokens and into a chunk: shorten "
            "it, or raise rollout.max_new_tokens or rollout.chunk_tokens"
        )
    return Answering.of(rollout, closing)


class UnderWay:
    """Groups that are being sampled and judged. `task` ends when all are, or at the first error.

    `deadline`, of the sampling, does not run before somebody waits for it; see Rollouts.until.
    """

    def __init__(
        self,
        rollouts: Rollouts,
        drawn: Sequence[Drawn],
        sampling: Sampling,
        when: str,
        order: int,
        singly: bool,
        news: asyncio.Event,
    ) -> None:
        self._rollouts = rollouts
        self._drawn = drawn
        self._prompts = [encode(rollouts.tokenizer, d.task) for d in drawn]
        self._sampling = sampling
        self._order = order
        self._news = news
        self._verdicts = BrokenVerdicts(when, len(drawn) * sampling.n, rollouts.recipe.alarms)
        self.deadline = rollouts.engine.sampling_deadline(begun=False)
        self.unsampled = len(drawn) * sampling.n  # answers
        self._graded: list[dict[int, Graded]] = [{} for _ in drawn]
        self._taken: list[set[int]] = [set() for _ in drawn]
        calls = [
            self._answers(index, first, 1 if singly else sampling.n)
            for index in range(len(drawn))
            for first in range(0, sampling.n, 1 if singly else sampling.n)
        ]
        self.task = asyncio.create_task(all_or_first_error(calls))

    def has_baselines(self, n: int) -> bool:
        """Whether at least two answers to each of the first `n` tasks are judged."""
        return all(len(group) >= baseline_size(self._sampling.n) for group in self._graded[:n])

    @property
    def complete(self) -> bool:
        """Whether every answer has been taken."""
        return all(len(taken) == self._sampling.n for taken in self._taken)

    def take_new(self) -> list[Group]:
        """Per task what is judged so far, or nothing where all of it was taken before.

        Beside new answers those taken before are there for the baseline, and marked so.
        """
        groups = []
        for graded, taken in zip(self._graded, self._taken, strict=True):
            new = graded.keys() - taken
            groups.append(
                [replace(graded[s], baseline_only=s in taken) for s in sorted(graded)]
                if new
                else []
            )
            taken |= new
        return groups

    async def _answers(self, index: int, first: int, n: int) -> None:
        """Answers `first` to `first + n - 1` to one task: a request, which goes to one server."""
        requests_per_task = self._sampling.n // n
        completions = await self._rollouts.completions(
            self._prompts[index],
            self._drawn[index].seed + first,
            self._sampling._replace(n=n),
            index * requests_per_task + first // n,
            self.deadline,
            self._order,
        )
        self.unsampled -= n
        if not self.unsampled:
            self._news.set()
        await all_or_first_error(
            self._grade(index, first + k, completion) for k, completion in enumerate(completions)
        )

    async def _grade(self, index: int, s: int, completion: Completion) -> None:
        graded = await self._rollouts.grade(
            self._drawn[index], self._prompts[index], completion, self._sampling.max_new_tokens
        )
        self._verdicts.see(graded.verdict)
        self._graded[index][s] = graded
        self._news.set()

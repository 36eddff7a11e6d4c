"""Sampling that runs ahead of the learner, by at most `max_staleness` steps.

Step t trains on batch t, the answers to the t-th `groups_per_step` tasks: first in, first out. What
keeps answers fresh is when a batch may begin, never what becomes of it: batch t begins once the
weights of step t - 1 - max_staleness are in the servers, and whatever was begun is trained on. The
lengths trained on are therefore those sampled. With max_staleness 0 that is the synchronous loop.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Self

from rl.curriculum import Curriculum
from rl.recipe.config import Recipe
from rl.sampling.engine import Sampling, give_up
from rl.sampling.rollouts import Rollouts, UnderWay
from rl.sampling.schedule import last_admitted
from rl.tasks import Drawn, Tasks
from rl.types import Group


class Taken(NamedTuple):
    """What a step trains on, and what it only looks at."""

    groups: list[Group]
    canaries: list[Group]


class Ahead:
    """The batches under way. Use as a context manager: leaving it ends what is still under way."""

    def __init__(self, rollouts: Rollouts, tasks: Tasks, recipe: Recipe) -> None:
        self.curriculum = Curriculum(tasks, recipe)
        self._rollouts = rollouts
        self._tasks = tasks
        self._recipe = recipe
        self._sampling = Sampling(
            recipe.rollout.max_new_tokens, recipe.rollout.temperature, n=recipe.group_size
        )
        self._begun = 0  # the last batch that was
        self._batches: dict[int, UnderWay] = {}  # by step, which is yet to come
        self.late: list[UnderWay] = []  # of steps that have come, not yet whole; oldest first
        self._error: BaseException | None = None
        self._news = asyncio.Event()  # something was judged, or failed

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await give_up([batch.task for batch in [*self.late, *self._batches.values()]])

    def admit(self, step: int) -> None:
        """Begin every batch that may be under way now that the learner comes to `step`."""
        last = last_admitted(step, self._recipe.max_staleness, self._recipe.steps)
        for each in range(max(step, self._begun + 1), last + 1):
            drawn = self.curriculum.draw(each, self._n_tasks)
            self._batches[each] = self._begin(each, [*drawn, *self._tasks.canaries(each)])
            self._begun = each

    def _begin(self, step: int, drawn: list[Drawn]) -> UnderWay:
        batch = self._rollouts.start(
            drawn,
            self._sampling,
            f"step {step}",
            order=step,
            singly=self._recipe.max_staleness > 0,
            news=self._news,
        )
        batch.task.add_done_callback(self._ended)
        return batch

    async def take(self, step: int, *, whole: bool = False) -> Taken:
        """Wait until batch `step` is sampled and judged, and hand it over.

        With rollout.straggler_s that long at most, if each of its groups then has two answers; the
        others are handed over with the step after they are judged. A step that writes a checkpoint
        waits for all, so that a resumed run has lost none; and so does the last one, and a `whole`
        one.
        With curriculum.dynamic more tasks are begun and waited for, until enough carry signal.

        Raises:
            EngineError, UserError: what ended a batch, whichever it was.
        """
        own = self._batches.pop(step)
        self.late.append(own)
        patience = self._recipe.rollout.straggler_s
        if whole or patience is None or self._recipe.writes_checkpoint(step):
            everything = self.late
            await self._until(step, lambda: all(x.task.done() for x in everything), everything)
        else:
            try:
                async with asyncio.timeout(patience):
                    await self._until(step, own.task.done, [own])
            except TimeoutError:
                enough = partial(own.has_baselines, self._n_tasks)
                await self._until(step, lambda: own.task.done() or enough(), [own])
        taken = Taken([], [])
        for batch in self.late:
            new = batch.take_new()
            taken.groups.extend(filter(None, new[: self._n_tasks]))
            taken.canaries.extend(filter(None, new[self._n_tasks :]))
        self.late = [batch for batch in self.late if not batch.complete]
        while n := self.curriculum.missing(step, taken.groups):
            more = self._begin(step, self.curriculum.draw(step, n))
            self.late.append(more)
            await self._until(step, more.task.done, [more])
            self.late.remove(more)
            taken.groups.extend(more.take_new())
        return taken

    @property
    def _n_tasks(self) -> int:
        return self._recipe.groups_per_step

    async def _until(
        self, step: int, condition: Callable[[], bool], waited: list[UnderWay]
    ) -> None:
        """Wait for it; whatever ends a batch, also one that nobody waits for, is raised."""

        def held() -> bool:
            if self._error is not None:
                raise self._error
            return condition()

        await self._rollouts.until(held, self._news, waited, f"step {step}")

    def _ended(self, task: asyncio.Task[list[None]]) -> None:
        if not task.cancelled() and self._error is None:
            self._error = task.exception()
        self._news.set()

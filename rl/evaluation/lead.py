"""Has the answers of an evaluation sampled and judged that are not stored yet.

Started by rl/evaluation/command.py, for one model at a time. Talks to the supervisor over a pipe.
"""

import argparse
import asyncio
import os
import sys
import time
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from envs.base import EnvError
from envs.registry import job
from rl.alarms import BrokenVerdicts
from rl.chat import decode, encode
from rl.errors import UserError
from rl.evaluation.problems import expected, problems
from rl.evaluation.remote import KEY_VARIABLE, RemoteServer
from rl.evaluation.settings import Settings, label_key
from rl.evaluation.store import Sampled, Store, row_key, row_of
from rl.events import Events
from rl.judging import verifier_pool
from rl.recipe.config import Recipe
from rl.recipe.load import RecipeError, read_resolved
from rl.sampling.engine import Deadline, Engine, Sampling, all_or_first_error
from rl.sampling.rollouts import Rollouts
from rl.tasks import Drawn
from rl.types import ENGINE, Stop
from verifiers.pool import VerifierPool, VerifierStartError
from verifiers.verdict import Verdict, broken

JUDGED_AT_ONCE = 256  # answers being judged or waiting for it, beside those being sampled
TELL_EVERY_S = 5.0  # between two lines about how far it is


class Sampler(Protocol):
    """Where answers come from."""

    places: int  # answers that it works on at a time, with those that wait for their turn there

    async def answer(self, problem: Drawn, sample: int) -> Sampled:
        """Answer number `sample` to a problem; the same for equal arguments as far as the server
        keeps its promise about seeds.

        Raises:
            EngineError: there is none to be had.
        """
        ...


class OwnServers:
    """Rollout servers that this evaluation started: tokens in, tokens out."""

    def __init__(self, rollouts: Rollouts, engine: Engine, recipe: Recipe) -> None:
        # Beside every answer under way one waits in the server, so that no place is ever empty
        # for the time that it takes to send the next one.
        self.places = 2 * recipe.engine.max_num_seqs * len(engine.urls)
        self._rollouts = rollouts
        self._recipe = recipe
        self._under_way = [0] * len(engine.urls)
        self._prompts: dict[str, list[int]] = {}
        evaluation = recipe.evaluation
        self._sampling = Sampling(
            max_new_tokens=recipe.rollout.budget(evaluation.chunks),
            temperature=evaluation.temperature,
            n=1,
            top_p=evaluation.top_p,
        )

    async def answer(self, problem: Drawn, sample: int) -> Sampled:
        task = problem.task
        prompt = self._prompts.get(task.key)
        if prompt is None:
            prompt = self._prompts[task.key] = encode(self._rollouts.tokenizer, task)
        server = min(range(len(self._under_way)), key=self._under_way.__getitem__)
        deadline = Deadline(self._recipe.rollout.deadline_s, "rollout.deadline_s")
        self._under_way[server] += 1
        try:
            [found] = await self._rollouts.completions(
                prompt, problem.seed + sample, self._sampling, server, deadline, 0
            )
        finally:
            self._under_way[server] -= 1
        return Sampled(
            text=decode(self._rollouts.tokenizer, found.tokens),
            stop=found.stop,
            prompt_tokens=len(prompt),
            response_tokens=len(found.tokens),
            chunks=[list(chunk) for chunk in found.chunks],
            injected=[list(part) for part in found.injected],
        )


class Evaluating:
    """One evaluation under way: what is missing, how far it is, who is waited for."""

    def __init__(self, store: Store, settings: Settings, recipe: Recipe, events: Events) -> None:
        self._store = store
        self._settings = settings
        self._recipe = recipe
        self._events = events
        all_problems = problems(recipe, settings.draw)
        asked = list(expected(all_problems, recipe.evaluation.samples))
        stored = {row_key(row) for row in store.rows()}
        self._missing = [one for one in asked if _key(*one) not in stored]
        self._total = len(asked)
        self._tokens = 0
        self._unsampled = len(self._missing)
        self._unjudged = len(self._missing)
        self._told_at = 0.0
        self._begin = time.monotonic()

    @property
    def missing(self) -> int:
        return len(self._missing)

    def say_what_is_stored(self) -> None:
        if stored := self._total - self.missing:
            self._events.say(f"{stored:,} of {self._total:,} answers are stored already")

    async def run(self, sampler: Sampler, pool: VerifierPool) -> dict[str, Any]:
        """Sample and judge what is missing, and store each answer as soon as it is judged.

        As many are in flight as the sampler has places, and none waits for others to its problem.

        Returns:
            Answers and tokens that were sampled now, and in how many seconds.
        """
        self._begin = time.monotonic()
        self._tell(pool, at_once=True)
        verdicts = BrokenVerdicts("evaluation", self._total, self._recipe.alarms)
        places = asyncio.Semaphore(sampler.places)
        todo = iter(self._missing)
        workers = min(self.missing, sampler.places + JUDGED_AT_ONCE)
        await all_or_first_error(
            self._work(todo, places, sampler, pool, verdicts) for _ in range(workers)
        )
        seconds = time.monotonic() - self._begin
        return {"answers": self.missing, "tokens": self._tokens, "seconds": round(seconds, 3)}

    async def _work(
        self,
        todo: Iterator[tuple[Drawn, int]],
        places: asyncio.Semaphore,
        sampler: Sampler,
        pool: VerifierPool,
        verdicts: BrokenVerdicts,
    ) -> None:
        for problem, sample in todo:
            async with places:
                sampled = await sampler.answer(problem, sample)
            self._unsampled -= 1
            self._tokens += sampled.response_tokens
            self._tell(pool)
            verdict = await judged(pool, problem, sampled)
            self._store.add(row_of(self._settings.step, problem, sample, sampled, verdict))
            self._unjudged -= 1
            verdicts.see(verdict)
            self._tell(pool)

    def _tell(self, pool: VerifierPool, *, at_once: bool = False) -> None:
        """Who is waited for, and until when; every answer that comes moves the deadline on."""
        now = time.monotonic()
        last = self._unsampled == 0
        if not (at_once or last or now - self._told_at >= TELL_EVERY_S):
            return
        self._told_at = now
        done = self._total - self._unjudged
        rate = self._tokens / max(now - self._begin, 1e-9)
        if last:
            self._events.wait(
                f"verifying, {self._total:,} answers sampled", pool.verdict_deadline_s
            )
        else:
            self._events.wait(
                f"sampling, {done:,} of {self._total:,} answers judged, {rate:,.0f} tok/s",
                self._recipe.rollout.deadline_s,
            )


async def judged(pool: VerifierPool, problem: Drawn, sampled: Sampled) -> Verdict:
    if sampled.stop is Stop.FAILED:
        return broken("the engine did not finish this answer", ENGINE)
    one = job(problem.env, problem.options, problem.task, sampled.text)
    control = None if problem.solution is None else one | {"response": problem.solution}
    return await pool.verify(one, control)


def _key(problem: Drawn, sample: int) -> tuple[str, str, int]:
    return label_key(problem.env, problem.options), problem.task.key, sample


@asynccontextmanager
async def own_servers(
    arguments: argparse.Namespace, recipe: Recipe, pool: VerifierPool, events: Events
) -> AsyncIterator[OwnServers]:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(arguments.model)
    async with Engine(arguments.servers, os.environ["ASSAY_API_KEY"], recipe) as engine:
        events.wait("rollout servers are starting", recipe.engine.start_deadline_s)
        await engine.wait_ready(recipe.engine.start_deadline_s)
        yield OwnServers(Rollouts(tokenizer, engine, pool, recipe, events), engine, recipe)


async def evaluate(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    recipe = read_resolved(arguments.directory / "recipe.yaml")
    store = Store(arguments.directory)
    settings = store.settings()
    assert settings is not None
    store.mend()
    now = Evaluating(store, settings, recipe, events)
    now.say_what_is_stored()
    if not now.missing:
        return {"answers": 0, "tokens": 0, "seconds": 0.0}
    async with verifier_pool(recipe, arguments.directory / "logs" / "verifiers.log") as pool:
        if arguments.remote is None:
            async with own_servers(arguments, recipe, pool, events) as sampler:
                return await now.run(sampler, pool)
        key = os.environ.get(KEY_VARIABLE)
        async with RemoteServer(arguments.remote, settings.identity, key, recipe) as sampler:
            return await now.run(sampler, pool)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--model", help="directory of the model")
    parser.add_argument("--servers", nargs="+", help="URLs of the rollout servers")
    parser.add_argument("--remote", help="base URL of a server that takes text")
    arguments = parser.parse_args()
    events = Events.from_environment()
    try:
        summary = asyncio.run(evaluate(arguments, events))
    except (UserError, EnvError, RecipeError, VerifierStartError) as error:
        traceback.print_exception(error)  # into the log, for whoever needs to know more
        events.failed(str(error))
        return 1
    events.done(summary)
    return 0


if __name__ == "__main__":
    sys.exit(main())

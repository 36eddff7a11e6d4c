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

from envs.base import EnvError, Task
from envs.registry import job
from rl.alarms import BrokenVerdicts
from rl.chat import decode, encode
from rl.errors import UserError
from rl.evaluation.problems import Wanted, asked_together, expected, problems
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
from rl.types import ENGINE, Completion, Stop
from verifiers.pool import VerifierPool, VerifierStartError
from verifiers.verdict import Verdict, broken

JUDGED_AT_ONCE = 256  # answers being judged or waiting for it, beside those being sampled
# What the answers of one request may have at most. A request costs a server as much as some dozen
# tokens of a tiny policy, so short answers to a problem are asked for together; each long one
# comes, and is stored, by itself.
TOKENS_TOGETHER = 4096
TELL_EVERY_S = 5.0  # between two lines about how far it is


class Sampler(Protocol):
    """Where answers come from."""

    places: int  # answers that it works on at a time, with those that wait for their turn there
    together: int  # answers to one problem that may be asked for at once, at most `places`

    async def answers(self, wanted: Wanted) -> list[Sampled]:
        """In the order of their numbers; each the same whichever others are asked for with it, as
        far as the server keeps its promise about seeds.

        Raises:
            EngineError: there are none to be had.
        """
        ...


class OwnServers:
    """Rollout servers that this evaluation started: tokens in, tokens out."""

    def __init__(self, rollouts: Rollouts, engine: Engine, recipe: Recipe, events: Events) -> None:
        self._rollouts = rollouts
        self._engine = engine
        self._recipe = recipe
        self._events = events
        self._under_way = [0] * len(engine.urls)
        self._prompts: dict[str, list[int]] = {}
        self._said_too_long = False
        evaluation = recipe.evaluation
        budget = recipe.rollout.budget(evaluation.chunks)
        self.together = max(1, min(recipe.engine.max_num_seqs, TOKENS_TOGETHER // budget))
        # Beside every answer under way one waits in the server, so that no place is ever empty for
        # the time that it takes to send the next one; more where those that are done hold their
        # places until the longest asked for together with them is.
        each = 2 if self.together == 1 else 4
        self.places = each * recipe.engine.max_num_seqs * len(engine.urls)
        self._sampling = Sampling(
            max_new_tokens=budget,
            temperature=evaluation.temperature,
            n=1,
            top_p=evaluation.top_p,
            logprobs=False,
        )

    async def answers(self, wanted: Wanted) -> list[Sampled]:
        task = wanted.problem.task
        prompt = self._prompts.get(task.key)
        if prompt is None:
            prompt = self._prompts[task.key] = encode(self._rollouts.tokenizer, task)
        if not self._engine.fits(prompt):
            self._say_too_long(task, len(prompt))
            return [Sampled("", Stop.LENGTH, len(prompt), 0, [], [])] * wanted.n
        server = min(range(len(self._under_way)), key=self._under_way.__getitem__)
        deadline = Deadline(self._recipe.rollout.deadline_s, "rollout.deadline_s")
        seed = wanted.problem.seed + wanted.first
        sampling = self._sampling._replace(n=wanted.n)
        self._under_way[server] += wanted.n
        try:
            completions = await self._rollouts.completions(
                prompt, seed, sampling, server, deadline, 0
            )
        finally:
            self._under_way[server] -= wanted.n
        return [self._sampled(prompt, one) for one in completions]

    def _sampled(self, prompt: list[int], found: Completion) -> Sampled:
        return Sampled(
            text=decode(self._rollouts.tokenizer, found.tokens),
            stop=found.stop,
            prompt_tokens=len(prompt),
            response_tokens=len(found.tokens),
            chunks=[list(chunk) for chunk in found.chunks],
            injected=[list(part) for part in found.injected],
        )

    def _say_too_long(self, task: Task, n_tokens: int) -> None:
        if self._said_too_long:
            return
        self._said_too_long = True
        self._events.say(
            f"    a problem of {n_tokens:,} tokens is too long for a model that takes "
            f"{self._engine.context_tokens:,} with the answer: none is asked for, which counts as "
            "wrong and cut off, as with every such problem; it begins "
            f"{task.messages[-1].content[:60]!r}"
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
        self._unsampled = self.missing
        self._unjudged = self.missing
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

        As many are in flight as the sampler has places, and none waits for others to its problem
        but those asked for together with it.

        Returns:
            Answers and tokens that were sampled now, and in how many seconds.
        """
        self._begin = time.monotonic()
        self._tell(pool, at_once=True)
        verdicts = BrokenVerdicts("evaluation", self._total, self._recipe.alarms)
        requests = asked_together(self._missing, sampler.together)
        places = asyncio.Semaphore(sampler.places // sampler.together)
        workers = (sampler.places + JUDGED_AT_ONCE) // sampler.together
        todo = iter(requests)
        await all_or_first_error(
            self._work(todo, places, sampler, pool, verdicts)
            for _ in range(min(len(requests), max(1, workers)))
        )
        seconds = time.monotonic() - self._begin
        return {"answers": self.missing, "tokens": self._tokens, "seconds": round(seconds, 3)}

    async def _work(
        self,
        todo: Iterator[Wanted],
        places: asyncio.Semaphore,
        sampler: Sampler,
        pool: VerifierPool,
        verdicts: BrokenVerdicts,
    ) -> None:
        for wanted in todo:
            async with places:
                answers = await sampler.answers(wanted)
            self._unsampled -= wanted.n
            self._tokens += sum(one.response_tokens for one in answers)
            self._tell(pool)
            await all_or_first_error(
                self._judge(wanted.problem, wanted.first + k, sampled, pool, verdicts)
                for k, sampled in enumerate(answers)
            )

    async def _judge(
        self,
        problem: Drawn,
        sample: int,
        sampled: Sampled,
        pool: VerifierPool,
        verdicts: BrokenVerdicts,
    ) -> None:
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
        return broken(sampled.failure or "the engine did not finish this answer", ENGINE)
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
        rollouts = Rollouts(tokenizer, engine, pool, recipe, events)
        yield OwnServers(rollouts, engine, recipe, events)


async def evaluate(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    recipe = read_resolved(arguments.directory / "recipe.yaml")
    store = Store(arguments.directory)
    settings = store.settings()
    assert settings is not None
    store.mend()
    store.forget_failed()
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

"""Running ahead against taking turns, and updates in flight against updates that wait.

`async` is whole runs of `assay train`: one rollout server and one learner rank with a thread each,
answers of very unequal length, paid at random, so that every one of them is trained on. `in-flight`
is a server alone, whose weights are replaced while it samples.
"""

import asyncio
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from benchmarks.harness import (
    API_KEY,
    LONG,
    ROOT,
    BenchmarkError,
    Result,
    Row,
    interleave,
    machine_load,
    recipe_of,
    scratch_directory,
    serving,
    starting_policy,
    write_recipe,
)
from benchmarks.sampling import request_of
from benchmarks.steps import ours
from rl.errors import UserError
from rl.recipe.config import Recipe
from rl.sampling.engine import Deadline, Engine, Sampling, all_or_first_error
from rl.simulator.calibrate import described, fit, measured_column, read_run, simulated_column
from rl.weights.broadcast import Named
from rl.weights.publisher import WeightPublisher

AHEAD = (1, 4)
AIM = 1.5
COUNTED = 20  # steps of a run that are measured
ONE_CORE_EACH = ("engine.servers=1", "learner.threads=1", "groups_per_step=16")
# Algorithm and alarms stay those of synchronous runs, so that only the schedule differs.
SAME_LOSS = ("algorithm.preset=dapo",)
PAID_AT_RANDOM = f"{ROOT / 'benchmarks' / 'coin.py'}:MultiplesCoin"
TWICE = "groups_per_step=32"  # of a run that tells the costs of steps and of answers apart

PLACES = 64  # answers in flight while weights are replaced
UPDATE_EVERY_S = 3.0
WAVES = 4  # steps' worth of answers, so that there are updates while many wait for a place


def ahead(repeats: int) -> Result:
    """Tokens trained on per second at max_staleness 1 and 4, against 0."""
    result = Result("async")
    rates: dict[int, list[float]] = {staleness: [] for staleness in (0, *AHEAD)}
    with scratch_directory() as scratch:
        for index in range(repeats):
            for staleness in sorted(rates, reverse=index % 2 == 1):
                result.load.append(machine_load())
                where = scratch / f"{staleness}-{index}"
                rates[staleness].append(tokens_per_s(train(staleness, where), staleness))
        train(0, scratch / "twice", TWICE)
        for staleness in AHEAD:
            what = f"tokens trained on, max_staleness {staleness} against 0"
            aim = AIM if staleness == max(AHEAD) else None
            result.rows.append(Row(what, "tokens/s", rates[staleness], rates[0], True, aim))
        costs_of = [scratch / "0-0" / "run", scratch / "twice" / "run"]
        result.notes += predictions(costs_of, {s: scratch / f"{s}-0" / "run" for s in rates})
    return result


def train(staleness: int, where: Path, *overrides: str) -> list[dict[str, Any]]:
    """A whole run, its steps as benchmarks/steps.py describes them."""
    where.mkdir()
    model = starting_policy(recipe_of(LONG, *ONE_CORE_EACH), where)
    recipe = recipe_of(LONG, *run_overrides(staleness, model), *overrides)
    return ours(write_recipe(recipe, where), where)


def run_overrides(staleness: int, model: str) -> tuple[str, ...]:
    """So many steps that COUNTED are left of them."""
    (env,) = recipe_of(LONG).envs
    coin = {**env.model_dump(), "name": PAID_AT_RANDOM}
    return (
        *(*ONE_CORE_EACH, *SAME_LOSS, f"max_staleness={staleness}"),
        *(f"model={model}", "sft=null", f"envs={json.dumps([coin])}"),
        "accept_hackable=what is learned does not matter here",
        "alarms={canary_fraction: 0, recheck_fraction: 0}",
        f"steps={COUNTED + 1 + 2 * staleness}",
    )


def tokens_per_s(steps: Sequence[dict[str, Any]], staleness: int) -> float:
    """Over the steps in which as many batches are under way as may be.

    The first one fills the pipeline, together with those that it was filled with; while the last
    ones are made no further batch begins.
    """
    counted = steps[1 + staleness : len(steps) - staleness]
    return sum(step["tokens"] for step in counted) / sum(step["seconds"] for step in counted)


def predictions(costs_of: Sequence[Path], runs: dict[int, Path]) -> Iterator[str]:
    """What the simulator makes of the schedules, from the times of synchronous runs alone."""
    try:
        found = fit([read_run(run) for run in costs_of])
    except UserError as error:
        yield f"async: nothing was simulated: {error}"
        return
    yield f"async: {described(found)}"
    for staleness, directory in runs.items():
        run = read_run(directory)
        measured = measured_column(run.rows)
        groups = [group for step in run.groups for group in step]
        column = simulated_column(groups, run.recipe, found.costs)
        off = column.tokens_per_s / measured.tokens_per_s - 1
        idle = "unknown" if measured.servers_idle is None else f"{measured.servers_idle:.0%}"
        yield (
            f"async: max_staleness {staleness}, simulated against measured: "
            f"{column.tokens_per_s:,.0f} and {measured.tokens_per_s:,.0f} tokens/s ({off:+.0%}), "
            f"servers idle {column.servers_idle:.0%} and {idle}, "
            f"learner idle {column.learner_idle:.0%} and {measured.learner_idle:.0%}"
        )


class UpdatedEngine(Engine):
    """Updates wait for the answers under way where `waits` says so."""

    waits = False

    async def post(self, path: str, body: Any, deadline: Deadline) -> None:
        if self.waits:
            path = path.replace("mode=keep", "mode=wait")
        await super().post(path, body, deadline)


def in_flight(repeats: int) -> Result:
    """Answers per second of a server whose weights are replaced every few seconds."""
    result = Result("in-flight")
    with scratch_directory() as scratch:
        overrides = (*ONE_CORE_EACH, *SAME_LOSS, "max_staleness=1", "sft.demonstrations=2000")
        recipe = recipe_of(LONG, *overrides, f"engine.max_num_seqs={PLACES}")
        model = starting_policy(recipe, scratch)
        request, weights = waves(request_of(recipe, model)), read_weights(Path(model))
        updates: dict[bool, list[int]] = {False: [], True: []}
        with (
            asyncio.Runner() as runner,
            serving(model, recipe, scratch) as urls,
            ExitStack() as stack,
        ):
            engine = runner.run(_connect(urls, recipe))
            stack.callback(lambda: runner.run(engine.__aexit__()))
            sampler = _Sampler(engine, recipe, weights)

            def rate(waits: bool) -> float:
                engine.waits = waits
                before = sampler.version
                seconds = runner.run(sampler.answer(request))
                updates[waits].append(sampler.version - before)
                return len(request["prompts"]) * request["n"] / seconds

            first, second = interleave(lambda: rate(False), lambda: rate(True), repeats)
        what = "answers while weights are replaced, in flight against waiting"
        result.rows.append(Row(what, "answers/s", first, second, True))
        median = {waits: statistics.median(counts) for waits, counts in updates.items()}
        result.notes.append(
            f"in-flight: {PLACES} answers in flight, an update {UPDATE_EVERY_S:g} s after the last "
            f"one: {median[False]:g} while the answers were sampled, {median[True]:g} that waited"
        )
    return result


def waves(request: dict[str, Any]) -> dict[str, Any]:
    """WAVES times the answers to the same prompts."""
    apart = request["n"]
    seeds = [seed + apart * wave for wave in range(WAVES) for seed in request["seeds"]]
    return {**request, "prompts": request["prompts"] * WAVES, "seeds": seeds}


def read_weights(model: Path) -> dict[str, Any]:
    """Every tensor of a model on disk.

    Raises:
        BenchmarkError: there are none.
    """
    found = {name: x for file in sorted(model.glob("*.safetensors"))
             for name, x in load_file(file).items()}  # fmt: skip
    if not found:
        raise BenchmarkError(f"{model} holds no *.safetensors")
    return found


async def _connect(urls: list[str], recipe: Recipe) -> UpdatedEngine:
    engine = await UpdatedEngine(urls, API_KEY, recipe).__aenter__()
    await engine.wait_ready(recipe.engine.start_deadline_s)
    return engine


class _Sampler:
    """Samples whole requests, and replaces the weights by themselves meanwhile."""

    def __init__(self, engine: Engine, recipe: Recipe, weights: dict[str, Any]) -> None:
        self.version = 0
        self._engine = engine
        self._publisher = WeightPublisher(engine, recipe)
        self._weights = weights

    async def answer(self, request: dict[str, Any]) -> float:
        """Seconds until every answer is there; the engine's deadline ends it at the latest."""
        how = Sampling(request["max_tokens"], request["temperature"], n=1)
        deadline = self._engine.sampling_deadline()
        pairs = zip(request["prompts"], request["seeds"], strict=True)
        answers = [
            self._engine.completions(prompt, seed + k, how, index, deadline)
            for index, (prompt, seed) in enumerate(pairs)
            for k in range(request["n"])
        ]
        done = asyncio.Event()
        # Not cancelled: an update that is under way ends, or the server would stay paused.
        updating = asyncio.create_task(self._update(done))
        begin = time.perf_counter()
        try:
            await all_or_first_error(answers)
            return time.perf_counter() - begin
        finally:
            done.set()
            await updating

    async def _update(self, done: asyncio.Event) -> None:
        """Replace the weights every UPDATE_EVERY_S until `done`."""
        while not done.is_set():
            try:
                await asyncio.wait_for(done.wait(), UPDATE_EVERY_S)
            except TimeoutError:
                self.version += 1
                await self._publisher.publish(self._named(), self.version)

    def _named(self) -> Named:
        yield from self._weights.items()

"""One learner rank: wires the parts of a run and runs them.

Started by rl/launch.py. Rank 0 runs the loop and talks to the supervisor; the others follow it.
"""

import argparse
import asyncio
import os
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from envs.base import EnvError
from rl.chat import encode
from rl.checkpoint import latest_checkpoint
from rl.children import memory_directory
from rl.commands.selftest import selftest
from rl.errors import UserError
from rl.events import Events
from rl.judging import verifier_pool
from rl.learner.learner import Learner
from rl.policy.model_files import count_parameters
from rl.recipe.config import Recipe
from rl.recipe.load import read_resolved
from rl.record import RunDirectory, Trackers
from rl.sampling.ahead import Ahead
from rl.sampling.engine import Engine
from rl.sampling.rollouts import Rollouts
from rl.sampling.routes import replayed_experts
from rl.tasks import Tasks
from rl.train import Run, Stopped, train
from rl.watch import Watch
from rl.weights.publisher import WeightPublisher
from verifiers.pool import VerifierStartError

MAX_PROBE_TOKENS = 128
SCORES = ("avg_at_k", "avg_by_env", "pass_at_k")  # of an evaluation, in the run's summary


def main() -> int:
    arguments = _arguments()
    directory = RunDirectory(arguments.run_dir)
    recipe = read_resolved(directory.path / "recipe.yaml")
    rank = int(os.environ["RANK"])
    if rank == 0:
        return _lead(arguments, directory, recipe, Events.from_environment())
    try:
        Learner(arguments.model, recipe, rank, int(os.environ["WORLD_SIZE"])).follow()
    except UserError as error:  # rank 0 meets the same and tells the supervisor
        print(error, file=sys.stderr)
        return 1
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", choices=["train", "doctor"])
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--model", required=True, help="directory of the starting policy")
    parser.add_argument("--servers", nargs="+", required=True, help="URLs of the rollout servers")
    return parser.parse_args()


def _lead(
    arguments: argparse.Namespace, directory: RunDirectory, recipe: Recipe, events: Events
) -> int:
    """The one place that turns errors a user can mend into a message for the supervisor."""
    role = {"train": _train, "doctor": _doctor}[arguments.role]
    try:
        summary = asyncio.run(role(arguments, directory, recipe, events))
    except Stopped as stopped:
        summary = {"stopped": str(stopped)}
    except (UserError, EnvError, VerifierStartError) as error:
        traceback.print_exception(error)  # into this rank's log, for whoever needs to know more
        events.failed(str(error))
        return 1
    events.done(summary)
    return 0


async def _train(
    arguments: argparse.Namespace, directory: RunDirectory, recipe: Recipe, events: Events
) -> dict[str, Any]:
    begin = time.monotonic()
    async with wired(arguments, directory, recipe, events) as run:
        run.clock.add("start", time.monotonic() - begin)
        await train(run)
    return _summary(recipe, directory, run.clock.take())


async def _doctor(
    arguments: argparse.Namespace, directory: RunDirectory, recipe: Recipe, events: Events
) -> dict[str, Any]:
    async with wired(arguments, directory, recipe, events) as run:
        await selftest(run)
        return {}


@asynccontextmanager
async def wired(
    arguments: argparse.Namespace, directory: RunDirectory, recipe: Recipe, events: Events
) -> AsyncIterator[Run]:
    """All parts of a run, at the step that its newest checkpoint left it at."""
    asked: list[int] = []
    signal.signal(signal.SIGUSR1, lambda number, _: asked.append(number))
    tasks = Tasks(recipe)
    newest = latest_checkpoint(directory.checkpoints)
    tokenizer = AutoTokenizer.from_pretrained(arguments.model)
    learner = Learner(arguments.model, recipe, 0, int(os.environ["WORLD_SIZE"]))
    try:
        if newest is not None:
            learner.load(newest)
            events.say(f"resuming after step {learner.version}")
        directory.rewind(learner.version)
        log = directory.logs / "verifiers.log"
        key, experts = os.environ["ASSAY_API_KEY"], replayed_experts(arguments.model, recipe)
        with ThreadPoolExecutor(1, "learner") as learning:
            async with (
                Engine(arguments.servers, key, recipe, experts) as engine,
                verifier_pool(recipe, log) as pool,
                # One worker sees nothing but accepted answers, and judges them by stricter rules.
                verifier_pool(recipe, log, entry="recheck", workers=1) as second_pool,
            ):
                events.wait("rollout servers are starting", recipe.engine.start_deadline_s)
                await engine.wait_ready(recipe.engine.start_deadline_s)
                rollouts = Rollouts(tokenizer, engine, pool, recipe, events)
                async with Ahead(rollouts, tasks, recipe) as ahead:
                    if newest is not None:
                        ahead.curriculum.load(newest)
                    yield Run(
                        recipe=recipe,
                        tasks=tasks,
                        rollouts=rollouts,
                        ahead=ahead,
                        learner=learner,
                        n_parameters=count_parameters(Path(arguments.model)),
                        learning=learning,
                        engine=engine,
                        publisher=WeightPublisher(
                            engine, recipe, memory_directory(directory.path), learning
                        ),
                        probe=_probe(tokenizer, tasks),
                        directory=directory,
                        trackers=Trackers(recipe, directory),
                        events=events,
                        watch=Watch(recipe, second_pool, events),
                        stop_requested=lambda: bool(asked),
                    )
    finally:
        learner.close()


def _probe(tokenizer: Any, tasks: Tasks) -> list[int]:
    """A fixed prompt with a solution behind it, on which servers and learner are compared."""
    first = tasks.held_out[0]
    solution = tokenizer.encode(first.solution, add_special_tokens=False)
    return [*encode(tokenizer, first.task), *solution][:MAX_PROBE_TOKENS]


def _summary(recipe: Recipe, directory: RunDirectory, rest: dict[str, float]) -> dict[str, Any]:
    """What a complete run found. `rest` are the seconds by phase that no row of metrics has."""
    before, after = directory.evaluation(0), directory.evaluation(recipe.steps)
    assert before is not None
    assert after is not None
    spent: Counter[str] = Counter()
    for taken in [*(row["time"] for row in directory.rows("metrics.jsonl")), rest]:
        spent.update(taken)
    return {
        "problems": after["problems"],
        "samples": after["samples"],
        "before": {key: before[key] for key in SCORES},
        "after": {key: after[key] for key in SCORES} | {"pass_k": after["pass_k"]},
        "steps": recipe.steps,
        "seed": recipe.seed,
        "time": {phase: round(seconds, 3) for phase, seconds in spent.items()},
        "versions": directory.read_json("versions.json"),
        "checkpoint": str(latest_checkpoint(directory.checkpoints)),
    }


if __name__ == "__main__":
    sys.exit(main())

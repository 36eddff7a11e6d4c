"""The loop: draw tasks, roll out and verify, learn, publish the weights. And what goes with it."""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from rl.alarms import Warnings, check_mismatch, check_trainable
from rl.answer_tokens import TokenRows
from rl.checkpoint import save_checkpoint
from rl.evaluation.evaluate import held_out_groups, score
from rl.evaluation.statistics import Estimate
from rl.events import Events
from rl.learner.batch import Packed, pack
from rl.learner.learner import Learner
from rl.metrics import pace_row, sample_rows, signs, step_row
from rl.recipe.config import Recipe
from rl.record import RunDirectory, Trackers
from rl.sampling.ahead import Ahead
from rl.sampling.engine import Engine
from rl.sampling.rollouts import Rollouts
from rl.scaling.during import forecast_of_last_step
from rl.tasks import Tasks
from rl.types import Group, TokenFigures
from rl.watch import Watch
from rl.weights.publisher import WeightPublisher

T = TypeVar("T")


class Stopped(Exception):
    """Training ended early because it was asked to; a checkpoint was written."""


@dataclass
class Clock:
    """Wall seconds by phase, since they were last taken."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.add(phase, time.perf_counter() - begin)

    def add(self, phase: str, seconds: float) -> None:
        self.seconds[phase] = self.seconds.get(phase, 0.0) + seconds

    def take(self) -> dict[str, float]:
        """As a row's `time`: every second is taken once."""
        taken, self.seconds = self.seconds, {}
        return {f"{phase}_s": round(seconds, 4) for phase, seconds in taken.items()}


@dataclass
class Run:
    """The parts of a run, wired by rl/run.py."""

    recipe: Recipe
    tasks: Tasks
    rollouts: Rollouts
    ahead: Ahead
    learner: Learner
    n_parameters: int  # of the policy; 0 where its files do not say
    learning: Executor  # one thread: answers come in while the learner computes in it
    engine: Engine
    publisher: WeightPublisher
    probe: list[int]  # tokens of the fixed prompt on which servers and learner are compared
    directory: RunDirectory
    trackers: Trackers
    events: Events
    watch: Watch
    stop_requested: Callable[[], bool]
    clock: Clock = field(default_factory=Clock)

    def tokens(self, figures: TokenFigures | None = None) -> TokenRows:
        """What samples.jsonl says of the tokens of a step's answers."""
        most = self.recipe.record.tokens_per_step
        return TokenRows(self.rollouts.tokenizer, most, figures)

    async def in_learner(self, call: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.learning, call, *arguments)


async def train(run: Run) -> None:
    """Improve the policy until step `recipe.steps`, going on after step `learner.version`.

    Raises:
        Stopped: at the end of a step, after the user asked; a checkpoint was written.
        UserError and its kinds: the run cannot go on; the last checkpoint is whole.
    """
    recipe, learner, warnings = run.recipe, run.learner, Warnings(run.recipe)
    await publish(run)
    await hold_out(run, learner.version)

    for step in range(learner.version + 1, recipe.steps + 1):
        with run.clock("sample"):
            run.ahead.admit(step)
            groups, canaries = await run.ahead.take(step, whole=run.stop_requested())

        run.events.wait(f"step {step}: learning", recipe.learner.collective_deadline_s)
        with run.clock("learn"):
            packed = await run.in_learner(pack, groups, recipe)
            seen = signs(step, groups, packed, recipe.rollout.max_new_tokens)
            check_trainable(seen, packed.batch.n_tokens, packed.skipped, recipe)
            update = await run.in_learner(learner.update, packed.batch)

        agreement = await publish(run)
        row = step_row(step, groups, canaries, packed, update, agreement)
        row["curriculum"] = run.ahead.curriculum.finish(step, groups)
        record(run, step, groups, canaries, packed, row, run.tokens(update.tokens))
        check_mismatch(step, update, recipe.alarms)
        for warning in warnings.check(seen):
            run.events.warn(warning)
        await run.watch.step(step, groups, canaries)

        # With answers still to come a checkpoint would lose them: one more step waits for all.
        stopping = run.stop_requested() and not run.ahead.late
        if recipe.writes_checkpoint(step) or stopping:
            await checkpoint(run, step)
        if stopping and step < recipe.steps:
            raise Stopped(f"stopped after step {step} of {recipe.steps}")
        await hold_out(run, step)


async def publish(run: Run) -> float:
    """Bring the learner's weights to every server, and prove that they are there.

    Returns:
        Largest mean |server - learner| over the log-probabilities of the probe, nats per token.

    Raises:
        EngineError: a server did not take the weights, or samples from other ones.
    """
    version = run.learner.version
    run.events.wait(f"weights {version} to the servers", run.recipe.engine.update_deadline_s)
    with run.clock("publish"):
        await run.publisher.publish(run.learner.weights(), version)
        own = await run.in_learner(run.learner.logprobs, run.probe)
        return await run.engine.assert_agrees(
            run.probe, own, version, run.recipe.weights.max_logprob_diff
        )


async def hold_out(run: Run, step: int) -> None:
    """Where an evaluation is due after `step` (and not there yet), make and record it."""
    recipe, evaluation = run.recipe, run.recipe.evaluation
    due = step in (0, recipe.steps) or (evaluation.every and step % evaluation.every == 0)
    if not due or run.directory.evaluation(step) is not None:
        return
    with run.clock("evaluate"):
        when = f"evaluation after step {step}"
        groups = await held_out_groups(run.rollouts, run.tasks.held_out, recipe, when)
    tokens = run.tokens()
    run.directory.append(
        "samples.jsonl", sample_rows(step, groups, split="test", training=None, tokens=tokens)
    )
    row = {"step": step, **score(groups, run.tasks.held_out)}
    evaluations = [*run.directory.rows("evals.jsonl"), row]
    metrics = run.directory.rows("metrics.jsonl")
    forecast = forecast_of_last_step(recipe, evaluations, metrics, run.n_parameters)
    if forecast is not None:
        row["forecast"] = forecast
        run.events.forecast(forecast)
    run.directory.append("evals.jsonl", [row])
    run.trackers.log_evaluation(row)
    k, average, best = row["samples"], Estimate(**row["avg_at_k"]), Estimate(**row["pass_at_k"])
    pass_k = row["pass_k"]
    run.events.say(f"held out, after step {step}: avg@{k} {average}, pass@{pass_k} {best}")
    run.watch.evaluated(step, evaluations, [row["reward"] for row in metrics])


def record(
    run: Run,
    step: int,
    groups: list[Group],
    canaries: list[Group],
    packed: Packed,
    row: dict[str, Any],
    tokens: TokenRows,
) -> None:
    """Write the step's metrics and answers, and show them on the progress line."""
    row["time"] = run.clock.take()
    row["pace"] = pace_row(run.engine.take_pace(), row["time"])
    run.directory.append(
        "samples.jsonl", sample_rows(step, groups, split="train", training=packed, tokens=tokens)
    )
    run.directory.append(
        "samples.jsonl", sample_rows(step, canaries, split="canary", training=None)
    )
    run.directory.append("metrics.jsonl", [row])
    run.trackers.log(row)
    run.events.step(row)


async def checkpoint(run: Run, step: int) -> None:
    run.events.wait(f"step {step}: checkpoint", run.recipe.learner.collective_deadline_s)
    keep, also = run.recipe.checkpoint.keep, [run.ahead.curriculum.save]
    with run.clock("checkpoint"):
        await run.in_learner(
            partial(save_checkpoint, run.directory.checkpoints, run.learner, keep=keep, also=also)
        )

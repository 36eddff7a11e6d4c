"""Tokens per second of an evaluation, judging and storing included, against vLLM given all prompts.

The offline engines get every prompt of the evaluation at once, and nobody judges their answers.
"""

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack
from itertools import count
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from benchmarks.harness import (
    API_KEY,
    LONG,
    SHORT,
    Helper,
    Result,
    Row,
    interleave,
    recipe_of,
    scratch_directory,
    serving,
    starting_policy,
    timed,
)
from benchmarks.sampling import share
from rl.chat import encode
from rl.evaluation.lead import Evaluating, OwnServers
from rl.evaluation.problems import problems
from rl.evaluation.settings import Draw, Settings, sampling_settings
from rl.evaluation.store import Store
from rl.events import Events
from rl.judging import verifier_pool
from rl.recipe.config import Recipe
from rl.sampling.engine import Engine
from rl.sampling.rollouts import Rollouts
from rl.sampling.server import server_command
from verifiers.pool import VerifierPool

AIM = 0.9
LARGER = [
    f"embedded.{size}"
    for size in ("layers=6", "hidden=192", "heads=6", "kv_heads=6", "intermediate=512")
]
SIZES: dict[str, tuple[Path, list[str]]] = {
    "short answers": (SHORT, ["evaluation.problems=128"]),
    "long answers": (LONG, ["evaluation.problems=32"]),
    "2.7 M parameters": (SHORT, ["evaluation.problems=32", "sft=null", *LARGER]),
}


def evaluation(repeats: int) -> Result:
    """Held-out tasks, 16 answers to each: short ones, long and unequal ones, and short ones of a
    policy that is ten times as large, and random."""
    result = Result("evaluation")
    for name, (path, sizes) in SIZES.items():
        with scratch_directory() as scratch:
            recipe = recipe_of(path, *sizes, "evaluation.samples=16")
            model = starting_policy(recipe, scratch)
            ours, baseline, note = measure(recipe, model, scratch, repeats)
        what = f"evaluation, {name}, judged and stored"
        result.rows.append(Row(what, "tokens/s", ours, baseline, True, AIM))
        result.notes.append(f"{what}: {note}")
    return result


def measure(
    recipe: Recipe, model: str, scratch: Path, repeats: int
) -> tuple[list[float], list[float], str]:
    """Tokens per second of both sides, and how many tokens that were."""
    request = request_of(recipe, model)
    n = recipe.engine.servers
    argv, environment = server_command(model, recipe, 0, API_KEY)
    direct = [sys.executable, "-m", "benchmarks.offline", *argv[3:]]
    tokens: dict[str, int] = {}
    numbers = count()
    with (
        asyncio.Runner() as runner,
        serving(model, recipe, scratch) as urls,
        ExitStack() as stack,
        ThreadPoolExecutor(n) as threads,
    ):
        helpers = [
            stack.enter_context(Helper(direct, scratch / f"offline-{index}.log", environment))
            for index in range(n)
        ]
        parts = AsyncExitStack()
        stack.callback(lambda: runner.run(parts.aclose()))
        sampler, pool = runner.run(_wired(parts, urls, recipe, model, scratch))

        def ours() -> float:
            directory = scratch / f"evaluation-{next(numbers)}"
            directory.mkdir()
            found = runner.run(_evaluate(directory, recipe, sampler, pool))
            tokens["ours"] = found["tokens"]
            return found["tokens"] / found["seconds"]

        def baseline() -> float:
            def all_at_once() -> None:
                shares = [share(request, index, n) for index in range(n)]
                tokens["theirs"] = sum(threads.map(lambda h, part: h.ask(part), helpers, shares))

            seconds = timed(all_at_once)
            return tokens["theirs"] / seconds

        first, second = interleave(ours, baseline, repeats)
    return first, second, f"{tokens['ours']:,} tokens here, {tokens['theirs']:,} there"


def request_of(recipe: Recipe, model: str) -> dict[str, Any]:
    """The whole evaluation, as the offline engine takes it."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    drawn = problems(recipe, Draw.MIXTURE)
    return {
        "prompts": [encode(tokenizer, d.task) for d in drawn],
        "seeds": [d.seed for d in drawn],
        "max_tokens": recipe.rollout.max_new_tokens,
        "temperature": recipe.evaluation.temperature,
        "n": recipe.evaluation.samples,
        "logprobs": None,  # nobody trains on these answers
    }


async def _wired(
    parts: AsyncExitStack, urls: list[str], recipe: Recipe, model: str, scratch: Path
) -> tuple[OwnServers, VerifierPool]:
    tokenizer = AutoTokenizer.from_pretrained(model)
    engine = await parts.enter_async_context(Engine(urls, API_KEY, recipe))
    pool = await parts.enter_async_context(verifier_pool(recipe, scratch / "verifiers.log"))
    await engine.wait_ready(recipe.engine.start_deadline_s)
    rollouts = Rollouts(tokenizer, engine, pool, recipe, _nobody())
    return OwnServers(rollouts, engine, recipe, _nobody()), pool


async def _evaluate(
    directory: Path, recipe: Recipe, sampler: OwnServers, pool: VerifierPool
) -> dict[str, Any]:
    settings = Settings(
        checkpoint="policy",
        identity="policy",
        step=None,
        variant=None,
        parameters=None,
        envs=[spec.model_dump() for spec in recipe.evaluation.envs or recipe.envs],
        draw=Draw.MIXTURE,
        problems=recipe.evaluation.problems,
        sampling=sampling_settings(recipe),
        versions={},
    )
    return await Evaluating(Store(directory), settings, recipe, _nobody()).run(sampler, pool)


def _nobody() -> Events:
    """Events that no supervisor waits for."""
    return Events(os.open(os.devnull, os.O_WRONLY))

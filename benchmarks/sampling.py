"""Tokens per second through a rollout server, against the same vLLM engine called directly."""

import asyncio
import sys
import time
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
)
from rl.chat import encode
from rl.config import Recipe
from rl.engine import Engine, Sampling
from rl.server import server_command
from rl.tasks import Tasks

AIM = 0.9


def sampling(repeats: int) -> Result:
    """One step's answers, as the loop asks for them: short ones, and long and unequal ones."""
    result = Result("sampling")
    for name, path in (("short", SHORT), ("long", LONG)):
        with scratch_directory() as scratch:
            recipe = recipe_of(path)
            model = starting_policy(recipe, scratch)
            ours, baseline, note = _measure(recipe, model, scratch, repeats)
            result.rows.append(
                Row(f"sampling, {name} answers", "tokens/s", ours, baseline, True, AIM)
            )
            result.notes.append(f"sampling, {name} answers: {note}")
    return result


def _measure(
    recipe: Recipe, model: str, scratch: Path, repeats: int
) -> tuple[list[float], list[float], str]:
    """Tokens per second of both sides, and how many tokens that were."""
    request = _request(recipe, model)
    argv, environment = server_command(model, recipe, 0, API_KEY)
    direct = [sys.executable, "-m", "benchmarks.offline", *argv[3:]]
    counts: dict[str, int] = {}
    with (
        asyncio.Runner() as runner,
        serving(model, recipe, scratch) as url,
        Helper(direct, scratch / "offline.log", environment) as helper,
    ):
        engine = runner.run(_connect(url, recipe))

        def ours() -> float:
            begin = time.perf_counter()
            counts["through the server"] = runner.run(_sample(engine, request))
            return counts["through the server"] / (time.perf_counter() - begin)

        def baseline() -> float:
            answer = helper.ask(request)
            counts["directly"] = answer["tokens"]
            return answer["tokens"] / answer["seconds"]

        try:
            first, second = interleave(ours, baseline, repeats)
        finally:
            runner.run(engine.__aexit__())
    return first, second, ", ".join(f"{n:,} tokens {how}" for how, n in counts.items())


def _request(recipe: Recipe, model: str) -> dict[str, Any]:
    tokenizer = AutoTokenizer.from_pretrained(model)
    drawn = Tasks(recipe).step(1)
    rollout = recipe.rollout
    return {
        "prompts": [encode(tokenizer, d.task) for d in drawn],
        "seeds": [d.seed for d in drawn],
        "sampling": [rollout.max_new_tokens, rollout.temperature, recipe.group_size],
    }


async def _connect(url: str, recipe: Recipe) -> Engine:
    engine = await Engine([url], API_KEY, recipe).__aenter__()
    await engine.wait_ready(recipe.engine.start_deadline_s)
    return engine


async def _sample(engine: Engine, request: dict[str, Any]) -> int:
    """Tokens sampled."""
    how = Sampling(*request["sampling"])
    found = engine.sample(request["prompts"], request["seeds"], how)
    return sum([len(answer.tokens) async for _, group in found for answer in group])

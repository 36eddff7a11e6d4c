"""Tokens per second through the rollout servers, against the same vLLM engines called directly."""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
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
from rl.chat import encode
from rl.recipe.config import Recipe
from rl.sampling.engine import Engine, Sampling
from rl.sampling.server import server_command
from rl.tasks import Tasks

AIM = 0.9


def sampling(repeats: int) -> Result:
    """One step's answers, as the loop asks for them: short ones, and long and unequal ones."""
    result = Result("sampling")
    for name, path in (("short", SHORT), ("long", LONG)):
        with scratch_directory() as scratch:
            recipe = recipe_of(path)
            model = starting_policy(recipe, scratch)
            ours, baseline, note = measure(recipe, model, scratch, repeats)
            what = f"sampling, {name} answers"
            result.rows.append(Row(what, "tokens/s", ours, baseline, True, AIM))
            result.notes.append(f"{what}: {note}")
    return result


def measure(
    recipe: Recipe, model: str, scratch: Path, repeats: int
) -> tuple[list[float], list[float], str]:
    """Tokens per second of both sides, and how many tokens that were."""
    request = request_of(recipe, model)
    count = recipe.engine.servers
    argv, environment = server_command(model, recipe, 0, API_KEY)
    direct = [sys.executable, "-m", "benchmarks.offline", *argv[3:]]
    tokens: dict[str, int] = {}
    with (
        asyncio.Runner() as runner,
        serving(model, recipe, scratch) as urls,
        ExitStack() as stack,
        ThreadPoolExecutor(count) as threads,
    ):
        helpers = [
            stack.enter_context(Helper(direct, scratch / f"offline-{index}.log", environment))
            for index in range(count)
        ]
        engine = runner.run(_connect(urls, recipe))
        stack.callback(lambda: runner.run(engine.__aexit__()))

        def ours() -> float:
            return rate("through the servers", lambda: runner.run(_sample(engine, request)))

        def baseline() -> float:
            def both() -> int:
                shares = [share(request, index, count) for index in range(count)]
                return sum(threads.map(lambda helper, part: helper.ask(part), helpers, shares))

            return rate("directly", both)

        def rate(how: str, sample: Any) -> float:
            seconds = timed(lambda: tokens.update({how: sample()}))
            return tokens[how] / seconds

        first, second = interleave(ours, baseline, repeats)
    return first, second, ", ".join(f"{n:,} tokens {how}" for how, n in tokens.items())


def request_of(recipe: Recipe, model: str) -> dict[str, Any]:
    """What one step asks for."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    drawn = Tasks(recipe).step(1)
    return {
        "prompts": [encode(tokenizer, d.task) for d in drawn],
        "seeds": [d.seed for d in drawn],
        "max_tokens": recipe.rollout.max_new_tokens,
        "temperature": recipe.rollout.temperature,
        "n": recipe.group_size,
    }


def share(request: dict[str, Any], index: int, count: int) -> dict[str, Any]:
    """What one of `count` engines gets of a request, as rl/sampling/engine.py shares it out."""
    own = {key: request[key][index::count] for key in ("prompts", "seeds")}
    return {**request, **own}


async def _connect(urls: list[str], recipe: Recipe) -> Engine:
    engine = await Engine(urls, API_KEY, recipe).__aenter__()
    await engine.wait_ready(recipe.engine.start_deadline_s)
    return engine


async def _sample(engine: Engine, request: dict[str, Any]) -> int:
    """Tokens sampled."""
    how = Sampling(request["max_tokens"], request["temperature"], request["n"])
    found = engine.sample(request["prompts"], request["seeds"], how)
    return sum([len(answer.tokens) async for _, group in found for answer in group])

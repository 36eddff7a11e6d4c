"""python -m tests.loop.plain MODE RUN_DIR URL: a run on a server that is there already.

MODE `train` runs the loop of rl/train.py. `plain` is the same without any of its machinery: sample,
learn and publish in turn, everything in one thread; it writes the same rows.
"""

import argparse
import asyncio
import os
import sys
from pathlib import Path

from rl.events import Events
from rl.learner.batch import pack
from rl.metrics import step_row
from rl.recipe.load import read_resolved
from rl.record import RunDirectory
from rl.run import wired
from rl.sampling.engine import Sampling
from rl.train import Run, publish, train


async def plain(run: Run) -> None:
    recipe = run.recipe
    sampling = Sampling(recipe.rollout.max_new_tokens, 1.0, recipe.group_size)
    await publish(run)
    for step in range(1, recipe.steps + 1):
        groups = await run.rollouts.groups(run.tasks.step(step), sampling, f"step {step}")
        packed = pack(groups, recipe)
        update = run.learner.update(packed.batch)
        agreement = await publish(run)
        row = step_row(step, groups, [], packed, update, agreement)
        run.directory.append("metrics.jsonl", [row])


async def main() -> None:
    mode, run_dir, url = sys.argv[1:]
    os.environ.update(RANK="0", WORLD_SIZE="1")
    directory = RunDirectory(Path(run_dir))
    recipe = read_resolved(directory.path / "recipe.yaml")
    arguments = argparse.Namespace(model=recipe.model, servers=[url])
    events = Events(os.open(os.devnull, os.O_WRONLY))
    async with wired(arguments, directory, recipe, events) as run:
        first = {name: weight.clone() for name, weight in run.learner.weights()}
        await {"plain": plain, "train": train}[mode](run)
        await run.publisher.publish(first.items(), 0)  # for those who share the server


if __name__ == "__main__":
    asyncio.run(main())

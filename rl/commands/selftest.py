"""What `assay doctor` runs in the place of the loop, on a real server and a real learner."""

import dataclasses
import time

import torch

from rl.commands.doctor import NOTHING, SERVER, VERIFIER, WEIGHTS
from rl.learner.batch import pack
from rl.sampling.engine import Sampling
from rl.train import Run, publish
from rl.types import Group

MAX_KL = 1e-4  # nats per token, float32 or better; bfloat16 is noisier
MAX_KL_BFLOAT16 = 1e-2


async def selftest(run: Run) -> None:
    """Check sampling, weight updates and the update with learning rate 0.

    Tells each finding to the supervisor as soon as it is known: an error ends the checks.
    """
    sampling = Sampling(run.recipe.rollout.max_new_tokens, 1.0, run.recipe.group_size)
    begin = time.perf_counter()
    groups = await run.rollouts.groups(run.tasks.step(1), sampling, "first answers")
    took = time.perf_counter() - begin
    members = [g for group in groups for g in group]
    sampled = sum(len(g.rollout.completion.tokens) for g in members)
    run.events.item(SERVER, sampled > 0, f"{len(members)} answers, {sampled} tokens, {took:.1f} s")
    verdicts = {str(g.verdict.outcome) for g in members}
    run.events.item(VERIFIER, "broken" not in verdicts, ", ".join(sorted(verdicts)))
    await _arrives(run)
    await _nothing(run, groups)


async def _arrives(run: Run) -> None:
    """Other weights must change what the server says, the old ones must bring it back."""
    agreement = await publish(run)
    before = await run.engine.score(run.probe)
    weights = {name: tensor.clone() for name, tensor in run.learner.weights()}
    other = [(name, tensor * 1.05) for name, tensor in weights.items()]
    await run.publisher.publish(iter(other), run.learner.version + 1)
    changed = await run.engine.score(run.probe)
    await run.publisher.publish(iter(weights.items()), run.learner.version)
    after = await run.engine.score(run.probe)
    ok = all(b != c and b == a for b, c, a in zip(before, changed, after, strict=True))
    run.events.item(WEIGHTS, ok, f"server and learner agree within {agreement:.1e} nats per token")


async def _nothing(run: Run, groups: list[Group]) -> None:
    """Two updates at rate 0 with rewards made up so that there is a gradient."""
    before = {name: tensor.clone() for name, tensor in run.learner.weights()}
    first = run.learner.update(pack(_with_signal(groups), run.recipe).batch)
    await publish(run)
    sampling = Sampling(run.recipe.rollout.max_new_tokens, 1.0, run.recipe.group_size)
    again = await run.rollouts.groups(run.tasks.step(2), sampling, "second answers")
    second = run.learner.update(pack(_with_signal(again), run.recipe).batch)
    same = all(torch.equal(before[name], tensor) for name, tensor in run.learner.weights())
    limit = MAX_KL if run.recipe.learner.dtype == "float32" else MAX_KL_BFLOAT16
    quiet = max(first.mismatch_kl, second.mismatch_kl) <= limit
    run.events.item(
        NOTHING,
        same and quiet and first.grad_norm > 0,
        f"weights {'equal' if same else 'DIFFER'}, KL {first.mismatch_kl:.1e} then "
        f"{second.mismatch_kl:.1e}, gradient norm {first.grad_norm:.2g}",
    )


def _with_signal(groups: list[Group]) -> list[Group]:
    return [
        [dataclasses.replace(graded, reward=float(i % 2)) for i, graded in enumerate(group)]
        for group in groups
    ]

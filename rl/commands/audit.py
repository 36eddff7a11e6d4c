"""`assay audit RUN`: judge every stored answer again, with the verifiers of today."""

import asyncio
import json
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from envs.base import Env, EnvError, Task
from envs.registry import job, make_env, task_of
from rl.errors import UserError
from rl.judging import verifier_pool
from rl.progress import printable
from rl.recipe.config import Recipe
from rl.recipe.load import read_resolved
from rl.record import RunDirectory
from rl.types import Stop
from verifiers.attack.report import short
from verifiers.pool import VerifierPool, VerifierStartError
from verifiers.verdict import Verdict

IN_FLIGHT = 64  # answers being judged or waiting for it
SHOWN = 20  # changes that are printed; audit.jsonl has all
CHANGED = 1  # exit code when any verdict is another one today


class Sample(NamedTuple):
    """A stored answer, and what was said about it then."""

    id: str
    env: str
    options: dict[str, Any]
    task: Task
    response: str
    then: Verdict


def audit(run_dir: Path) -> int:
    """Judge the answers in samples.jsonl again, write what changed to audit.jsonl, print the count.

    Raises:
        UserError: this is no run directory, or its environments are no longer there.
    """
    if not (run_dir / "recipe.yaml").is_file():
        raise UserError(f"{run_dir} is no run directory: it holds no recipe.yaml")
    recipe = read_resolved(run_dir / "recipe.yaml")
    try:
        changes, counts = asyncio.run(_audit(run_dir, recipe))
    except (EnvError, VerifierStartError) as error:
        raise UserError(f"{run_dir} cannot be audited: {error}") from error
    text = "".join(json.dumps(change, ensure_ascii=False) + "\n" for change in changes)
    RunDirectory(run_dir).write_text("audit.jsonl", text)
    print_changes(changes, counts)
    print(run_dir / "audit.jsonl")
    return CHANGED if changes else 0


def print_changes(changes: Sequence[dict[str, Any]], counts: "Counter[str]") -> None:
    """The first few, then how many there are of each kind."""
    for change in changes[:SHOWN]:
        print(printable(_line(change)))
    if len(changes) > SHOWN:
        print(f"... and {len(changes) - SHOWN} more")
    judged, skipped = counts["judged"], counts["skipped"]
    left_out = f", {skipped} left out (no answer was sampled)" if skipped else ""
    print(f"{judged:,} answers judged again{left_out}: {len(changes):,} verdicts changed")
    for (then, now), count in sorted(_kinds(changes).items()):
        print(f"    {count:6,}  {then} -> {now}")


async def _audit(run_dir: Path, recipe: Recipe) -> tuple[list[dict[str, Any]], Counter[str]]:
    counts: Counter[str] = Counter()
    changes: list[dict[str, Any]] = []
    async with verifier_pool(recipe, run_dir / "logs" / "audit.log") as pool:
        async for sample, now in judged_again(pool, read_samples(run_dir, counts)):
            counts["judged"] += 1
            if change := change_of(sample, now):
                changes.append(change)
    return changes, counts


def change_of(sample: Sample, now: Verdict) -> dict[str, Any] | None:
    """What is written down where today's verdict is another one; None where it is not."""
    then = sample.then
    if (then.outcome, then.score) == (now.outcome, now.score):
        return None
    found = {"id": sample.id, "env": sample.env, "response": short(sample.response, 500)}
    return {**found, "then": then.to_json(), "now": now.to_json()}


async def judged_again(
    pool: VerifierPool, samples: Iterable[Sample]
) -> AsyncIterator[tuple[Sample, Verdict]]:
    """The samples in their order, each with its verdict; only IN_FLIGHT of them in memory."""
    waiting: deque[tuple[Sample, asyncio.Task[Verdict]]] = deque()
    envs: dict[str, Env] = {}
    try:
        for sample in samples:
            key = json.dumps([sample.env, sample.options], sort_keys=True)
            env = envs.get(key) or envs.setdefault(key, make_env(sample.env, sample.options))
            canary = sample.id.startswith("canary/")
            one = job(sample.env, sample.options, sample.task, sample.response)
            solution = None if canary else _solution(env, sample)
            control = None if solution is None else one | {"response": solution}
            waiting.append((sample, asyncio.create_task(pool.verify(one, control))))
            if len(waiting) == IN_FLIGHT:
                first, verdict = waiting.popleft()
                yield first, await verdict
        while waiting:
            first, verdict = waiting.popleft()
            yield first, await verdict
    finally:  # a line that is no sample ends the audit while others are being judged
        for _, verdict in waiting:
            verdict.cancel()
        await asyncio.gather(*(verdict for _, verdict in waiting), return_exceptions=True)


def _solution(env: Env, sample: Sample) -> str | None:
    """Its task's reference solution; None where the environment has none.

    Raises:
        EnvError: the environment cannot solve it, most likely since it was changed.
    """
    try:
        return env.solve(sample.task)
    except Exception as error:  # an author's class may raise anything
        raise EnvError(
            f"'{sample.env}' no longer solves the stored task of {sample.id} "
            f"({type(error).__name__}: {error}): audit with the version of it that sampled the run"
        ) from error


def read_samples(run_dir: Path, counts: "Counter[str]") -> Iterator[Sample]:
    """The answers of a run, without those that the engine did not finish, which are counted.

    Raises:
        UserError: a line is no sample.
    """
    file = run_dir / "samples.jsonl"
    if not file.exists():
        raise UserError(f"{run_dir} has no samples.jsonl yet: let the run go on to its first step")
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith("\n"):
                return  # the run was killed while it wrote this one
            try:
                row = json.loads(line)
                if row["stop"] == Stop.FAILED:
                    counts["skipped"] += 1
                    continue
                yield sample_of(row)
            except (KeyError, TypeError, ValueError) as error:
                raise UserError(f"{file}, line {number} is no sample: {error!r}") from error


def sample_of(row: dict[str, Any]) -> Sample:
    """Raises KeyError, TypeError or ValueError where a row is no sample."""
    verdict = Verdict.from_json(row["verdict"])
    task = task_of(row)
    return Sample(row["id"], row["env"], row["options"], task, row["response"], verdict)


def _line(change: dict[str, Any]) -> str:
    then, now = change["then"], change["now"]
    why = now["detail"] or then["detail"]
    return (
        f"{change['id']}  {then['outcome']} -> {now['outcome']}  ({then['verifier']} -> "
        f"{now['verifier']})  {short(why)}  {short(change['response'][-60:])}"
    )


def _kinds(changes: Sequence[dict[str, Any]]) -> "Counter[tuple[str, str]]":
    return Counter((x["then"]["outcome"], x["now"]["outcome"]) for x in changes)

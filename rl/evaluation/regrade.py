"""`assay eval --regrade`: today's verifiers on stored answers, and what they see differently."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from envs.base import EnvError
from rl.commands.audit import CHANGED, change_of, judged_again, print_changes, sample_of
from rl.errors import UserError
from rl.evaluation.contamination import Contamination, met_json
from rl.evaluation.store import ANSWERS, SETTINGS, Store, answers
from rl.evaluation.table import SUMMARY, Evaluated, show, write_summary
from rl.judging import verifier_pool
from rl.progress import Progress
from rl.recipe.config import Recipe
from rl.recipe.load import read_resolved
from rl.supervisor import locked
from rl.types import Stop
from verifiers.pool import VerifierStartError
from verifiers.verdict import Outcome, Verdict

LIST = "regrade.jsonl"

Row = dict[str, Any]


def regrade(directory: Path) -> int:
    """Judge every stored answer of an evaluation again, and put today's verdicts in place.

    A row whose verdict changes keeps the earlier ones under `verdicts_before`; regrade.jsonl lists
    what changed this time. Exit code 0: nothing, 1: something.

    Raises:
        UserError: no evaluation, environments that are gone, or so many broken verdicts that it is
            today's verifier that fails: then nothing is replaced.
    """
    directory = directory.resolve()
    found = [path.parent for path in sorted(directory.glob(f"*/{SETTINGS}"))]
    if (directory / SETTINGS).exists():
        found = [directory]
    if not found:
        raise UserError(
            f"{directory} holds no evaluation: give the directory that `assay eval` printed last, "
            "or one of those in it"
        )
    out = directory if (directory / SUMMARY).exists() else directory.parent
    summary = _read_summary(out)
    results = []
    with Progress(0) as progress:
        try:
            for path in found:
                results.append(_one(path, progress))
        finally:  # those before one that cannot be regraded have other scores now
            _renew_summary(out, summary, progress)
        scored = [evaluated for evaluated, _ in results if evaluated is not None]
        if scored:
            show(scored, progress)
        progress.say(str(directory))
    return CHANGED if any(changed for _, changed in results) else 0


def _one(path: Path, progress: Progress) -> tuple[Evaluated | None, int]:
    """The evaluation with today's verdicts, None where it is not complete; and how many changed."""
    store = Store(path)
    with locked(path):
        settings = store.settings()
        assert settings is not None
        recipe = read_resolved(path / "recipe.yaml")
        store.mend()
        rows = list(store.rows())
        if not rows:
            raise UserError(f"{path} holds no answers to judge again")
        progress.say(f"{path.name}: judging {len(rows):,} answers again")
        try:
            changes, counts = asyncio.run(_judge(rows, recipe, path / "logs" / "regrade.log"))
        except (EnvError, VerifierStartError) as error:
            raise UserError(f"{path} cannot be regraded: {error}") from error
        _refuse_broken(changes, len(rows), recipe, path)
        store.write_rows(LIST, changes)
        print_changes(changes, counts)
        if not store.complete:
            store.write_rows(ANSWERS, rows)
            progress.say("    it is not complete: the command that began it goes on with it")
            return None, len(changes)
        store.replace(rows)
        store.finish(settings)
        return _stored(path), len(changes)


class Summary(NamedTuple):
    """What stays of an evaluation.json when its scores are others."""

    directories: list[str]
    met: dict[str, Contamination]  # by name


def _read_summary(out: Path) -> Summary | None:
    """None where there is no evaluation.json.

    Raises:
        UserError: it is damaged.
    """
    file = out / SUMMARY
    if not file.exists():
        return None
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        met = {name: Contamination.from_json(x) for name, x in found["contamination"].items()}
        return Summary([Path(one["directory"]).name for one in found["evaluated"]], met)
    except (OSError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise UserError(
            f"{file} is not what `assay eval` writes ({error!r}): delete it, and give the command "
            "that began the evaluation once more, which writes it and samples nothing again"
        ) from error


def _renew_summary(out: Path, before: Summary | None, progress: Progress) -> None:
    """Bring evaluation.json, where there is one, to what the models in it now score."""
    if before is None:
        return
    complete = [name for name in before.directories if Store(out / name).complete]
    for name in before.directories:
        if name not in complete:
            progress.say(f"{name} is not complete, and left out of {SUMMARY} until it is")
    now = [_stored(out / name) for name in complete]
    met = {x.name: met_json(x.answers, before.met[x.name]) for x in now if x.name in before.met}
    write_summary(out, now, met)


def _stored(path: Path) -> Evaluated:
    store = Store(path)
    settings = store.settings()
    assert settings is not None
    return Evaluated(
        path.name, path, settings, store.scores(), answers(list(store.rows()), settings)
    )


async def _judge(rows: list[Row], recipe: Recipe, log: Path) -> tuple[list[Row], Counter[str]]:
    """Put today's verdicts into the rows; what changed."""
    counts: Counter[str] = Counter()
    changes = []
    sampled = [row for row in rows if row["stop"] != Stop.FAILED]
    counts["skipped"] = len(rows) - len(sampled)
    async with verifier_pool(recipe, log) as pool:
        waiting = iter(sampled)
        async for sample, now in judged_again(pool, map(sample_of, sampled)):
            row = next(waiting)
            counts["judged"] += 1
            change = change_of(sample, now)
            if change is not None:
                changes.append(change)
            if change is not None or now.answer != sample.then.answer:  # majority@k compares these
                _put(row, now)
    return changes, counts


def _put(row: Row, now: Verdict) -> None:
    row["verdicts_before"] = [*row.get("verdicts_before", []), row["verdict"]]
    row["verdict"] = now.to_json()


def _refuse_broken(changes: list[Row], total: int, recipe: Recipe, path: Path) -> None:
    broken = [x for x in changes if x["now"]["outcome"] == Outcome.BROKEN]
    allowed = recipe.alarms.broken_fraction
    if len(broken) > allowed * total:
        raise UserError(
            f"{path}: today's verifier fails on {len(broken)} of {total} answers that had a "
            f"verdict, for example: {broken[0]['now']['detail']}. Nothing was replaced; "
            f"alarms.broken_fraction={allowed} is put up with"
        )

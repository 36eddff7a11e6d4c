"""Where scores come from: a run's evaluations, what `assay eval` wrote, a table of models."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rl.density.density import BITS, Scored
from rl.density.table import ALL, read_rows
from rl.errors import UserError
from rl.evaluation.settings import env_labels, label_key
from rl.evaluation.statistics import Estimate
from rl.policy.model_files import count_parameters
from rl.record import RunDirectory

STEP = re.compile(r"-?step-\d+.*")


def read_scored(where: Path) -> list[Scored]:
    """The scores in a run directory, what `assay eval` wrote, or a CSV file.

    A run has one of each kind of task for every evaluation, an evaluation one of each; a CSV file
    has a row for each, with the columns parameters and score, and as may be name, env, score_low,
    score_high, mean_tokens, variant, date.

    Raises:
        UserError: it is none of these, or damaged.
    """
    if where.is_file():
        return list(_of_table(where))
    try:
        evaluations = sorted([*where.glob("scores.json"), *where.glob("*/scores.json")])
        if evaluations:
            found = [scored for file in evaluations for scored in _of_evaluation(file.parent)]
            return sorted(found, key=lambda s: (s.name, s.step or 0))
        if (where / "evals.jsonl").is_file():
            return list(_of_run(where))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{where} cannot be read: {error!r}") from error
    raise UserError(
        f"{where} holds no scores: give a run directory with evaluations (evals.jsonl), a "
        "directory that `assay eval` wrote (scores.json), or a CSV file"
    )


def _of_run(run_dir: Path) -> Iterator[Scored]:
    run = RunDirectory(run_dir)
    parameters = run.n_parameters()
    lengths = _mean_tokens(run_dir / "samples.jsonl")
    for row in run.rows("evals.jsonl"):
        for env, score in {ALL: row["avg_at_k"], **row["avg_by_env"]}.items():
            tokens = row["mean_tokens"] if env == ALL else lengths.get((row["step"], env))
            yield Scored(
                run_dir.resolve().name, env, parameters, _estimate(score), tokens, row["step"]
            )


def _mean_tokens(samples: Path) -> dict[tuple[int, str], float]:
    """Tokens per answer of a run's evaluations, by step and kind of task; empty without answers."""
    counted: dict[tuple[int, str], list[int]] = {}
    kinds: dict[str, tuple[str, dict[str, Any]]] = {}
    if not samples.exists():
        return {}
    with samples.open(encoding="utf-8") as lines:  # one by one: there may be millions
        for line in lines:
            if not line.endswith("\n"):
                break  # the run is writing it, or was killed then
            row = json.loads(line)
            if row["split"] == "test":
                key = label_key(row["env"], row["options"])
                kinds[key] = row["env"], row["options"]
                found = counted.setdefault((row["step"], key), [0, 0])
                found[0] += row["response_tokens"]
                found[1] += 1
    labels = env_labels(kinds.values())
    return {(step, labels[key]): total / n for (step, key), (total, n) in counted.items()}


def _of_evaluation(directory: Path) -> Iterator[Scored]:
    settings = json.loads((directory / "settings.json").read_text(encoding="utf-8"))
    scores = json.loads((directory / "scores.json").read_text(encoding="utf-8"))
    parameters = settings["parameters"] or count_parameters(Path(settings["checkpoint"]))
    if not parameters:
        raise UserError(
            f"{directory}: how many parameters '{settings['checkpoint']}' has is not known, and "
            "without that there is no density: put the scores into a CSV file that says so"
        )
    _check_variant(str(directory / "settings.json"), settings["variant"])
    # A checkpoint's directory is called by its step: what tells runs apart is before that.
    name = STEP.sub("", directory.resolve().name.removesuffix(f"-{settings['variant']}"))
    name = name or directory.resolve().parent.name
    for env, found in {ALL: scores["all"], **scores["by_env"]}.items():
        yield Scored(
            name=name,
            env=env,
            parameters=parameters,
            score=_estimate(found["avg_at_k"]),
            mean_tokens=found["mean_tokens"]["value"],
            step=settings["step"],
            variant=settings["variant"],
        )


def _of_table(file: Path) -> Iterator[Scored]:
    for row in read_rows(file, ["parameters", "score"]):
        score = row.score()
        if score is None:
            raise UserError(f"{row.where}: score is empty, and needed")
        variant = row.text("variant") or None
        _check_variant(row.where, variant)
        yield Scored(
            name=row.text("name"),
            env=row.text("env", ALL),
            parameters=int(row.needed("parameters", 1)),
            score=score,
            mean_tokens=row.number("mean_tokens"),
            variant=variant,
            date=row.text("date"),
        )


def _check_variant(where: str, variant: Any) -> None:
    if variant not in BITS:
        known = ", ".join(str(name) for name in BITS if name)
        raise UserError(f"{where}: variant '{variant}' is not known; there are {known}, or none")


def _estimate(found: dict[str, float]) -> Estimate:
    return Estimate(float(found["value"]), float(found["low"]), float(found["high"]))

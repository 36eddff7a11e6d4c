"""What an evaluation ends in: a table for people, plain sentences, and the same as JSON."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.table import Table
from rich.text import Text

from rl.evaluation.compare import Comparison, compare, judged_in_common
from rl.evaluation.scores import Answer
from rl.evaluation.settings import Settings
from rl.progress import Progress, how_many, printable
from rl.record import RunDirectory

SUMMARY = "evaluation.json"


class Evaluated(NamedTuple):
    """One model's results."""

    name: str
    directory: Path
    settings: Settings
    scores: dict[str, Any]  # scores.json
    answers: list[Answer]


def show(evaluated: Sequence[Evaluated], progress: Progress) -> None:
    """The table, then who is better than whom; for each set of problems and samples of its own."""
    for alike in _alike(evaluated):
        progress.show(table(alike))
    for one in evaluated:
        if said := _left_out(one):
            progress.say(said)
    for found in comparisons(evaluated):
        progress.say(found.sentence)


def _alike(evaluated: Sequence[Evaluated]) -> list[list[Evaluated]]:
    """Those that were asked the same: what one command evaluates is, what a directory holds may
    not be."""
    found: dict[str, list[Evaluated]] = {}
    for one in evaluated:
        settings = one.settings
        asked = [settings.envs, settings.draw, settings.problems, settings.sampling]
        found.setdefault(json.dumps(asked, sort_keys=True), []).append(one)
    return list(found.values())


def table(evaluated: Sequence[Evaluated]) -> Table:
    """A row for each model, and one for each of its environments where there are several."""
    first = evaluated[0].scores["all"]
    k, problems = first["samples"], first["problems"]
    result = Table(
        title=f"{how_many(problems, 'problem')}, {how_many(k, 'answer')} each; 95 % intervals"
    )
    result.add_column("", overflow="fold", min_width=min(30, max(len(x.name) for x in evaluated)))
    columns = [f"avg@{k}", *(["pass@1"] if k == 1 else [f"pass@{k}", f"pass^{k}", f"maj@{k}"])]
    for column in [*columns, "tokens", "cut off", "broken"]:
        result.add_column(column, justify="right")
    for one in evaluated:
        result.add_row(_shown(one.name), *_cells(one.scores["all"], k))
        by_env = one.scores["by_env"]
        if len(by_env) > 1:
            for name, scores in by_env.items():
                result.add_row(_shown(f"  {name}"), *_cells(scores, k))
    return result


def _left_out(one: Evaluated) -> str | None:
    """Which problems are not in the figures with the largest k."""
    found = one.scores["all"]
    k, problems = found["samples"], found["problems"]
    # Scores from before 0.4 was finished do not say.
    counted = found.get("problems_at_k", {str(k): problems}).get(str(k), 0)
    if counted == problems:
        return None
    return (
        f"{one.name}: pass@{k} and pass^{k} are over {counted:,} of {problems:,} problems; the "
        "others have broken verdicts, which count neither way (scores.json: problems_at_k)"
    )


def _shown(name: str) -> Text:
    """Of a directory, or an environment's options: never markup."""
    return Text(printable(name))


def _cells(scores: dict[str, Any], k: int) -> Iterator[str]:
    yield _estimate(scores["avg_at_k"])
    yield _estimate(scores["pass_at_k"].get(str(k)))
    if k > 1:
        yield _estimate(scores["pass_hat_k"].get(str(k)))
        yield _estimate(scores["majority_at_k"])
    tokens = scores["mean_tokens"]
    high = "" if tokens["high"] is None else f"{tokens['high']:.0f}"
    yield f"{tokens['value']:.0f} [{tokens['low']:.0f}, {high}]"
    yield f"{scores['truncated_fraction']:.1%}"
    yield str(scores["broken"])


def _estimate(found: dict[str, float] | None) -> str:
    return (
        "-" if found is None else f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"
    )


def comparisons(evaluated: Sequence[Evaluated]) -> list[Comparison]:
    """Of each model with the first one, and of each quantised variant with what it was made of;
    among those that were asked the same."""
    return [found for alike in _alike(evaluated) for found in _compared(alike)]


def _compared(evaluated: Sequence[Evaluated]) -> Iterator[Comparison]:
    plain = {one.settings.identity: one for one in evaluated if one.settings.variant is None}
    for one in evaluated[1:]:
        origin = plain.get(one.settings.identity) if one.settings.variant else None
        other = origin or evaluated[0]
        if judged_in_common(other.answers, one.answers):  # else the table says what is broken
            yield compare(other.answers, one.answers, names=(other.name, one.name))


def write_summary(
    out: Path, evaluated: Sequence[Evaluated], met: dict[str, dict[str, Any]]
) -> None:
    """SUMMARY: settings and scores of every model of this command, how they compare, and
    which problems had been `met` in training."""
    content = {
        "evaluated": [
            {
                "name": one.name,
                "directory": one.directory.name,
                "settings": {k: v for k, v in one.settings.to_json().items() if k != "versions"},
                "scores": one.scores,
            }
            for one in evaluated
        ],
        "comparisons": [found.to_json() for found in comparisons(evaluated)],
        "contamination": met,
    }
    RunDirectory(out).write_json(SUMMARY, content)

"""A run directory as the report and the terminal view read it, finished or under way."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rl.errors import UserError

Row = dict[str, Any]


@dataclass(frozen=True)
class RunFiles:
    """What a run has written so far."""

    path: Path
    name: str  # what to call it: its directory's
    recipe: Row
    metrics: list[Row]
    evals: list[Row]
    summary: Row | None  # None: it is not complete
    sessions: list[Row]
    density: Row | None  # None: `assay density` was not run on it


def read_run(path: Path) -> RunFiles:
    """Raises UserError where this is no run directory, or a file of it is not what it should be."""
    recipe_file = path / "recipe.yaml"
    if not recipe_file.exists():
        raise UserError(f"{path} is no run directory: it holds no recipe.yaml")
    try:
        recipe = yaml.safe_load(recipe_file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{recipe_file} cannot be read as YAML ({error})") from error
    if not isinstance(recipe, dict):
        raise UserError(f"{recipe_file} holds no recipe: a mapping is expected")
    return RunFiles(
        path=path,
        name=path.resolve().name,
        recipe=recipe,
        metrics=list(rows(path / "metrics.jsonl")),
        evals=list(rows(path / "evals.jsonl")),
        summary=read_json(path / "summary.json", dict),
        sessions=read_json(path / "sessions.json", list) or [],
        density=read_json(path / "density.json", dict),
    )


def rows(file: Path) -> Iterator[Row]:
    """The whole lines of a JSON-lines file, none where it is not there yet. A run under way may be
    in the middle of the last one.

    Raises:
        UserError: a line is not a JSON object.
    """
    if not file.exists():
        return
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if line.endswith("\n"):
                yield row_of(line, f"{file}, line {number}")


def row_of(line: str, where: str) -> Row:
    """Raises UserError where it is not a JSON object."""
    try:
        row = json.loads(line)
    except ValueError as error:
        raise UserError(f"{where} is not JSON ({error}): was it edited?") from error
    if not isinstance(row, dict):
        raise UserError(f"{where} holds {line[:40].strip()!r}, and an object is expected")
    return row


def read_json(file: Path, kind: type) -> Any:
    """The content of a file of JSON; None where it is not there.

    Raises:
        UserError: it is no JSON, or not of this kind.
    """
    if not file.exists():
        return None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{file} is not JSON ({error}): was it edited?") from error
    if not isinstance(content, kind):
        raise UserError(f"{file} is not what a run writes: was it edited?")
    return content


def number_at(row: Row, path: str) -> float | None:
    """The number at a dotted path such as `pace.servers_idle_fraction`; None: there is none."""
    value: Any = row
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None

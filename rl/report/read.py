"""A run directory as the report and the terminal view read it, finished or under way."""

import contextlib
import json
import math
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
    sessions: list[Row]
    density: Row | None  # None: `assay density` was not run on it
    scaling: Row | None  # None: `assay scaling` was not run on it, or had too little curve

    @property
    def steps(self) -> int:
        """That it was to make."""
        steps = self.recipe.get("steps")
        return steps if type(steps) is int else 0


def read_run(path: Path) -> RunFiles:
    """Raises UserError where this is no run directory, or a file of it is not what it should be."""
    recipe_file = path / "recipe.yaml"
    if not recipe_file.is_file():
        raise UserError(f"{path} is no run directory: it holds no recipe.yaml")
    try:
        recipe = yaml.safe_load(recipe_file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{recipe_file} cannot be read as YAML ({error})") from error
    if not isinstance(recipe, dict):
        raise UserError(f"{recipe_file} holds no recipe: a mapping is expected")
    return RunFiles(
        path=path,
        name=path.resolve().name,
        recipe=recipe,
        metrics=list(rows(path / "metrics.jsonl")),
        evals=list(rows(path / "evals.jsonl")),
        sessions=read_json(path / "sessions.json", list) or [],
        density=read_json(path / "density.json", dict),
        scaling=read_json(path / "scaling.json", dict),
    )


@contextlib.contextmanager
def reading(where: object, what: str) -> Iterator[None]:
    """Whoever takes data of a file apart does it in here.

    Raises:
        UserError: the data at `where` are not `what` they should be.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UserError(f"{where} is no {what} ({error!r}): was it edited?") from error


def rows(file: Path) -> Iterator[Row]:
    """The whole lines of a JSON-lines file with a row for each step, none where it is not there
    yet. A run under way may be in the middle of the last one.

    Raises:
        UserError: a line is not a JSON object with a step.
    """
    if not file.exists():
        return
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.endswith(b"\n"):
                yield row_of(line, f"{file}, line {number}")


def row_of(line: bytes, where: str) -> Row:
    """Raises UserError where it is not a JSON object with the number of a step."""
    try:
        row = json.loads(line.decode())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where} is not JSON ({error}): was it edited?") from error
    if not isinstance(row, dict) or type(row.get("step")) is not int:
        raise UserError(
            f"{where} holds {line[:40].strip()!r}, and an object with a step is expected"
        )
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
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file} is not JSON ({error}): was it edited?") from error
    if not isinstance(content, kind):
        raise UserError(f"{file} is not what a run writes: was it edited?")
    return content


def number_at(row: Row, path: str) -> float | None:
    """The number at a dotted path such as `pace.servers_idle_fraction`; None: there is none, or
    none that is finite."""
    value: Any = row
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return value if abs(value) < 1e300 and math.isfinite(value) else None

"""The run directory: everything a run knows about itself, in files a person can read.

recipe.yaml      the resolved recipe          versions.json   of everything installed
metrics.jsonl    one line per step            samples.jsonl   one line per sampled answer
evals.jsonl      one line per evaluation      summary.json    before, after, cost
logs/            of every child process       checkpoints/    step-000050/ ...
tensorboard/     the metrics once more
"""

import json
import math
import os
import shutil
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from rl.config import Recipe
from rl.errors import UserError


class RunDirectory:
    """Appends to the files of one run; `rewind` first drops what a resumed run will do again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.logs = path / "logs"

    def rewind(self, step: int) -> None:
        """Drop every line about later steps than `step`, the one that training resumes after."""
        for name in ("metrics.jsonl", "samples.jsonl", "evals.jsonl"):
            file = self.path / name
            if not file.exists():
                continue
            kept = self.path / f"{name}.tmp"
            with file.open(encoding="utf-8") as old, kept.open("w", encoding="utf-8") as new:
                for line in old:
                    # Only the last line can be torn: the run was killed while writing it.
                    if line.endswith("\n") and json.loads(line)["step"] <= step:
                        new.write(line)
            kept.replace(file)
        shutil.rmtree(self.path / "tensorboard", ignore_errors=True)

    def append(self, name: str, rows: Iterable[dict[str, Any]]) -> None:
        """Add rows to a JSON-lines file; they survive the death of this process.

        Raises:
            UserError: the disk is full or not writable.
        """
        text = "".join(json.dumps(finite(row), ensure_ascii=False) + "\n" for row in rows)
        try:
            with (self.path / name).open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise UserError(
                f"{self.path / name}: cannot write ({error.strerror}): free some space and run the "
                "same command again; it resumes after the last checkpoint"
            ) from error

    def rows(self, name: str) -> list[dict[str, Any]]:
        file = self.path / name
        if not file.exists():
            return []
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]

    def evaluation(self, step: int) -> dict[str, Any] | None:
        """The row of the evaluation after `step`, if there was one."""
        return next((row for row in self.rows("evals.jsonl") if row["step"] == step), None)

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        self.write_text(name, json.dumps(finite(content), indent=2, ensure_ascii=False) + "\n")

    def write_text(self, name: str, text: str) -> None:
        """Replace a file in one go: a reader sees the old one or the new one, never half of one."""
        temporary = self.path / f"{name}.tmp"
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path / name)


def finite(value: Any) -> Any:
    """The value with null in place of the numbers that JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(x) for key, x in value.items()}
    if isinstance(value, list | tuple):
        return [finite(x) for x in value]
    return value


def versions() -> dict[str, str]:
    """Python and every installed distribution, with its version."""
    found = {d.metadata["Name"]: d.version for d in metadata.distributions()}
    return {"python": sys.version.split()[0], **dict(sorted(found.items()))}


class Trackers:
    """The metrics once more, for those who watch them elsewhere: TensorBoard, W&B, trackio."""

    def __init__(self, recipe: Recipe, run_dir: RunDirectory) -> None:
        self._writers = [_TRACKERS[name](recipe, run_dir) for name in recipe.trackers]
        for step in run_dir.rows("metrics.jsonl"):  # of a resumed run
            self.log(step)

    def log(self, row: dict[str, Any]) -> None:
        numbers = dict(_numbers(row))
        for write in self._writers:
            write(numbers, row["step"])


def _numbers(row: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, float]]:
    for key, value in row.items():
        if isinstance(value, dict):
            yield from _numbers(value, f"{prefix}{key}/")
        elif isinstance(value, int | float):
            yield prefix + key, float(value)


def _tensorboard(recipe: Recipe, run_dir: RunDirectory) -> Any:
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(run_dir.path / "tensorboard"))

    def write(numbers: dict[str, float], step: int) -> None:
        for key, value in numbers.items():
            writer.add_scalar(key, value, step)
        writer.flush()

    return write


def _hosted(name: str) -> Any:
    """W&B, and trackio which has its interface."""

    def start(recipe: Recipe, run_dir: RunDirectory) -> Any:
        try:
            module = __import__(name)
        except ImportError as error:
            raise UserError(
                f"trackers: {name} is not installed; `uv pip install {name}` into .venv, or take "
                "it out of the recipe"
            ) from error
        run = module.init(
            project="assay", name=run_dir.path.name, config=recipe.model_dump(mode="json")
        )
        return lambda numbers, step: run.log(numbers, step=step)

    return start


_TRACKERS = {"tensorboard": _tensorboard, "wandb": _hosted("wandb"), "trackio": _hosted("trackio")}

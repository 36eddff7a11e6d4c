"""The run directory: everything a run knows about itself, in files a person can read.

recipe.yaml      the resolved recipe          versions.json   of everything installed
metrics.jsonl    one line per step            samples.jsonl   one line per sampled answer
evals.jsonl      one line per evaluation      summary.json    before, after, cost
sessions.json    every start of the run, and how long it went on
logs/            of every child process       checkpoints/    step-000050/ ...
tensorboard/     the metrics once more
"""

import contextlib
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from rl.errors import UserError
from rl.recipe.config import Recipe

# What the files of a run are written as. A policy, an author's verifier or a data set can put half
# a surrogate pair into a text. UTF-8 cannot say it: it is written as \ud800, which is how JSON
# spells it, and read back as it was.
_ENCODING: Any = {"encoding": "utf-8", "errors": "backslashreplace"}


class RunDirectory:
    """Appends to the files of one run; `rewind` first drops what a resumed run will do again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.logs = path / "logs"

    def rewind(self, step: int) -> None:
        """Drop every line about later steps than `step`, the one that training resumes after.

        Answers of an evaluation go too where the run was killed before it had written the scores:
        it will be made again.
        """
        for name in ("metrics.jsonl", "evals.jsonl"):
            self._keep(name, lambda row: row["step"] <= step)
        scored = {row["step"] for row in self.rows("evals.jsonl")}
        self._keep(
            "samples.jsonl",
            lambda row: row["step"] <= step and (row["split"] != "test" or row["step"] in scored),
        )
        shutil.rmtree(self.path / "tensorboard", ignore_errors=True)

    def _keep(self, name: str, wanted: Callable[[dict[str, Any]], bool]) -> None:
        file = self.path / name
        if not file.exists():
            return
        kept = self.path / f"{name}.tmp"
        with file.open(encoding="utf-8") as old, kept.open("w", encoding="utf-8") as new:
            for line in old:
                # Only the last line can be torn: the run was killed while writing it.
                if line.endswith("\n") and wanted(json.loads(line)):
                    new.write(line)
        kept.replace(file)

    def append(self, name: str, rows: Iterable[dict[str, Any]]) -> None:
        """Add rows to a JSON-lines file; they survive the death of this process.

        Raises:
            UserError: the disk is full or not writable.
        """
        text = "".join(json.dumps(finite(row), ensure_ascii=False) + "\n" for row in rows)
        try:
            with (self.path / name).open("a", **_ENCODING) as file:
                file.write(text)
        except OSError as error:
            raise self._cannot_write(name, error) from error

    def _cannot_write(self, name: str, error: OSError) -> UserError:
        return UserError(
            f"{self.path / name}: cannot write ({error.strerror}): free some space and run the "
            "same command again; it resumes after the last checkpoint"
        )

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Rows of a JSON-lines file, without one that is being written; none without a file."""
        file = self.path / name
        if not file.exists():
            return []
        with file.open(encoding="utf-8") as lines:  # splitlines() would also split at U+2028
            return [json.loads(line) for line in lines if line.endswith("\n")]

    def evaluation(self, step: int) -> dict[str, Any] | None:
        """The row of the evaluation after `step`, if there was one."""
        return next((row for row in self.rows("evals.jsonl") if row["step"] == step), None)

    def n_parameters(self) -> int:
        """Of the run's policy, as whoever made or found it counted them.

        Raises:
            UserError: that is not known.
        """
        try:
            found = self.read_json("policy.json")["n_parameters"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{self.path / 'policy.json'} does not say how many parameters the policy has "
                f"({error!r})"
            ) from error
        if not isinstance(found, int) or found < 1:
            raise UserError(
                f"{self.path / 'policy.json'}: n_parameters is {found!r}, and must be a number of "
                "at least 1"
            )
        return found

    def read_json(self, name: str) -> Any:
        return json.loads((self.path / name).read_text(encoding="utf-8"))

    def write_json(self, name: str, content: Any) -> None:
        self.write_text(name, json.dumps(finite(content), indent=2, ensure_ascii=False) + "\n")

    def write_text(self, name: str, text: str) -> None:
        """Replace a file in one go: a reader sees the old one or the new one, never half of one.

        Raises:
            UserError: the disk is full or not writable.
        """
        temporary = self.path / f"{name}.tmp"
        try:
            with temporary.open("w", **_ENCODING) as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path / name)
        except OSError as error:
            raise self._cannot_write(name, error) from error


class Sessions:
    """How long a run has taken over all the times it was started (sessions.json).

    Use as a context manager: leaving it writes down how long the run went on this time.
    """

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory
        self._all: list[dict[str, Any]] = []
        if (directory.path / "sessions.json").exists():
            self._all = directory.read_json("sessions.json")
        if self._all and self._all[-1]["wall_s"] is None:
            # Killed without a chance to say so: it lived at least until its last step's line.
            metrics = directory.path / "metrics.jsonl"
            last = metrics.stat().st_mtime if metrics.exists() else 0.0
            self._all[-1]["wall_s"] = max(0.0, last - self._all[-1]["began"])
        self._now = {"began": time.time(), "policy_s": 0.0, "wall_s": None}
        self._all.append(self._now)
        directory.write_json("sessions.json", self._all)

    def __enter__(self) -> "Sessions":
        return self

    def __exit__(self, *_: object) -> None:
        if self._now["wall_s"] is None:
            with contextlib.suppress(UserError):  # what ended the run is what the user must hear
                self.end()

    def policy_found(self) -> None:
        """From the start to here is `policy_s`."""
        self._now["policy_s"] = time.time() - self._now["began"]

    def end(self) -> dict[str, float]:
        """Write down how long the run went on this time.

        Returns:
            `policy_s` and `wall_s`, over all the times it was started.
        """
        self._now["wall_s"] = time.time() - self._now["began"]
        self._directory.write_json("sessions.json", self._all)
        keys = ("policy_s", "wall_s")
        return {key: round(sum(session[key] for session in self._all), 3) for key in keys}


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
        # Of a resumed run, in the order of its steps: W&B refuses a step before the last one.
        written = [(row["step"], self.log, row) for row in run_dir.rows("metrics.jsonl")]
        written += [(row["step"], self.log_evaluation, row) for row in run_dir.rows("evals.jsonl")]
        for _, log, row in sorted(written, key=lambda entry: entry[0]):
            log(row)

    def log(self, row: dict[str, Any]) -> None:
        """One line of metrics.jsonl, under its own names."""
        self._write(dict(_numbers(row)), row["step"])

    def log_evaluation(self, row: dict[str, Any]) -> None:
        """One line of evals.jsonl, as eval/avg_at_k/value and so on."""
        self._write(dict(_numbers(row, "eval/")), row["step"])

    def _write(self, numbers: dict[str, float], step: int) -> None:
        for write in self._writers:
            write(numbers, step)


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

"""The directory of one evaluation: settings.json, answers.jsonl as they come in, scores.json."""

import json
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from envs.registry import find_class, job, task_of
from rl.errors import UserError
from rl.evaluation.inspect_log import Times, write_inspect_log
from rl.evaluation.scores import Answer, scores_json
from rl.evaluation.settings import Settings, label_key
from rl.record import RunDirectory, finite
from rl.tasks import Drawn
from rl.types import Stop
from verifiers.verdict import Outcome, Verdict

SETTINGS, ANSWERS, SCORES = "settings.json", "answers.jsonl", "scores.json"


class Sampled(NamedTuple):
    """An answer as it came from a server, before anybody has judged it."""

    text: str
    stop: Stop
    prompt_tokens: int
    response_tokens: int
    chunks: list[list[int]]  # start, head, tail of each; none where a server took text
    injected: list[list[int]]  # [start, end) of tokens that were put in
    failure: str = ""  # why there is none, where it FAILED and that is known


class Store:
    """Reads and adds to the answers of one evaluation."""

    def __init__(self, directory: Path) -> None:
        self.path = directory
        self._files = RunDirectory(directory)

    @property
    def complete(self) -> bool:
        return (self.path / SCORES).exists()

    def settings(self) -> Settings | None:
        """None where there are none.

        Raises:
            UserError: the file is no settings.
        """
        file = self.path / SETTINGS
        if not file.exists():
            return None
        try:
            return Settings.from_json(json.loads(file.read_text(encoding="utf-8")))
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{file} is not what `assay eval` writes ({error!r}): choose another directory "
                "with run_dir=DIR, or delete this one"
            ) from error

    def begin(self, settings: Settings) -> None:
        """Note what is going to be sampled. Scores of fewer answers than that are forgotten."""
        self._forget_scores()
        self._files.write_json(SETTINGS, settings.to_json())

    def _forget_scores(self) -> None:
        (self.path / SCORES).unlink(missing_ok=True)

    def add(self, row: dict[str, Any]) -> None:
        """One judged answer; it survives the death of this process."""
        self._files.append(ANSWERS, [row])

    def replace(self, rows: Sequence[dict[str, Any]]) -> None:
        """Put other verdicts on the answers stored, which keep their time. Scores are forgotten."""
        self._forget_scores()
        file = self.path / ANSWERS
        before = file.stat()
        self.write_rows(ANSWERS, rows)
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    def n_failed(self) -> int:
        """Answers that there are none of, because the server failed."""
        return sum(row["stop"] == Stop.FAILED for row in self.rows())

    def forget_failed(self) -> None:
        """They are missing, as if nobody had asked for them. Call before going on."""
        if self.n_failed():
            self.replace([row for row in self.rows() if row["stop"] != Stop.FAILED])

    def write_rows(self, name: str, rows: Sequence[dict[str, Any]]) -> None:
        """Replace a file of JSON lines in one go."""
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        self._files.write_text(name, text)

    def finish(self, settings: Settings) -> None:
        """Write a log of Inspect of what is stored, then its scores: with them it is complete.

        Raises:
            UserError: an environment has no verdict but broken ones.
        """
        rows = sorted(self.rows(), key=row_key)
        try:
            found = scores_json(answers(rows, settings))
        except ValueError as error:
            raise UserError(
                f"{self.path} has no scores: {error}. See logs/verifiers.log there, mend the "
                "environment, and judge again with assay eval --regrade"
            ) from error
        found = finite(found)
        write_inspect_log(self.path, settings.to_json(), rows, found, self._times())
        self._files.write_json(SCORES, found)

    def _times(self) -> Times:
        """Of the last command that sampled: `begin` writes the settings, every answer is added."""
        began, ended = (
            datetime.fromtimestamp((self.path / name).stat().st_mtime, UTC)
            for name in (SETTINGS, ANSWERS)
        )
        return Times(min(began, ended), ended)  # where nothing was left to sample

    def scores(self) -> dict[str, Any]:
        return self._files.read_json(SCORES)

    def mend(self) -> None:
        """Cut off an answer that was half written when the evaluation was killed."""
        file = self.path / ANSWERS
        if not file.exists():
            return
        with file.open("r+b") as stream:
            whole = stream.seek(0, 2)
            end = whole
            while end:  # back to the end of the last whole line
                start = max(0, end - 65536)
                stream.seek(start)
                newline = stream.read(end - start).rfind(b"\n")
                if newline >= 0:
                    end = start + newline + 1
                    break
                end = start
            if end < whole:
                stream.truncate(end)

    def rows(self) -> Iterator[dict[str, Any]]:
        """The stored answers, in the order in which they were judged.

        Raises:
            UserError: a line is no answer.
        """
        file = self.path / ANSWERS
        if not file.exists():
            return
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.endswith("\n"):
                    return  # being written, or cut off
                try:
                    row = json.loads(line)
                    _check(row)
                except (KeyError, TypeError, ValueError) as error:
                    raise UserError(f"{file}, line {number} is no answer: {error!r}") from error
                yield row


def _check(row: dict[str, Any]) -> None:
    Verdict.from_json(row["verdict"])
    if type(row["sample"]) is not int or type(row["response_tokens"]) is not int:
        raise TypeError("sample and response_tokens must be whole numbers")
    for key in ("env", "problem", "id", "response", "stop"):
        if not isinstance(row[key], str):
            raise TypeError(f"{key} must be a text")
    if not isinstance(row["family"], str | None):
        raise TypeError("family must be a text or null")
    task_of(row)
    if not isinstance(row["options"], dict):
        raise TypeError("options must map names to values")


def row_of(
    step: int | None, problem: Drawn, sample: int, sampled: Sampled, verdict: Verdict
) -> dict[str, Any]:
    """One line of answers.jsonl."""
    key = problem.task.key
    return {
        "step": step,
        "split": "test",
        "id": f"{key[:16]}/{sample}",
        "task": key[:16],
        "problem": key,
        "family": problem.family,
        "sample": sample,
        **job(problem.env, problem.options, problem.task, sampled.text),
        "stop": str(sampled.stop),
        "prompt_tokens": sampled.prompt_tokens,
        "response_tokens": sampled.response_tokens,
        "chunks": sampled.chunks,
        "injected": sampled.injected,
        "verdict": verdict.to_json(),
    }


def row_key(row: dict[str, Any]) -> tuple[str, str, int]:
    """Which answer it is: environment, problem, number."""
    return label_key(row["env"], row["options"]), row["problem"], row["sample"]


def answers(rows: Sequence[dict[str, Any]], settings: Settings) -> list[Answer]:
    """What scores are made of, ordered by problem and sample, whatever came in first.

    Raises:
        UserError: an answer is to a problem of an environment that the settings do not name.
    """
    labels = settings.labels
    found = []
    for row in sorted(rows, key=row_key):
        key = label_key(row["env"], row["options"])
        if key not in labels:
            raise UserError(
                f"{ANSWERS} has an answer to a problem of {key}, and the evaluation is on "
                f"{', '.join(labels)}: choose another directory with run_dir=DIR, or delete this"
            )
        found.append(_answer(row, labels[key]))
    return found


def _answer(row: dict[str, Any], label: str) -> Answer:
    verdict = Verdict.from_json(row["verdict"])
    # Programs are hardly ever letter by letter the same, so that there is no majority among them.
    compared = find_class(row["env"]).answers != "program"
    return Answer(
        env=label,
        problem=row["problem"],
        family=row["family"],
        outcome=Outcome(verdict.outcome),
        score=verdict.score,
        answer=verdict.answer if compared else None,
        tokens=row["response_tokens"],
        truncated=row["stop"] == Stop.LENGTH,
        failed=row["stop"] == Stop.FAILED,
    )

"""The answers of runs as columns, small enough to be part of a page and quick to filter."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from rl.report.read import Row, RunFiles, reading, row_of
from verifiers.verdict import Outcome

TEXT_CHARACTERS = 20_000  # of an answer or a prompt; what is longer is cut, and says so
FACT_CHARACTERS = 2_000  # of the truth, what was read as the answer, the reason
PAGE_BYTES = 96 * 2**20  # of samples.jsonl that the chosen answers take: a browser reads it at once


class _Place(NamedTuple):
    """A line of samples.jsonl."""

    start: int  # byte
    size: int
    group: str


@dataclass
class _Names:
    """Texts that many answers share, by their number."""

    numbers: dict[str, int] = field(default_factory=dict)

    def number(self, text: str) -> int:
        return self.numbers.setdefault(text, len(self.numbers))


NAMED = ("split", "env", "outcome", "skipped", "stop", "verifier", "prompt", "truth")
OWN = ("run", "step", "id", "trained", "score", "reward", "advantage", "response", "cut", "length",
       "answer", "detail", "versions", "tokens")  # fmt: skip


def columns(runs: Sequence[RunFiles], most: int) -> Row:
    """The answers of all runs, at most about `most`: whole groups, evenly over each run's steps.

    Raises:
        UserError: a line of a samples.jsonl is no answer.
    """
    names = {key: _Names() for key in NAMED}
    found: dict[str, list[Any]] = {key: [] for key in (*NAMED, *OWN)}
    total = 0
    for n, run in enumerate(runs):
        file = run.path / "samples.jsonl"
        places = list(_places(file))
        total += len(places)
        chosen = _chosen(places, most // len(runs), PAGE_BYTES // len(runs))
        for row, where in _rows(file, chosen):
            with reading(where, "answer"):
                taken = answer(n, row)
            for key, value in taken.items():
                number = names[key].number(value) if key in NAMED and value is not None else value
                found[key].append(number)
    shown = len(found["id"])
    return {
        "columns": found,
        "names": {key: list(own.numbers) for key, own in names.items()},
        "note": _note(shown, total),
    }


def _note(shown: int, total: int) -> str:
    if not total:
        return "No answers are recorded yet."
    if shown == total:
        return f"All {total:,} answers."
    return (
        f"{shown:,} of {total:,} answers: whole groups, evenly over the run. samples.jsonl has all."
    )


def _places(file: Path) -> Iterator[_Place]:
    """Every whole line, without reading what it says but its id."""
    if not file.exists():
        return
    start = 0
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.endswith(b"\n"):
                group = str(row_of(line, f"{file}, line {number}").get("id", number))
                yield _Place(start, len(line), group.rpartition("/")[0])
            start += len(line)


def _chosen(places: Sequence[_Place], most: int, most_bytes: int) -> list[_Place]:
    """Whole groups, evenly spaced, about as many as both bounds allow, and one at least."""
    groups: list[list[_Place]] = []
    for place in places:
        if not groups or groups[-1][0].group != place.group:
            groups.append([])
        groups[-1].append(place)
    size = sum(place.size for place in places)
    share = min(1.0, most / max(1, len(places)), most_bytes / max(1, size))
    kept = [
        group
        for i, group in enumerate(groups)
        if int((i + 1) * share + 1e-9) > int(i * share + 1e-9)
    ]
    found = [place for group in kept or groups[:1] for place in group]
    while len(found) > most and found[0].group != found[-1].group:  # groups are not all as large
        found = [place for place in found if place.group != found[-1].group]
    return found


def _rows(file: Path, places: Sequence[_Place]) -> Iterator[tuple[Row, str]]:
    if not places:
        return
    with file.open("rb") as lines:
        for place in places:
            lines.seek(place.start)
            where = f"{file}, byte {place.start}"
            yield row_of(lines.read(place.size), where), where


def answer(run: int, row: Row) -> Row:
    """One answer, texts that others share not yet by their number. Whatever the file holds, every
    value is of the type that assets/*.js take it for."""
    verdict, response = row["verdict"], str(row["response"])
    tokens = row.get("tokens")
    return {
        "run": run,
        "step": int(row["step"]),
        "id": str(row["id"]),
        "split": str(row["split"]),
        "env": _env(row),
        "outcome": str(Outcome(verdict["outcome"])),
        "score": _number(verdict["score"]),
        "answer": _fact(verdict["answer"]),
        "detail": _fact(verdict["detail"]),
        "verifier": str(verdict["verifier"]),
        "prompt": _cut(_prompt(row["prompt"]), TEXT_CHARACTERS),
        "truth": _fact(row["truth"]),
        "response": response[:TEXT_CHARACTERS],
        "cut": max(0, len(response) - TEXT_CHARACTERS),
        "length": int(row["response_tokens"]),
        "stop": str(row["stop"]),
        "reward": _number(row["reward"]),
        "advantage": _number(row.get("advantage")),
        "trained": row["trained"] is True if "trained" in row else None,
        "skipped": None if row.get("skipped") is None else str(row["skipped"]),
        "versions": [[int(n) for n in span] for span in row.get("versions") or []],
        "tokens": None if tokens is None else _tokens(tokens, len(response)),
    }


def _tokens(tokens: Row, length: int) -> list[Sequence[float | None] | None]:
    """Lists of one number per token, in the order that answer.js takes them.

    Raises:
        ValueError: they are not of one length, or not tokens of a text of this length.
    """
    characters = [int(count) for count in tokens["characters"]]
    if min(characters) < 0 or sum(characters) != length:
        raise ValueError("its tokens do not make its text")
    lists = (tokens["logprobs"], tokens.get("log_ratios"), tokens.get("advantages"))
    found: list[Sequence[float | None] | None] = [
        None if values is None else [_number(x) for x in values] for values in lists
    ]
    if {len(values) for values in found if values is not None} != {len(characters)}:
        raise ValueError("its tokens do not have one number each")
    return [characters, *found]


def _env(row: Row) -> str:
    """An environment's name, with its options where it has any."""
    options = row.get("options") or {}
    shown = ", ".join(f"{key}={json.dumps(value)}" for key, value in options.items())
    return _cut(f"{row['env']} ({shown})" if shown else str(row["env"]), 120)


def _prompt(prompt: Any) -> str:
    if isinstance(prompt, str):
        return prompt
    return "\n\n".join(f"[{message['role']}]\n{message['content']}" for message in prompt)


def _fact(value: Any) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return _cut(text, FACT_CHARACTERS)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _cut(text: str, most: int) -> str:
    left = len(text) - most
    return text if left <= 0 else f"{text[:most]} … {left:,} more characters"

"""Tables as CSV: of a reference family, of models to be placed on its curve, of densities by date.

A family's table has a row for every model and kind of task:

    parameters   of the model; needed
    env          kind of task; left out: "all"
    name         of the model
    tokens       that it was trained on
    loss         nats per token of held-out worked solutions
    score        0 to 1; score_low, score_high: its 95 % interval
    mean_tokens  per answer

Every row has a loss, a score, or both. An empty cell is a figure that is not known.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from math import inf, isfinite
from pathlib import Path
from typing import Any

from rl.density.fit import Member, NoCurve, Reference, fit_reference
from rl.density.trend import Point
from rl.errors import UserError
from rl.evaluation.statistics import Estimate

THOUSANDS = re.compile(
    r"(?<=\d),(?=\d{3}(?:,|$))"
)  # 1,957,376; what other commas mean is not known
ALL = "all"  # the mixture of all kinds of task
COLUMNS = (
    "name", "env", "parameters", "tokens", "loss", "score", "score_low", "score_high",
    "mean_tokens",
)  # fmt: skip


class Row:
    """One line of a CSV file, whose cells are asked for by column."""

    def __init__(self, where: str, cells: dict[str, str]) -> None:
        self.where = where
        self._cells = cells

    def text(self, column: str, default: str = "") -> str:
        return (self._cells.get(column) or "").strip() or default

    def number(self, column: str, low: float = 0.0, high: float = inf) -> float | None:
        """None where the cell is empty.

        Raises:
            UserError: it is no number, or not between low and high.
        """
        text = self.text(column)
        if not text:
            return None
        try:
            value = float(THOUSANDS.sub("", text).replace("_", ""))
        except ValueError:
            value = inf
        if not (isfinite(value) and low <= value <= high):
            allowed = f"from {low:g} to {high:g}" if high < inf else f"of at least {low:g}"
            raise UserError(f"{self.where}: {column} must be a number {allowed}, not '{text}'")
        return value

    def needed(self, column: str, low: float = 0.0, high: float = inf) -> float:
        value = self.number(column, low, high)
        if value is None:
            raise UserError(f"{self.where}: {column} is empty, and needed")
        return value

    def score(self) -> Estimate | None:
        """The score with its interval, which has no width where the table has none."""
        value = self.number("score", 0.0, 1.0)
        if value is None:
            return None
        low, high = self.number("score_low", 0.0, 1.0), self.number("score_high", 0.0, 1.0)
        found = Estimate(value, value if low is None else low, value if high is None else high)
        if not found.low <= value <= found.high:
            raise UserError(
                f"{self.where}: score {value:g} lies outside {found.low:g} to {found.high:g}"
            )
        return found


def read_rows(file: Path, needed: Sequence[str]) -> list[Row]:
    """The lines of a CSV file with a header.

    Raises:
        UserError: it cannot be read, is empty, or lacks one of the columns.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines)
            found = [Row(f"{file}, line {reader.line_num}", cells) for cells in reader]
            columns = list(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file} cannot be read as CSV: {error}") from error
    if missing := [name for name in needed if name not in columns]:
        raise UserError(
            f"{file} has no column {' and none '.join(missing)}; it has "
            f"{', '.join(columns) or 'none'}"
        )
    if not found:
        raise UserError(f"{file} has no rows")
    return found


def read_members(file: Path) -> dict[str, list[Member]]:
    """A family's table, by kind of task.

    Raises:
        UserError: it is no such table.
    """
    found: dict[str, list[Member]] = {}
    for row in read_rows(file, ["parameters"]):
        member = Member(
            name=row.text("name"),
            parameters=int(row.needed("parameters", 1)),
            tokens=row.number("tokens", 1),
            loss=row.number("loss"),
            score=row.score(),
            mean_tokens=row.number("mean_tokens"),
        )
        if member.loss is None and member.score is None:
            raise UserError(f"{row.where}: has neither a loss nor a score")
        found.setdefault(row.text("env", ALL), []).append(member)
    return found


def write_members(file: Path, members: dict[str, list[Member]]) -> None:
    """The table that `read_members` reads."""

    def cells(env: str, member: Member) -> Iterator[Any]:
        score = member.score or ("", "", "")
        yield from (member.name, env, member.parameters, member.tokens, member.loss, *score)
        yield member.mean_tokens

    rows = [list(cells(env, m)) for env, found in members.items() for m in found]
    write_csv(file, COLUMNS, rows)


def read_points(file: Path) -> tuple[list[Point], int]:
    """Densities by date: columns date (ISO) and density, and as may be bound and name.

    Returns:
        The points, and how many rows were left out because their density is only a bound.

    Raises:
        UserError: it is no such table.
    """
    found, left_out = [], 0
    for row in read_rows(file, ["date", "density"]):
        if row.text("bound"):
            left_out += 1
            continue
        try:
            day = date.fromisoformat(row.text("date"))
        except ValueError as error:
            raise UserError(
                f"{row.where}: date must be one such as 2026-11-22, not '{row.text('date')}'"
            ) from error
        found.append(Point(day, row.needed("density"), row.text("name")))
    return found, left_out


def write_csv(file: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """None becomes an empty cell.

    Raises:
        UserError: the file cannot be written.
    """
    scratch = file.with_name(f"{file.name}.tmp")
    try:
        with scratch.open("w", encoding="utf-8", newline="") as lines:
            writer = csv.writer(lines, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(rows)
        scratch.replace(file)
    except OSError as error:
        raise UserError(f"{file} cannot be written: {error.strerror}") from error


def references(
    file: Path, tokens: float | None = None
) -> tuple[dict[str, Reference], dict[str, str]]:
    """The curves of a family's table, and of each kind of task without one, why.

    Args:
        tokens: D0; None: what all members were trained on.

    Raises:
        UserError: the table cannot be read, or none of it gives a curve.
    """
    found, without = {}, {}
    for env, members in read_members(file).items():
        try:
            found[env] = fit_reference(members, tokens)
        except NoCurve as error:
            without[env] = str(error)
    if not found:
        why = "; ".join(f"{env}: {reason}" for env, reason in without.items())
        raise UserError(f"{file} gives no curve ({why})")
    return found, without

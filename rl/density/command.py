"""`assay density WORD`: what each of its words prints and writes."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rl.density.arguments import TABLE
from rl.density.density import density as density_of
from rl.density.family import check_same_tasks, make_family
from rl.density.report import report, write_report
from rl.density.scored import read_scored
from rl.density.show import print_changes, print_curves, print_densities, print_trend
from rl.density.table import read_points, references
from rl.density.trend import fit_trend, frontier
from rl.errors import UserError
from rl.plots import curve_svg
from rl.progress import Progress


def density(arguments: argparse.Namespace) -> int:
    """Raises UserError where a file, a recipe or an option cannot be."""
    match arguments.word:
        case "family":
            return _family(arguments.recipe, arguments.overrides, arguments.out)
        case "fit":
            return _fit(arguments.table, arguments.tokens)
        case "of":
            return _of(arguments.what, arguments.reference, arguments.tokens)
        case _:
            return _trend(arguments.points, everything=arguments.all)


def _family(recipe: Path, overrides: Sequence[str], out: Path) -> int:
    with Progress(0) as progress:
        table = make_family(recipe, overrides, out, progress)
    return _fit(table, None)


def _fit(table: Path, tokens: float | None) -> int:
    found, without = references(table, tokens)
    print_curves(found, without)
    for env, reference in found.items():
        _write(table.with_name(f"{table.stem}-{_file_name(env)}.svg"), curve_svg(env, reference))
    print(table)
    return 0


def _of(what: Sequence[Path], table: Path, tokens: float | None) -> int:
    """Prints the densities of everything named, and writes those of each beside its scores."""
    if not table.exists() and table == TABLE:
        raise UserError(
            f"there is no {table} yet: make a family with `assay density family RECIPE`, or name "
            "the table of another one with --reference"
        )
    for where in what:
        check_same_tasks(table, where)
    by_place = {where: read_scored(where) for where in what}
    curves, without = references(table, tokens)
    densities = []
    for where, scored in by_place.items():
        found = [density_of(curves[s.env], s) for s in scored if s.env in curves]
        if not found:
            raise UserError(
                f"{where} was scored on {', '.join(sorted({s.env for s in scored}))}, and {table} "
                f"has curves of {', '.join(curves)}"
            )
        write_report(where, report(table, curves, without, found), found, curves)
        densities.append(found)
    print_densities([one for found in densities for one in found], without)
    for found in densities:
        print_changes(found)
    return 0


def _trend(file: Path, *, everything: bool) -> int:
    points, left_out = read_points(file)
    used = points if everything else frontier(points)
    try:
        trend = fit_trend(used)
    except ValueError as error:
        which = "points" if everything else "points that were the densest so far (--all: every one)"
        raise UserError(f"{file}, {len(used)} {which}: {error}") from error
    print_trend(trend, len(points), left_out)
    return 0


def _write(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
    print(file)


def _file_name(env: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in env)

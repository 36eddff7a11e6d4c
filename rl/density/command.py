"""`assay density`: its words, and what each of them prints and writes."""

import argparse
from collections.abc import Sequence
from pathlib import Path

TEXT = """\
How much capability a parameter holds (Densing Law, arXiv:2412.04315): the size that a reference
family needs for a score, over the size of the policy that has it.

  assay density family recipes/math_grpo.yaml            train a family of six sizes, 22 k to 2 M
  assay density fit runs/density-family/family.csv       its curve, with intervals, and a plot
  assay density of runs/math_grpo-1a2b3c4d               every evaluation of a run, before and after
  assay density of runs/eval-a runs/eval-b               what `assay eval` wrote, also quantised
  assay density of models.csv --reference public.csv     tables of other families and models
  assay density trend densities.csv                      how fast density doubles, over dates

docs/density-and-scaling.md says what the columns of the tables are.
"""
FAMILY_DIRECTORY = Path("runs/density-family")
TABLE = FAMILY_DIRECTORY / "family.csv"


def add_words(density: argparse.ArgumentParser) -> None:
    """The words behind `assay density`, with their options."""
    words = density.add_subparsers(dest="word", required=True, metavar="WORD")
    family = words.add_parser("family", help="train a family and write its table")
    family.add_argument("recipe", type=Path, help="whose tasks it learns")
    family.add_argument("overrides", nargs="*", default=[], metavar="key.path=value")
    family.add_argument("--out", type=Path, default=FAMILY_DIRECTORY, help="default: %(default)s")

    fit = words.add_parser("fit", help="fit the curves of a family's table")
    fit.add_argument("table", type=Path, nargs="?", default=TABLE, help="default: %(default)s")

    of = words.add_parser("of", help="density of runs, evaluations or models")
    of.add_argument("what", type=Path, nargs="+", help="run, directory of an evaluation, or CSV")
    of.add_argument("--reference", type=Path, default=TABLE, help="a table; default: %(default)s")

    trend = words.add_parser("trend", help="how fast density doubles")
    trend.add_argument("points", type=Path, help="CSV with the columns date and density")
    trend.add_argument("--all", action="store_true", help="fit all points, not the densest so far")
    for its in (fit, of):
        its.add_argument("--tokens", type=float, metavar="D0", help="that the family is taken at")


def run(arguments: argparse.Namespace) -> int:
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
    from rl.density.family import make_family
    from rl.progress import Progress

    with Progress(0) as progress:
        table = make_family(recipe, overrides, out, progress)
    return _fit(table, None)


def _fit(table: Path, tokens: float | None) -> int:
    from rl.density.plot import curve_svg
    from rl.density.show import print_curves
    from rl.density.table import references

    found, without = references(table, tokens)
    print_curves(found, without)
    for env, reference in found.items():
        _write(table.with_name(f"{table.stem}-{_file_name(env)}.svg"), curve_svg(env, reference))
    print(table)
    return 0


def _of(what: Sequence[Path], table: Path, tokens: float | None) -> int:
    """Prints the densities of everything named, and writes those of each beside its scores."""
    from rl.density.density import density
    from rl.density.family import check_same_tasks
    from rl.density.report import report, write_report
    from rl.density.scored import read_scored
    from rl.density.show import print_changes, print_densities
    from rl.density.table import references
    from rl.errors import UserError

    if not table.exists() and table == TABLE:
        raise UserError(
            f"there is no {table} yet: make a family with `assay density family RECIPE`, or name "
            "the table of another one with --reference"
        )
    for where in what:
        check_same_tasks(table, where / "recipe.yaml")
    by_place = {where: read_scored(where) for where in what}
    curves, without = references(table, tokens)
    everything = []
    for where, scored in by_place.items():
        found = [density(curves[s.env], s) for s in scored if s.env in curves]
        if not found:
            raise UserError(
                f"{where} was scored on {', '.join(sorted({s.env for s in scored}))}, and {table} "
                f"has curves of {', '.join(curves)}"
            )
        write_report(where, report(table, curves, without, found), found, curves)
        everything += found
    print_densities(everything, without)
    print_changes(everything)
    return 0


def _trend(file: Path, *, everything: bool) -> int:
    from rl.density.show import print_trend
    from rl.density.table import read_points
    from rl.density.trend import fit_trend, frontier
    from rl.errors import UserError

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

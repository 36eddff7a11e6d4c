"""The options of `assay density`, without anything that is slow to import."""

import argparse
from pathlib import Path

DENSITY = """\
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


def density_arguments(density: argparse.ArgumentParser) -> None:
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

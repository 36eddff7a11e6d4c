"""The options of `assay scaling`, without anything that is slow to import."""

import argparse
from typing import Any

SCALING = """\
Fit the curve of held-out scores against compute, and forecast what more compute will bring.

  assay scaling runs/math_grpo-1a2b3c4d                  the fit, with intervals, and forecasts
  assay scaling runs/a runs/b --at 1e15 --score .9       compare; at that compute; for that score
  assay scaling plan RECIPE steps=40 --rung 'embedded.hidden=32' --rung ... --target ...

A run needs evaluation.every in its recipe, and five evaluations after its start. `plan` runs small
sizes or budgets of a recipe, and predicts a large one before it starts. docs/density-and-scaling.md
says how.
"""


# Options that are about the curves of runs, and mean nothing to `plan`.
OF_CURVES: dict[str, Any] = {"over": "flop", "after": 0, "at": [], "score": []}


def scaling_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "words",
        nargs="+",
        metavar="RUN",
        help="run directories; or `plan`, a recipe and overrides of it for all runs",
    )
    parser.set_defaults(overrides=[], **OF_CURVES)
    parser.add_argument("--over", choices=["flop", "seconds"], help="what compute is counted in")
    parser.add_argument(
        "--after", type=int, metavar="STEP", help="leave out evaluations up to this step"
    )
    parser.add_argument(
        "--at", type=float, action="append", metavar="COMPUTE",
        help="forecast the score at so much compute; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--score", type=float, action="append",
        help="forecast the compute that reaches this score; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--rung", action="append", default=[], metavar="'KEY=VALUE ...'",
        help="plan: a small run, by what it changes in the recipe; smallest first, three or more",
    )  # fmt: skip
    parser.add_argument(
        "--target", action="append", default=[], metavar="'KEY=VALUE ...'",
        help="plan: a large run to predict; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--check", action="store_true", help="plan: then run the targets too, and say how far off"
    )

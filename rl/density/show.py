"""What `assay density` prints."""

from collections.abc import Sequence
from math import inf

import numpy as np
from rich.table import Table

from rl.density.density import Density, Quantity, label
from rl.density.fit import Reference
from rl.density.law import LossLaw
from rl.density.report import changes
from rl.density.trend import Trend
from rl.progress import print_table, printable

OPEN = "open: the family ends there, and says nothing about what lies beyond"


def print_curves(found: dict[str, Reference], without: dict[str, str]) -> None:
    table = Table(title="Reference curves, 95 % intervals by bootstrap")
    for column in ("", "sizes", "D0", "alpha", "gamma", "l", "c + d", "score, ends of the family"):
        table.add_column(column, justify="left" if not column else "right")
    for env, reference in found.items():
        curve, law = reference.curve, reference.curve.score_law
        drawn = [c.loss_law for c in reference.replicates]
        alphas = [law.alpha for law in drawn if isinstance(law, LossLaw)]
        fitted = curve.loss_law.alpha if isinstance(curve.loss_law, LossLaw) else None
        laws = [c.score_law for c in reference.replicates]
        table.add_row(
            printable(env),
            f"{len(reference.members)}",
            short(curve.tokens) if curve.tokens > 1 else "?",
            "no losses" if fitted is None else _interval(fitted, alphas),
            _interval(law.gamma, [x.gamma for x in laws]),
            _interval(law.l, [x.l for x in laws]),
            _interval(law.c + law.d, [x.c + x.d for x in laws]),
            f"{curve.score(curve.smallest):.3f} to {curve.score(curve.largest):.3f}",
        )
    print_table(table)
    _print_without(without)


def _interval(value: float, drawn: Sequence[float]) -> str:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return f"{value:.3g} [{low:.3g}, {high:.3g}]"


def _print_without(without: dict[str, str]) -> None:
    for env, why in without.items():
        print(printable(f"no curve for {env}: {why}"))


def print_densities(found: Sequence[Density], without: dict[str, str]) -> None:
    table = Table(title="Capability density, 95 % intervals")
    columns = ("", "tasks", "score", "tokens", "size", "effective size", "density", "in use")
    quantised = any(d.scored.variant for d in found)
    for column in (*columns, "by bits") if quantised else columns:
        table.add_column(column, justify="left" if column in ("", "tasks") else "right")
    for d in found:
        scored = d.scored
        cells = [
            printable(label(d)),
            printable(scored.env),
            f"{scored.score.value:.3f}",
            "?" if scored.mean_tokens is None else f"{scored.mean_tokens:.1f}",
            short(scored.parameters),
            d.size.quantity().text(short),
            _ratio(d.density.quantity()),
            _ratio(d.in_use.quantity()) if d.in_use else "?",
        ]
        table.add_row(*cells, *([_ratio(d.by_bits.quantity())] if quantised else []))
    print_table(table)
    _print_without(without)
    shown = [d.size.quantity() for d in found]
    if any(q.low == 0 or q.high == inf for q in shown):
        print(OPEN)


def _ratio(quantity: Quantity) -> str:
    return quantity.text(lambda v: f"{v:.3g}")


def print_changes(found: Sequence[Density]) -> None:
    for sentence in changes(found):
        print(printable(sentence))


def print_trend(trend: Trend, points: int, left_out: int) -> None:
    value, low, high = trend.doubling_days
    least = f" ({left_out} are bounds, and left out)" if left_out else ""
    print(f"{trend.points} of {points} points{least}, ln(density) = A t + B:")
    print(
        f"A = {trend.growth:.4g} per day, 95 % interval {trend.growth_low:.4g} to "
        f"{trend.growth_high:.4g}"
    )
    if value == inf:
        print("density does not grow")
        return
    end = f"{high:.4g}" if high < inf else "no end (it may as well not grow)"
    print(f"density doubles every {value:.4g} days, 95 % interval {low:.4g} to {end}")


def short(value: float) -> str:
    """247040 -> 247 k."""
    for unit, factor in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value:.3g}"

"""Plots in documents and run directories: SVG, readable on light and on dark pages."""

from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from math import isfinite
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter, StrMethodFormatter

from rl.density.density import Density, label
from rl.density.fit import Reference
from rl.evaluation.statistics import Estimate
from rl.progress import printable

GREY = "#7b7b7b"  # legible on white and on black
LOOK: dict[Any, Any] = {
    "axes.edgecolor": GREY, "axes.labelcolor": GREY, "xtick.color": GREY, "ytick.color": GREY,
    "text.color": GREY, "text.parse_math": False, "svg.fonttype": "none", "svg.hashsalt": "assay",
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3,
    "legend.framealpha": 0.0, "font.size": 9,
}  # fmt: skip
POINTS = 120  # of a curve
BOUNDS = {"": "o", "at least": "^", "at most": "v"}


def svg(title: str, x: str, y: str, draw: Callable[[Axes], None]) -> str:
    """The picture that `draw` makes on axes of these names."""
    with matplotlib.rc_context(LOOK):
        figure = Figure(figsize=(6.4, 3.6), layout="constrained")
        axes = figure.subplots()
        axes.set(xlabel=x, ylabel=y)
        axes.set_title(printable(title), loc="left")
        draw(axes)
        if axes.get_legend_handles_labels()[1]:
            axes.legend()
        written = StringIO()
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    return written.getvalue()


def curve_svg(title: str, reference: Reference, densities: Sequence[Density] = ()) -> str:
    """A family's score over its size, with the 95 % band of the bootstrap, its members, and lines
    from other policies' scores to their effective sizes."""
    curve = reference.curve
    sizes = np.geomspace(curve.smallest, curve.largest, POINTS)
    drawn = np.array([[c.score(n) for n in sizes] for c in reference.replicates])
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    scored = [(m.parameters, m.score) for m in reference.members if m.score is not None]

    def draw(axes: Axes) -> None:
        _scores_over_compute(axes)
        axes.fill_between(sizes, low, high, color="C0", alpha=0.2, linewidth=0)
        axes.plot(sizes, [curve.score(n) for n in sizes], color="C0")
        _bars(axes, scored, "C0", "o")
        for index, found in enumerate(densities, start=1):
            span, score = found.size.point, found.scored.score.value
            end = span.low if span.low > 0 else span.high
            colour, own = f"C{index}", found.scored.parameters
            axes.plot([own, end, end], [score, score, 0], "--", color=colour, linewidth=1)
            axes.plot([own], [score], "o", color=colour, label=printable(label(found)))

    return svg(title, "parameters", "score", draw)


def steps_svg(title: str, by_name: Mapping[str, Sequence[Density]]) -> str:
    """Density over the steps of training, one line per name. Arrowheads mark bounds, and an
    interval that is open goes on to the edge."""
    quantities = [d.density.quantity() for found in by_name.values() for d in found]
    known = [v for q in quantities for v in (q.low, q.value, q.high) if v and isfinite(v)]
    bottom, top = min(known) / 1.3, max(known) * 1.3
    last = max(d.scored.step or 0 for found in by_name.values() for d in found)
    beside = last / 150  # so that intervals of the same step are seen

    def draw(axes: Axes) -> None:
        axes.set_yscale("log")
        axes.set_ylim(bottom, top)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        for index, (name, found) in enumerate(by_name.items()):
            colour, line = f"C{index}", []
            for d in found:
                quantity = d.density.quantity()
                if quantity.value is None:
                    continue
                at = (d.scored.step or 0) + index * beside
                line.append((at, quantity.value))
                low, high = max(quantity.low, bottom), min(quantity.high, top)
                axes.vlines(at, low, high, color=colour, alpha=0.4)
                axes.plot([at], [quantity.value], BOUNDS[quantity.bound], color=colour)
            steps, values = zip(*line, strict=True) if line else ((), ())
            axes.plot(steps, values, color=colour, label=printable(name))

    return svg(title, "step", "density", draw)


def plan_svg(
    title: str,
    small: Sequence[tuple[float, Estimate]],
    predicted: tuple[float, Estimate],
    outcome: Estimate | None,
) -> str:
    """Scores over compute, in parameters times answers: those of small runs, what they predict of
    the large one, and what that came to, if it is known."""

    def draw(axes: Axes) -> None:
        _scores_over_compute(axes)
        _bars(axes, small, "C0", "o", "small runs")
        _bars(axes, [predicted], "C1", "D", "predicted")
        if outcome is not None:  # a little to the right, so that both intervals are seen
            _bars(axes, [(predicted[0] * 1.1, outcome)], "C2", "o", "became")

    return svg(title, "parameters x answers", "score", draw)


def _scores_over_compute(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.set_ylim(0, 1.05)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(EngFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())


def _bars(
    axes: Axes,
    scores: Sequence[tuple[float, Estimate]],
    colour: str,
    mark: str,
    name: str | None = None,
) -> None:
    """Scores with their intervals."""
    at = [place for place, _ in scores]
    values = [s.value for _, s in scores]
    reach = [[s.value - s.low for _, s in scores], [s.high - s.value for _, s in scores]]
    axes.errorbar(at, values, yerr=reach, fmt=mark, color=colour, capsize=2, label=name)

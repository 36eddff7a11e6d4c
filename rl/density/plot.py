"""Small SVG plots, light and dark, without a library: a family's curve, density over steps."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from math import ceil, floor, inf, log10
from typing import NamedTuple

import numpy as np

from rl.density.density import Density
from rl.density.fit import Reference

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 40, 52
POINTS = 120  # of a curve
COLOURS = ("#2a6fbb", "#c4572b", "#3d8a4e", "#8a5fb0", "#a08020", "#4f8f96")

STYLE = """\
  svg { --text: #222; --grid: #ddd; --back: #fff; font: 13px sans-serif }
  @media (prefers-color-scheme: dark) { svg { --text: #ddd; --grid: #444; --back: #16181b } }
  text { fill: var(--text) } .title { font-weight: bold }
  .grid { stroke: var(--grid) } .back { fill: var(--back) }
"""


class Axis(NamedTuple):
    """From a value to a place; `log`: equal factors are equal lengths."""

    low: float
    high: float
    start: float  # pixels
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high = (log10(self.low), log10(self.high)) if self.log else (self.low, self.high)
        at = log10(value) if self.log else value
        return self.start + (at - low) / (high - low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        if not self.log:
            return [float(x) for x in np.linspace(self.low, self.high, 6)]
        exponents = range(floor(log10(self.low)), ceil(log10(self.high)) + 1)
        found = [m * 10.0**e for e in exponents for m in (1, 2, 5)]
        inside = [x for x in found if self.low <= x <= self.high]
        return inside if len(inside) <= 9 else [x for x in inside if f"{x:e}"[0] == "1"]


def curve_svg(title: str, reference: Reference, densities: Sequence[Density] = ()) -> str:
    """A family's score over its size, with the 95 % band of the bootstrap, its members, and lines
    from other policies' scores to their effective sizes."""
    curve = reference.curve
    own = [d.scored.parameters for d in densities]
    low, high = min([curve.smallest, *own]) / 1.3, max([curve.largest, *own]) * 1.3
    x = Axis(low, high, LEFT, WIDTH - RIGHT, log=True)
    y = Axis(0.0, 1.0, HEIGHT - BOTTOM, TOP)
    sizes = np.geomspace(curve.smallest, curve.largest, POINTS)
    drawn = np.array([[c.score(n) for n in sizes] for c in reference.replicates])
    band = np.quantile(drawn, [0.025, 0.975], axis=0)
    ring = [*zip(sizes, band[0], strict=True), *reversed([*zip(sizes, band[1], strict=True)])]
    parts = [
        *_frame(title, x, y, "parameters", "score", short, lambda v: f"{v:.1f}"),
        f'<path d="{_path(ring, x, y)} Z" fill="{COLOURS[0]}" opacity=".18"/>',
        _line([(n, curve.score(n)) for n in sizes], x, y, COLOURS[0]),
    ]
    for member in reference.members:
        if member.score is not None:
            at, score = x(member.parameters), member.score
            parts.append(_bar(at, y(score.low), y(score.high), COLOURS[0]))
            parts.append(_dot(at, y(score.value), COLOURS[0]))
    for i, found in enumerate(densities):
        colour, score = COLOURS[1 + i % (len(COLOURS) - 1)], found.scored.score.value
        span = found.size.point
        end = span.low if span.low > 0 else span.high
        at, to, level = x(found.scored.parameters), x(end), y(score)
        parts.append(_segment(at, level, to, level, colour, dashed=True))
        parts.append(_segment(to, level, to, y.start, colour, dashed=True))
        parts.append(_dot(at, level, colour))
        parts.append(_text(at + 8, level - 6, label(found), colour=colour))
    return _svg(parts)


def steps_svg(title: str, by_name: Mapping[str, Sequence[Density]]) -> str:
    """Density over the steps of training, one line per name. Arrowheads mark bounds."""
    everything = [d for found in by_name.values() for d in found]
    edges = [
        value
        for d in everything
        for q in (d.density.quantity(),)
        for value in (q.low, q.high, q.value)
        if value and value < inf
    ]
    last = max((d.scored.step or 0) for d in everything)
    x = Axis(0, max(last, 1), LEFT, WIDTH - RIGHT)
    y = Axis(min(edges) / 1.3, max(edges) * 1.3, HEIGHT - BOTTOM, TOP, log=True)
    parts = _frame(title, x, y, "step", "density", lambda v: f"{v:.0f}", lambda v: f"{v:g}")
    for i, (name, found) in enumerate(by_name.items()):
        colour = COLOURS[i % len(COLOURS)]
        line = []
        for d in found:
            quantity, at = d.density.quantity(), x(d.scored.step or 0)
            if quantity.value is None:
                continue
            level = y(quantity.value)
            low = y(quantity.low) if quantity.low > 0 else y.start
            high = y(quantity.high) if quantity.high < inf else y.end
            parts.append(_bar(at, low, high, colour))
            parts.append(_mark(at, level, colour, quantity.bound))
            line.append((d.scored.step or 0, quantity.value))
        parts.append(_line(line, x, y, colour))
        parts.append(_text(LEFT + 8 + 150 * i, TOP - 8, name, colour=colour))
    return _svg(parts)


def label(found: Density) -> str:
    """What a policy is called in a plot."""
    step = "" if found.scored.step is None else f" step {found.scored.step}"
    variant = f" {found.scored.variant}" if found.scored.variant else ""
    return f"{found.scored.name}{step}{variant}"


def short(value: float) -> str:
    """247040 -> 247 k."""
    for unit, factor in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value:.3g}"


def _frame(
    title: str,
    x: Axis,
    y: Axis,
    x_name: str,
    y_name: str,
    x_text: Callable[[float], str],
    y_text: Callable[[float], str],
) -> list[str]:
    parts = [_text(LEFT, 18, title, css="title")]
    for tick in x.ticks():
        parts.append(_grid(x(tick), y.start, x(tick), y.end))
        parts.append(_text(x(tick), y.start + 18, x_text(tick), anchor="middle"))
    for tick in y.ticks():
        parts.append(_grid(x.start, y(tick), x.end, y(tick)))
        parts.append(_text(x.start - 8, y(tick) + 4, y_text(tick), anchor="end"))
    parts.append(_text((x.start + x.end) / 2, HEIGHT - 12, x_name, anchor="middle"))
    middle = (y.start + y.end) / 2
    parts.append(
        f'<text x="16" y="{middle:.1f}" text-anchor="middle" '
        f'transform="rotate(-90 16 {middle:.1f})">{escape(y_name)}</text>'
    )
    return parts


def _svg(parts: Sequence[str]) -> str:
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">\n'
        f'<style>\n{STYLE}</style>\n<rect class="back" width="100%" height="100%"/>\n'
        f"{body}\n</svg>\n"
    )


def _path(points: Sequence[tuple[float, float]], x: Axis, y: Axis) -> str:
    return "M" + " L".join(f"{x(a):.1f} {y(b):.1f}" for a, b in points)


def _line(points: Sequence[tuple[float, float]], x: Axis, y: Axis, colour: str) -> str:
    if not points:
        return ""
    return f'<path d="{_path(points, x, y)}" fill="none" stroke="{colour}" stroke-width="2"/>'


def _segment(
    x1: float, y1: float, x2: float, y2: float, colour: str, *, dashed: bool = False
) -> str:
    dash = ' stroke-dasharray="4 3"' if dashed else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"{dash}/>'
    )


def _grid(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="grid" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _bar(x: float, low: float, high: float, colour: str) -> str:
    return _segment(x, low, x, high, colour)


def _dot(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'


def _mark(x: float, y: float, colour: str, bound: str) -> str:
    if not bound:
        return _dot(x, y, colour)
    up = -7 if bound == "at least" else 7
    return f'<path d="M{x - 6:.1f} {y:.1f} h12 l-6 {up} Z" fill="{colour}"/>'


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", css: str = "", colour: str = ""
) -> str:
    look = f' class="{css}"' if css else ""
    look += f' style="fill: {colour}"' if colour else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{look}>{escape(text)}</text>'

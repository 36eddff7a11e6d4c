"use strict";

const PLOT_HEIGHT = 190;
const STYLES = [ // of a chart's lines, in their order, and of their marks in the legend
  { dash: [], mark: "solid" }, { dash: [6, 4], mark: "dashed" }, { dash: [2, 3], mark: "dotted" },
];

/** A chart as a figure. `redraw` makes it anew in the colours of the present theme. */
function chartFigure(chart) {
  const plot = el("div", {
    class: "plot", tabindex: "0", role: "img",
    "aria-label": `${chart.title}. ${spokenEnds(chart)} Left and right arrow keys move along it.`,
  });
  const spoken = el("p", { class: "spoken", "aria-live": "polite" });
  const figure = el(
    "figure", { id: `chart-${chart.id}` },
    el("figcaption", {}, el("strong", {}, chart.title), " ", el("span", {}, chart.what)),
    plot, spoken,
  );
  let drawn = null;
  figure.redraw = () => {
    if (drawn) drawn.destroy();
    drawn = new uPlot(plotOptions(chart, plot.clientWidth || 320), [chart.x, ...columns(chart)], plot);
  };
  new ResizeObserver(() => {
    if (drawn && plot.clientWidth && drawn.width !== plot.clientWidth) {
      drawn.setSize({ width: plot.clientWidth, height: PLOT_HEIGHT });
    }
  }).observe(plot);
  let at = -1;
  plot.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!move || !drawn || event.altKey) return;
    event.preventDefault();
    at = Math.max(0, Math.min(chart.x.length - 1, at + move));
    drawn.setCursor({ left: drawn.valToPos(chart.x[at], "x"), top: 10 });
    const values = chart.lines.map((line) => `${line.label} ${shown(chart)(line.values[at])}`);
    spoken.textContent = `step ${chart.x[at]}: ${values.join(", ")}`;
  });
  return figure;
}

/** What writes a value of this chart. */
function shown(chart) {
  return chart.format === "share" ? percent : short;
}

function spokenEnds(chart) {
  const show = shown(chart);
  return chart.lines.map((line) => {
    const values = line.values.filter((value) => value !== null);
    return `${line.label}: ${show(values[0])} at first, ${show(values[values.length - 1])} at last.`;
  }).join(" ");
}

/** Of uPlot: each line's values, then its band's edges where it has one. */
function columns(chart) {
  return chart.lines.flatMap((line) => [
    chart.stacked ? line.top : line.values, ...(line.low ? [line.high, line.low] : []),
  ]);
}

function lineColour(chart, line) {
  return colour(chart.stacked ? `--verdict-${line.label}` : `--run-${line.run % 6}`);
}

function plotOptions(chart, width) {
  const show = shown(chart);
  const series = [{ label: "step", value: (_, x) => (x === null ? "–" : COUNT.format(x)) }];
  const bands = [];
  let below = null; // the column under a stacked one
  for (const line of chart.lines) {
    const stroke = lineColour(chart, line);
    const index = series.length;
    series.push({
      label: line.label, stroke, width: chart.stacked ? 1 : 1.8, ...STYLES[line.style % 3],
      spanGaps: true, points: { show: chart.x.length < 40 && !chart.stacked, size: 5 },
      value: (_, __, ___, i) => (i === null || i === undefined ? "–" : show(line.values[i])),
    });
    if (chart.stacked) {
      const fill = `color-mix(in srgb, ${stroke} 55%, transparent)`;
      if (below === null) series[index].fill = fill;
      else bands.push({ series: [index, below], fill });
      below = index;
    }
    if (line.low) {
      const edge = { stroke: "transparent", spanGaps: true, points: { show: false } };
      series.push({ ...edge, label: "high", class: "edge" }, { ...edge, label: "low", class: "edge" });
      bands.push({
        series: [index + 1, index + 2], fill: `color-mix(in srgb, ${stroke} 22%, transparent)`,
      });
    }
  }
  const axis = { stroke: colour("--dim"), grid: { stroke: colour("--rule"), width: 1 } };
  const ticks = { ...axis, ticks: { stroke: colour("--rule"), width: 1 } };
  return {
    width, height: PLOT_HEIGHT, series, bands,
    scales: {
      x: { time: false },
      y: chart.stacked || chart.format === "share" ? { range: shareRange(chart) } : {},
    },
    axes: [
      { ...ticks, size: 32 },
      { ...ticks, size: 56, values: (_, values) => values.map(show) },
    ],
    cursor: { points: { size: 6 }, drag: { x: true, y: false } },
    legend: { live: true, markers: { dash: (_, index) => series[index].mark || "solid" } },
  };
}

/** From 0, and never beyond 1: a share that hardly moves must not look as if it did. */
function shareRange(chart) {
  return (_, __, high) => {
    if (chart.stacked) return [0, 1];
    return [0, high === null || high <= 0 ? 1 : Math.min(1, high * 1.08)];
  };
}

"use strict";

function runsTable(runs) {
  const rows = [
    ["steps", (run) => `${COUNT.format(run.step)} of ${COUNT.format(run.steps)}`],
    ["state", (run) => run.state],
    ["model", (run) => run.model],
    ["algorithm", (run) => run.algorithm],
    ["environments", (run) => run.envs.join(", ")],
    ["held out before", (run) => run.before],
    ["held out after", (run) => run.after],
    ["sampled tokens", (run) => COUNT.format(run.sampled_tokens)],
    ["wall time", (run) => run.wall],
  ];
  const head = el("tr", {}, el("th", {}, ""), ...runs.map((run, n) => el(
    "th", { scope: "col" }, el("span", { class: `key run-${n % 6}` }), run.name,
  )));
  return el("div", { class: "scroll" }, el("table", {}, head, ...rows.map(([name, read]) => el(
    "tr", {}, el("th", { scope: "row" }, name), ...runs.map((run) => el("td", {}, read(run) ?? "–")),
  ))));
}

function plainTable(table) {
  const line = (cells, tag) => el("tr", {}, ...cells.map((cell) => el(tag, {}, cell)));
  return el("div", { class: "scroll" }, el("table", {}, line(table.head, "th"),
    ...table.rows.map((row) => line(row, "td"))));
}

async function main() {
  const data = await embedded("data");
  document.title = `Assay: ${data.runs.map((run) => run.name).join(", ")}`;
  const figures = data.charts.map(chartFigure);
  const redraw = () => figures.forEach((figure) => figure.redraw());
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const browser = samplesBrowser(data);
  const theme = el("button", { id: "theme", type: "button", onclick: () => {
    const root = document.documentElement;
    const isDark = root.dataset.theme ? root.dataset.theme === "dark" : dark.matches;
    root.dataset.theme = isDark ? "light" : "dark";
    redraw();
  } }, "light / dark");
  dark.addEventListener("change", redraw);
  const sections = data.sections.map((part) => el(
    "section", { id: part.id }, el("h2", {}, part.title),
    ...part.sentences.map((sentence) => el("p", {}, sentence)),
    ...(part.table ? [plainTable(part.table)] : []),
  ));
  document.getElementById("page").replaceChildren(
    el("header", {}, el("h1", {}, "Assay report"), theme),
    el("section", { id: "runs" }, el("h2", {}, "Runs"), runsTable(data.runs)),
    el("section", { id: "curves" }, el("h2", {}, "Curves"), el("div", { class: "charts" }, ...figures),
      ...(data.absent ? [el("p", { class: "note" }, data.absent)] : [])),
    ...sections, browser,
  );
  redraw();
  browser.start();
  document.documentElement.dataset.ready = "yes";
}

main().catch((error) => {
  document.getElementById("page").textContent = `This report could not be shown: ${error.message}`;
  throw error;
});

"use strict";

// The browser of answers: filters over columns, and a list that draws only what is in sight.

const ROW_PX = 34;
const SPARE_ROWS = 6; // drawn above and below what is in sight

/** Indices of the answers that pass; `wanted` has null where anything does. */
function filtered(samples, wanted) {
  const c = samples.columns;
  const text = wanted.text.toLowerCase();
  // Small letters are made once, when somebody first looks for a text; prompts are shared by many.
  if (text) samples.small ??= c.response.map((response) => response.toLowerCase());
  const inPrompt = text && samples.names.prompt.map((prompt) => prompt.toLowerCase().includes(text));
  const found = [];
  for (let i = 0; i < c.step.length; i++) {
    if (wanted.run !== null && c.run[i] !== wanted.run) continue;
    if (wanted.split !== null && c.split[i] !== wanted.split) continue;
    if (wanted.env !== null && c.env[i] !== wanted.env) continue;
    if (wanted.outcome !== null && c.outcome[i] !== wanted.outcome) continue;
    if (wanted.first !== null && c.step[i] < wanted.first) continue;
    if (wanted.last !== null && c.step[i] > wanted.last) continue;
    if (wanted.update === "trained" && c.trained[i] !== true) continue;
    if (wanted.update === "skipped" && c.trained[i] !== false) continue;
    if (typeof wanted.update === "number" && c.skipped[i] !== wanted.update) continue;
    if (text && !inPrompt[c.prompt[i]] && !samples.small[i].includes(text)) continue;
    found.push(i);
  }
  return found;
}

/** A select of a filter: its value is null for "any", else what `choices` pairs with its text. */
function choice(id, label, choices, changed) {
  const options = [["any", null], ...choices];
  const select = el("select", { id, onchange: changed },
    ...options.map(([text], n) => el("option", { value: n }, text)));
  return { label: el("label", {}, label, select), read: () => options[Number(select.value)][1] };
}

function numberField(id, label, changed) {
  const input = el("input", { id, type: "number", min: "0", inputmode: "numeric", oninput: changed });
  return { label: el("label", {}, label, input), read: () => (input.value === "" ? null : Number(input.value)) };
}

function samplesBrowser(data) {
  const samples = data.samples;
  const { names } = samples;
  const indexed = (texts) => texts.map((text, n) => [text, n]);
  const changed = () => list.show(filtered(samples, wanted()));
  const fields = {
    run: choice("filter-run", "run", indexed(data.runs.map((run) => run.name)), changed),
    first: numberField("filter-first", "from step", changed),
    last: numberField("filter-last", "to step", changed),
    split: choice("filter-split", "split", indexed(names.split), changed),
    env: choice("filter-env", "environment", indexed(names.env), changed),
    outcome: choice("filter-outcome", "verdict", indexed(names.outcome), changed),
    update: choice("filter-update", "in the update", [
      ["trained", "trained"], ["skipped", "skipped"],
      ...names.skipped.map((why, n) => [`skipped: ${why}`, n]),
    ], changed),
  };
  const search = el("input", { id: "filter-text", type: "search", oninput: changed });
  const wanted = () => ({
    ...Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, field.read()])),
    text: search.value,
  });
  const colours = el("select", { id: "colour-by", onchange: () => list.again() },
    ...Object.entries(SCALES).map(([key, scale]) => el("option", { value: key }, scale.name)));
  colours.value = "advantage";
  const count = el("p", { id: "count", role: "status" });
  const detail = el("div", { id: "detail", tabindex: "0", role: "region", "aria-label": "chosen answer" });
  const list = answerList(samples, count, (i) => {
    detail.replaceChildren(i === null ? el("p", {}, "No answer passes these filters.")
      : answerDetail(samples, i, colours.value));
  });
  const shown = data.runs.length > 1 ? Object.values(fields) : Object.values(fields).slice(1);
  const section = el(
    "section", { id: "samples" }, el("h2", {}, "Answers"), el("p", { class: "note" }, samples.note),
    el("form", { class: "filters", onsubmit: (event) => event.preventDefault() },
      ...shown.map((field) => field.label),
      el("label", {}, "text in prompt or answer (key /)", search),
      el("label", {}, "tokens coloured by", colours)),
    count, el("div", { class: "browser" }, list.box, detail),
  );
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    search.focus();
  });
  section.start = changed;
  return section;
}

/** The list. `show` takes the indices that passed, `again` tells once more what is chosen. */
function answerList(samples, count, chosen) {
  const inner = el("div", { class: "rows", role: "presentation" });
  const box = el("div", { class: "list", tabindex: "0", role: "listbox", "aria-label": "answers" }, inner);
  let indices = [];
  let at = 0; // the chosen place in `indices`
  const draw = () => {
    const first = Math.max(0, Math.floor(box.scrollTop / ROW_PX) - SPARE_ROWS);
    const fits = Math.ceil((box.clientHeight || 400) / ROW_PX) + 2 * SPARE_ROWS;
    const rows = [];
    for (let place = first; place < Math.min(indices.length, first + fits); place++) {
      rows.push(answerRow(samples, indices[place], place, place === at, indices.length));
    }
    inner.replaceChildren(...rows);
    box.setAttribute("aria-activedescendant", indices.length ? `answer-${at}` : "");
  };
  const tell = () => chosen(indices.length ? indices[at] : null);
  const go = (place) => {
    at = Math.max(0, Math.min(indices.length - 1, place));
    const top = at * ROW_PX;
    if (top < box.scrollTop) box.scrollTop = top;
    else if (top + ROW_PX > box.scrollTop + box.clientHeight) box.scrollTop = top + ROW_PX - box.clientHeight;
    draw();
    tell();
  };
  box.addEventListener("scroll", draw);
  new ResizeObserver(draw).observe(box);
  box.addEventListener("keydown", (event) => {
    const page = Math.max(1, Math.floor(box.clientHeight / ROW_PX) - 1);
    const moves = {
      ArrowDown: at + 1, j: at + 1, ArrowUp: at - 1, k: at - 1, PageDown: at + page,
      PageUp: at - page, Home: 0, End: indices.length - 1,
    };
    const withOther = event.ctrlKey || event.metaKey || event.altKey;
    if (!Object.hasOwn(moves, event.key) || !indices.length || withOther) return;
    event.preventDefault();
    go(moves[event.key]);
  });
  box.addEventListener("click", (event) => {
    const row = event.target.closest("[data-place]");
    if (row) go(Number(row.dataset.place));
  });
  const show = (found) => {
    indices = found;
    at = 0;
    inner.style.height = `${found.length * ROW_PX}px`;
    box.scrollTop = 0;
    const all = COUNT.format(samples.columns.step.length);
    count.textContent = `${COUNT.format(found.length)} of ${all} answers`;
    draw();
    tell();
  };
  return { box, show, again: tell };
}

function answerRow(samples, i, place, isChosen, count) {
  const { columns: c, names } = samples;
  const verdict = names.outcome[c.outcome[i]];
  const text = c.response[i].slice(0, 160).replace(/\s+/g, " ");
  const row = el(
    "div", {
      class: isChosen ? "row chosen" : "row", id: `answer-${place}`, role: "option",
      "data-place": place, "aria-selected": isChosen ? "true" : "false",
      "aria-posinset": place + 1, "aria-setsize": count,
    },
    el("span", { class: "step" }, String(c.step[i])),
    el("span", { class: `pill ${verdict}` }, verdict),
    el("span", { class: "env" }, names.env[c.env[i]]),
    el("span", { class: "preview" }, text),
  );
  row.style.top = `${place * ROW_PX}px`;
  return row;
}

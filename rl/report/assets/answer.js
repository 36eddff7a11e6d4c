"use strict";

// One answer: its prompt, its tokens coloured by what they got, its verdict and why.

const SCALES = {
  none: { name: "nothing" },
  advantage: { name: "advantage", column: 3, digits: 3, signed: true },
  ratio: { name: "log-probability ratio", column: 2, digits: 4, signed: true },
  logprob: { name: "log-probability", column: 1, digits: 3, signed: false },
  version: { name: "weights version" },
};

/** The answer's tokens: [{text, version, injected, logprob, ratio, advantage}], or null. */
function tokensOf(samples, i) {
  const found = samples.columns.tokens[i];
  if (!found) return null;
  const [characters, logprobs, ratios, advantages] = found;
  const letters = Array.from(samples.columns.response[i]); // as Python counts: code points
  const versions = new Array(characters.length).fill(null);
  for (const [version, start, end] of samples.columns.versions[i] || []) {
    for (let t = start; t < Math.min(end, versions.length); t++) versions[t] = version;
  }
  let at = 0;
  return characters.map((count, t) => ({
    text: letters.slice(at, (at += count)).join(""), version: versions[t],
    logprob: logprobs[t], ratio: ratios ? ratios[t] : null,
    advantage: advantages ? advantages[t] : null,
  }));
}

/** So many per cent of a colour of report.css, in whichever theme there is. */
function mixed(name, share) {
  return `color-mix(in srgb, var(${name}) ${Math.round(share)}%, transparent)`;
}

/** Background of a value: blue above 0, orange below, as strong as it is large. */
function diverging(value, largest) {
  if (value === null || !largest) return "";
  const strength = Math.min(1, Math.abs(value) / largest);
  return strength < 0.02 ? "" : mixed(value >= 0 ? "--up" : "--down", 75 * strength);
}

function versionColour(version, versions) {
  return version === null ? "var(--rule)" : mixed(`--run-${versions.indexOf(version) % 6}`, 45);
}

/** The answer with its tokens coloured; says below which token is looked at. */
function colouredAnswer(samples, i, by) {
  const { response, advantage, cut } = samples.columns;
  const left = cut[i] ? ` … ${COUNT.format(cut[i])} more characters are in samples.jsonl` : "";
  const tokens = tokensOf(samples, i);
  const box = el("div", { class: "answer", tabindex: "0", role: "group", "aria-label": "answer" });
  const told = el("p", { class: "told", "aria-live": "polite" });
  if (!tokens) {
    const whole = el("span", {}, response[i]);
    if (by === "advantage") whole.style.backgroundColor = diverging(advantage[i], 1);
    box.append(whole);
    told.textContent = by === "none" ? "" : withoutTokens(by, advantage[i]);
  } else {
    paint(tokens, by, box, told);
  }
  if (left) box.append(el("em", {}, left));
  return el("div", {}, box, told);
}

function withoutTokens(by, advantage) {
  const missing = "The tokens of this answer were not recorded (record.tokens_per_step)";
  if (by !== "advantage" || advantage === null) return `${missing}.`;
  return `${missing}; all of them have its advantage, ${short(advantage)}.`;
}

function paint(tokens, by, box, told) {
  const scale = SCALES[by];
  const versions = [...new Set(tokens.map((token) => token.version))].filter((v) => v !== null);
  const values = tokens.map((token) => (scale.column ? token[by] : null));
  const known = values.filter((value) => value !== null);
  const largest = known.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const spans = tokens.map((token, t) => {
    const span = el("span", { "data-t": t }, token.text);
    if (by === "version") span.style.backgroundColor = versionColour(token.version, versions);
    else if (scale.column) span.style.backgroundColor = diverging(values[t], largest);
    return span;
  });
  box.append(...spans);
  const summary = scaleSummary(by, known, largest, versions);
  told.textContent = summary;
  let looked = null;
  const look = (t) => {
    if (looked !== null) spans[looked].classList.remove("looked");
    looked = t;
    if (t !== null) spans[t].classList.add("looked");
    told.textContent = t === null ? summary : tokenText(tokens[t], t, tokens.length);
  };
  box.addEventListener("pointerover", (event) => {
    if (event.target.dataset.t !== undefined) look(Number(event.target.dataset.t));
  });
  box.addEventListener("pointerleave", () => look(null));
  box.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!move || event.altKey) return;
    event.preventDefault();
    const from = looked === null ? (move > 0 ? -1 : 1) : looked;
    look(Math.max(0, Math.min(tokens.length - 1, from + move)));
  });
}

function scaleSummary(by, known, largest, versions) {
  if (by === "none") return "";
  if (by === "version") return `Weights versions: ${versions.join(", ")}.`;
  if (!known.length) return "This answer was not trained on: there is nothing to colour.";
  const { signed, digits } = SCALES[by];
  const end = largest.toFixed(digits);
  return signed ? `Orange: down to −${end}; blue: up to ${end}.` : `Orange: down to −${end} nats.`;
}

function tokenText(token, t, count) {
  const parts = [`token ${t + 1} of ${count}: ${JSON.stringify(token.text)}`];
  parts.push(token.version === null ? "put in, not sampled" : `weights version ${token.version}`);
  parts.push(`log-probability ${token.logprob}`);
  if (token.ratio !== null) parts.push(`ratio ${Math.exp(token.ratio).toFixed(4)} (log ${token.ratio})`);
  if (token.advantage !== null) parts.push(`advantage ${token.advantage}`);
  return parts.join(" · ");
}

/** Everything about answer `i`. */
function answerDetail(samples, i, by) {
  const { columns: c, names } = samples;
  const verdict = names.outcome[c.outcome[i]];
  const became = c.trained[i] === null ? "not part of an update"
    : c.trained[i] ? "trained on" : `skipped: ${names.skipped[c.skipped[i]] ?? "why is not recorded"}`;
  const facts = [
    ["verdict", verdict], ["reason", c.detail[i] || "none given"], ["answer read", c.answer[i]],
    ["truth", names.truth[c.truth[i]] ?? null], ["score, reward", `${short(c.score[i])}, ${short(c.reward[i])}`],
    ["advantage", c.advantage[i] === null ? "none, or one of its own for each token" : short(c.advantage[i])],
    ["update", became], ["stop", `${names.stop[c.stop[i]]} after ${COUNT.format(c.length[i])} tokens`],
    ["environment", names.env[c.env[i]]], ["verifier", names.verifier[c.verifier[i]]], ["id", c.id[i]],
  ];
  return el(
    "article", {},
    el("h3", {}, "Prompt"), el("pre", { class: "prompt" }, names.prompt[c.prompt[i]]),
    el("h3", {}, "Answer"), colouredAnswer(samples, i, by),
    el("h3", {}, "Verdict"),
    el("dl", {}, ...facts.flatMap(([name, value]) => [
      el("dt", {}, name),
      el("dd", name === "verdict" ? { class: `pill ${verdict}` } : {}, value === null ? "–" : String(value)),
    ])),
  );
}

"use strict";

// Everything below is shown as text: elements are made here, and nothing is ever parsed as HTML.

/** An element; attributes that begin with "on" are listeners, children may be text. */
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/** The value of a colour of report.css in the present theme, such as "--ink". */
function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

const COUNT = new Intl.NumberFormat("en");

/** A number as short as it can be read. */
function short(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(1);
  return COUNT.format(Number(value.toPrecision(size >= 1000 ? 4 : 3)));
}

function percent(value) {
  return value === null || value === undefined ? "–" : `${short(100 * value)} %`;
}

/** What the page was made with: base64 of gzipped JSON, so that no text in it is ever markup. */
async function embedded(id) {
  const binary = atob(document.getElementById(id).textContent);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

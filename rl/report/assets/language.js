"use strict";

// Where the locale is C a browser may call its language "en-US@posix", which Intl refuses, and uPlot
// asks Intl for the browser's language as soon as it is read.
try {
  new Intl.NumberFormat(navigator.language);
} catch {
  Object.defineProperty(navigator, "language", { value: "en" });
}

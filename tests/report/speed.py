"""How quick the browser of answers is: `python -m tests.report.speed RUN [RUN ...]`.

Opens the report of some runs in a headless Chromium, and prints medians of milliseconds: of setting
a filter, and of each letter that is typed into the search, with the layout of what it shows.
"""

import sys
import tempfile
import time
from pathlib import Path

from rl.report.command import report
from tests.report.browser import Page
from tests.report.chromium import find_or_fetch

MEASURE = """(() => {
  const timed = (change) => {
    const begin = performance.now();
    change();
    document.getElementById('detail').getBoundingClientRect();
    return performance.now() - begin;
  };
  const median = (times) => times.sort((a, b) => a - b)[Math.floor(times.length / 2)];
  const select = document.getElementById('filter-outcome'), filters = [];
  for (let n = 0; n < 15; n++) filters.push(timed(() => {
    select.value = n % select.options.length;
    select.dispatchEvent(new Event('change'));
  }));
  select.value = 0;
  const search = document.getElementById('filter-text'), letters = [];
  for (const text of ['b', 'bo', 'box', 'boxe', 'boxed', '4', '42', 'x', 'xy', 'xyz', '']) {
    letters.push(timed(() => {
      search.value = text;
      search.dispatchEvent(new Event('input'));
    }));
  }
  const first = letters[0];
  return { 'a filter': median(filters), 'the first letter': first, 'a letter': median(letters) };
})()"""


def measured(page: Page) -> dict[str, float]:
    """Milliseconds: medians of a filter and of a letter; of the first letter, which prepares."""
    return page.value(MEASURE)


def main(runs: list[Path]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "report.html"
        report(runs, file, 20_000)
        size = file.stat().st_size
        with Page(*find_or_fetch(), Path(folder)) as page:
            begin = time.monotonic()
            page.open(file)
            opened_s = time.monotonic() - begin
            found = measured(page)
            count = page.value("document.getElementById('count').textContent")
    print(f"{count}; a file of {size / 1e6:.1f} MB, shown after {opened_s:.1f} s")
    print(*(f"{name}: {ms:.0f} ms" for name, ms in found.items()), sep="\n")


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])

"""The pictures of the documentation: `python -m tests.report.pictures RUN [RUN ...]`.

Opens the report of some runs in a headless Chromium, and writes docs/images/.
"""

import sys
import tempfile
from pathlib import Path

from rl.report.command import report
from tests.report.browser import Page
from tests.report.chromium import find_or_fetch

IMAGES = Path(__file__).parents[2] / "docs" / "images"


def main(runs: list[Path]) -> None:
    found = find_or_fetch()
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "report.html"
        report(runs, file, 20_000)
        with Page(*found, Path(folder)) as page:
            page.size(1280, 1000)
            page.scheme("light")
            page.open(file)
            page.picture(IMAGES / "report-light.webp")
            page.scheme("dark")
            page.choose("#filter-outcome", "wrong")
            page.choose("#filter-update", "trained")
            page.choose("#colour-by", "log-probability")
            page.value("document.getElementById('samples').scrollIntoView()")
            page.picture(IMAGES / "report-dark.webp")
            page.size(390, 844, phone=True)
            page.scheme("light")
            page.value("scrollTo(0, 0)")
            page.picture(IMAGES / "report-phone.webp")
            print(*page.problems(), sep="\n")


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])

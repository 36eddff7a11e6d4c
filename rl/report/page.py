"""The report as one HTML file: data, styles and scripts inside, nothing fetched, nothing evaluated.

What a policy, an environment or a data set wrote is in the data only, as base64 of gzipped JSON, so
none of it is ever markup; the scripts show it as text nodes. The Content-Security-Policy allows the
page's own script and styles by their hashes, and nothing else: no request, no frame, no inline
handler, and (where browsers know trusted types) no way for a script to make markup out of text.
"""

import base64
import gzip
import hashlib
import json
from importlib import resources
from typing import Any

from rl.record import finite

STYLES = ("uplot.css", "report.css")
SCRIPTS = (
    "language.js", "uplot.js", "dom.js", "charts.js", "answer.js", "samples.js", "main.js"
)  # fmt: skip

PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Assay report</title>
<style>{style}</style>
</head>
<body>
<main id="page"><p>Reading the report ...</p></main>
<noscript><p>This report is drawn by its own script, which needs JavaScript.</p></noscript>
<script type="application/octet-stream" id="data">{data}</script>
<script>{script}</script>
</body>
</html>
"""


def page(content: dict[str, Any]) -> str:
    """The whole file; `content` is what assets/main.js reads."""
    style, script = _joined(STYLES), _joined(SCRIPTS)
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "base-uri 'none'; form-action 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )
    return PAGE.format(policy=policy, style=style, script=script, data=embedded(content))


def embedded(content: dict[str, Any]) -> str:
    """Base64 of gzipped JSON, the same for the same content."""
    text = json.dumps(finite(content), separators=(",", ":"))  # ASCII, half surrogate pairs too
    return base64.b64encode(gzip.compress(text.encode(), compresslevel=6, mtime=0)).decode()


def _joined(names: tuple[str, ...]) -> str:
    assets = resources.files("rl.report") / "assets"
    text = "\n".join((assets / name).read_text(encoding="utf-8") for name in names)
    assert "</script" not in text, "it would end its own element"
    assert "</style" not in text, "it would end its own element"
    return text


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

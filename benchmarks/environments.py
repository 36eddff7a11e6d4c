"""Python environments of their own, made once, for what cannot be installed beside this project."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock

DEADLINE_S = 900.0  # for installing one
READY = "ready"  # a file that is written when everything is installed

# sympy as it is installed here, so that both sides stand on the same one.
SYMPY = f"sympy=={version('sympy')}", f"mpmath=={version('mpmath')}"
# Math-Verify reads LaTeX with a parser that was generated for one version of the ANTLR runtime,
# and other packages pin others: nothing that we install may depend on it.
MATH_VERIFY = ("math-verify[antlr4-13-2]==0.9.0", *SYMPY)
ATHERIS = ("atheris==3.0.0", *SYMPY)


class NoEnvironment(RuntimeError):
    """It could not be made; with what pip said last, and what to do."""


def interpreter_with(requirements: Sequence[str]) -> Path:
    """The Python of an environment that has these, under `ASSAY_CACHE`; made at the first call.

    Installs with pip, as it is configured here, for at most DEADLINE_S.

    Raises:
        NoEnvironment: that failed.
    """
    root = Path(os.environ.get("ASSAY_CACHE") or "~/.cache/assay").expanduser()
    key = hashlib.sha256("\n".join([sys.version, *requirements]).encode()).hexdigest()[:12]
    name = requirements[0].partition("=")[0].partition("[")[0]
    where = root / "environments" / f"{name}-{key}"
    python = where / "bin" / "python"
    where.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{where}.lock", timeout=DEADLINE_S):
        if not (where / READY).exists():
            shutil.rmtree(where, ignore_errors=True)
            print(f"installing {' '.join(requirements)} into {where}", file=sys.stderr, flush=True)
            _run([sys.executable, "-m", "venv", str(where)])
            pip = [str(python), "-m", "pip", "install", "--quiet", "--no-input"]
            _run([*pip, *requirements])
            (where / READY).touch()
    return python


def _run(argv: list[str]) -> None:
    command = " ".join(argv)
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    except subprocess.TimeoutExpired:
        raise NoEnvironment(f"{command}: not done within {DEADLINE_S:.0f} s") from None
    if done.returncode:
        said = "\n".join((done.stderr or done.stdout).strip().splitlines()[-5:])
        raise NoEnvironment(
            f"{command} ended with code {done.returncode}. It needs the package index that pip is "
            f"configured for. Its last lines:\n{said}"
        )

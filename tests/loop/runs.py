"""Starting real runs from tests, and reading what they left."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rl.children import processes_of

SHORT = "tests/loop/short.yaml"
DEADLINE_S = 1500.0
TAKES = ("time", "pace")  # keys of what differs from run to run


def command(run_dir: Path, *overrides: str, recipe: str = SHORT) -> list[str]:
    return [sys.executable, "-m", "rl", "train", recipe, f"run_dir={run_dir}", *overrides]


def train(run_dir: Path, *overrides: str, recipe: str = SHORT) -> subprocess.CompletedProcess[str]:
    """Run a recipe to its end; whatever its end was, no process may be left."""
    done = subprocess.run(
        command(run_dir, *overrides, recipe=recipe),
        capture_output=True, text=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip
    assert processes_of(run_dir) == []
    return done


def start(run_dir: Path, *overrides: str, recipe: str = SHORT) -> subprocess.Popen[str]:
    """Start a run in a session of its own, as a shell in another terminal would."""
    return subprocess.Popen(
        command(run_dir, *overrides, recipe=recipe),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip


def rows(run_dir: Path, name: str = "metrics.jsonl") -> list[dict[str, Any]]:
    """The rows of a file of the run, without what differs from run to run: what time it took."""
    file = run_dir / name
    lines = file.read_text().splitlines() if file.exists() else []
    return [
        {k: v for k, v in json.loads(line).items() if k not in ("time", "pace")} for line in lines
    ]


def until(condition: Any, what: str, seconds: float = DEADLINE_S) -> None:
    """Poll until the condition holds; the test fails at the deadline."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} did not happen within {seconds} s"
        time.sleep(0.01)

"""The files of a run under way: what was added since the last look, and whether it has ended.

Reads only, so that it can be done beside the run, by anybody who may read its directory.
"""

import contextlib
import fcntl
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from rl.errors import UserError
from rl.report.read import Row, read_json, row_of

RECENT_ANSWERS = 400  # that can be looked at
RECENT_BYTES = 4 * 2**20  # of samples.jsonl that are read at first: it may have gigabytes


class Tail:
    """Whole lines of a JSON-lines file as they come.

    last_bytes: at first, begin with the first whole line in so many bytes before the end; None:
    with the first of all.
    """

    def __init__(self, file: Path, last_bytes: int | None = None) -> None:
        self._file = file
        self._last_bytes = last_bytes
        self._inode = 0
        self._read = 0  # bytes

    def rows(self) -> tuple[bool, list[Row]]:
        """Whether the file began anew (a resumed run drops what it will do again), and what came.

        Raises:
            UserError: a line is not a JSON object.
        """
        if not self._file.exists():
            return False, []
        with self._file.open("rb") as file:
            inode, size = self._stat()
            anew = inode != self._inode or size < self._read
            if anew:
                skipped = 0 if self._last_bytes is None else max(0, size - self._last_bytes)
                file.seek(skipped)
                self._read = skipped + (len(file.readline()) if skipped else 0)
            self._inode = inode
            file.seek(self._read)
            whole, _, _ = file.read().rpartition(b"\n")
        if not whole:
            return anew, []
        begin = self._read
        self._read += len(whole) + 1
        lines = whole.split(b"\n")
        where = f"{self._file}, after byte {begin}"
        return anew, [row_of(line.decode("utf-8", "replace"), where) for line in lines]

    def _stat(self) -> tuple[int, int]:
        found = self._file.stat()
        return found.st_ino, found.st_size


@dataclass
class Follower:
    """A run as it grows. `look` brings it up to date."""

    path: Path
    metrics: list[Row] = field(default_factory=list)
    evals: list[Row] = field(default_factory=list)
    answers: deque[Row] = field(default_factory=lambda: deque(maxlen=RECENT_ANSWERS))

    def __post_init__(self) -> None:
        self._metrics = Tail(self.path / "metrics.jsonl")
        self._evals = Tail(self.path / "evals.jsonl")
        self._answers = Tail(self.path / "samples.jsonl", RECENT_BYTES)

    def look(self) -> bool:
        """Whether anything was new."""
        news = False
        pairs = ((self._metrics, self.metrics), (self._evals, self.evals))
        for tail, held in (*pairs, (self._answers, self.answers)):
            anew, rows = tail.rows()
            if anew:
                held.clear()
            held.extend(rows)
            news = news or anew or bool(rows)
        return news


def how_it_ended(path: Path) -> str | None:
    """Why nothing more is to be expected of a run directory; None: the run goes on."""
    if (path / "summary.json").exists():
        return "complete"
    if _is_held(path):
        return None
    sessions = read_json(path / "sessions.json", list)
    if not sessions:
        return "not started"
    if sessions[-1].get("wall_s") is None:
        return "killed; the same command resumes it"
    return "ended before its last step; the same command resumes it"


def _is_held(path: Path) -> bool:
    """Whether a supervisor holds the directory's lock (rl/supervisor.py).

    The lock is taken for a moment, shared, where nobody holds it.
    """
    lock = path / ".lock"
    if not lock.exists():
        return False
    try:
        with lock.open("r") as file, contextlib.ExitStack() as held:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            held.callback(fcntl.flock, file, fcntl.LOCK_UN)
            return False
    except BlockingIOError:
        return True
    except OSError as error:
        raise UserError(
            f"{lock} cannot be read ({error.strerror}): watch as the run's user"
        ) from error

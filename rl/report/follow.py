"""The files of a run under way: what was added since the last look, and whether it has ended.

Reads only, so that it can be done beside the run, by anybody who may read its directory.
"""

import contextlib
import fcntl
import os
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from rl.errors import UserError
from rl.report.read import Row, read_json, reading, row_of
from rl.report.samples import answer

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
            found = os.fstat(file.fileno())
            anew = found.st_ino != self._inode or found.st_size < self._read
            if anew:
                self._read = 0
                if self._last_bytes is not None and found.st_size > self._last_bytes:
                    file.seek(found.st_size - self._last_bytes)
                    self._read = file.tell() + len(file.readline())
            self._inode = found.st_ino
            # Where the line that was skipped goes on, what is found next is the rest of it.
            file.seek(max(0, self._read - 1))
            ended = self._read == 0 or file.read(1) == b"\n"
            whole, _, _ = file.read().rpartition(b"\n")
        where = f"{self._file}, after byte {self._read}"
        if not whole:
            return anew, []
        self._read += len(whole) + 1
        return anew, [row_of(line, where) for line in whole.split(b"\n")[0 if ended else 1 :]]


@dataclass
class Follower:
    """A run as it grows. `look` brings it up to date."""

    path: Path
    metrics: list[Row] = field(default_factory=list)
    evals: list[Row] = field(default_factory=list)
    answers: deque[Row] = field(default_factory=lambda: deque(maxlen=RECENT_ANSWERS))  # `answer`s

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
            if held is self.answers:
                with reading(self.path / "samples.jsonl", "list of answers"):
                    rows = [answer(0, row) for row in rows[-RECENT_ANSWERS:]]
            held.extend(rows)
            news = news or anew or bool(rows)
        return news


def how_it_ended(path: Path) -> str | None:
    """Why nothing more is to be expected of a run directory; None: the run goes on."""
    summary = path / "summary.json"
    if summary.exists():
        return "complete"
    if _is_held(path):
        return None
    if summary.exists():  # written before the run let go of its directory
        return "complete"
    sessions = read_json(path / "sessions.json", list)
    if not sessions:
        return "not started"
    with reading(path / "sessions.json", "work of a run"):
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
            f"{lock} cannot be read ({error.strerror}): do this as the user whose run it is"
        ) from error

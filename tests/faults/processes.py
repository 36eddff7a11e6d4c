"""What processes a test has started and left."""

import contextlib
import os
import signal
import time
from pathlib import Path

PATIENCE_S = 60.0

_others: set[int] = set()  # such as a sandbox that an environment keeps in this process


def leave_out_those_there_are() -> None:
    """Called before every test here (conftest.py): what was there already is not the test's."""
    _others.clear()
    _others.update(children())


def children() -> list[int]:
    """Children of this test, ended ones that nobody collected included."""
    mine = {pid for pid, parent in parents().items() if parent == os.getpid()}
    return sorted(mine - _others)


def descendants(pid: int) -> list[int]:
    table, found = parents(), [pid]
    for one in found:
        found += [p for p, parent in table.items() if parent == one]
    return found[1:]


def parents() -> dict[int, int]:
    table = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := _status(int(entry))):
            table[int(entry)] = int(fields[1])
    return table


def gone(pid: int) -> bool:
    fields = _status(pid)
    return not fields or fields[0] in "ZX"


def kill(pid: int) -> None:
    """Kill a process that may be ending by itself just now, and wait until it is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    wait_until_gone(pid)


def wait_until_gone(pid: int) -> None:
    end = time.monotonic() + PATIENCE_S
    while not gone(pid):
        assert time.monotonic() < end, f"process {pid} is still there"
        time.sleep(0.01)


def _status(pid: int) -> list[str]:
    """State, parent and what follows them in the kernel's line; empty when it has ended."""
    try:
        line = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return line.rpartition(b")")[2].decode().split()

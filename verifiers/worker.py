"""The process in which answers are judged: jobs in, verdicts out, one JSON object per line.

Started as a program by verifiers/process.py, which owns it, with its set-up as JSON in argv[1].
What a verifier prints goes to standard output and error, which the owner copies to a log; the
protocol has a socket of its own, so that printing cannot break it.
"""

import ctypes
import faulthandler
import json
import os
import resource
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = str(Path(__file__).resolve().parent.parent)
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from verifiers.entry import load, load_module  # noqa: E402
from verifiers.verdict import Verdict  # noqa: E402

MAX_REPLY_BYTES = 1 << 20  # one line; longer is an answer that used up its output
MAX_FILE_BYTES = 1 << 28
MAX_OPEN_FILES = 256
OUT_OF_MEMORY = 86  # exit code when there is not even memory for a reply

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    setup: dict[str, Any] = json.loads(sys.argv[1])
    die_with_parent(setup["parent"])
    limit(resource.RLIMIT_AS, setup["memory_mib"] << 20)
    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_FSIZE, MAX_FILE_BYTES)
    limit(resource.RLIMIT_NOFILE, MAX_OPEN_FILES)
    # Says in the log where the time went, then lets the signal end the process.
    faulthandler.register(signal.SIGPROF, chain=True)
    channel = socket.socket(fileno=setup["channel"])
    function = load(setup["entry"])
    for spec in setup["prepare"]:
        load_module(setup["entry"].rpartition(":")[0]).prepare(spec)
    kept = children()  # such as a prepared sandbox, which serves many jobs
    channel.sendall(b'{"ready": true}\n')
    try:
        serve(channel, function, setup["cpu_s"], kept)
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except (BrokenPipeError, ConnectionResetError):
        return  # the owner is gone


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process, and what it forks, when the parent dies."""
    libc = ctypes.CDLL(None)

    def follow() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    follow()
    os.register_at_fork(after_in_child=follow)
    # Orphaned grandchildren become children of this process, so that they are found.
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    if os.getppid() != parent:  # it died before the line above took effect
        os._exit(0)


def limit(which: int, value: int) -> None:
    hard = resource.getrlimit(which)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(which, (value, value))


def serve(
    channel: socket.socket, function: Callable[[Any], Any], cpu_s: float, kept: set[int]
) -> None:
    """Answer one job after the other until the owner hangs up."""
    own_pid = os.getpid()
    for line in channel.makefile("rb"):
        request = json.loads(line)
        # Not RLIMIT_CPU: the kernel compares that with a count of clock ticks, which over a long
        # life drifts away from the time used; this timer starts from the count of the moment.
        signal.setitimer(signal.ITIMER_PROF, cpu_s)
        reply = judge(function, request["job"])
        if os.getpid() != own_pid:  # a fork of the verifier's that came back here
            os._exit(0)
        reply["id"] = request["id"]
        reply["left_behind"] = has_children(kept)
        data = json.dumps(reply).encode()
        if len(data) > MAX_REPLY_BYTES:
            detail = f"output limit: a verdict of {len(data):,} bytes"
            data = json.dumps({"id": request["id"], "exceeded": detail}).encode()
        channel.sendall(data + b"\n")


def judge(function: Callable[[Any], Any], job: Any) -> dict[str, Any]:
    try:
        verdict = function(job)
        if not isinstance(verdict, Verdict):
            raise TypeError(f"a verifier returns a Verdict; this one returned {verdict!r:.200}")
        return {"verdict": verdict.to_json()}
    except MemoryError:
        return {"exceeded": "memory"}
    except BaseException as error:  # SystemExit too: whatever a verifier raises is its failure
        traceback.print_exc()
        return {"raised": traceback.format_exception_only(error)[-1].strip()[:2000]}


def has_children(kept: set[int]) -> bool:
    """Whether a process that a job started is still running. Collects the ended ones.

    kept: those that were there before the first job.
    """
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return bool(children() - kept)


def children() -> set[int]:
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        found |= {int(pid) for pid in (task / "children").read_text().split()}
    return found


if __name__ == "__main__":
    main()

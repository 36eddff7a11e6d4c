"""Child processes: started with a log, told to end, and never left behind.

Every process of a run carries the variable ASSAY_RUN with the run directory. That is how whatever a
child started in turn (a server's engine process, say) is found, also after the supervisor was
killed without a chance to clean up: a guard process of its own session sees the supervisor's pipe
close and ends what is left.
"""

import contextlib
import ctypes
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from rl.errors import UserError

RUN_VARIABLE = "ASSAY_RUN"
_PR_SET_PDEATHSIG = 1
_ERROR = re.compile(r"\b\w*(Error|Exception): ")
# OpenMP's threads would wait for each other by spinning. Where processes share cores that is most
# of the time spent: a warm start took 125 s instead of 18 s on two busy cores.
#
# glibc gives memory of large tensors back to the kernel at every free, and asks for it again in the
# next pass: 19,000 page faults an update, and a fifth of its time. It keeps it then, up to 1 GiB.
#
# Without buffers what a process said last stands last in its log, and is there if it is killed.
_DEFAULTS = {
    "PYTHONUNBUFFERED": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TRIM_THRESHOLD_": str(2**30),
}
_LIBC = ctypes.CDLL(None, use_errno=True)


class ChildDied(RuntimeError):
    """A child process ended that should not have. The message has its name, code and last lines."""


@dataclass
class Child:
    name: str
    process: subprocess.Popen[bytes]
    log: Path
    log_begin: int = 0  # bytes of earlier runs in the log, which say nothing about this process

    def returncode(self) -> int | None:
        return self.process.poll()

    def last_lines(self, n: int = 12) -> str:
        """The last errors it printed, which may stand far above the end, and the end of its log."""
        with self.log.open("rb") as file:
            file.seek(max(self.log_begin, self.log.stat().st_size - 262144))
            lines = file.read().decode(errors="replace").splitlines()
        causes = [x for x in lines[:-n] if _ERROR.search(x) and "WARNING" not in x]
        distinct = list(dict.fromkeys(causes))[-3:]
        shown = [*distinct, *(["..."] if distinct else []), *lines[-n:]]
        return "\n".join(f"    {line}" for line in shown) or "    (it printed nothing)"

    def died(self, doing: str) -> ChildDied:
        """The error to raise for this child, which ended while `doing`."""
        return ChildDied(
            f"{self.name} ended while {doing}: {describe_exit(self.process.returncode)}. What "
            f"it said last (all of it in {self.log}):\n{self.last_lines()}"
        )


def describe_exit(code: int | None) -> str:
    if code is None:
        return "still running"
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name
    hint = " (killed; out of memory is the usual cause)" if name == "SIGKILL" else ""
    return f"signal {name}{hint}"


def start(
    name: str,
    argv: Sequence[str],
    *,
    run_dir: Path,
    environment: dict[str, str],
    pass_fds: Sequence[int] = (),
) -> Child:
    """Start a child in a session of its own, its output in <run_dir>/logs/<name>.log.

    A session of its own keeps the terminal's Ctrl-C away from it: the supervisor decides the order
    in which things end. The kernel kills it when the supervisor is gone.
    """
    log = run_dir / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    parent = os.getpid()

    def die_with_parent() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    with log.open("ab") as file:
        file.write(f"--- {time.strftime('%Y-%m-%d %H:%M:%S')} {' '.join(argv)}\n".encode())
        file.flush()
        log_begin = file.tell()
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**_DEFAULTS, **os.environ, **environment, RUN_VARIABLE: str(run_dir)},
            start_new_session=True,
            pass_fds=pass_fds,
            preexec_fn=die_with_parent,
        )
    return Child(name, process, log, log_begin)


def memory_directory(run_dir: Path) -> Path:
    """Where a run keeps weights on their way to the servers: in memory, or else on its disk."""
    digest = hashlib.sha256(str(run_dir).encode()).hexdigest()[:16]
    memory = Path("/dev/shm")
    return memory / f"assay-{digest}" if os.access(memory, os.W_OK) else run_dir / "transfer"


def clear(run_dir: Path) -> None:
    """End every process of a run but this one, and free the memory it holds."""
    kill_run(run_dir)
    shutil.rmtree(memory_directory(run_dir), ignore_errors=True)


def stop(children: Sequence[Child], *, run_dir: Path, grace_s: float = 10.0) -> None:
    """End the children: politely, then not; then whatever else of this run is alive."""
    for child in children:
        if child.returncode() is None:
            child.process.terminate()
    end = time.monotonic() + grace_s
    for child in children:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.process.wait(max(0.0, end - time.monotonic()))
    clear(run_dir)
    for child in children:
        child.process.wait()


def processes_of(run_dir: Path) -> list[psutil.Process]:
    """Every live process but this one that carries the run's variable."""
    found = []
    for process in psutil.process_iter():
        # Processes of others, and those that ended meanwhile, do not show their environment.
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get(RUN_VARIABLE) == str(run_dir):
                found.append(process)
    return found


def kill_run(run_dir: Path, deadline_s: float = 20.0) -> None:
    """Kill every process of the run but this one, and see them gone.

    Raises:
        UserError: some are still there at the deadline.
    """
    end = time.monotonic() + deadline_s
    while alive := [p for p in processes_of(run_dir) if _can_end(p)]:
        if time.monotonic() > end:
            pids = ", ".join(str(p.pid) for p in alive)
            raise UserError(
                f"processes of {run_dir} are still there {deadline_s:.0f} s after they were "
                f"killed: {pids}. They hang in the kernel (a disk or GPU that does not answer): "
                "wait until they are gone, then run the same command again"
            )
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        # Not psutil.wait_procs: it would take the exit codes of our own children away from Popen.
        time.sleep(0.02)


def _can_end(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def start_guard(run_dir: Path) -> IO[bytes]:
    """Start the guard of a run. It acts when the returned pipe closes: keep it to the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "rl.children", str(run_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdin is not None
    return process.stdin


def _guard(run_dir: Path) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()  # returns when the supervisor is gone, however it went
    clear(run_dir)


if __name__ == "__main__":
    _guard(Path(sys.argv[1]))

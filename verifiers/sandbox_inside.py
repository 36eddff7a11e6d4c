"""The fork server inside the sandbox: for every program one fresh child, confined, then gone.

Started by verifiers/sandbox.py as a program. It is small and knows nothing worth stealing: what a
child shall run lies in a file descriptor that only the child reads, so no program's text and no
test is ever in the memory that later children are copies of.

On the control socket (one JSON object per packet):
    in   {"job": n, "limits": [...]} with the descriptors request, report, output[, channel]
         {"kill": n}
    out  {"ready": true, "user_namespaces": bool, "abi": n}
         {"job": n, "status": n, "late": bool, "cpu_s": s, "memory_kib": n, "unconfined": reason}
Standard library only.
"""

import fcntl
import gc
import importlib
import json
import os
import random
import select
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

ROOT = str(Path(__file__).resolve().parent.parent)
sys.path.insert(0, ROOT)

from verifiers import sandbox_confine as confine  # noqa: E402
from verifiers import sandbox_program, seccomp  # noqa: E402
from verifiers.sandbox_confine import Limits  # noqa: E402

sys.path.remove(ROOT)

# Imported once, before any program: every child has them at no cost.
PREPARED = (
    "bisect", "collections", "copy", "dataclasses", "datetime", "decimal", "fractions", "functools",
    "heapq", "io", "itertools", "math", "operator", "re", "statistics", "string", "threading",
    "typing",
)  # fmt: skip
MAX_PACKET = 1 << 16
INIT_PID = 1  # of a program in its own PID namespace


class Setup(NamedTuple):
    """What verifiers/sandbox.py says in argv[1]."""

    control: int | str  # the control socket: its descriptor, or in a container its name
    namespaces: bool  # fresh ones for every program; else Landlock once for all
    uid: int | None  # programs run as this user; None: as whoever runs this
    readable: list[str]  # paths, for Landlock


class Child(NamedTuple):
    job: int
    pid: int
    pidfd: int
    started: int  # pipe: empty until the child is confined, then "ok" or why it is not
    deadline: float


def main() -> int:
    setup = Setup(**json.loads(sys.argv[1]))
    control = _connect(setup.control)
    for name in PREPARED:
        importlib.import_module(name)
    random.seed(0)  # the same numbers for every program, in every sandbox
    if not setup.namespaces:
        confine.landlock(setup.readable)
    server = Server(setup, control)
    gc.collect()
    gc.freeze()  # so that collecting in a child does not copy the server's memory
    code = server.serve()
    return 0 if code is None else code


class Server:
    def __init__(self, setup: Setup, control: socket.socket) -> None:
        self._setup, self._control = setup, control
        self._pid = os.getpid()
        self._children: dict[int, Child] = {}
        self._own_namespace = confine.own_pid_namespace()
        self._filter = seccomp.build(INIT_PID)
        self._user_namespaces = setup.namespaces and self._can_unshare_user()

    def serve(self) -> int | None:
        """Until the grader hangs up. In a child: returns the exit code of its program."""
        ready = {"ready": True, "user_namespaces": self._user_namespaces}
        self._say({**ready, "abi": confine.landlock_abi()})
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        while True:
            for fd, _ in poll.poll(self._patience_ms()):
                if fd != self._control.fileno():
                    poll.unregister(fd)
                    self._bury(self._children.pop(fd), late=False)
                    continue
                data, fds, _, _ = socket.recv_fds(self._control, MAX_PACKET, 4)
                if not data:
                    return None
                message = json.loads(data)
                if "kill" in message:
                    self._kill(message["kill"])
                    continue
                child = self._fork(message, fds)
                if child is None:  # this is the child
                    return sandbox_program.run(Limits(*message["limits"]), *range(3, 3 + len(fds)))
                self._children[child.pidfd] = child
                poll.register(child.pidfd, select.POLLIN)
            for child in [c for c in self._children.values() if c.deadline <= time.monotonic()]:
                poll.unregister(child.pidfd)
                self._bury(self._children.pop(child.pidfd), late=True)

    def _patience_ms(self) -> float | None:
        if not self._children:
            return None
        first = min(child.deadline for child in self._children.values())
        return max(0.0, first - time.monotonic()) * 1000 + 1

    def _fork(self, message: dict[str, Any], fds: list[int]) -> Child | None:
        limits = Limits(*message["limits"])
        started, starting = os.pipe()
        if self._setup.namespaces:
            confine.unshare(confine.CLONE_NEWPID)
        deadline = time.monotonic() + limits.wall_s
        pid = os.fork()
        if pid == 0:
            starting = _out_of_the_way(starting)
            try:
                self._confine(limits, fds, starting)
            except BaseException as error:
                os.write(starting, f"{type(error).__name__}: {error}"[:2000].encode())
                os._exit(1)
            return None
        if self._setup.namespaces:
            confine.return_to(self._own_namespace)
        os.close(starting)
        for fd in fds:
            os.close(fd)
        return Child(message["job"], pid, os.pidfd_open(pid), started, deadline)

    def _confine(self, limits: Limits, fds: list[int], starting: int) -> None:
        """In the child, everything between the fork and the program. Descriptors end up as 0 to 2
        on /dev/null, then `fds` from 3 on."""
        if self._setup.namespaces:
            confine.unshare(confine.CLONE_NEWNS | confine.CLONE_NEWIPC | confine.CLONE_NEWUTS)
            confine.mount_tmp(limits.tmp_mib)
            os.chdir("/tmp")
        os.dup2(1, 2)  # /dev/null: the server's own errors go elsewhere
        for number, fd in enumerate([_out_of_the_way(fd) for fd in fds], 3):
            os.dup2(fd, number)
        confine.close_all_but([*range(3 + len(fds)), starting])
        if self._setup.namespaces and self._setup.uid is not None:
            confine.become(self._setup.uid)
        if self._user_namespaces:
            confine.unshare(confine.CLONE_NEWUSER)
        confine.drop_privileges()
        confine.limit_resources(limits)
        if not self._setup.namespaces:
            confine.die_with(self._pid)
        seccomp.install(self._filter if self._setup.namespaces else seccomp.build(os.getpid()))
        os.write(starting, b"ok")
        os.close(starting)

    def _kill(self, job: int) -> None:
        for child in self._children.values():
            if child.job == job:
                signal.pidfd_send_signal(child.pidfd, signal.SIGKILL)

    def _bury(self, child: Child, *, late: bool) -> None:
        """Wait for a child that has ended, or ends now; with it end all processes it started."""
        if late:
            signal.pidfd_send_signal(child.pidfd, signal.SIGKILL)
        _, status, usage = os.wait4(child.pid, 0)
        said = os.read(child.started, 4000).decode(errors="replace")
        os.close(child.pidfd)
        os.close(child.started)
        self._say(
            {
                "job": child.job,
                "status": os.waitstatus_to_exitcode(status),
                "late": late,
                "cpu_s": usage.ru_utime + usage.ru_stime,
                "memory_kib": usage.ru_maxrss,
                "unconfined": "" if said == "ok" or (late and not said) else said or "it died",
            }
        )

    def _say(self, message: dict[str, Any]) -> None:
        self._control.send(json.dumps(message).encode())

    def _can_unshare_user(self) -> bool:
        pid = os.fork()
        if pid == 0:
            try:
                if self._setup.uid is not None:
                    confine.become(self._setup.uid)
                confine.unshare(confine.CLONE_NEWUSER)
            except OSError:
                os._exit(1)
            os._exit(0)
        return os.wait4(pid, 0)[1] == 0


def _connect(control: int | str) -> socket.socket:
    if isinstance(control, int):
        return socket.socket(fileno=control)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.connect(control)
    return connection


def _out_of_the_way(fd: int) -> int:
    """The same, under a number that no descriptor of a program is to get."""
    return fcntl.fcntl(fd, fcntl.F_DUPFD, 32)


if __name__ == "__main__":
    sys.exit(main())

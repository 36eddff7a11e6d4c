"""What a process does to itself before it runs a program of a policy, by way of libc.

Standard library only: this file is also read inside the sandbox. All functions raise OSError if
the kernel refuses, and nothing is run then.
"""

import contextlib
import ctypes
import os
import resource
import signal
import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000

_MS_NOSUID, _MS_NODEV = 2, 4
_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_READ, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 23, 24, 38
_CAPABILITY_VERSION = 0x20080522
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on x86-64 and aarch64
_PATH_BENEATH = 1
_READ = 1 << 0 | 1 << 2 | 1 << 3  # execute, read files, read directories
# ABI of Landlock -> the rights over files that it can take away.
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}
_ALL_FILE_RIGHTS = (1 << 16) - 1  # ABI 5 and later
_SCOPES = 0b11  # ABI 6: no abstract sockets of others, no signals to others

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class Limits(NamedTuple):
    """What one program may use."""

    wall_s: float  # from its start to its end
    memory_mib: int = 512  # address space, beyond what the interpreter itself takes
    output_bytes: int = 16 << 20  # what it prints, and separately the value it returns
    tmp_mib: int = 64  # of its private /tmp
    threads: int = 64
    open_files: int = 64


INTERPRETER_MIB = 64  # address space of the interpreter with what it has imported
STACK_MIB = 64  # of the main thread: deep recursion of honest programs


def unshare(flags: int) -> None:
    _check(_libc.unshare(flags), "unshare")


def own_pid_namespace() -> int:
    """A descriptor that leads `return_to` back here."""
    return os.pidfd_open(os.getpid())


def return_to(pid_namespace: int) -> None:
    """Let this process's next children be born in its own PID namespace again."""
    _check(_libc.setns(pid_namespace, CLONE_NEWPID), "setns")


def mount_tmp(mib: int) -> None:
    """A fresh, empty /tmp that only this mount namespace sees, and that vanishes with it."""
    options = f"size={mib}m,nr_inodes=4096,mode=1777".encode()
    flags = _MS_NOSUID | _MS_NODEV
    _check(_libc.mount(b"tmpfs", b"/tmp", b"tmpfs", flags, options), "mount of /tmp")


def become(uid: int) -> None:
    """Give up root for a user that nothing on the host belongs to."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def drop_privileges() -> None:
    """No capability, and no way to any, not even by running a set-user-id program."""
    for capability in range(64):
        if _libc.prctl(_PR_CAPBSET_READ, capability, 0, 0, 0) == 1:
            # Fails without CAP_SETPCAP, where the process has no capabilities to begin with.
            _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
    _check(_libc.capset(header, bytes(24)), "capset")
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl(PR_SET_NO_NEW_PRIVS)")


def die_with(parent: int) -> None:
    """Be killed when the parent dies. (In a PID namespace that happens by itself.)"""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        os._exit(1)


def limit_resources(limits: Limits) -> None:
    """Hard limits. Those of the sandbox's owner stay where they are lower, memory excepted.

    Raises:
        ValueError: the owner's own limit on memory is below what the program is to have.
    """
    memory = (limits.memory_mib + INTERPRETER_MIB) << 20
    stack, file_bytes = STACK_MIB << 20, limits.tmp_mib << 20
    seconds = int(limits.wall_s) + 2  # the wall clock ends it before; one per thread's processor
    for which, value in (
        (resource.RLIMIT_CPU, seconds * (os.cpu_count() or 1)),
        (resource.RLIMIT_NPROC, limits.threads),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_STACK, stack),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):
        hard = resource.getrlimit(which)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (value, value))
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    if hard != resource.RLIM_INFINITY and hard < memory:
        raise ValueError(
            f"a program may have {memory >> 20} MiB of memory, but the grader's own limit, "
            f"which it inherits, is {hard >> 20} MiB: raise that or lower the task's"
        )
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def landlock_abi() -> int:
    """The version of Landlock in this kernel; 0 if there is none."""
    return max(0, _libc.syscall(_CREATE_RULESET, None, 0, 1))


def landlock(readable: Sequence[str]) -> None:
    """From now on this process and its children can read these paths, and write nothing at all."""
    abi = landlock_abi()
    rights = _FILE_RIGHTS.get(abi, _ALL_FILE_RIGHTS)
    attributes = struct.pack("=Q", rights)
    if abi >= 6:
        attributes = struct.pack("=QQQ", rights, 0, _SCOPES)
    ruleset = _libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    _check(ruleset, "landlock_create_ruleset")
    for path in readable:
        with contextlib.suppress(FileNotFoundError):
            _allow(ruleset, path, _READ)
    for path in ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random"):
        _allow(ruleset, path, 1 << 2 | 1 << 1)
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl(PR_SET_NO_NEW_PRIVS)")
    _check(_libc.syscall(_RESTRICT_SELF, ruleset, 0), "landlock_restrict_self")
    os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    where = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not os.path.isdir(path):
            rights &= ~(1 << 3)  # a file has no entries to list
        rule = struct.pack("=Qi", rights, where)
        _check(_libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0), f"landlock rule {path}")
    finally:
        os.close(where)


def close_all_but(kept: Iterable[int]) -> None:
    """Close every descriptor except these."""
    low = 0
    for fd in [*sorted(kept), 1 << 16]:
        if low < fd:  # closerange(0, 0) closes everything
            os.closerange(low, fd)
        low = fd + 1


def _check(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what} failed: {os.strerror(number)}")

"""The seccomp filter that programs of a policy run under: an allow-list of system calls.

Written as classic BPF, assembled here, for x86-64 and aarch64. A call that is not listed fails with
EPERM, so that an honest program sees an exception and not a kill: among them every way to open a
socket, start a process or another program, change namespaces or mounts, trace, load modules or BPF,
use io_uring, keyrings or System V IPC, and set clocks. Standard library only: this file is also
read inside the sandbox.
"""

import ctypes
import errno
import platform
import struct
from collections.abc import Iterable, Mapping

# linux/audit.h, linux/seccomp.h, linux/bpf_common.h, linux/prctl.h
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
X32_BIT = 0x40000000  # x86-64 kernels may serve a second table of calls behind this bit
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_LOAD, _RETURN = 0x20, 0x06  # a word at an absolute offset; a constant
_JUMP_IF_EQUAL, _JUMP_IF_AT_LEAST, _JUMP_IF_ANY_BIT = 0x15, 0x35, 0x45
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2

# name: (number on x86-64, number on aarch64)
# fmt: off
ALLOWED: dict[str, tuple[int | None, int | None]] = {
    # files (which ones exist is up to the mount namespace)
    "read": (0, 63), "write": (1, 64), "readv": (19, 65), "writev": (20, 66), "pread64": (17, 67),
    "pwrite64": (18, 68), "preadv": (295, 69), "pwritev": (296, 70), "preadv2": (327, 286),
    "pwritev2": (328, 287), "open": (2, None), "openat": (257, 56), "creat": (85, None),
    "close": (3, 57), "close_range": (436, 436), "stat": (4, None), "fstat": (5, 80),
    "lstat": (6, None), "newfstatat": (262, 79), "statx": (332, 291), "access": (21, None),
    "faccessat": (269, 48), "faccessat2": (439, 439), "lseek": (8, 62), "readlink": (89, None),
    "readlinkat": (267, 78), "getdents": (78, None), "getdents64": (217, 61), "getcwd": (79, 17),
    "chdir": (80, 49), "fchdir": (81, 50), "rename": (82, None), "renameat": (264, 38),
    "renameat2": (316, 276), "mkdir": (83, None), "mkdirat": (258, 34), "rmdir": (84, None),
    "unlink": (87, None), "unlinkat": (263, 35), "link": (86, None), "linkat": (265, 37),
    "symlink": (88, None), "symlinkat": (266, 36), "chmod": (90, None), "fchmod": (91, 52),
    "fchmodat": (268, 53), "truncate": (76, 45), "ftruncate": (77, 46), "fallocate": (285, 47),
    "fsync": (74, 82), "fdatasync": (75, 83), "flock": (73, 32), "umask": (95, 166),
    "utime": (132, None), "utimes": (235, None), "utimensat": (280, 88), "statfs": (137, 43),
    "fstatfs": (138, 44), "fadvise64": (221, 223), "sendfile": (40, 71),
    "copy_file_range": (326, 285), "dup": (32, 23), "dup2": (33, None), "dup3": (292, 24),
    "pipe": (22, None), "pipe2": (293, 59),
    # waiting
    "select": (23, None), "pselect6": (270, 72), "poll": (7, None), "ppoll": (271, 73),
    "epoll_create": (213, None), "epoll_create1": (291, 20), "epoll_ctl": (233, 21),
    "epoll_wait": (232, None), "epoll_pwait": (281, 22), "eventfd": (284, None),
    "eventfd2": (290, 19), "timerfd_create": (283, 85), "timerfd_settime": (286, 86),
    "timerfd_gettime": (287, 87),
    # memory
    "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215), "mremap": (25, 216),
    "madvise": (28, 233), "brk": (12, 214), "msync": (26, 227), "membarrier": (324, 283),
    # the process itself
    "exit": (60, 93), "exit_group": (231, 94), "getpid": (39, 172), "gettid": (186, 178),
    "getppid": (110, 173), "getpgid": (121, 155), "getpgrp": (111, None), "getsid": (124, 156),
    "getuid": (102, 174), "geteuid": (107, 175), "getgid": (104, 176), "getegid": (108, 177),
    "getgroups": (115, 158), "getresuid": (118, 148), "getresgid": (120, 150),
    "getrlimit": (97, 163), "setrlimit": (160, 164), "getrusage": (98, 165),
    "getpriority": (140, 141), "sched_yield": (24, 124), "sched_getaffinity": (204, 123),
    "sched_getparam": (143, 121), "sched_getscheduler": (145, 120),
    "sched_get_priority_max": (146, 125), "sched_get_priority_min": (147, 126),
    "getcpu": (309, 168), "uname": (63, 160), "sysinfo": (99, 179), "times": (100, 153),
    "wait4": (61, 260), "waitid": (247, 95), "arch_prctl": (158, None),
    "set_tid_address": (218, 96), "set_robust_list": (273, 99), "rseq": (334, 293),
    "futex": (202, 98), "restart_syscall": (219, 128),
    # signals to itself
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139),
    "rt_sigpending": (127, 136), "rt_sigsuspend": (130, 133), "rt_sigtimedwait": (128, 137),
    "sigaltstack": (131, 132), "pause": (34, None), "alarm": (37, None), "setitimer": (38, 103),
    "getitimer": (36, 102), "signalfd": (282, None), "signalfd4": (289, 74),
    "timer_create": (222, 107), "timer_settime": (223, 110), "timer_gettime": (224, 108),
    "timer_getoverrun": (225, 109), "timer_delete": (226, 111),
    # clocks, read only, and randomness
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101), "gettimeofday": (96, 169), "time": (201, None),
    "getrandom": (318, 278),
    # socket pairs, which event loops need
    "recvfrom": (45, 207), "sendmsg": (46, 211), "recvmsg": (47, 212), "shutdown": (48, 210),
    "getsockopt": (55, 209), "setsockopt": (54, 208), "getsockname": (51, 204),
    "getpeername": (52, 205),
}
# fmt: on

# Allowed for some arguments only, by the rules in `_rules`.
CONDITIONAL = {
    "clone": (56, 220),
    "clone3": (435, 435),
    "fcntl": (72, 25),
    "ioctl": (16, 29),
    "kill": (62, 129),
    "prctl": (157, 167),
    "prlimit64": (302, 261),
    "sendto": (44, 206),
    "socketpair": (53, 199),
    "tgkill": (234, 131),
}
_CLONE_THREAD = 0x00010000
_CLONE_NEW_NAMESPACES = 0x7E020000  # cgroup, uts, ipc, user, pid, net, mount
_AF_UNIX = 1
_FCNTL = [*range(8), 36, 37, 38, 1030, 1032]  # duplicate, flags, locks; no signals to others
_IOCTL = [0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451]  # is it a terminal, size, close-on-exec
_PRCTL = [15, 16]  # the thread's name

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, constant


class UnsupportedMachine(RuntimeError):
    """There is no table of system calls for this processor."""


def build(own_pid: int, machine: str = "") -> bytes:
    """The filter as an array of struct sock_filter, for a process with this PID.

    Raises:
        UnsupportedMachine: neither x86-64 nor aarch64.
    """
    machine = machine or platform.machine()
    if machine not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise UnsupportedMachine(f"no seccomp filter for '{machine}' (there is one for {known})")
    column = list(ARCHITECTURES).index(machine)
    code: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_IF_EQUAL, 1, 0, ARCHITECTURES[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":
        code += [(_JUMP_IF_AT_LEAST, 0, 1, X32_BIT), (_RETURN, 0, 0, _KILL)]
    for number in _column(ALLOWED, column):
        code += [(_JUMP_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    for name, rule in _rules(own_pid).items():
        number = CONDITIONAL[name][column]
        code += [(_JUMP_IF_EQUAL, 0, len(rule), number), *rule]
    code.append((_RETURN, 0, 0, _ERRNO | errno.EPERM))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def install(program: bytes) -> None:
    """Put this thread, and all it starts, under the filter. Needs no_new_privs to be set.

    Raises:
        OSError: the kernel refuses it.
    """

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]

    libc = ctypes.CDLL(None, use_errno=True)
    argument = Program(len(program) // 8, program)
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(argument), 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_SECCOMP) failed")


def _column(table: Mapping[str, tuple[int | None, int | None]], column: int) -> list[int]:
    return [n for numbers in table.values() if (n := numbers[column]) is not None]


def _rules(own_pid: int) -> dict[str, list[Instruction]]:
    """What decides over a call with arguments. Each rule ends in a return on every path.

    Arguments that the kernel reads as 32-bit integers are compared in their lower half only: it
    ignores the upper one.
    """
    deny: Instruction = (_RETURN, 0, 0, _ERRNO | errno.EPERM)
    allow: Instruction = (_RETURN, 0, 0, _ALLOW)
    return {
        # Threads only. A program with one process has one address space, whose limit is the limit
        # of its memory; it cannot bomb with forks or leave a daemon behind.
        "clone": [
            _argument(0),
            (_JUMP_IF_ANY_BIT, 2, 0, _CLONE_NEW_NAMESPACES),
            (_JUMP_IF_ANY_BIT, 0, 1, _CLONE_THREAD),
            allow,
            deny,
        ],
        # Its flags are behind a pointer, out of a filter's sight; libc falls back to clone.
        "clone3": [(_RETURN, 0, 0, _ERRNO | errno.ENOSYS)],
        "fcntl": _one_of(1, _FCNTL),
        "ioctl": _one_of(1, _IOCTL),
        "kill": _one_of(0, [own_pid]),
        "prctl": _one_of(0, _PRCTL),
        "prlimit64": _one_of(0, [0, own_pid]),
        # With an address it could reach a socket of another process.
        "sendto": [
            _argument(4),
            (_JUMP_IF_EQUAL, 0, 3, 0),
            _argument(4, upper=True),
            (_JUMP_IF_EQUAL, 0, 1, 0),
            allow,
            deny,
        ],
        "socketpair": _one_of(0, [_AF_UNIX]),
        "tgkill": _one_of(0, [own_pid]),
    }


def _argument(index: int, *, upper: bool = False) -> Instruction:
    return (_LOAD, 0, 0, _ARGUMENTS + 8 * index + (4 if upper else 0))  # both are little-endian


def _one_of(index: int, values: Iterable[int]) -> list[Instruction]:
    code = [_argument(index)]
    for value in values:
        code += [(_JUMP_IF_EQUAL, 0, 1, value), (_RETURN, 0, 0, _ALLOW)]
    return [*code, (_RETURN, 0, 0, _ERRNO | errno.EPERM)]

"""The seccomp filter, run by hand: which calls get through?"""

import errno
import os
import platform
import re
import struct
from pathlib import Path

import pytest

from verifiers import seccomp

ALLOW, EPERM, ENOSYS, KILL = 0x7FFF0000, 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS, 0x80000000
X86, ARM = "x86_64", "aarch64"
PID = 7


def decide(machine: str, number: int, *arguments: int, architecture: int | None = None) -> int:
    """What the filter returns for a call: a small interpreter of classic BPF."""
    if architecture is None:
        architecture = seccomp.ARCHITECTURES[machine]
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<IIQ6Q", number, architecture, 0, *padded)
    program = list(struct.iter_unpack("=HBBI", seccomp.build(PID, machine)))
    position = accumulator = 0
    while True:
        code, jump_if, jump_else, constant = program[position]
        position += 1
        match code:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, constant)
            case 0x06:
                return constant
            case 0x15:
                position += jump_if if accumulator == constant else jump_else
            case 0x35:
                position += jump_if if accumulator >= constant else jump_else
            case 0x45:
                position += jump_if if accumulator & constant else jump_else
            case _:
                raise AssertionError(f"unknown instruction {code:#x}")


@pytest.mark.parametrize("machine", [X86, ARM])
@pytest.mark.parametrize("name", seccomp.ALLOWED)
def test_listed_calls_get_through(machine: str, name: str) -> None:
    number = seccomp.ALLOWED[name][machine == ARM]
    if number is not None:
        assert decide(machine, number) == ALLOW


@pytest.mark.parametrize(
    ("name", "x86", "arm"),
    [
        ("fork", 57, None), ("vfork", 58, None), ("execve", 59, 221), ("execveat", 322, 281),
        ("ptrace", 101, 117), ("process_vm_readv", 310, 270), ("process_vm_writev", 311, 271),
        ("add_key", 248, 217), ("request_key", 249, 218), ("keyctl", 250, 219), ("bpf", 321, 280),
        ("perf_event_open", 298, 241), ("userfaultfd", 323, 282), ("mount", 165, 40),
        ("umount2", 166, 39), ("pivot_root", 155, 41), ("chroot", 161, 51), ("unshare", 272, 97),
        ("setns", 308, 268), ("io_uring_setup", 425, 425), ("io_uring_enter", 426, 426),
        ("kexec_load", 246, 104), ("init_module", 175, 105), ("finit_module", 313, 273),
        ("clock_settime", 227, 112), ("settimeofday", 164, 170), ("adjtimex", 159, 171),
        ("socket", 41, 198), ("connect", 42, 203), ("bind", 49, 200), ("listen", 50, 201),
        ("memfd_create", 319, 279), ("shmget", 29, 194), ("msgget", 68, 186), ("semget", 64, 190),
        ("mq_open", 240, 180), ("pidfd_open", 434, 434), ("pidfd_getfd", 438, 438),
        ("tkill", 200, 130), ("rt_sigqueueinfo", 129, 138), ("open_by_handle_at", 304, 265),
        ("setuid", 105, 146), ("capset", 126, 91), ("personality", 135, 92), ("mknodat", 259, 33),
        ("open_tree", 428, 428), ("fsopen", 430, 430), ("seccomp", 317, 277),
        ("a call of the future", 4000, 4000),
    ],
)  # fmt: skip
def test_all_others_fail(name: str, x86: int, arm: int | None) -> None:
    assert decide(X86, x86) == EPERM
    if arm is not None:
        assert decide(ARM, arm) == EPERM


THREAD = 0x3D0F00  # what libc passes to start one


@pytest.mark.parametrize(
    ("name", "arguments", "decision"),
    [
        ("clone", (THREAD,), ALLOW),
        ("clone", (17,), EPERM),  # SIGCHLD: a process
        ("clone", (THREAD | 0x10000000,), EPERM),
        ("clone", (THREAD | 0x00020000,), EPERM),
        ("clone3", (), ENOSYS),
        ("kill", (PID, 9), ALLOW),
        ("kill", (PID + 1, 9), EPERM),
        ("kill", (0, 9), EPERM),
        ("kill", (2**64 - 1, 9), EPERM),
        ("tgkill", (PID, 5), ALLOW),
        ("tgkill", (1, 1), EPERM),
        ("prlimit64", (0, 7), ALLOW),
        ("prlimit64", (1, 7), EPERM),
        ("prctl", (15,), ALLOW),
        ("prctl", (38,), EPERM),
        ("ioctl", (1, 0x5401), ALLOW),
        ("ioctl", (1, 0x5412), EPERM),  # TIOCSTI: type into a terminal
        ("fcntl", (0, 3), ALLOW),
        ("fcntl", (0, 8), EPERM),  # F_SETOWN: signals to others
        ("socketpair", (1,), ALLOW),
        ("socketpair", (2,), EPERM),
        ("sendto", (0, 0, 0, 0, 0), ALLOW),
        ("sendto", (0, 0, 0, 0, 5), EPERM),
        ("sendto", (0, 0, 0, 0, 5 << 32), EPERM),
    ],
)
@pytest.mark.parametrize("machine", [X86, ARM])
def test_arguments_decide(
    machine: str, name: str, arguments: tuple[int, ...], decision: int
) -> None:
    assert decide(machine, seccomp.CONDITIONAL[name][machine == ARM], *arguments) == decision


def test_another_table_of_calls_kills() -> None:
    assert decide(X86, 39 | 0x40000000) == KILL  # x32
    assert decide(X86, 20, architecture=0x40000003) == KILL  # 32-bit
    assert decide(ARM, 39, architecture=seccomp.ARCHITECTURES[X86]) == KILL


def test_a_processor_without_a_table_is_refused() -> None:
    with pytest.raises(seccomp.UnsupportedMachine, match=r"'riscv64' \(there is one for x86_64"):
        seccomp.build(1, "riscv64")


def test_numbers_are_those_of_this_systems_headers() -> None:
    header = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
    if platform.machine() != X86 or not header.exists():
        pytest.skip("no headers of x86-64 here")
    lines = re.findall(r"#define __NR_(\w+) (\d+)", header.read_text())
    numbers = {name: int(number) for name, number in lines}
    for name, (x86, _) in {**seccomp.ALLOWED, **seccomp.CONDITIONAL}.items():
        assert x86 is None or numbers.get(name, x86) == x86, name


def test_an_installed_filter_holds_in_a_process() -> None:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            from verifiers import sandbox_confine

            sandbox_confine.drop_privileges()
            seccomp.install(seccomp.build(os.getpid()))
            try:
                os.fork()
            except PermissionError:
                code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0

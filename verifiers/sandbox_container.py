"""The sandbox's fork server in a container: docker or podman, whichever is there and works.

The image is empty. What the fork server is made of is mounted into it, read-only, from this
machine, so that programs run under the same interpreter as in every other sandbox, and nothing is
fetched. A descriptor cannot be passed into a container, so the control socket has a name there, in
a directory of its own that is mounted too.
"""

import os
import select
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

RUNTIMES = ("docker", "podman")
IMAGE = "localhost/assay-sandbox:1"
CONTROL = "/control/socket"  # as seen inside
EMPTY_TAR = bytes(10240)
ASK_S = 15.0  # for a runtime to answer about, or make, the image
REMOVE_S = 2.0  # for the client to remove a container that has ended; else the runtime does
FIRST_UID, N_UIDS = 20_000, 40_000  # below 65,536, which is as far as rootless podman goes
PROCESSES = 512  # threads of programs that run at the same time included


class ContainerError(RuntimeError):
    """The container runtime did not do what was asked; says how."""


def find_runtimes() -> list[str]:
    return [path for name in RUNTIMES if (path := shutil.which(name))]


def container_command(
    runtime: str,
    number: int,
    mounted: Mapping[str, str],
    environment: Mapping[str, str],
    command: Sequence[str],
) -> list[str]:
    """A container without network, capabilities or anything to write to.

    number: decides which user it runs as. mounted: path inside -> path on this machine.
    """
    uid = FIRST_UID + number % N_UIDS
    words = [runtime, "run", "--rm", "--pull", "never", "--network", "none", "--ipc", "none"]
    words += ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    words += ["--pids-limit", str(PROCESSES), "--ulimit", f"nproc={PROCESSES}:{PROCESSES}"]
    words += ["--ulimit", "nofile=1024:1024", "--user", f"{uid}:{uid}", "--workdir", "/"]
    for there, here in mounted.items():
        words += ["--mount", f"type=bind,src={here},dst={there},readonly"]
    words += [x for pair in environment.items() for x in ("--env", "=".join(pair))]
    return [*words, "--entrypoint", command[0], IMAGE, *command[1:]]


@contextmanager
def meeting_point(command: list[str]) -> Iterator[tuple[socket.socket, list[str]]]:
    """A socket to which the fork server will connect, and the command with it mounted.

    Others on this machine cannot reach it: the directory above it is its owner's alone.
    """
    with (
        TemporaryDirectory(prefix="assay-sandbox-") as private,
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening,
    ):
        folder = Path(private, "control")
        folder.mkdir(mode=0o755)
        path = folder / Path(CONTROL).name
        listening.bind(str(path))
        listening.listen(1)
        path.chmod(0o666)  # inside it is another user who connects
        mount = ["--mount", f"type=bind,src={folder},dst={Path(CONTROL).parent}"]
        run = command.index("run") + 1
        yield listening, [*command[:run], *mount, *command[run:]]


def accept(
    listening: socket.socket, process: "subprocess.Popen[bytes]", deadline_s: float
) -> socket.socket:
    """The connection that the fork server makes.

    Raises:
        OSError: the runtime's client ended instead, or nothing happened for `deadline_s`.
    """
    ended = os.pidfd_open(process.pid)
    try:
        poll = select.poll()
        poll.register(listening, select.POLLIN)
        poll.register(ended, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(deadline_s * 1000)}
    finally:
        os.close(ended)
    if listening.fileno() in ready:
        return listening.accept()[0]
    raise ConnectionError("it ended") if ready else TimeoutError("the container did not start")


def ensure_image(runtime: str) -> None:
    """Make the empty image where it is not there yet.

    Raises:
        ContainerError: the runtime cannot; such as docker without its daemon.
    """
    if _asked(runtime, "image", "inspect", IMAGE).returncode == 0:
        return
    made = _asked(runtime, "import", "-", IMAGE, given=EMPTY_TAR)
    if made.returncode != 0:
        said = made.stderr.decode(errors="replace").strip().splitlines()
        raise ContainerError(said[-1] if said else f"{runtime} import: {made.returncode}")


def _asked(runtime: str, *words: str, given: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    try:
        return subprocess.run(
            [runtime, *words], input=given, capture_output=True, check=False, timeout=ASK_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ContainerError(f"{runtime} {words[0]}: {error}") from error

"""Run programs of a policy where they can do no harm, each in a fresh sandbox.

    with Sandbox() as sandbox:
        ran = sandbox.run({"do": "print", "program": text, "input": "1 2\\n"}, Limits(wall_s=2.0))

One fork server per grader (verifiers/sandbox_inside.py) is prepared ahead; every program gets a
child of it with namespaces, /tmp and limits of its own, which vanish with it.
"""

import contextlib
import json
import os
import select
import socket
import subprocess
import time
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, Self

from verifiers import sandbox_container as container
from verifiers.sandbox_command import ENVIRONMENT, Way, ways
from verifiers.sandbox_confine import Limits

STRENGTHS = ("landlock", "container", "namespaces")  # weakest first
START_DEADLINE_S = 30.0
GRACE_S = 10.0  # beyond a program's own deadline, which the fork server keeps
MAX_PACKET = 1 << 16


class SandboxError(RuntimeError):
    """The sandbox itself failed, whatever the program is: says how."""


class TooWeak(SandboxError):
    """The isolation to be had here is below what was required; says why and what to do."""


def check_strength(require: str) -> None:
    """Raises ValueError where there is no such strength."""
    if require not in STRENGTHS:
        raise ValueError(
            f"there is no sandbox strength '{require}'; there are {', '.join(STRENGTHS)}"
        )


def is_enough(found: object, required: str) -> bool:
    """Whether the strength found is known, and at least the one required."""
    return found in STRENGTHS[STRENGTHS.index(required) :]


class Ran(NamedTuple):
    """How a program ended. `report` and `output` are whatever it chose to send."""

    report: bytes
    output: bytes
    status: int  # exit code, or minus the signal
    exceeded: str  # the limit that it ran into: "time", "output" or ""
    cpu_s: float
    memory_mib: float  # largest resident size


class Runs(Protocol):
    def run(self, request: dict[str, Any], limits: Limits) -> Ran: ...


def prove(sandbox: Runs) -> None:
    """Have it run a first program, of which the value is known.

    Raises:
        SandboxError: it does not.
    """
    request = {"do": "call", "program": "f = int", "entry_point": "f", "args": ["7"]}
    ran = sandbox.run(request, Limits(START_DEADLINE_S))
    if ran.report != b'["value",7]':
        raise SandboxError(f"its first program ended with {ran.status} and {ran.report!r:.200}")


class _Running:
    """A program under way: its pipes, and what has come out of them."""

    def __init__(self, job: int, limits: Limits) -> None:
        self.job, self.limits = job, limits
        self.buffers: dict[int, bytearray] = {}  # descriptor -> bytes; report first, then output
        self.open: set[int] = set()
        self.exceeded = ""
        self.ended: dict[str, Any] | None = None


class Sandbox:
    """A prepared sandbox; entering starts it. Used by one thread at a time.

    require: the weakest isolation that will do, of STRENGTHS.
    use: exactly this one, to try it; None for the strongest there is.

    Raises (on entering):
        TooWeak: it cannot be had here.
    """

    def __init__(self, require: str = "namespaces", *, use: str | None = None) -> None:
        check_strength(require)
        self._require, self._use = require, use
        self._process: subprocess.Popen[bytes] | None = None
        self._contained = False  # the process is the client of a container runtime
        self._jobs = 0
        self._ways: list[Way] | None = None
        self.strength = ""  # the one in force
        self.description = ""  # one line for a person

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        """Start the fork server in the strongest way that works here, and prove that it works."""
        reasons: list[str] = []
        for way in self._ways or [way for way in ways() if self._use in (None, way.strength)]:
            try:
                found = self._launch(way)
                prove(self)
            except SandboxError as error:
                self.stop()
                reasons.append(f"{way.strength}: {error}")
                continue
            self._ways = [way]
            self.strength = way.strength
            self.description = _describe(way, found, reasons)
            break
        if not self.running or not is_enough(self.strength, self._require):
            self.stop()
            raise TooWeak(
                f"programs need a sandbox of at least '{self._require}', and this machine "
                f"gives {self.description or 'none'}: {'; '.join(reasons) or 'no way was found'}. "
                "Install bubblewrap (apt-get install bubblewrap), allow user namespaces "
                "(sysctl user.max_user_namespaces), run as root with CAP_SYS_ADMIN, or have "
                "programs run elsewhere, by `assay sandbox`"
            )

    def stop(self) -> None:
        """End the fork server and with it whatever still runs. Waits until all are gone."""
        if self._process is None:
            return
        process, self._process = self._process, None
        if not self._contained:
            process.kill()
        with contextlib.suppress(OSError):  # the other end's last processes are gone at its end
            self._control.settimeout(GRACE_S)
            self._control.shutdown(socket.SHUT_WR)  # ends a container; killing its client does not
            while self._control.recv(MAX_PACKET):
                pass
        self._control.close()
        if self._contained:  # it removes the container, which takes a moment
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(container.REMOVE_S)
        process.kill()
        process.wait()

    def run(self, request: dict[str, Any], limits: Limits) -> Ran:
        """Run one program in a sandbox of its own; see `run_together`."""
        return self.run_together([(request, limits)])[0]

    def run_together(self, jobs: Sequence[tuple[dict[str, Any], Limits]]) -> list[Ran]:
        """Run programs at the same time, each in a sandbox of its own. Two are joined by a socket
        pair, their only way to reach each other.

        Waits for all to end, which the fork server sees to at each one's `wall_s`; if it does not
        answer GRACE_S later, it is killed with everything in it.

        Raises:
            SandboxError: the sandbox failed; it has been stopped, and `start` makes a new one.
        """
        if self._process is None:
            raise SandboxError("it is not running")
        channels: list[socket.socket] = list(socket.socketpair()) if len(jobs) == 2 else []
        running: list[_Running] = []
        try:
            for index, (request, limits) in enumerate(jobs):
                channel = [channels[index].fileno()] if channels else []
                running.append(self._submit(request, limits, channel))
            while channels:
                channels.pop().close()
            self._collect(running)
        except (OSError, ValueError) as error:
            self.stop()
            raise SandboxError(f"the fork server failed: {error}") from error
        except BaseException:
            self.stop()
            raise
        finally:
            for channel in channels:
                channel.close()
            for one in running:
                for fd in one.open:
                    os.close(fd)
        return [_ran(one) for one in running]

    def _submit(self, request: dict[str, Any], limits: Limits, channel: list[int]) -> _Running:
        self._jobs += 1
        one = _Running(self._jobs, limits)
        theirs = [os.memfd_create("request"), *channel]
        try:
            with open(theirs[0], "wb", closefd=False) as file:
                file.write(json.dumps(request).encode())
            os.lseek(theirs[0], 0, os.SEEK_SET)
            for position in (1, 2):
                reading, writing = os.pipe()
                os.set_blocking(reading, False)
                one.buffers[reading] = bytearray()
                one.open.add(reading)
                theirs.insert(position, writing)
            packet = json.dumps({"job": one.job, "limits": limits}).encode()
            socket.send_fds(self._control, [packet], theirs)
        except BaseException:
            for fd in one.open:
                os.close(fd)
            raise
        finally:
            for fd in theirs[: len(theirs) - len(channel)]:
                os.close(fd)
        return one

    def _collect(self, running: list[_Running]) -> None:
        """Read until every program has ended and its pipes are empty."""
        latest = time.monotonic() + max(one.limits.wall_s for one in running) + GRACE_S
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        readers = {fd: one for one in running for fd in one.open}
        for fd in readers:
            poll.register(fd, select.POLLIN)
        while any(one.ended is None or one.open for one in running):
            left = latest - time.monotonic()
            events = poll.poll(max(0.0, left) * 1000)
            if not events and left <= 0:
                raise TimeoutError(f"no word {GRACE_S:g} s after the program's deadline")
            for fd, _ in events:
                if fd == self._control.fileno():
                    self._hear(running)
                elif not self._read(readers[fd], fd):
                    poll.unregister(fd)
                    readers[fd].open.discard(fd)
                    os.close(fd)

    def _hear(self, running: list[_Running]) -> None:
        message = self._receive()
        for one in running:
            if one.job == message.get("job"):
                one.ended = message

    def _read(self, one: _Running, fd: int) -> bool:
        """Take what is there; False at the end, also when there is more than the limit."""
        data = os.read(fd, 1 << 20)
        buffer = one.buffers[fd]
        buffer += data
        if len(buffer) > one.limits.output_bytes + 64:  # a report has a few bytes of its own
            one.exceeded = "output"
            buffer.clear()
            self._control.send(json.dumps({"kill": one.job}).encode())
            return False
        return bool(data)

    def _receive(self) -> dict[str, Any]:
        data = self._control.recv(MAX_PACKET)
        if not data:
            raise ConnectionError("it ended")
        return json.loads(data)

    def _launch(self, way: Way) -> dict[str, Any]:
        """Start the fork server; what it says about itself when it is ready."""
        self._contained = way.strength == "container"
        start = _start_contained if self._contained else _start
        self._process, self._control = start(way)
        try:
            self._control.settimeout(START_DEADLINE_S)
            ready = self._receive()
            self._control.settimeout(None)
        except OSError as error:
            raise SandboxError(_last_words(self._process, error)) from error
        finally:
            assert self._process.stderr is not None
            self._process.stderr.close()
        return ready


def _start(way: Way) -> tuple["subprocess.Popen[bytes]", socket.socket]:
    """The fork server's process and the control socket."""
    control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        try:
            return _spawn(way, way.command, theirs.fileno(), ENVIRONMENT), control
        except BaseException:
            control.close()
            raise


def _start_contained(way: Way) -> tuple["subprocess.Popen[bytes]", socket.socket]:
    """The process of the runtime's client and the control socket, once it is connected."""
    try:
        container.ensure_image(way.command[0])
    except container.ContainerError as error:
        raise SandboxError(str(error)) from error
    with container.meeting_point(way.command) as (listening, command):
        process = _spawn(way, command, container.CONTROL, None)
        try:
            return process, container.accept(listening, process, START_DEADLINE_S)
        except OSError as error:
            raise SandboxError(_last_words(process, error)) from error


def _spawn(
    way: Way, command: list[str], control: int | str, environment: dict[str, str] | None
) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(
            [*command, json.dumps({**way.setup, "control": control})],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=[control] if isinstance(control, int) else [],
            env=environment,
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        raise SandboxError(f"cannot start {command[0]}: {error}") from error


def _last_words(process: "subprocess.Popen[bytes]", error: OSError) -> str:
    """Ends a process that did not start well; the last line it said, else the error."""
    process.kill()
    process.wait()
    assert process.stderr is not None
    os.set_blocking(process.stderr.fileno(), False)  # what it started may hold the other end
    said = (process.stderr.read(4000) or b"").decode(errors="replace").strip()
    return said.splitlines()[-1] if said else str(error)


def _ran(one: _Running) -> Ran:
    assert one.ended is not None
    if one.ended["unconfined"]:
        raise SandboxError(f"a program could not be confined: {one.ended['unconfined']}")
    report, output = (bytes(buffer) for buffer in one.buffers.values())
    late = "time" if one.ended["late"] else ""
    memory = one.ended["memory_kib"] / 1024
    return Ran(
        report, output, one.ended["status"], one.exceeded or late, one.ended["cpu_s"], memory
    )


def _describe(way: Way, found: dict[str, Any], reasons: list[str]) -> str:
    if way.strength == "namespaces":
        user = "" if found["user_namespaces"] else ", no user namespaces"
        return f"namespaces (bubblewrap {way.command[0]}, seccomp{user})"
    why = f"; {'; '.join(reasons)}" if reasons else ""
    if way.strength == "container":
        abi = found["abi"]
        return f"container ({way.command[0]}, Landlock ABI {abi}, seccomp, no private /tmp{why})"
    return f"landlock (Landlock ABI {found['abi']}, seccomp, no private /tmp{why})"

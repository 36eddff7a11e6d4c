"""One verifier worker as the loop sees it: started, asked, watched and killed, never waited for
without a deadline."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import sys
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, Self

from verifiers.sandbox_wire import TOKEN
from verifiers.verdict import Verdict, broken, exceeded
from verifiers.worker import MAX_REPLY_BYTES, OUT_OF_MEMORY

WORKER = Path(__file__).with_name("worker.py")
NAME = "pool/1"  # what its own verdicts are signed with
# ASSAY_RUN marks every process of a run: by it, what a verifier starts in a session of its own is
# found and ended with the run. The token is for a sandbox server; programs see none of these.
KEPT_VARIABLES = ("PATH", "HOME", "TMPDIR", "TZ", "LD_LIBRARY_PATH", "ASSAY_RUN", TOKEN)
LOG_BYTES = 1 << 24  # of one worker; what it prints beyond is dropped
TAIL_LINES = 12
REAP_S = 30.0


class VerifierStartError(RuntimeError):
    """A verifier worker did not come up; the message ends in its last lines of output."""


class Limits(NamedTuple):
    """What judging one answer may use."""

    deadline_s: float = 10.0  # wall seconds from handing the job to a ready worker
    cpu_s: float = 5.0  # of the worker itself; processes that it starts have only the deadline
    memory_mib: int = 2048  # address space of the worker, its imports included


class Setup(NamedTuple):
    """What every worker of a pool is started with."""

    entry: str  # `module:function`, function(job) -> Verdict
    prepare: tuple[Any, ...]  # for each, the entry's module's `prepare` is called at the start
    limits: Limits
    start_deadline_s: float


class Judged(NamedTuple):
    verdict: Verdict
    over_limit: bool = False  # a limit was used up, which may be the verifier's own fault
    again: bool = False  # earlier jobs or another process may be the cause: ask a fresh worker


class Log:
    """The workers' output in one file, a prefix before each line."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)

    def write(self, prefix: str, lines: Iterable[bytes]) -> None:
        data = b"".join(prefix.encode() + line + b"\n" for line in lines)
        # A full disk must not stop the judging: the last lines are also kept in memory.
        with contextlib.suppress(OSError):
            self._file.write(data)

    def close(self) -> None:
        self._file.close()


class WorkerProcess(asyncio.Protocol):
    """Asked by one task at a time. Once `usable` is False it is dead or being killed."""

    def __init__(
        self, setup: Setup, log: Log, process: asyncio.subprocess.Process, log_fd: int
    ) -> None:
        self.usable = True
        self.jobs = 0
        self._setup, self._log, self._process = setup, log, process
        self._loop = asyncio.get_running_loop()
        self._reply: asyncio.Future[dict[str, Any] | Judged] | None = None
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._prefix = f"[worker {process.pid}] "
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._unfinished_line = b""
        self._logged_bytes = 0
        self._log_fd = log_fd
        self._loop.add_reader(log_fd, self._copy_log)
        self._watcher = asyncio.create_task(self._watch())

    @classmethod
    async def start(cls, setup: Setup, log: Log) -> Self:
        """Start a process and wait until it has imported its entry.

        Raises:
            VerifierStartError: it ended, or was not ready within `start_deadline_s`.
        """
        channel, their_channel = socket.socketpair()
        log_fd, their_log = os.pipe()
        os.set_blocking(log_fd, False)
        try:
            process = await asyncio.create_subprocess_exec(
                *command(setup, their_channel.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=their_log,
                stderr=their_log,
                pass_fds=[their_channel.fileno()],
                env=clean_environment(),
                start_new_session=True,
            )
        except BaseException as error:
            channel.close()
            os.close(log_fd)
            if isinstance(error, OSError):
                raise VerifierStartError(f"cannot start {sys.executable}: {error}") from error
            raise
        finally:
            their_channel.close()
            os.close(their_log)
        self = cls(setup, log, process, log_fd)
        try:
            await self._connect(channel)
        except BaseException:
            self.kill()
            await self.closed()
            raise
        return self

    async def ask(self, job: Any) -> Judged:
        """Have one job judged. Consumes the worker's next reply; ends when that comes, when the
        process ends, or at the deadline, which kills it."""
        self.jobs += 1
        line = json.dumps({"id": self.jobs, "job": job}).encode() + b"\n"
        self._reply = self._loop.create_future()
        deadline = self._loop.call_later(self._setup.limits.deadline_s, self._late)
        assert self._transport is not None  # `start` has made it
        self._transport.write(line)
        try:
            reply = await self._reply
        except asyncio.CancelledError:
            self.kill()  # it is still judging, and nobody will take its verdict
            raise
        finally:
            deadline.cancel()
            self._reply = None
        return reply if isinstance(reply, Judged) else self._read(reply)

    def kill(self) -> None:
        """Kill the process and all that it started. Does not wait: `closed` does."""
        self.usable = False
        kill_session(self._process.pid, leader_lives=self._process.returncode is None)
        if self._transport is not None:
            self._transport.abort()

    def peak_mib(self) -> float:
        """The largest resident size this process has had; 0 once it is gone."""
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text()
        except OSError:
            return 0.0
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        return int(found[1]) / 1024 if found else 0.0

    async def closed(self) -> None:
        """Wait until a killed worker is gone and reaped.

        Raises:
            TimeoutError: it outlived SIGKILL by REAP_S (stuck inside the kernel).
        """
        await asyncio.wait_for(asyncio.shield(self._watcher), REAP_S)

    async def _connect(self, channel: socket.socket) -> None:
        """Wait for the worker's first line."""
        self._reply = self._loop.create_future()
        self._transport, _ = await self._loop.create_connection(lambda: self, sock=channel)
        seconds = self._setup.start_deadline_s
        try:
            async with asyncio.timeout(seconds):  # wait_for can swallow a cancellation
                said = await self._reply
        except TimeoutError:
            what = f"was not ready within {seconds:g} s"
        else:
            if not isinstance(said, Judged) and said.get("ready") is True:
                return
            what = said.verdict.detail if isinstance(said, Judged) else f"sent {str(said)[:200]}"
        finally:
            self._reply = None
        self.kill()
        await self.closed()  # its last lines have arrived by then
        output = "\n".join(self._tail) or "(nothing)"
        raise VerifierStartError(
            f"the verifier worker for '{self._setup.entry}' did not start: {what}. "
            f"Its last output:\n{output}"
        )

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        line, newline, rest = self._buffer.partition(b"\n")
        if not newline:
            if len(self._buffer) > MAX_REPLY_BYTES:
                self._garbage(f"{len(self._buffer):,} bytes without an end of line")
            return
        self._buffer = rest
        try:
            reply = json.loads(line)
            if not isinstance(reply, dict) or (self.jobs and reply["id"] != self.jobs):
                raise ValueError("not a reply to this job")
        except (ValueError, KeyError, RecursionError):
            self._garbage(f"{bytes(line[:100])!r}")
            return
        if rest or self._reply is None or self._reply.done():
            self._garbage("more than one reply to a job")
            return
        self._reply.set_result(reply)

    def _read(self, reply: dict[str, Any]) -> Judged:
        """What the worker's answer means."""
        if reply.get("left_behind"):
            self._note("the verifier left a process behind: it and its worker are killed")
            self.kill()
        if "raised" in reply:
            return Judged(broken(f"the verifier raised {reply['raised']}", NAME))
        if "exceeded" in reply:
            self.kill()
            if reply["exceeded"] == "memory":
                return self._out_of_memory()
            return Judged(exceeded(str(reply["exceeded"]), NAME), over_limit=True)
        try:
            return Judged(Verdict.from_json(reply["verdict"]))
        except (KeyError, TypeError, ValueError) as error:
            self.kill()
            return Judged(broken(f"the verifier sent no proper verdict: {error}", NAME))

    def _out_of_memory(self) -> Judged:
        detail = f"judging it used up {self._setup.limits.memory_mib} MiB of memory"
        return Judged(exceeded(detail, NAME), over_limit=True, again=self.jobs > 1)

    def _late(self) -> None:
        detail = f"no verdict within {self._setup.limits.deadline_s:g} s"
        self._end(Judged(exceeded(detail, NAME), over_limit=True))

    def _garbage(self, what: str) -> None:
        self._end(Judged(broken(f"the verifier wrote into the worker's channel: {what}", NAME)))

    def _end(self, judged: Judged) -> None:
        """The last word on the job under way, if there is one; then the process has to go."""
        if self._reply is not None and not self._reply.done():
            self._reply.set_result(judged)
        self.kill()

    async def _watch(self) -> None:
        """Wait for the process to end, whoever ends it; then settle the job under way."""
        code = await self._process.wait()
        self._copy_log()
        self._close_log()
        self._end(self._judge_exit(code))

    def _judge_exit(self, code: int) -> Judged:
        if code == -signal.SIGPROF:
            seconds = self._setup.limits.cpu_s
            detail = f"judging it used up {seconds:g} s of CPU time"
            return Judged(exceeded(detail, NAME), over_limit=True)
        if code == OUT_OF_MEMORY:
            return self._out_of_memory()
        if code == -signal.SIGKILL:
            detail = "the kernel killed the verifier, most likely for want of memory"
            return Judged(exceeded(detail, NAME), over_limit=True, again=True)
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        when = " in the middle of a job" if self.jobs else ""
        return Judged(broken(f"the verifier's process ended {how}{when}", NAME))

    def _copy_log(self) -> None:
        """Move what the process has printed into the log, as far as it is there."""
        for _ in range(16):  # then let the loop do something else
            if self._log_fd < 0:
                return
            try:
                data = os.read(self._log_fd, 1 << 16)
            except BlockingIOError:
                return
            if not data:
                self._close_log()
                return
            *lines, self._unfinished_line = (self._unfinished_line + data).split(b"\n")
            if len(self._unfinished_line) > 1 << 16:
                lines.append(self._unfinished_line)
                self._unfinished_line = b""
            self._tail.extend(line[:400].decode(errors="replace") for line in lines[-TAIL_LINES:])
            before, self._logged_bytes = self._logged_bytes, self._logged_bytes + len(data)
            if before < LOG_BYTES:
                self._log.write(self._prefix, lines)
                if self._logged_bytes >= LOG_BYTES:
                    self._note("further output of this worker is dropped")

    def _close_log(self) -> None:
        if self._log_fd < 0:
            return
        self._loop.remove_reader(self._log_fd)
        os.close(self._log_fd)
        self._log_fd = -1
        if self._unfinished_line:
            self._tail.append(self._unfinished_line[:400].decode(errors="replace"))
            self._log.write(self._prefix, [self._unfinished_line])
            self._unfinished_line = b""

    def _note(self, text: str) -> None:
        self._log.write(self._prefix, [text.encode()])


def command(setup: Setup, channel: int) -> list[str]:
    config = {
        "entry": setup.entry,
        "prepare": setup.prepare,
        "cpu_s": setup.limits.cpu_s,
        "memory_mib": setup.limits.memory_mib,
        "channel": channel,
        "parent": os.getpid(),
    }
    # Isolated (no user site, no script directory, whose math.py would hide Python's), but for the
    # variables of clean_environment, of which PYTHONHASHSEED is wanted.
    options = ["-s", "-P", "-u", "-X", "faulthandler", "-X", "utf8"]
    return [sys.executable, *options, str(WORKER), json.dumps(config)]


def clean_environment() -> dict[str, str]:
    """Nothing of the run's secrets; the same hash seed everywhere, so that verdicts repeat."""
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    return {**kept, "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"}


def kill_session(leader: int, leader_lives: bool) -> None:
    """Kill a session's leader, everything in its session, and all their descendants.

    The leader is stopped first, so that it starts nothing more while the others are looked for.
    What left the session of a leader that then died by itself is not found.
    """
    doomed = {leader} if leader_lives else set[int]()
    for pid in doomed:
        _signal(pid, signal.SIGSTOP)
    while new := _members(leader, doomed) - doomed:
        for pid in new:
            _signal(pid, signal.SIGSTOP)
        doomed |= new
    for pid in doomed:
        _signal(pid, signal.SIGKILL)


def _members(leader: int, ancestors: set[int]) -> set[int]:
    """Processes of the leader's session, and children of `ancestors`."""
    table = _processes()
    return {p for p, (parent, session) in table.items() if parent in ancestors or session == leader}


def _processes() -> dict[int, tuple[int, int]]:
    """pid -> (parent's pid, session) of all processes that are not zombies."""
    table: dict[int, tuple[int, int]] = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            stat = Path(entry.path, "stat").read_bytes()
        except OSError:  # it ended meanwhile
            continue
        # "pid (name) state parent group session ...", and the name may hold anything
        state, parent, _, session = stat[stat.rindex(b")") + 2 :].split()[:4]
        if state not in (b"Z", b"X"):
            table[int(entry.name)] = (int(parent), int(session))
    return table


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)

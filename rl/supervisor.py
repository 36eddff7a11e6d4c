"""Owns every process of a run: starts them, watches deadlines, says who died and why, ends all."""

import contextlib
import fcntl
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rl.children import Child, ChildDied, clear, memory_directory, start, start_guard, stop
from rl.errors import UserError
from rl.events import EVENTS_VARIABLE, Event, EventReader
from rl.plan import Plan
from rl.progress import Progress
from rl.recipe.config import Recipe
from rl.sampling.server import server_command

GRACE_S = 30.0  # past a deadline, before the supervisor acts in the place of who set it
EXIT_S = 30.0  # for the ranks of a run that is complete to end by themselves
POLL_S = 0.05


class Interrupted(Exception):
    """The user ended the run."""


class Supervisor:
    """The processes of one run directory. Use as a context manager: leaving it leaves nothing."""

    def __init__(self, run_dir: Path, progress: Progress) -> None:
        self.run_dir = run_dir
        self.progress = progress
        self.children: list[Child] = []
        self.interrupts = 0
        self.ranks: list[Child] = []
        self._exits = contextlib.ExitStack()

    def __enter__(self) -> "Supervisor":
        self._exits.enter_context(locked(self.run_dir))
        clear(self.run_dir)  # of a run that was killed a moment ago
        memory_directory(self.run_dir).mkdir(mode=0o700)
        self._exits.enter_context(start_guard(self.run_dir))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            before = signal.signal(number, self._interrupt)
            self._exits.callback(signal.signal, number, before)
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        with self._exits:
            if error is None:
                self._let_ranks_end()
            stop(self.children, run_dir=self.run_dir)

    def _let_ranks_end(self) -> None:
        """Trackers send their last figures while the ranks exit; one that hangs is ended."""
        end = time.monotonic() + EXIT_S
        for rank in self.ranks:
            with contextlib.suppress(subprocess.TimeoutExpired):
                rank.process.wait(max(0.0, end - time.monotonic()))

    def _interrupt(self, number: int, _: object) -> None:
        self.interrupts += 1

    def start(
        self, name: str, argv: Sequence[str], environment: dict[str, str], fds: Sequence[int] = ()
    ) -> Child:
        child = start(name, argv, run_dir=self.run_dir, environment=environment, pass_fds=fds)
        self.children.append(child)
        return child

    def finish(self, child: Child, reason: str, deadline_s: float) -> None:
        """Wait until a child has done its work; show its last line meanwhile.

        Raises:
            ChildDied: it failed, or was not done by the deadline.
            Interrupted: the user did not want to wait.
        """
        end = time.monotonic() + deadline_s
        self.progress.wait(reason, deadline_s)
        while child.returncode() is None:
            if time.monotonic() > end:
                child.process.kill()
                child.process.wait()
                raise ChildDied(
                    f"{reason} was not done within {deadline_s:.0f} s. The last lines of "
                    f"{child.log}:\n{child.last_lines()}"
                )
            if self.interrupts:
                raise Interrupted
            self.progress.tick()
            time.sleep(POLL_S)
        self.children.remove(child)
        if child.returncode():
            raise child.died(reason)

    def serve(self, model: str, recipe: Recipe, plan: Plan) -> tuple[list[str], str]:
        """Start the rollout servers; whoever uses them waits until they are ready.

        Returns:
            Their URLs, and the key they ask for.
        """
        key = secrets.token_hex(16)
        ports = free_ports(recipe.engine.servers, recipe.engine.port)
        for index, (port, gpu) in enumerate(zip(ports, plan.server_gpus, strict=True)):
            argv, environment = server_command(model, recipe, port, key)
            if gpu:
                environment["CUDA_VISIBLE_DEVICES"] = gpu
            self.start(f"server-{index}", argv, environment)
        return [f"http://127.0.0.1:{port}" for port in ports], key

    def lead(
        self,
        arguments: Sequence[str],
        *,
        environment: dict[str, str],
        gpus: Sequence[str],
        doing: str,
        deadline_s: float,
        on_item: Callable[[dict[str, Any]], None] | None = None,
        module: str = "rl.run",
    ) -> dict[str, Any]:
        """Start the ranks of `python -m MODULE` and follow rank 0 until it reports a summary.

        The ranks may still be ending then: leaving the supervisor waits for them.

        Args:
            doing: what the run waits for until rank 0 says something, at most `deadline_s`.
            on_item: gets what rank 0 checked, as soon as it is known (`assay doctor`).

        Returns:
            The summary that rank 0 reports.

        Raises:
            UserError: rank 0 says why it cannot go on.
            ChildDied: a process ended, or a deadline passed.
            Interrupted: the user ended the run.
        """
        reading, writing = os.pipe()
        shared = {
            **environment,
            "WORLD_SIZE": str(len(gpus)),
            "LOCAL_WORLD_SIZE": str(len(gpus)),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(free_ports(1, 0)[0]),
        }
        for rank, gpu in enumerate(gpus):
            own = {"RANK": str(rank), "LOCAL_RANK": "0" if gpu else str(rank)}
            own |= {"CUDA_VISIBLE_DEVICES": gpu} if gpu else {}
            own |= {EVENTS_VARIABLE: str(writing)} if rank == 0 else {}
            argv = [sys.executable, "-m", module, *arguments]
            fds = [writing] if rank == 0 else []
            self.ranks.append(self.start(f"rank-{rank}", argv, {**shared, **own}, fds))
        os.close(writing)
        try:
            return Follow(self, EventReader(reading), on_item).to_the_end(doing, deadline_s)
        finally:
            os.close(reading)


class Follow:
    """Watches a running loop: its events, its deadlines, and whether everybody is alive."""

    def __init__(
        self,
        supervisor: Supervisor,
        reader: EventReader,
        on_item: Callable[[dict[str, Any]], None] | None,
    ) -> None:
        self._supervisor = supervisor
        self._ranks = supervisor.ranks
        self._reader = reader
        self._on_item = on_item
        self._stepped = False  # from then on rank 0 knows how to stop after a step
        self._told = 0
        self._summary: dict[str, Any] | None = None
        self._failure: str | None = None

    def to_the_end(self, doing: str, deadline_s: float) -> dict[str, Any]:
        supervisor = self._supervisor
        self._await(doing, deadline_s)
        while True:
            # Looked at before the events are read: what a child said before it ended is then known.
            ended = [child for child in supervisor.children if child.returncode() is not None]
            self._read()
            if self._failure is not None:
                self._blame(self._failure)
            if self._summary is not None:
                return self._summary
            for child in ended:
                self._mourn(child)
            self._pass_interrupts_on()
            if time.monotonic() > self._end:
                self._overdue()
            supervisor.progress.tick()
            time.sleep(POLL_S)

    def _await(self, doing: str, deadline_s: float) -> None:
        self._doing = doing
        self._end = time.monotonic() + deadline_s + GRACE_S
        self._supervisor.progress.wait(doing, deadline_s)

    def _read(self) -> None:
        for event in self._reader.read():
            self._take(event)

    def _take(self, event: Event) -> None:
        content, progress = event.content, self._supervisor.progress
        match event.kind:
            case "wait":
                self._await(content["reason"], content["deadline_s"])
            case "step":
                self._stepped = True
                progress.step(content)
            case "forecast":
                progress.forecast(content)
            case "say":
                progress.say(content["text"])
            case "warn":
                progress.warn(content["text"])
            case "item":
                if self._on_item is not None:
                    self._on_item(content)
            case "done":
                self._summary = content["summary"]
            case "failed":
                self._failure = content["message"]

    def _mourn(self, child: Child) -> None:
        """Raise for a child that ended too early; rank 0's own account of it comes first.

        Other ranks may end a moment before rank 0 reports that the run is complete.
        """
        end = time.monotonic() + 2.0
        while child in self._ranks and time.monotonic() < end:
            self._read()
            if self._failure is not None:
                raise UserError(self._failure)
            if self._summary is not None:
                return
            time.sleep(POLL_S)
        raise child.died(self._doing)

    def _pass_interrupts_on(self) -> None:
        """The first Ctrl-C lets the step end and saves it; the second ends the run at once.

        Before the first step there is nothing to save, and nobody who could be asked to stop: then
        the first one ends the run at once, too.
        """
        asked = self._supervisor.interrupts
        if asked > self._told:
            self._told = asked
            if asked > 1 or not self._stepped:
                raise Interrupted
            self._supervisor.progress.say(
                "stopping: the step under way is finished and saved; Ctrl-C again stops at once"
            )
            self._ranks[0].process.send_signal(signal.SIGUSR1)

    def _blame(self, failure: str) -> None:
        """Raise for a failure that rank 0 reported; a dead process is its cause, not a symptom."""
        end = time.monotonic() + 2.0
        while time.monotonic() < end:
            for child in self._supervisor.children:
                if child is not self._ranks[0] and child.returncode() not in (None, 0):
                    raise child.died(self._doing)
            time.sleep(POLL_S)
        raise UserError(failure)

    def _overdue(self) -> None:
        tails = "\n".join(
            f"  {child.name} ({child.log}):\n{child.last_lines(5)}"
            for child in self._supervisor.children
        )
        raise ChildDied(
            f"{self._doing}: not done by its deadline, and rank 0 does not answer. Last lines of "
            f"every process:\n{tails}"
        )


def free_ports(n: int, first: int) -> list[int]:
    """Ports of loopback that are free now: n from `first` on, or any where `first` is 0.

    Raises:
        UserError: one of those asked for is in use.
    """
    with contextlib.ExitStack() as held:
        ports = []
        for index in range(n):
            probe = held.enter_context(socket.socket())
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            port = first + index if first else 0
            try:
                probe.bind(("127.0.0.1", port))
            except (OSError, OverflowError) as error:
                raise UserError(
                    f"engine.port: port {port} cannot be used ({error}); choose another, or 0 for "
                    "any free one"
                ) from None
            ports.append(probe.getsockname()[1])
        return ports


@contextlib.contextmanager
def locked(run_dir: Path) -> Iterator[None]:
    """Make the run directory, and hold it against a second run in it.

    Raises:
        UserError: it cannot be made or written to, or is held.
    """
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        lock = (run_dir / ".lock").open("w")
    except OSError as error:
        raise UserError(
            f"run_dir {run_dir} cannot be used ({error.strerror}: {error.filename}): choose a "
            "directory that you can write to with run_dir=DIR"
        ) from error
    with lock as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{run_dir}: another run is going on in this directory; wait for it, or choose "
                "another with run_dir=DIR"
            ) from None
        yield

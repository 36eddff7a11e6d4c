"""Judging in killable processes, so that no answer can hang, crash or fill up the loop.

    async with VerifierPool("envs.registry:judge", workers=2, limits=..., log_path=...) as pool:
        verdict = await pool.verify(job, control)

`verify` always returns: within about the deadline when a worker is free, and at most three times
that and two worker starts later when the answer uses up a limit.
"""

import asyncio
import json
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from verifiers.process import NAME, Judged, Limits, Log, Setup, VerifierStartError, WorkerProcess
from verifiers.verdict import Outcome, Verdict, broken

__all__ = ["Limits", "VerifierPool", "VerifierStartError"]

REMEMBERED_CONTROLS = 4096

Result = TypeVar("Result")


class VerifierPool:
    """K workers that judge, and one spare, so that replacing a dead one holds nothing up.

    entry: `module:function` or `path/to/file.py:function`, function(job) -> Verdict. `job` is what
        JSON can say. It runs in another process, with a clean environment, and may raise freely.
    prepare: for each item the entry's module's function `prepare(item)` is called when a worker
        starts, outside the limits: the place for slow imports.

    Raises (on entering):
        VerifierStartError: a worker did not come up; with its last lines of output.
    """

    def __init__(
        self,
        entry: str,
        workers: int,
        limits: Limits,
        log_path: Path,
        prepare: Sequence[Any] = (),
        start_deadline_s: float = 120.0,
    ) -> None:
        if workers < 1:
            raise ValueError(f"a verifier pool needs at least 1 worker (got {workers})")
        self._setup = Setup(entry, tuple(prepare), limits, start_deadline_s)
        self._workers = workers
        self._log_path = log_path
        self._open = False
        self._closing = False

    @property
    def verdict_deadline_s(self) -> float:
        """While answers wait to be judged, a verdict comes at least so often."""
        return 3 * (self._setup.limits.deadline_s + self._setup.start_deadline_s)

    async def __aenter__(self) -> Self:
        self._log = Log(self._log_path)
        self._slots = asyncio.Semaphore(self._workers)
        # Last in, first out: what is used stays warm, and the spare stays fresh.
        self._idle: asyncio.LifoQueue[WorkerProcess | VerifierStartError] = asyncio.LifoQueue()
        self._alive: set[WorkerProcess] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._controls: dict[str, Judged] = {}
        try:
            starts = [self._start() for _ in range(self._workers + 1)]
            for worker in await asyncio.gather(*starts, return_exceptions=True):
                if isinstance(worker, BaseException):
                    raise worker
                self._idle.put_nowait(worker)
        except BaseException:
            await self.__aexit__()
            raise
        self._open = True
        return self

    async def __aexit__(self, *error: object) -> None:
        """Kill every worker and wait until all are gone. Jobs under way end as broken."""
        self._open, self._closing = False, True
        for _ in range(self._workers):  # so many may be waiting for a worker
            self._idle.put_nowait(_closed())
        while self._tasks or self._alive:  # ending a job can still bring a worker to bury
            for task in self._tasks:
                task.cancel()
            for worker in self._alive:
                worker.kill()
            dying, self._alive = self._alive, set()
            waits = [*self._tasks, *(worker.closed() for worker in dying)]
            await asyncio.gather(*waits, return_exceptions=True)
        self._log.close()

    async def verify(self, job: dict[str, Any], control: dict[str, Any] | None = None) -> Verdict:
        """Judge one answer in a worker process. Never raises for what the verifier does.

        control: the same task with its reference solution. When the answer uses up a limit, this
            is judged in a fresh worker: if it fails too, the verifier is at fault (broken) and not
            the answer (exceeded).
        """
        if not self._open:
            raise RuntimeError("VerifierPool.verify is called outside of its `async with`")
        async with self._slots:
            try:
                judged = await self._judge(job)
                if judged.again:
                    judged = await self._judge_fresh(job)
                if judged.over_limit and control is not None:
                    return await self._check(judged, control)
            except VerifierStartError as error:
                return broken(f"no verifier worker: {error}", NAME)
            return judged.verdict

    def peak_mib(self) -> float:
        """The largest resident size that a worker now alive has had."""
        return max((worker.peak_mib() for worker in self._alive), default=0.0)

    async def _judge(self, job: dict[str, Any]) -> Judged:
        worker = await self._take()
        try:
            return await worker.ask(job)
        finally:
            self._give_back(worker)

    async def _judge_fresh(self, job: dict[str, Any]) -> Judged:
        """Judge in a worker of its own, which no earlier job can have touched."""
        worker = await self._start()
        try:
            return await worker.ask(job)
        finally:
            self._discard(worker)

    async def _check(self, judged: Judged, control: dict[str, Any]) -> Verdict:
        key = json.dumps(control, sort_keys=True)
        if key not in self._controls:
            if len(self._controls) >= REMEMBERED_CONTROLS:
                self._controls.pop(next(iter(self._controls)))
            self._controls[key] = await self._judge_fresh(control)
        checked = self._controls[key]
        if not checked.over_limit and checked.verdict.outcome is not Outcome.BROKEN:
            return judged.verdict
        return broken(
            f"the verifier fails on the reference solution too ({checked.verdict.detail}); "
            f"on this answer: {judged.verdict.detail}",
            NAME,
        )

    async def _start(self) -> WorkerProcess:
        """Start a worker, in a task that leaving the pool cancels, whoever waits here."""
        if self._closing:
            raise _closed()
        task = self._background(WorkerProcess.start(self._setup, self._log))
        try:
            worker = await task
        except asyncio.CancelledError:
            this = asyncio.current_task()
            if this is None or this.cancelling():
                raise
            raise _closed() from None
        self._alive.add(worker)
        return worker

    async def _take(self) -> WorkerProcess:
        """A worker that waits for a job. Waits for the replacement of a dead one if need be.

        Raises:
            VerifierStartError: the replacement did not start; the next call tries again.
        """
        while True:
            found = _closed() if self._closing else await self._idle.get()
            if isinstance(found, VerifierStartError):
                if not self._closing:
                    self._background(self._replace())
                raise found
            if found.usable:
                return found
            self._give_back(found)  # it died while it was idle

    def _give_back(self, worker: WorkerProcess) -> None:
        if worker.usable:
            self._idle.put_nowait(worker)
        else:
            self._discard(worker)
            if not self._closing:
                self._background(self._replace())

    async def _replace(self) -> None:
        """Start the successor of a dead worker; a failure goes to whoever waits for it."""
        try:
            self._idle.put_nowait(await self._start())
        except VerifierStartError as error:
            self._idle.put_nowait(error)

    def _discard(self, worker: WorkerProcess) -> None:
        worker.kill()
        self._background(self._bury(worker))

    async def _bury(self, worker: WorkerProcess) -> None:
        await worker.closed()
        self._alive.discard(worker)

    def _background(self, work: Coroutine[Any, Any, Result]) -> "asyncio.Task[Result]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _closed() -> VerifierStartError:
    return VerifierStartError("the pool was closed")

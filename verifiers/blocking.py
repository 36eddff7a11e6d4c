"""Killable verifier workers for code that does not use asyncio.

with BlockingPool("verifiers.math:judge", workers=2, limits=...) as pool:
    verdicts = pool.verify([{"gold": "4", "response": "\\\\boxed{4}"}, ...])
"""

import asyncio
import atexit
import threading
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from verifiers.pool import Limits, VerifierPool
from verifiers.verdict import Verdict

START_S = 120.0


class BlockingPool:
    """A VerifierPool with an event loop and a thread of its own. Whoever makes it closes it; what
    is still open when the interpreter ends is closed then.

    entry, workers, limits, prepare: as in VerifierPool.
    log_path: where the workers' output goes; by default a file that closing removes.

    Raises:
        VerifierStartError: a worker did not come up.
    """

    def __init__(
        self,
        entry: str,
        workers: int,
        limits: Limits,
        prepare: Sequence[Any] = (),
        log_path: Path | None = None,
    ) -> None:
        self._scratch = TemporaryDirectory(prefix="verifiers-") if log_path is None else None
        path = log_path or Path(self._scratch.name if self._scratch else ".") / "workers.log"
        self._pool = VerifierPool(entry, workers, limits, path, prepare, START_S)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="verifiers", daemon=True
        )
        self._thread.start()
        atexit.register(self.close)
        try:
            self._run(self._pool.__aenter__())
        except BaseException:
            self._stop()
            raise

    def verify(self, jobs: Sequence[dict[str, Any]]) -> list[Verdict]:
        """Judge all jobs, as many at a time as there are workers. Waits for all: at most about
        three deadlines and two worker starts for each that a worker gets (see VerifierPool).

        Raises:
            RuntimeError: the pool is closed.
        """
        if self._loop.is_closed():
            raise RuntimeError("BlockingPool.verify is called after close")

        async def judge_all() -> list[Verdict]:
            return await asyncio.gather(*map(self._pool.verify, jobs))

        return self._run(judge_all())

    def close(self) -> None:
        """Kill the workers and wait until they are gone. A second time does nothing."""
        if self._loop.is_closed():
            return
        try:
            self._run(self._pool.__aexit__())
        finally:
            self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        if self._scratch is not None:
            self._scratch.cleanup()
        atexit.unregister(self.close)

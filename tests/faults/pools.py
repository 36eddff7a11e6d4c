"""Verifier pools of a faulty verifier, started and checked for tests."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tests.faults.processes import PATIENCE_S, children
from verifiers.pool import Limits, VerifierPool
from verifiers.verdict import Verdict

FAULTY = Path(__file__).with_name("faulty_verifier.py")
ENTRY = f"{FAULTY}:judge"
LIMITS = Limits(deadline_s=60.0, cpu_s=20.0, memory_mib=512)
QUICK = LIMITS._replace(deadline_s=2.0)

Scenario = Callable[[VerifierPool], Awaitable[Any]]


def run(scenario: Scenario, tmp_path: Path, limits: Limits = LIMITS, **options: Any) -> Any:
    """Run a scenario in a pool, then make sure that nothing of the pool is left."""

    async def inside() -> Any:
        options.setdefault("workers", 1)
        async with VerifierPool(
            ENTRY, limits=limits, log_path=tmp_path / "verifiers.log", **options
        ) as pool:
            return await scenario(pool)

    result = asyncio.run(asyncio.wait_for(inside(), 4 * PATIENCE_S))
    assert children() == []
    return result


def job(do: str, **more: Any) -> dict[str, Any]:
    return {"do": do, **more}


async def faulty_then_honest(pool: VerifierPool, faulty: dict[str, Any]) -> Verdict:
    """The verdict on a faulty job, after making sure that the pool still judges well."""
    before = await pool.verify(job("accept", answer="before"))
    verdict = await pool.verify(faulty)
    after = await asyncio.gather(*(pool.verify(job("accept", answer=str(n))) for n in range(5)))
    assert before.answer == "before"
    assert [v.answer for v in after] == ["0", "1", "2", "3", "4"]
    return verdict

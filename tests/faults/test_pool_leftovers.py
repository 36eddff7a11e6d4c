"""Whatever a verifier does and however a pool ends, no process is left."""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from envs.registry import job as registry_job
from envs.registry import make_env
from tests.faults.pools import ENTRY, FAULTY, LIMITS, QUICK, faulty_then_honest, job, run
from tests.faults.processes import PATIENCE_S, children, kill, wait_until_gone
from verifiers.pool import VerifierPool
from verifiers.verdict import Outcome, Verdict


@pytest.mark.parametrize("do", ["fork", "start_daemon"])
@pytest.mark.parametrize("hang", [False, True])
def test_a_process_that_a_verifier_leaves_behind_is_killed(
    tmp_path: Path, do: str, hang: bool
) -> None:
    pid_file = tmp_path / "pid"
    faulty = job(do, pid_file=str(pid_file), hang=hang)
    verdict = run(lambda pool: faulty_then_honest(pool, faulty), tmp_path, QUICK)
    assert verdict.outcome is (Outcome.EXCEEDED if hang else Outcome.CORRECT)
    if pid_file.exists():  # the fork may have been killed before it could tell
        wait_until_gone(int(pid_file.read_text()))
    if not hang:
        wait_until_gone(int(verdict.answer or ""))


def test_sandboxes_that_a_verifier_prepared_stay_with_its_worker(tmp_path: Path) -> None:
    env = make_env("transformations", {})
    task = env.draw("train", 0, 0)
    jobs = [registry_job("transformations", {}, task, env.solve(task)) for _ in range(3)]

    async def scenario() -> tuple[set[int], list[Verdict], set[int]]:
        async with VerifierPool(
            "envs.registry:judge",
            workers=1,
            limits=LIMITS._replace(memory_mib=2048),
            log_path=tmp_path / "verifiers.log",
            prepare=[{"name": "transformations", "options": {}}],
        ) as pool:
            before = set(children())
            return before, [await pool.verify(job) for job in jobs], set(children())

    before, verdicts, after = asyncio.run(asyncio.wait_for(scenario(), 4 * PATIENCE_S))
    assert [verdict.outcome for verdict in verdicts] == [Outcome.CORRECT] * 3
    assert before == after, "no worker was killed and replaced"
    assert children() == []


def test_a_fork_that_comes_back_does_not_answer_a_second_time(tmp_path: Path) -> None:
    async def scenario(pool: VerifierPool) -> list[Verdict]:
        jobs = [job("fork_and_return", answer=str(n)) for n in range(5)]
        return [await pool.verify(j) for j in jobs]

    verdicts = run(scenario, tmp_path)
    assert [v.answer for v in verdicts] == ["0", "1", "2", "3", "4"]


def test_a_worker_killed_while_it_waits_is_replaced(tmp_path: Path) -> None:
    async def scenario(pool: VerifierPool) -> tuple[int, int]:
        pids = []
        for _ in range(2):
            verdict = await pool.verify(job("who"))
            pids.append(json.loads(verdict.answer or "")["pid"])
            for pid in children():  # the one that answered may be on its way out already
                kill(pid)
        return pids[0], pids[1]

    first, second = run(scenario, tmp_path)
    assert first != second


def test_a_cancelled_job_leaves_no_worker_behind_that_still_judges_it(tmp_path: Path) -> None:
    async def scenario(pool: VerifierPool) -> Verdict:
        hanging = asyncio.create_task(pool.verify(job("tell_and_hang", path=str(tmp_path / "p"))))
        end = time.monotonic() + PATIENCE_S
        while not (tmp_path / "p").exists():
            assert time.monotonic() < end
            await asyncio.sleep(0.01)
        hanging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hanging
        wait_until_gone(int((tmp_path / "p").read_text()))
        return await pool.verify(job("accept", answer="next"))

    assert run(scenario, tmp_path).answer == "next"


def test_leaving_the_pool_with_jobs_under_way_leaves_no_process(tmp_path: Path) -> None:
    async def scenario(pool: VerifierPool) -> None:
        jobs = [asyncio.create_task(pool.verify(job("hang"))) for _ in range(4)]
        await asyncio.wait(jobs, timeout=0.2)
        for task in jobs:
            task.cancel()

    run(scenario, tmp_path, workers=2)


def test_leaving_the_pool_ends_every_call_that_still_waits(tmp_path: Path) -> None:
    async def inside() -> list[Verdict]:
        async with VerifierPool(ENTRY, 2, LIMITS, tmp_path / "log") as pool:
            jobs = [asyncio.create_task(pool.verify(job("hang"))) for _ in range(6)]
            await asyncio.wait(jobs, timeout=0.2)
        return await asyncio.gather(*jobs)

    verdicts = asyncio.run(asyncio.wait_for(inside(), PATIENCE_S))
    assert {v.detail for v in verdicts} == {"no verifier worker: the pool was closed"}
    assert children() == []


def test_workers_do_not_outlive_a_loop_that_is_killed(tmp_path: Path) -> None:
    code = f"""
import asyncio, json, sys
from pathlib import Path
from verifiers.pool import Limits, VerifierPool

async def main():
    limits = Limits(600, 600, 512)
    async with VerifierPool({ENTRY!r}, 2, limits, Path({str(tmp_path / "log")!r})) as pool:
        spinning = asyncio.create_task(pool.verify({{"do": "spin"}}))
        verdict = await pool.verify({{"do": "who"}})
        print(json.loads(verdict.answer)["pid"], flush=True)
        await spinning

asyncio.run(main())
"""
    loop = subprocess.Popen(
        [sys.executable, "-c", code], cwd=FAULTY.parents[2], stdout=subprocess.PIPE, text=True
    )
    assert loop.stdout is not None
    assert int(loop.stdout.readline()) > 0
    workers = [
        int(pid) for pid in Path(f"/proc/{loop.pid}/task/{loop.pid}/children").read_text().split()
    ]
    assert len(workers) == 3
    loop.kill()
    loop.communicate()
    for pid in workers:
        wait_until_gone(pid)

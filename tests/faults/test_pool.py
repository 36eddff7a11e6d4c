"""Verifier workers that raise, hang, crash, eat memory, fork or write nonsense."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from envs.registry import job as registry_job
from envs.registry import make_env
from rl.children import RUN_VARIABLE
from tests.faults.pools import ENTRY, FAULTY, LIMITS, QUICK, faulty_then_honest, job, run
from tests.faults.processes import PATIENCE_S, children
from verifiers.pool import VerifierPool, VerifierStartError
from verifiers.verdict import Outcome, Verdict


def test_hundreds_of_jobs_at_once_each_get_their_own_verdict(tmp_path: Path) -> None:
    async def scenario(pool: VerifierPool) -> list[Verdict]:
        jobs = [job("accept" if n % 3 else "refuse", answer=str(n)) for n in range(400)]
        return await asyncio.gather(*(pool.verify(j) for j in jobs))

    verdicts = run(scenario, tmp_path, workers=2)
    assert [v.answer for v in verdicts] == [str(n) for n in range(400)]
    assert [v.outcome is Outcome.CORRECT for v in verdicts] == [n % 3 > 0 for n in range(400)]


@pytest.mark.parametrize(
    ("faulty", "outcome", "words"),
    [
        (job("raise_error"), Outcome.BROKEN, "ValueError: the truth has"),
        (job("no_such_function"), Outcome.BROKEN, "KeyError: 'no_such_function'"),
        (job("return_nonsense"), Outcome.BROKEN, "returns a Verdict; this one returned 'correct'"),
        (job("leave"), Outcome.BROKEN, "SystemExit"),
        (job("leave_at_once"), Outcome.BROKEN, "exit code 0 in the middle of a job"),
        (job("crash"), Outcome.BROKEN, "SIGSEGV"),
        (job("eat_memory"), Outcome.EXCEEDED, "512 MiB of memory"),
        (job("killed_by_kernel"), Outcome.EXCEEDED, "kernel killed"),
        (job("enormous_verdict"), Outcome.EXCEEDED, "output limit"),
        (job("write_to_channel", text="?\n"), Outcome.BROKEN, "worker's channel"),
        (job("write_to_channel", text="[" * 100000 + "\n"), Outcome.BROKEN, "worker's channel"),
        (job("write_to_channel", text="x" * 3_000_000), Outcome.BROKEN, "without an end of line"),
        (job("write_to_channel", text='{"id": 1}\n'), Outcome.BROKEN, "worker's channel"),
        (job("write_to_channel", text='{"id": 2}\n'), Outcome.BROKEN, "no proper verdict"),
        (
            job(
                "write_to_channel", text='{"id": 2, "verdict": {"outcome": "wrong", "score": 1}}\n'
            ),
            Outcome.BROKEN,
            "cannot have the score 1",
        ),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else "",
)
def test_a_fault_ends_in_its_verdict_and_the_next_answers_are_judged(
    tmp_path: Path, faulty: dict[str, Any], outcome: Outcome, words: str
) -> None:
    verdict = run(lambda pool: faulty_then_honest(pool, faulty), tmp_path)
    assert (verdict.outcome, verdict.score) == (outcome, 0.0)
    assert words in verdict.detail


def test_a_hang_ends_at_the_deadline(tmp_path: Path) -> None:
    verdict = run(lambda pool: faulty_then_honest(pool, job("hang")), tmp_path, QUICK)
    assert verdict.outcome is Outcome.EXCEEDED
    assert verdict.detail == "no verdict within 2 s"


def test_a_verifier_deaf_to_signals_ends_at_the_deadline(tmp_path: Path) -> None:
    faulty = job("spin_ignoring_signals")
    verdict = run(lambda pool: faulty_then_honest(pool, faulty), tmp_path, QUICK)
    assert verdict.detail == "no verdict within 2 s"


def test_cpu_time_runs_out_before_the_deadline_and_the_log_says_where(tmp_path: Path) -> None:
    limits = LIMITS._replace(cpu_s=0.5)
    verdict = run(lambda pool: faulty_then_honest(pool, job("spin")), tmp_path, limits)
    assert verdict.outcome is Outcome.EXCEEDED
    assert verdict.detail == "judging it used up 0.5 s of CPU time"
    assert "in spin" in (tmp_path / "verifiers.log").read_text()


def test_cpu_time_is_counted_per_job_and_not_over_the_workers_life(tmp_path: Path) -> None:
    """Each job uses a good part of the limit; together they use several times as much."""

    async def scenario(pool: VerifierPool) -> list[Verdict]:
        return [await pool.verify(job("burn", cpu_s=0.5)) for _ in range(6)]

    verdicts = run(scenario, tmp_path, LIMITS._replace(cpu_s=1.0))
    assert [v.outcome for v in verdicts] == [Outcome.CORRECT] * 6
    assert len({v.answer for v in verdicts}) == 1, "one worker did it all"


def test_an_answer_over_the_limit_is_the_answers_fault_when_the_reference_is_judged(
    tmp_path: Path,
) -> None:
    async def scenario(pool: VerifierPool) -> Verdict:
        return await pool.verify(job("hang"), control=job("accept"))

    assert run(scenario, tmp_path, QUICK).outcome is Outcome.EXCEEDED


@pytest.mark.parametrize("control", ["hang", "raise_error", "leave_at_once"])
def test_a_verifier_that_fails_on_the_reference_too_is_broken(tmp_path: Path, control: str) -> None:
    async def scenario(pool: VerifierPool) -> Verdict:
        return await pool.verify(job("hang"), control=job(control))

    verdict = run(scenario, tmp_path, QUICK)
    assert verdict.outcome is Outcome.BROKEN
    assert "reference solution too" in verdict.detail
    assert "no verdict within 2 s" in verdict.detail


def test_the_reference_is_judged_in_a_fresh_worker_and_once_per_task(tmp_path: Path) -> None:
    trace = tmp_path / "trace"

    async def scenario(pool: VerifierPool) -> None:
        control = job("trace", path=str(trace))
        await pool.verify(job("accept"))
        for _ in range(3):
            await pool.verify(job("leave_over_limit"), control=control)

    run(scenario, tmp_path)
    assert trace.read_text() == "1 "


def test_memory_kept_by_earlier_jobs_is_not_held_against_an_answer(tmp_path: Path) -> None:
    async def scenario(pool: VerifierPool) -> list[Verdict]:
        return [await pool.verify(job("hoard_memory", mib=100)) for _ in range(12)]

    verdicts = run(scenario, tmp_path)
    assert {v.outcome for v in verdicts} == {Outcome.CORRECT}
    assert max(int(v.answer or "") for v in verdicts) > 1, "it was never kept"


def test_a_file_that_grows_without_end_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "grown"
    faulty = job("fill_file", path=str(path))
    verdict = run(lambda pool: faulty_then_honest(pool, faulty), tmp_path)
    assert verdict.outcome is Outcome.BROKEN
    assert "File too large" in verdict.detail
    assert path.stat().st_size <= 1 << 28
    path.unlink()


def test_what_a_verifier_prints_goes_to_the_log_and_breaks_nothing(tmp_path: Path) -> None:
    verdict = run(lambda pool: faulty_then_honest(pool, job("print_a_lot")), tmp_path)
    assert (verdict.outcome, verdict.answer) == (Outcome.WRONG, "printed")
    log = (tmp_path / "verifiers.log").read_bytes()
    assert b"noise without end of line" in log
    assert b"] to standard error\n" in log


def test_the_traceback_of_a_verifier_that_raises_is_in_the_log(tmp_path: Path) -> None:
    run(lambda pool: faulty_then_honest(pool, job("raise_error")), tmp_path)
    log = (tmp_path / "verifiers.log").read_text()
    assert "in raise_error" in log
    assert "ValueError: the truth has" in log


def test_a_worker_sees_no_secret_and_a_fixed_hash_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    verdict = run(lambda pool: pool.verify(job("environment")), tmp_path)
    seen = json.loads(verdict.answer)
    assert "HF_TOKEN" not in seen
    assert "PYTHONPATH" not in seen
    assert seen["PYTHONHASHSEED"] == "0"


def test_what_a_verifier_starts_carries_the_mark_by_which_a_run_ends_its_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RUN_VARIABLE, "the directory of the run")
    verdict = run(lambda pool: pool.verify(job("environment")), tmp_path)
    assert json.loads(verdict.answer)[RUN_VARIABLE] == "the directory of the run"


def test_a_worker_is_prepared_before_its_first_job(tmp_path: Path) -> None:
    verdict = run(lambda pool: pool.verify(job("who")), tmp_path, prepare=[{"a": 1}, "b"])
    assert json.loads(verdict.answer)["prepared"] == [{"a": 1}, "b"]


@pytest.mark.parametrize(
    ("entry", "options", "words"),
    [
        ("no.such.module:judge", {}, "No module named 'no'"),
        (f"{FAULTY}:no_such_name", {}, "has no 'no_such_name'"),
        ("no/such/file.py:judge", {}, "no file 'no/such/file.py'"),
        (ENTRY, {"prepare": ["fail"]}, "LookupError: this cannot be prepared"),
        (ENTRY, {"limits": LIMITS._replace(memory_mib=1)}, "did not start"),
    ],
)
def test_a_worker_that_cannot_start_says_why(
    tmp_path: Path, entry: str, options: dict[str, Any], words: str
) -> None:
    async def enter() -> None:
        settings = {"limits": LIMITS, **options}
        async with VerifierPool(entry, 2, log_path=tmp_path / "log", **settings):
            raise AssertionError("it started")

    with pytest.raises(VerifierStartError) as caught:
        asyncio.run(asyncio.wait_for(enter(), PATIENCE_S))
    assert words in str(caught.value)
    assert entry in str(caught.value)
    assert children() == []


def test_a_start_that_hangs_ends_at_its_own_deadline(tmp_path: Path) -> None:
    module = tmp_path / "slow.py"
    module.write_text("print('importing', flush=True)\nimport time\ntime.sleep(600)\n")

    async def enter() -> None:
        async with VerifierPool(f"{module}:judge", 1, LIMITS, tmp_path / "log", (), 3.0):
            raise AssertionError("it started")

    with pytest.raises(VerifierStartError, match=r"not ready within 3 s(.|\n)*importing"):
        asyncio.run(asyncio.wait_for(enter(), PATIENCE_S))
    assert children() == []


def test_a_replacement_that_cannot_start_breaks_the_verdict_and_hangs_nothing(
    tmp_path: Path,
) -> None:
    module = tmp_path / "once.py"
    module.write_text(FAULTY.read_text())

    async def inside() -> list[Verdict]:
        async with VerifierPool(f"{module}:judge", 1, LIMITS, tmp_path / "log") as pool:
            module.write_text("raise RuntimeError('edited while it ran')")
            first = await pool.verify(job("leave_at_once"))
            second = await pool.verify(job("leave_at_once"))  # the spare
            third = await pool.verify(job("accept"))
            module.write_text(FAULTY.read_text())
            rest = [await pool.verify(job("accept")) for _ in range(3)]
            return [first, second, third, rest[-1]]

    verdicts = asyncio.run(asyncio.wait_for(inside(), PATIENCE_S))
    assert [v.outcome for v in verdicts[:3]] == [Outcome.BROKEN] * 3
    assert "edited while it ran" in verdicts[2].detail
    assert verdicts[3].outcome is Outcome.CORRECT, "the pool recovers when the cause is gone"
    assert children() == []


def test_an_environment_is_judged_through_its_registry(tmp_path: Path) -> None:
    options = {"digits": 2}
    env = make_env("arithmetic", options)
    tasks = [env.draw("train", 0, index) for index in range(50)]

    async def inside() -> list[Verdict]:
        async with VerifierPool(
            "envs.registry:judge",
            2,
            LIMITS,
            tmp_path / "log",
            prepare=[{"name": "arithmetic", "options": options}],
        ) as pool:
            answers = [(task, env.solve(other)) for task in tasks for other in (task, tasks[0])]
            return await asyncio.gather(
                *(
                    pool.verify(
                        registry_job("arithmetic", options, task, answer),
                        control=registry_job("arithmetic", options, task, env.solve(task)),
                    )
                    for task, answer in answers
                )
            )

    verdicts = asyncio.run(asyncio.wait_for(inside(), PATIENCE_S))
    assert verdicts == [
        env.verify(task, env.solve(other)) for task in tasks for other in (task, tasks[0])
    ]

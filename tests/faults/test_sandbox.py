"""The sandbox itself: limits, what is left behind, and what happens when it fails."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.processes import children, descendants, kill, wait_until_gone
from verifiers.code import Grader
from verifiers.code_failure import ended
from verifiers.pool import Limits as PoolLimits
from verifiers.pool import VerifierPool
from verifiers.sandbox import Sandbox, SandboxError, TooWeak
from verifiers.sandbox_confine import Limits
from verifiers.verdict import Outcome, Verdict

LIMITS = Limits(wall_s=20.0, memory_mib=128, output_bytes=1 << 16)
ADD = {
    "style": "function", "entry_point": "add", "time_limit_s": 20,
    "hidden_tests": [{"args": [1, 2], "expected": 3}],
}  # fmt: skip
RIGHT = "def add(a, b): return a + b"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    try:
        with Sandbox() as sandbox:
            yield sandbox
    except TooWeak as error:
        pytest.skip(str(error))


def script(program: str, given: str = "") -> dict[str, str]:
    return {"do": "print", "program": program, "input": given}


@pytest.mark.parametrize(
    "program",
    [
        "print(open(0).read(), end='')",
        "import sys; sys.stdout.write(sys.stdin.read())",
        "import os\nwhile d := os.read(0, 100): os.write(1, d)",
        "print(open('/dev/stdin').read(), end='')",
        "print(input())\nexit()",
        "import atexit\natexit.register(print, input())",
        "import sys\nsys.stdout.write(input() + '\\n')\nsys.exit(None)",
        "import threading\nthreading.Thread(target=lambda: print(input())).start()",
        "import os\nprint(input(), flush=True)\nos._exit(0)",
        "import io, os\nprint(io.BytesIO(os.read(0, os.fstat(0).st_size)).read().decode().strip())",
        "import tempfile\nwith tempfile.TemporaryFile('w+') as f:\n    print(input(), file=f)\n"
        "    f.seek(0)\n    print(f.read(), end='')",
        "import asyncio\nasync def main(): print(input())\nasyncio.run(main())",
        "import queue, zoneinfo, zlib, hashlib, sqlite3, decimal, ssl\nprint(input())",
        "from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(8) as pool: print(*pool.map(str, [input()]))",
    ],
)
def test_honest_ways_to_read_and_print(sandbox: Sandbox, program: str) -> None:
    ran = sandbox.run(script(program, "hällo 1 2\n"), LIMITS)
    assert (ran.output.decode(), ran.status, ran.exceeded) == ("hällo 1 2\n", 0, "")


@pytest.mark.parametrize(
    ("program", "limits", "outcome", "words"),
    [
        ("while True: pass", LIMITS._replace(wall_s=0.3), Outcome.EXCEEDED, "0.3 s of time"),
        ("print('x' * 10 ** 7)", LIMITS, Outcome.EXCEEDED, "64 KiB of output"),
        ("x = bytearray(1 << 30)", LIMITS, Outcome.EXCEEDED, "128 MiB of memory"),
        ("raise SystemExit(3)", LIMITS, Outcome.WRONG, "exit code 3"),
        ("1 / 0", LIMITS, Outcome.WRONG, "raised ZeroDivisionError: division by zero (line 1)"),
        ("import ctypes\nctypes.string_at(0)", LIMITS, Outcome.WRONG, "SIGSEGV"),
    ],
)
def test_how_a_program_ended_is_told_apart(
    sandbox: Sandbox, program: str, limits: Limits, outcome: Outcome, words: str
) -> None:
    failure = ended(sandbox.run(script(program), limits), limits)
    assert failure.outcome is outcome
    assert words in failure.detail


def test_a_program_may_use_the_memory_it_was_given(sandbox: Sandbox) -> None:
    ran = sandbox.run(script("print(len(bytearray(100 << 20)))"), LIMITS)
    assert ran.output == b"104857600\n"
    assert 100 < ran.memory_mib < 200


def test_private_tmp_is_limited_and_empty_for_the_next_program(sandbox: Sandbox) -> None:
    filling = (
        "import os\nn = 0\n"
        "try:\n"
        "    for i in range(100):\n"
        "        with open(f'/tmp/{i}', 'wb') as f: n += f.write(bytes(1 << 20))\n"
        "except OSError: pass\n"
        "print(n >> 20)"
    )
    ran = sandbox.run(script(filling), LIMITS._replace(tmp_mib=8))
    assert 5 <= int(ran.output) <= 8
    assert sandbox.run(script("import os\nprint(os.listdir('/tmp'))"), LIMITS).output == (
        b"['input']\n"
    )


def test_two_programs_of_one_grader_can_only_talk_over_their_channel(sandbox: Sandbox) -> None:
    talk = "import os\ndef f(x):\n    os.write(6, x)\n    return os.read(6, 9)\n"
    jobs = [
        ({"do": "call", "program": talk, "entry_point": "f", "args": [["bytes", x]]}, LIMITS)
        for x in ("61", "62")
    ]
    reports = [ran.report for ran in sandbox.run_together(jobs)]
    assert reports == [b'["value",["bytes","62"]]', b'["value",["bytes","61"]]']


def test_a_fork_server_that_is_killed_is_replaced() -> None:
    with Grader("landlock") as grader:
        for _ in range(2):
            assert grader.grade(ADD, RIGHT).outcome is Outcome.CORRECT
            for pid in children():
                kill(pid)
        assert grader.grade(ADD, RIGHT).outcome is Outcome.CORRECT


def test_a_stopped_sandbox_says_so_and_can_start_again() -> None:
    with Sandbox("landlock") as sandbox:
        sandbox.stop()
        with pytest.raises(SandboxError, match="not running"):
            sandbox.run(script("print(1)"), LIMITS)
        sandbox.start()
        assert sandbox.run(script("print(1)"), LIMITS).output == b"1\n"


def test_nothing_outlives_a_grader_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from verifiers.code import Grader\n"
        f"task = {ADD!r}\n"
        "with Grader('landlock') as grader:\n"
        "    print('ready', flush=True)\n"
        "    grader.grade(task, 'while True: pass')\n"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], stdout=subprocess.PIPE
    )
    assert owner.stdout is not None
    assert owner.stdout.readline() == b"ready\n"
    family = descendants(owner.pid)
    assert family
    owner.kill()
    owner.communicate()
    for pid in family:
        wait_until_gone(pid)


def test_a_worker_of_the_pool_keeps_its_sandbox_from_job_to_job(tmp_path: Path) -> None:
    async def inside() -> list[Verdict]:
        limits = PoolLimits(deadline_s=60, cpu_s=60, memory_mib=4096)
        entry = f"{Path(__file__).with_name('code_worker.py')}:judge"
        async with VerifierPool(entry, 1, limits, tmp_path / "log", ["landlock"]) as pool:
            jobs: list[dict[str, object]] = [{"who": True}]
            jobs += 3 * [{"task": ADD, "program": RIGHT}]
            jobs += [{"task": ADD, "program": "import os\nos._exit(0)"}, {"who": True}]
            return [await pool.verify(job) for job in jobs]

    first, *judged, last = asyncio.run(inside())
    outcomes = [verdict.outcome for verdict in judged]
    assert outcomes == 3 * [Outcome.CORRECT] + [Outcome.WRONG]
    assert first.answer == last.answer, "one worker judged them all"
    assert children() == []


@pytest.mark.slow
def test_a_thousand_verifications_leave_nothing_behind() -> None:
    with Grader() as grader:
        grader.grade(ADD, RIGHT)
        before = everything(grader)
        for n in range(1000):
            program = RIGHT if n % 3 else "open('/tmp/x', 'w').write('x')\nimport os\nos._exit(1)"
            assert grader.grade(ADD, program).outcome is (
                Outcome.CORRECT if n % 3 else Outcome.WRONG
            )
        assert everything(grader) == before
    assert children() == []


def everything(grader: Grader) -> dict[str, object]:
    """Processes, descriptors, mounts, temporary files and control groups that exist now."""
    groups = [path for path, _, _ in os.walk("/sys/fs/cgroup") if "sandbox" in path]
    return {
        "processes": sorted(descendants(os.getpid())),
        "descriptors": sorted(os.listdir("/proc/self/fd")),
        "mounts": Path("/proc/self/mounts").read_text(),
        "groups": groups,
        "inside": [
            sorted(os.listdir(f"/proc/{pid}/fd")) for pid in sorted(descendants(os.getpid()))
        ],
    }

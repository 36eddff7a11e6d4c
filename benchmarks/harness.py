"""What every benchmark needs: rows of a result, interleaved timing, helper processes, a policy."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from select import select
from typing import Any

import psutil

from rl.children import describe_exit, start, start_guard, stop
from rl.recipe.config import Recipe
from rl.recipe.load import dump, load_recipe
from rl.sampling.server import server_command
from rl.supervisor import free_ports

ROOT = Path(__file__).resolve().parent.parent
SHORT = ROOT / "recipes" / "math_grpo.yaml"
LONG = ROOT / "benchmarks" / "long.yaml"
DEADLINE_S = 3600.0  # of one helper's answer, and of one training run
API_KEY = "benchmark"
ANSWERS_VARIABLE = "BENCHMARK_ANSWERS_FD"
COLUMNS = ("what", "unit", "ours", "baseline", "ours is better by", "aim")


class BenchmarkError(RuntimeError):
    """A measurement could not be made; says which process failed and where its output is."""


@dataclass(frozen=True)
class Row:
    """One comparison. Repetition i of both sides was measured one right after the other."""

    what: str
    unit: str
    ours: list[float]
    baseline: list[float]
    more_is_better: bool
    aim: float | None = None  # smallest ratio wanted; None: only reported
    note: str = ""

    @property
    def ratio(self) -> float:
        """How many times as good ours is: 2.0 is twice the speed or half the time."""
        ours, baseline = statistics.median(self.ours), statistics.median(self.baseline)
        return ours / baseline if self.more_is_better else baseline / ours

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"ratio": self.ratio}


@dataclass
class Result:
    """What one benchmark found, and how busy the machine was with other things meanwhile."""

    name: str
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    load: list[dict[str, float]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"rows": [row.to_json() for row in self.rows]}


def table(rows: Sequence[Row]) -> str:
    """Medians and ratios as a Markdown table."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    for row in rows:
        aim = "" if row.aim is None else f"{row.aim:g} {'✓' if row.ratio >= row.aim else '✗'}"
        medians = [three_digits(statistics.median(x)) for x in (row.ours, row.baseline)]
        cells = [row.what, row.unit, *medians, f"{row.ratio:.2f} x", aim]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def three_digits(value: float) -> str:
    """Rounded to three significant digits, without an exponent."""
    if value == 0:
        return "0"
    digits = 2 - int(f"{value:.2e}".split("e")[1])
    return f"{round(value, digits):,.{max(0, digits)}f}"


def interleave(
    ours: Callable[[], float], baseline: Callable[[], float], repeats: int
) -> tuple[list[float], list[float]]:
    """Call both once to warm up, then in turn, the first one changing, and keep what they return.

    Noise of the machine thus hits both sides, and neither always runs on the other's heels.
    """
    ours(), baseline()
    first: list[float] = []
    second: list[float] = []
    for index in range(repeats):
        if index % 2:
            second.append(baseline())
            first.append(ours())
        else:
            first.append(ours())
            second.append(baseline())
    return first, second


def machine_load() -> dict[str, float]:
    """How busy the machine is while nothing of ours runs; takes a second."""
    busy = psutil.cpu_percent(interval=1.0)
    load = os.getloadavg()
    return {"busy_percent": busy, "load_1min": round(load[0], 2), "load_5min": round(load[1], 2)}


def recipe_of(path: Path, *overrides: str) -> Recipe:
    """A recipe's cpu profile, with a held-out set so small that evaluating costs nothing."""
    small = ["evaluation.problems=1", "evaluation.samples=2", "checkpoint.every=1000000"]
    return load_recipe(path, [*small, *overrides], profile="cpu")


def starting_policy(recipe: Recipe, scratch: Path) -> str:
    """The directory of the policy that a run of this recipe starts from; made on first use."""
    resolved, found = write_recipe(recipe, scratch), scratch / "policy.json"
    command = [sys.executable, "-m", "rl.policy.starting"]
    run([*command, "--recipe", str(resolved), "--out", str(found)], scratch / "policy.log")
    return json.loads(found.read_text())["path"]


def write_recipe(recipe: Recipe, scratch: Path) -> Path:
    path = scratch / "recipe.yaml"
    path.write_text(dump(recipe))
    return path


def run(argv: Sequence[str], log: Path, environment: dict[str, str] | None = None) -> None:
    """Run a command to its end, its output in `log`.

    Raises:
        BenchmarkError: it failed or took longer than DEADLINE_S; with its last lines.
    """
    with log.open("w") as file:
        try:
            done = subprocess.run(
                argv,
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=ROOT,
                env={**os.environ, **(environment or {})},
                timeout=DEADLINE_S,
                check=False,
            )
            failed = describe_exit(done.returncode) if done.returncode else ""
        except subprocess.TimeoutExpired:
            failed = f"not done within {DEADLINE_S:.0f} s"
    if failed:
        raise BenchmarkError(f"{' '.join(argv)}: {failed}. Its last lines:\n{_tail(log)}")


def _tail(log: Path) -> str:
    return "\n".join(f"    {x}" for x in log.read_text(errors="replace").splitlines()[-15:])


@contextmanager
def scratch_directory() -> Iterator[Path]:
    """For what a benchmark writes; kept when it fails, because the logs are in it."""
    path = Path(tempfile.mkdtemp(prefix="assay-benchmark-"))
    yield path
    for file in sorted(path.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() and not file.is_symlink() else file.unlink()
    path.rmdir()


@contextmanager
def serving(model: str, recipe: Recipe, scratch: Path) -> Iterator[list[str]]:
    """The rollout servers as a run starts them, ended at exit; their URLs. Not ready at once."""
    ports = free_ports(recipe.engine.servers, 0)
    servers = []
    with start_guard(scratch):
        try:
            for index, port in enumerate(ports):
                argv, environment = server_command(model, recipe, port, API_KEY)
                name = f"server-{index}"
                servers.append(start(name, argv, run_dir=scratch, environment=environment))
            yield [f"http://127.0.0.1:{port}" for port in ports]
        finally:
            stop(servers, run_dir=scratch)


class Helper:
    """A process of its own that measures on request: JSON lines in and out. A context manager."""

    def __init__(self, argv: Sequence[str], log: Path, environment: dict[str, str]) -> None:
        self._argv, self._log, self._environment = list(argv), log, environment

    def __enter__(self) -> "Helper":
        reading, writing = os.pipe()  # not standard output: vLLM and DeepSpeed print there
        with self._log.open("w") as file:
            self._process = subprocess.Popen(
                self._argv,
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=file,
                cwd=ROOT,
                text=True,
                env={**os.environ, **self._environment, ANSWERS_VARIABLE: str(writing)},
                pass_fds=[writing],
            )
        os.close(writing)
        self._answers = os.fdopen(reading)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it is gone, and said why in its log
            self._process.stdin.close()  # its loop ends there
        try:
            self._process.wait(30.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._answers.close()

    def ask(self, request: Any) -> Any:
        """Send a request and wait for its answer, at most DEADLINE_S.

        Raises:
            BenchmarkError: the helper ended or is late; with its last lines.
        """
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it is gone, so it will give no answer
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        ready, _, _ = select([self._answers], [], [], DEADLINE_S)
        line = self._answers.readline() if ready else ""
        if not line:
            raise BenchmarkError(f"{' '.join(self._argv)} gave no answer:\n{_tail(self._log)}")
        return json.loads(line)


def answer_requests(answer: Callable[[Any], Any]) -> None:
    """A helper's loop: answer every request until there are no more."""
    with os.fdopen(int(os.environ[ANSWERS_VARIABLE]), "w") as answers:
        for line in sys.stdin:
            answers.write(json.dumps(answer(json.loads(line))) + "\n")
            answers.flush()


def timed(call: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin

"""One verifier against N inputs in a process of its own: python -m benchmarks.fuzz.loop SETUP.

SETUP is a JSON object, see `Setup`. With `guided`, atheris (libFuzzer) chooses the bytes of an
input by the branches of verifiers/ that the ones before took; else they are random.
"""

import faulthandler
import json
import os
import resource
import signal
import sys
import traceback
from collections import Counter
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

from benchmarks.fuzz.choices import Choices
from benchmarks.fuzz.target import Target

MODULES = ("mathematics", "programs", "requests")
MEMORY_GIB = 4  # address space; more is an error like any other
KEPT = 20  # findings of different kinds
SLOWEST = 3
N_SEEDS = 300  # random inputs that a guided search begins with


@dataclass(frozen=True)
class Setup:
    """What to do; made by benchmarks/fuzz/__main__.py."""

    target: str
    n: int  # inputs
    seed: int
    deadline_s: float  # of processor time for one input
    guided: bool
    out: str  # directory


@dataclass
class Report:
    """What was found in one target."""

    n: int = 0
    total_s: float = 0.0  # by the target's clock
    outcomes: dict[str, int] = field(default_factory=dict)
    slowest: list[tuple[float, str]] = field(default_factory=list)  # seconds, the input
    rss_mib: list[float] = field(default_factory=list)  # before, after a tenth, at the end
    peak_mib: float = 0.0
    findings: list[dict[str, str]] = field(default_factory=list)
    n_findings: int = 0


class TooSlow(BaseException):
    """An input took longer than its deadline; no `except Exception` stops it."""


class Fuzzer:
    """Feeds inputs to a target, keeps the time of each, and goes on after a finding."""

    def __init__(self, target: Target, setup: Setup) -> None:
        self._target, self._setup = target, setup
        self._out = Path(setup.out)
        self._current = os.open(self._out / f"{target.name}.current", os.O_CREAT | os.O_WRONLY)
        self._places: Counter[str] = Counter()
        self.report = Report(rss_mib=[rss_mib()])

    @property
    def done(self) -> bool:
        return self.report.n >= self._setup.n

    def one(self, data: bytes) -> None:
        """Try one input, written down beforehand: whatever ends this process has a name."""
        os.pwrite(self._current, data, 0)
        os.ftruncate(self._current, len(data))
        report = self.report
        begin = self._target.clock()
        signal.setitimer(signal.ITIMER_PROF, self._setup.deadline_s)
        try:
            said = self._target.check(*self._target.make(Choices(data)))
        except (Exception, TooSlow) as error:
            signal.setitimer(signal.ITIMER_PROF, 0)
            said = type(error).__name__
            self._keep(error, data)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        seconds = self._target.clock() - begin
        report.n += 1
        report.total_s += seconds
        report.outcomes[said] = report.outcomes.get(said, 0) + 1
        if len(report.slowest) < SLOWEST or seconds > report.slowest[-1][0]:
            shown = repr(self._target.make(Choices(data)))[:300]
            report.slowest = sorted([*report.slowest, (seconds, shown)], reverse=True)[:SLOWEST]
        if report.n == self._setup.n // 10:
            report.rss_mib.append(rss_mib())

    def _keep(self, error: BaseException, data: bytes) -> None:
        """The first input of every kind of finding: its bytes in a file, its text in the report."""
        frames = [
            f for f in traceback.extract_tb(error.__traceback__) if "/fuzz/" not in f.filename
        ]
        last = frames[-1] if frames else None
        place = f"{Path(last.filename).name}:{last.lineno}" if last else str(error)[:60]
        kind = f"{type(error).__name__} at {place}"
        self.report.n_findings += 1
        self._places[kind] += 1
        if self._places[kind] > 1 or len(self.report.findings) >= KEPT:
            return
        file = self._out / f"{self._target.name}.finding-{len(self.report.findings)}"
        file.write_bytes(data)
        text = f"{kind}: {error}"[:600]
        shown = repr(self._target.make(Choices(data)))[:1500]
        self.report.findings.append({"error": text, "input": shown, "file": str(file)})

    def finish(self) -> Report:
        try:
            self._target.finish()
        except Exception as error:
            self._keep(error, b"")
        self.report.rss_mib.append(rss_mib())
        self.report.peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return self.report


def targets() -> dict[str, Target]:
    """Every target by its name."""
    modules = [import_module(f"benchmarks.fuzz.{name}") for name in MODULES]
    return {target.name: target for module in modules for target in module.TARGETS}


def fuzz(target: Target, setup: Setup) -> Report:
    """N random inputs, in this process."""
    target.prepare()
    fuzzer, rng = Fuzzer(target, setup), Random(f"{setup.target}/{setup.seed}")
    before = signal.signal(signal.SIGPROF, _late)
    try:
        while not fuzzer.done:
            fuzzer.one(rng.randbytes(rng.randint(1, target.length)))
    finally:
        signal.signal(signal.SIGPROF, before)
    return fuzzer.finish()


def fuzz_guided(target: Target, setup: Setup, atheris: Any) -> None:
    """N inputs chosen by libFuzzer, which never returns; ends the process."""
    target.prepare()
    fuzzer, rng = Fuzzer(target, setup), Random(f"{setup.target}/{setup.seed}")
    corpus = Path(setup.out, f"{target.name}.corpus")
    corpus.mkdir(exist_ok=True)
    for number in range(min(N_SEEDS, setup.n // 4)):
        data = rng.randbytes(rng.randint(1, target.length))
        (corpus / f"seed-{setup.seed}-{number}").write_bytes(data)

    def one(data: bytes) -> None:
        fuzzer.one(data)
        if fuzzer.done:
            _write(fuzzer.finish(), setup)
            os._exit(0)

    # Neither time nor memory is libFuzzer's business here: it would end at the first finding.
    options = [f"-seed={setup.seed + 1}", f"-max_len={target.length}", "-len_control=0"]
    options += ["-timeout=1000000", "-rss_limit_mb=0", f"-artifact_prefix={setup.out}/"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], one)
    signal.signal(signal.SIGPROF, _late)
    atheris.Fuzz()


def _late(_: int, __: FrameType | None) -> None:
    raise TooSlow("more processor time than an input may take")


def _write(report: Report, setup: Setup) -> None:
    path = Path(setup.out, f"{setup.target}.json")
    path.write_text(json.dumps(asdict(report)) + "\n")


def rss_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    setup = Setup(**json.loads(sys.argv[1]))
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_GIB << 30, MEMORY_GIB << 30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if not setup.guided:
        _write(fuzz(targets()[setup.target], setup), setup)
        return
    atheris: Any = import_module("atheris")  # in an environment of its own
    with atheris.instrument_imports(include=["verifiers"]):
        found = targets()[setup.target]
    fuzz_guided(found, setup, atheris)


if __name__ == "__main__":
    main()

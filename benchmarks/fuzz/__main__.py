"""python -m benchmarks.fuzz [target ...]: every verifier against 100,000 hostile inputs each.

One process per target. An input may neither raise, nor take longer than a deadline, nor break what
is written beside the target (a verdict that changes, a reference answer that is broken, a value
that is accepted and different). Inputs are chosen by coverage with atheris, which is installed into
an environment of its own; `--random` does without. What is found is kept in --out: the bytes
of each input, and a report. Ends with code 1 if anything was found.
"""

import argparse
import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.environments import ATHERIS, NoEnvironment, interpreter_with
from benchmarks.fuzz.loop import Setup, targets
from benchmarks.fuzz.target import Target

ROOT = Path(__file__).resolve().parents[2]
SILENCE_S = 120.0  # without a new input: it hangs where no signal is heard
COLUMNS = ("target", "what is called", "inputs", "findings", "slowest", "peak memory", "growth*")


def main() -> int:
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the child is ended too
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    chosen = {name: targets()[name] for name in arguments.targets or targets()}
    try:
        guide = None if arguments.random else interpreter_with(ATHERIS)
    except NoEnvironment as error:
        print(f"{error}\nWithout atheris: --random", file=sys.stderr)
        return 2
    rows, shown, found = [], list[str](), False
    for name, target in chosen.items():
        guided = guide is not None and target.guided
        setup = Setup(
            name, arguments.n, arguments.seed, arguments.deadline, guided, str(out.resolve())
        )
        print(f"{name}: {arguments.n:,} inputs", file=sys.stderr, flush=True)
        begin = time.monotonic()
        report = _run(setup, str(guide) if guided else sys.executable)
        print(f"{name}: {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
        rows.append(_row(target, report, out / f"{name}.log" if guided else None))
        found = found or bool(report["findings"])
        shown += [f"- {name}: {_one_line(finding)}" for finding in report["findings"]]
        shown += (
            [f"- {name}, slowest: {report['slowest'][0][1][:160]}"] if report["slowest"] else []
        )
    heading = [f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS)]
    print("\n".join([*heading, *rows, "", *shown]))
    print("\n*resident memory at the end against that after the first tenth of the inputs")
    return 1 if found else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="target", help=", ".join(targets()))
    parser.add_argument("-n", type=int, default=100_000, help="inputs per target (100,000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--deadline", type=float, default=10.0, help="processor seconds for one input (10)"
    )
    parser.add_argument("--out", type=Path, default=Path("build/fuzz"), help="default: build/fuzz")
    parser.add_argument("--random", action="store_true", help="random inputs, without atheris")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.targets if name not in targets()]
    if unknown:
        parser.error(f"no target '{unknown[0]}'; there are {', '.join(targets())}")
    if arguments.n < 1 or arguments.deadline <= 0:
        parser.error("-n and --deadline must be above 0")
    return arguments


def _run(setup: Setup, python: str) -> dict[str, Any]:
    """Its report; one that says how the process ended if it left none."""
    out = Path(setup.out)
    report, current = out / f"{setup.target}.json", out / f"{setup.target}.current"
    for old in (report, *out.glob(f"{setup.target}.finding-*")):
        old.unlink(missing_ok=True)
    argv = [python, "-m", "benchmarks.fuzz.loop", json.dumps(asdict(setup))]
    with (out / f"{setup.target}.log").open("w") as log:
        process = subprocess.Popen(argv, cwd=ROOT, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        ended = _wait(process, current)
    if report.exists():
        return json.loads(report.read_text())
    text = f"the process {ended} at the input in {current}; {out / setup.target}.log says more"
    finding = {"error": text, "input": "", "file": str(current)}
    empty = {"n": 0, "slowest": [], "rss_mib": [], "peak_mib": 0.0, "n_findings": 1}
    return {**empty, "findings": [finding]}


def _wait(process: subprocess.Popen[bytes], current: Path) -> str:
    """How the process ended; killed when it begins no new input for SILENCE_S."""
    quiet_since = time.time()
    while True:
        try:
            return f"ended with code {process.wait(timeout=5.0)}"
        except subprocess.TimeoutExpired:
            if current.exists():
                quiet_since = max(quiet_since, current.stat().st_mtime)
            if time.time() - quiet_since > SILENCE_S:
                process.kill()
                process.wait()
                return f"began nothing new for {SILENCE_S:.0f} s"
        except BaseException:
            process.kill()
            process.wait()
            raise


def _row(target: Target, report: dict[str, Any], log: Path | None) -> str:
    covered = re.findall(r"cov: (\d+)", log.read_text(errors="replace")) if log else []
    guide = f"by coverage ({covered[-1]} branches)" if covered else "random"
    slowest = f"{report['slowest'][0][0] * 1000:,.0f} ms" if report["slowest"] else ""
    rss = report["rss_mib"]
    grown = f"{rss[-1] - rss[1]:.0f} MiB" if len(rss) > 2 else ""
    n, peak = f"{report['n']:,} {guide}", f"{report['peak_mib']:.0f} MiB"
    cells = [target.name, target.what, n, str(report["n_findings"]), slowest, peak, grown]
    return f"| {' | '.join(cells)} |"


def _one_line(finding: dict[str, str]) -> str:
    return f"{finding['error']}; {finding['input'][:300]} (bytes in {finding['file']})"


if __name__ == "__main__":
    sys.exit(main())

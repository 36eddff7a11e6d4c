"""python -m benchmarks.presets [preset ...]: what each algorithm does to the embedded policy.

Real runs of benchmarks/presets.yaml: 40 steps for every seed, and with `--further` so many more in
the first seed, to see whether it collapses. Prints a Markdown table; runs that are in `--out`
already are not run again.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from rl.recipe.algorithm import PRESETS

ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "benchmarks" / "presets.yaml"
STEPS = 40
DEADLINE_S = 3600

# As many answers as the others, each to a task of its own; the critic starts from nothing.
PPO = ["group_size=1", "groups_per_step=128", "critic={lr: 1e-3, updates: 2, pretraining_steps: 5}"]


def main() -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.presets", description=__doc__)
    parser.add_argument("presets", nargs="*", default=[], help=", ".join(PRESETS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--further", type=int, default=0, help="steps beyond 40, first seed")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "presets")
    arguments = parser.parse_args()
    names = arguments.presets or list(PRESETS)
    if unknown := [name for name in names if name not in PRESETS]:
        parser.error(f"no preset '{unknown[0]}'; there are {', '.join(PRESETS)}")
    print("| preset | before | after 40 steps | seconds |" + " after |" * bool(arguments.further))
    print("|---|---|---|---|" + "---|" * bool(arguments.further))
    for name in names:
        runs = [
            trained(name, seed, arguments.further if seed == 0 else 0, arguments.out)
            for seed in range(arguments.seeds)
        ]
        print(line(name, runs, arguments.further), flush=True)
    return 0


def trained(preset: str, seed: int, further: int, out: Path) -> dict[str, Any]:
    """The evaluations and the time of one run, which is made unless it is there.

    Raises:
        SystemExit: the run failed; with the end of what it said.
    """
    run_dir = out / f"{preset}-{seed}-{STEPS + further}"
    command = [
        sys.executable, "-m", "rl", "train", str(RECIPE), f"run_dir={run_dir}",
        f"algorithm.preset={preset}", f"seed={seed}", f"steps={STEPS + further}",
        *([f"evaluation.every={STEPS}"] if further else []),
        *(PPO if preset == "ppo" else []),
    ]  # fmt: skip
    if not (run_dir / "summary.json").exists():
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE_S, check=False
        )
        if done.returncode:
            raise SystemExit(f"{preset}, seed {seed}: {done.stdout[-500:]}{done.stderr[-1500:]}")
    rows = [json.loads(x) for x in (run_dir / "evals.jsonl").read_text().splitlines()]
    time = json.loads((run_dir / "summary.json").read_text())["time"]
    phases = ("sample_s", "learn_s", "publish_s")
    return {
        "scores": {row["step"]: row["avg_at_k"]["value"] for row in rows},
        "seconds": sum(time[phase] for phase in phases) * STEPS / (STEPS + further),
    }


def line(name: str, runs: list[dict[str, Any]], further: int) -> str:
    def listed(values: list[float], digits: int) -> str:
        return ", ".join(f"{value:.{digits}f}".replace("0.", ".", 1) for value in values)

    before = listed([run["scores"][0] for run in runs], 3)
    after = listed([run["scores"][STEPS] for run in runs], 3)
    seconds = ", ".join(f"{run['seconds']:.0f}" for run in runs)
    text = f"| `{name}` | {before} | {after} | {seconds} |"
    if further:
        later = runs[0]["scores"]
        lowest = min(score for step, score in later.items() if step >= STEPS)
        text += f" {later[STEPS + further]:.3f}, lowest {lowest:.3f} |"
    return text


if __name__ == "__main__":
    sys.exit(main())

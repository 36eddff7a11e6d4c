"""`assay train`, as the supervisor's process runs it."""

import hashlib
import json
import os.path
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rl.children import ChildDied
from rl.commands.attack import admit, plan_lines
from rl.errors import UserError
from rl.hardware import find_hardware
from rl.plan import Plan, make_plan
from rl.progress import Progress, before_after
from rl.recipe.config import Recipe
from rl.recipe.load import dump, load_recipe, read_resolved
from rl.record import RunDirectory, Sessions, versions
from rl.supervisor import Interrupted, Supervisor

POLICY_REFUSED = 2  # exit code of rl/policy/starting.py when its last line is a complete message
POLICY_DEADLINE_S = 6 * 3600.0  # a hub download and a warm start on a slow machine


def train(path: Path, overrides: Sequence[str], *, dry_run: bool) -> int:
    """Run a recipe to its end, or resume it; the exit code for the shell."""
    hardware = find_hardware()
    recipe = load_recipe(path, overrides, profile=hardware.kind)
    plan = make_plan(recipe, hardware)
    recipe = plan.recipe
    run_dir = run_directory(path, recipe)
    if dry_run:
        _refuse_other(run_dir, recipe)
        print(dump(recipe), *plan.lines, *plan_lines(recipe), sep="\n")
        return 0
    with Progress(recipe.steps) as progress:
        for line in plan.lines:
            progress.say(line)
        try:
            summary = _finished(run_dir, recipe, progress)
            summary = summary or _train(run_dir, recipe, plan, progress)
        except Interrupted:
            progress.say(f"interrupted; the same command resumes it\n{run_dir}")
            return 130
        if "stopped" in summary:
            progress.say(f"{summary['stopped']}; the same command resumes it\n{run_dir}")
            return 130
        progress.show(before_after(summary))
        progress.say(str(run_dir))
    return 0


def run_directory(path: Path, recipe: Recipe) -> Path:
    """Where the run of a recipe lives; `recipe` as the plan resolved it, read from `path`."""
    digest = hashlib.sha256(dump(recipe).encode()).hexdigest()[:8]
    return Path(recipe.run_dir or f"runs/{path.stem}-{digest}").absolute()


def _refuse_other(run_dir: Path, recipe: Recipe) -> None:
    """Raises UserError where the directory holds a run of another recipe, or an evaluation."""
    stored = run_dir / "recipe.yaml"
    if _exists(run_dir / "settings.json") or _exists(run_dir / "evaluation.json"):
        raise UserError(
            f"{run_dir} holds an evaluation, not a training run; choose another directory with "
            "run_dir=DIR"
        )
    if _exists(stored):
        old = read_resolved(stored).model_dump(mode="json")
        now = recipe.model_dump(mode="json")
        differing = [key for key in differing_keys(old, now) if key != "run_dir"]
        if differing:
            raise UserError(
                f"{run_dir} holds a run of another recipe (differing: {', '.join(differing)}); "
                "choose another directory with run_dir=DIR"
            )


def _finished(run_dir: Path, recipe: Recipe, progress: Progress) -> dict[str, Any] | None:
    """The summary of a run that is complete.

    Raises:
        UserError: the directory holds something else.
    """
    _refuse_other(run_dir, recipe)
    file = run_dir / "summary.json"
    if not _exists(file):
        return None
    summary = json.loads(file.read_text(encoding="utf-8"))
    date = time.strftime("%Y-%m-%d %H:%M", time.localtime(file.stat().st_mtime))
    progress.say(
        f"this run finished on {date}; nothing was run now. To train its policy further give the "
        f"recipe with sft=null model={run_dir}/checkpoints/step-{recipe.steps:06d}; to train once "
        "more from the start choose another directory with run_dir=DIR, or change a key of the "
        "recipe such as seed"
    )
    return summary


def _exists(path: Path) -> bool:
    """False also where it cannot be known: then the supervisor says what is wrong with it."""
    return os.path.exists(path)


def differing_keys(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """The full paths at which two recipes, as plain data, are not the same."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            here = f"{path}.{key}" if path else key
            yield from differing_keys(old.get(key), new.get(key), here)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, pair in enumerate(zip(old, new, strict=True)):
            yield from differing_keys(*pair, f"{path}.{index}")
    elif old != new:
        yield path


def _train(run_dir: Path, recipe: Recipe, plan: Plan, progress: Progress) -> dict[str, Any]:
    with Supervisor(run_dir, progress) as supervisor:
        directory = prepare(run_dir, recipe)
        with Sessions(directory) as sessions:
            begin = time.monotonic()
            admit(supervisor, recipe)
            attack_s = time.monotonic() - begin
            summary = _lead(supervisor, recipe, plan, sessions)
            if "stopped" not in summary:
                summary["time"] |= {"attack_s": round(attack_s, 3), **sessions.end()}
                if recipe.accept_hackable is not None:
                    summary["accept_hackable"] = recipe.accept_hackable
                directory.write_json("summary.json", summary)
        return summary


def _lead(supervisor: Supervisor, recipe: Recipe, plan: Plan, sessions: Sessions) -> dict[str, Any]:
    model = starting_policy(supervisor, learns=True)
    sessions.policy_found()
    urls, key = supervisor.serve(model, recipe, plan)
    return supervisor.lead(
        ["train", str(supervisor.run_dir), "--model", model, "--servers", *urls],
        environment={"ASSAY_API_KEY": key},
        gpus=plan.rank_gpus,
        doing="starting the learner",
        deadline_s=recipe.engine.start_deadline_s,
    )


def prepare(run_dir: Path, recipe: Recipe) -> RunDirectory:
    """Write down the resolved recipe and all versions, once per run."""
    directory = RunDirectory(run_dir)
    if not (run_dir / "recipe.yaml").exists():
        directory.write_json("versions.json", versions())
        directory.write_text("recipe.yaml", dump(recipe))
    return directory


def starting_policy(supervisor: Supervisor, *, learns: bool = False) -> str:
    """Make, fetch or find the starting policy in a process of its own; its directory.

    Where it `learns`, the frozen policies that guide it are fetched and looked at too.
    """
    result = supervisor.run_dir / "policy.json"
    argv = [sys.executable, "-m", "rl.policy.starting"]
    argv += ["--recipe", str(supervisor.run_dir / "recipe.yaml"), "--out", str(result)]
    argv += ["--learns"] if learns else []
    child = supervisor.start("policy", argv, {})
    try:
        supervisor.finish(child, "making the starting policy", POLICY_DEADLINE_S)
    except ChildDied:
        if child.returncode() == POLICY_REFUSED:
            raise UserError(child.last_lines(1).strip()) from None
        raise
    found = json.loads(result.read_text())
    supervisor.progress.say(f"policy      {found['path']}")
    return found["path"]

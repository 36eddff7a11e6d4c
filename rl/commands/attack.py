"""`assay attack`; and what `assay train` asks of it: no environment trains unadmitted."""

import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from envs.admission import digests, find_admission, store_admission
from envs.attack import attack, effort_for
from envs.base import EnvError
from envs.opened import opened_files
from envs.registry import make_env
from rl.children import ChildDied
from rl.errors import UserError
from rl.hardware import find_hardware
from rl.plan import isolation_of
from rl.recipe.config import Recipe
from rl.recipe.load import load_recipe
from rl.recipe.sections import EnvSpec, Verify
from rl.supervisor import Supervisor
from verifiers.attack.report import Report, table
from verifiers.pool import VerifierStartError

ATTACK_DEADLINE_S = 3600.0  # for all environments of a recipe, where none has a record yet
REFUSED = 1  # exit code of `assay attack` when an environment was not admitted
RECIPE_SUFFIXES = (".yaml", ".yml")


def attack_command(
    what: str,
    overrides: Sequence[str],
    *,
    options: Sequence[str] = (),
    n_tasks: int | None = None,
    json_file: Path | None = None,
    admit: bool = False,
) -> int:
    """Attack an environment, or every environment that a recipe trains on; 0: all are admitted.

    Args:
        what: name of an environment, `path/to/file.py:Class`, or a recipe's file.
        overrides: of the recipe. options: `key=value`, of the environment.
        admit: only what training needs: environments without a record, on few tasks.

    Raises:
        UserError: the words do not fit together, or an environment cannot be attacked.
    """
    if json_file is not None and not json_file.parent.is_dir():
        raise UserError(f"--json {json_file}: there is no directory {json_file.parent}")
    specs, verify = _named(what, overrides, options)
    reports: list[Report] = []
    refused = False
    for spec in specs:
        if isolation := isolation_of(spec):
            print(f"programs of {spec.name} run in {isolation}", flush=True)
        known = find_admission(spec.name, spec.options) if admit else None
        if known is not None:
            refused |= not known.admitted
            continue
        print(f"attacking {spec.name}: the table comes at the end", file=sys.stderr, flush=True)
        enough = effort_for(make_env(spec.name, spec.options)).enough
        keeps = n_tasks is None or n_tasks >= enough
        opened = _opened(spec) if keeps else {}  # before the attack: what changes under it shows
        report = _attack(spec, verify, enough if admit else n_tasks)
        print(table(report), end="\n\n", flush=True)
        reports.append(report)
        refused |= not report.admitted
        if keeps:
            print(f"record {store_admission(report, opened)}", flush=True)
        else:
            print(f"no record: {n_tasks} tasks are too few, {enough} are enough")
    if json_file is not None:
        found = [report.to_json() for report in reports]
        json_file.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return REFUSED if refused else 0


def _named(
    what: str, overrides: Sequence[str], options: Sequence[str]
) -> tuple[list[EnvSpec], Verify]:
    """The environments that the command line names, and the limits to judge under."""
    if what.endswith(RECIPE_SUFFIXES):
        if options:
            raise UserError(
                f"--option {options[0]}: the options of environments stand in the recipe {what}; "
                f"change them with envs.0.{options[0]}"
            )
        recipe = load_recipe(Path(what), overrides, profile=find_hardware().kind)
        return distinct(recipe.envs), recipe.verify
    if overrides:
        raise UserError(
            f"'{overrides[0]}' changes a key of a recipe, and '{what}' is none; options of an "
            f"environment are given with --option {overrides[0]}"
        )
    values: dict[str, Any] = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not equals or not key:
            raise UserError(f"--option {option}: write it as key=value, such as digits=4")
        try:
            values[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UserError(f"--option {option}: '{value}' is no YAML value: {error}") from error
    try:
        make_env(what, values)
    except EnvError as error:
        raise UserError(str(error)) from error
    return [EnvSpec.model_validate({"name": what, **values})], Verify()


def distinct(specs: Sequence[EnvSpec]) -> list[EnvSpec]:
    """Each environment once for equal options."""
    by_content = {json.dumps([s.name, s.options], sort_keys=True): s for s in specs}
    return list(by_content.values())


def _attack(spec: EnvSpec, verify: Verify, n_tasks: int | None) -> Report:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "verifiers.log"
        try:
            return asyncio.run(
                attack(
                    spec.name,
                    spec.options,
                    limits=verify.limits,
                    n_tasks=n_tasks,
                    workers=verify.workers,
                    log_path=log,
                    say=_say,
                )
            )
        except (EnvError, VerifierStartError) as error:
            raise UserError(f"environment '{spec.name}' cannot be attacked: {error}") from error


def _opened(spec: EnvSpec) -> dict[str, str]:
    """The files that an environment opens, and digests of their content."""
    try:
        return digests(opened_files(spec.name, spec.options))
    except EnvError as error:
        raise UserError(f"environment '{spec.name}' cannot be attacked: {error}") from error


def _say(text: str) -> None:
    """One line that is written over, for whoever watches; nothing into a file."""
    if sys.stderr.isatty():
        print(f"\r{text:78.78}", end="\r", file=sys.stderr, flush=True)


def plan_lines(recipe: Recipe) -> list[str]:
    """What `--dry-run` says about every environment."""
    lines = []
    for spec in distinct(recipe.envs):
        found = find_admission(spec.name, spec.options)
        said = found.summary if found else "not attacked yet; that is done before training"
        lines.append(f"attacked    {spec.name}: {said}")
    return lines


def admit(supervisor: Supervisor, recipe: Recipe) -> None:
    """Let a run go on only if every environment it trains on was admitted as it is now.

    What has no record is attacked first, in a process of its own.

    Raises:
        UserError: one was not admitted, and the recipe gives no reason to accept that.
        ChildDied: the attack itself failed.
        Interrupted: the user did not want to wait.
    """
    specs = distinct(recipe.envs)
    unknown = [spec for spec in specs if find_admission(spec.name, spec.options) is None]
    if unknown:
        _attack_now(supervisor, unknown)
    for spec in specs:
        found = find_admission(spec.name, spec.options)
        if found is None:
            raise UserError(
                f"environment '{spec.name}' changes while it is attacked: its files or data were "
                "written to a moment ago; run the same command again"
            )
        if found.admitted:
            supervisor.progress.say(f"attacked    {spec.name}: {found.summary}")
        elif recipe.accept_hackable is None:
            raise UserError(
                f"environment '{spec.name}' is refused: a policy could cheat it.\n\n{found.table}\n"
                f"\nFor more examples: {_command(spec)}\nMend its verify(), or "
                'train on it all the same with accept_hackable: "REASON" in the recipe'
            )
        else:
            supervisor.progress.say(
                f"attacked    {spec.name}: {found.summary}\n"
                f"            trained on all the same: {recipe.accept_hackable}",
                style="bold red",
            )


def _attack_now(supervisor: Supervisor, specs: Sequence[EnvSpec]) -> None:
    recipe = supervisor.run_dir / "recipe.yaml"
    argv = [sys.executable, "-m", "rl", "attack", str(recipe), "--admit"]
    child = supervisor.start("attack", argv, {})
    names = ", ".join(spec.name for spec in specs)
    try:
        supervisor.finish(child, f"attacking {names}", ATTACK_DEADLINE_S)
    except ChildDied:
        # What was refused has a record that says so; without one the attack itself failed.
        if any(find_admission(spec.name, spec.options) is None for spec in specs):
            raise


def _command(spec: EnvSpec) -> str:
    options = " ".join(f"--option '{key}={json.dumps(x)}'" for key, x in spec.options.items())
    return f"assay attack '{spec.name}' {options}".strip()

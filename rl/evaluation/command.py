"""`assay eval`: one directory of results per model, then a table, and who is better than whom."""

import hashlib
import json
import re
import shutil
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from envs.registry import find_class
from rl.children import ChildDied
from rl.errors import UserError
from rl.evaluation.contamination import (
    Contamination,
    contamination,
    met_json,
    score_without,
    text_of,
    trained_on,
)
from rl.evaluation.problems import env_section
from rl.evaluation.settings import (
    Draw,
    Settings,
    asks_for_more,
    data_digest,
    differing,
    env_name,
    sampling_settings,
)
from rl.evaluation.store import SCORES, Store, answers
from rl.evaluation.table import Evaluated, show, write_summary
from rl.evaluation.targets import Target, find_targets, is_run
from rl.hardware import Hardware, find_hardware
from rl.plan import make_plan
from rl.progress import Progress, how_many
from rl.recipe.config import Recipe
from rl.recipe.load import dump, load_recipe, make_recipe
from rl.record import RunDirectory, versions
from rl.supervisor import Supervisor

FETCH_DEADLINE_S = 6 * 3600.0  # of a download from the hub, or of reading a large model
MAKE_DEADLINE_S = 2 * 3600.0
PROGRAM_DEADLINE_S = 600.0  # to judge a program: a hundred tests of 6 s
ANY = "evaluated"  # stands for the models, each of which is put in when its turn comes
OVERRIDE = re.compile(r"[A-Za-z_][\w.]*=")
FIXED = {
    "sft": None,
    "run_dir": None,  # the stored recipe of a run names that run's directory
    "moe": {"routing": "learner"},  # nothing is replayed: no server has to say its experts
}


class Task(NamedTuple):
    """What is the same for all models of one command."""

    recipe: Recipe
    draw: Draw
    out: Path
    hardware: Hardware


def evaluate(arguments: Namespace) -> int:
    """Evaluate every model named, as far as that is not done yet; the exit code for the shell."""
    overrides = [x for x in arguments.models if OVERRIDE.match(x)]
    given = [x for x in arguments.models if not OVERRIDE.match(x)]
    _refuse_to_evaluate_another(overrides)
    if not given:
        raise UserError("which model? Name a run, a model directory, a hub id or a server's URL")
    targets = find_targets(given, arguments.quantized)
    hardware = find_hardware()
    recipe, draw, label = asked(given, arguments.recipe, arguments.env, overrides, hardware)
    out = Path(recipe.run_dir or _default_directory(label, recipe, draw)).absolute()
    if is_run(out):
        raise UserError(
            f"run_dir {out} already holds a run; an evaluation gets a directory of its own: "
            "choose another with run_dir=DIR, or leave run_dir out"
        )
    task = Task(recipe, draw, out, hardware)
    with Progress(0) as progress:
        pairs = list(each(told_apart(targets, out), task, progress))
        evaluated = [one for _, one in pairs]
        show(evaluated, progress)
        met = _met_in_training(pairs, progress)
        write_summary(out, evaluated, met)
        progress.say(str(out))
    return 0


def _refuse_to_evaluate_another(overrides: Sequence[str]) -> None:
    for override in overrides:
        key = override.partition("=")[0]
        if key.split(".")[0] in ("model", "sft"):
            raise UserError(
                f"override {override!r}: an evaluation scores the model named before it, as it is; "
                "name another one there: assay eval MODEL --recipe RECIPE"
            )


def asked(
    given: Sequence[str],
    path: Path | None,
    envs: Sequence[str],
    overrides: Sequence[str],
    hardware: Hardware,
) -> tuple[Recipe, Draw, str]:
    """How answers are sampled and judged, how problems are drawn, what the evaluation is called."""
    run = next((Path(x) for x in given if is_run(Path(x))), None)
    sections = [env_section(text) for text in envs]
    path = path or (run / "recipe.yaml" if run is not None else None)
    fixed = [f"{key}={json.dumps(value)}" for key, value in FIXED.items()]
    if sections:
        fixed += [f"envs={json.dumps(sections)}", "evaluation.envs=null"]
    if path is not None:
        label = run.resolve().name if run and path.parent == run else path.stem
        recipe = load_recipe(path, [*fixed, f"model={ANY}", *overrides], profile=hardware.kind)
    elif sections:
        label = "-".join(dict.fromkeys(env_name(x["name"], x) for x in sections))
        recipe = make_recipe(_without_recipe(sections, hardware), [*fixed, *overrides], "--env")
    else:
        raise UserError(
            f"{given[0]} is not a run directory, so the tasks are not known: name a recipe with "
            "--recipe recipes/math_grpo.yaml, or environments with --env arithmetic:digits=3"
        )
    if not sections:
        return recipe, Draw.MIXTURE, label
    if not any(x.startswith("verify.deadline_s=") for x in overrides):
        recipe = _with_time_for_programs(recipe)
    limited = any(x.startswith("evaluation.problems=") for x in overrides)
    return recipe, Draw.EACH if limited else Draw.ALL, re.sub(r"[^\w.-]+", "-", label)[:60]


def _with_time_for_programs(recipe: Recipe) -> Recipe:
    """Tests of programs have limits of their own; the one on all of them is not what ends them."""
    if all(find_class(spec.name).answers != "program" for spec in recipe.envs):
        return recipe
    deadline_s = max(recipe.verify.deadline_s, PROGRAM_DEADLINE_S)
    verify = recipe.verify.model_copy(update={"deadline_s": deadline_s})
    return recipe.model_copy(update={"verify": verify})


def _without_recipe(sections: Sequence[Any], hardware: Hardware) -> dict[str, Any]:
    """What --env alone means: nothing learns, so a GPU is all the server's."""
    engine: dict[str, Any] = {"gpu_memory_utilization": 0.9}
    if hardware.kind == "cpu":
        engine = {"dtype": "float32", "kv_cache_gib": 4.0, "eager": True}
    return {"model": ANY, "envs": sections, "engine": engine}


def _default_directory(label: str, recipe: Recipe, draw: Draw) -> str:
    """The same for the same tasks and sampling, so that the same command finds its results, and
    one that names more models adds theirs."""
    resolved = recipe.model_copy(update={"run_dir": None})
    digest = hashlib.sha256(f"{dump(resolved)}{draw}".encode()).hexdigest()[:8]
    return f"runs/eval-{label}-{digest}"


def told_apart(targets: Sequence[Target], out: Path) -> list[Target]:
    """Where another model has a directory of that name in `out`, or comes before, a target's name
    goes on with a digest of where its model is. So a model keeps its directory, whatever is
    evaluated with it.

    A model whose directory is no longer where it was evaluated is taken for moved.
    """
    owners: dict[str, tuple[str, str | None]] = {}  # source and served name, by name
    found = []
    for target in targets:
        own = target.source, target.served_as
        digest = hashlib.sha256(f"{target.source}#{target.served_as}".encode()).hexdigest()[:6]
        longer = replace(target, name=f"{target.name}-{digest}")
        if target.name not in owners and (then := Store(out / target.name).settings()) is not None:
            at = Path(then.checkpoint)
            moved = at.is_absolute() and not at.exists()
            served = then.identity if target.served_as is not None else None
            owners[target.name] = own if moved else (then.checkpoint, served)
        has_its_own = Store(out / longer.name).settings() is not None
        shared = owners.setdefault(target.name, own) != own
        found.append(longer if has_its_own or shared else target)
    return found


def each(
    targets: Sequence[Target], task: Task, progress: Progress
) -> Iterator[tuple[Target, Evaluated]]:
    """One after the other, without checkpoints that a run under way has replaced meanwhile.

    Raises:
        UserError: that is what became of all of them, or one cannot be evaluated.
    """
    n_evaluated = 0
    for target in targets:
        try:
            yield target, _one(target, task, progress)
            n_evaluated += 1
        except (UserError, ChildDied):
            if target.run is None or Path(target.source).exists():
                raise
            progress.say(
                f"    {target.source} is gone: its run keeps the newest checkpoints only "
                "(checkpoint.keep), and has written others since this command began"
            )
    if not n_evaluated:
        raise UserError(
            "none of the checkpoints is there any more: give the run's directory once more, or "
            "train with a larger checkpoint.keep"
        )


def _one(target: Target, task: Task, progress: Progress) -> Evaluated:
    """Evaluate one model, or find it evaluated; its results are in a directory of its own."""
    directory = task.out / target.name
    store = Store(directory)
    progress.say(f"{target.name}: {target.source}")
    with Supervisor(directory, progress) as supervisor:
        found = _find(target, supervisor)
        settings = _settings(target, found, task)
        then = store.settings()
        if then is not None:
            _refuse_other_settings(store, then, settings, target)
        if then is not None and store.complete and not asks_for_more(then, settings):
            progress.say("    evaluated already: nothing is sampled again")
            if n := store.n_failed():
                progress.say(
                    f"    the server failed on {how_many(n, 'answer')}, see answers.jsonl: to ask "
                    f"for them again delete {directory / SCORES} and repeat the command"
                )
            settings = then
        else:
            _sample(target, found, settings, task, supervisor, store)
            store.finish(settings)
    found = answers(list(store.rows()), settings)
    return Evaluated(target.name, directory, settings, store.scores(), found)


def _met_in_training(
    pairs: Sequence[tuple[Target, Evaluated]], progress: Progress
) -> dict[str, dict[str, Any]]:
    """Of each checkpoint of a run: which problems, or their like, the run trained on."""
    found: dict[str, dict[str, Any]] = {}
    by_run: dict[Path, Contamination] = {}
    for target, one in pairs:
        if target.run is None:
            continue
        if target.run not in by_run:
            texts = {row["problem"]: text_of(row["prompt"]) for row in Store(one.directory).rows()}
            by_run[target.run] = contamination(texts, trained_on(target.run))
            progress.say(f"{target.run.name}: {by_run[target.run].sentence}")
        met = by_run[target.run]
        rest = score_without(one.answers, met)
        if met.met and rest is not None:
            progress.say(f"    {one.name} without those: {rest}")
        found[one.name] = met_json(one.answers, met)
    return found


def _find(target: Target, supervisor: Supervisor) -> dict[str, Any]:
    """What there is to evaluate, without making anything yet."""
    if target.remote:
        return {"identity": _served_model(target), "parameters": None}
    out = supervisor.run_dir / "model.json"
    argv = ["find", target.source, "--out", str(out)]
    _in_a_process("model", argv, "looking at the model", supervisor, FETCH_DEADLINE_S)
    return json.loads(out.read_text(encoding="utf-8"))


def _served_model(target: Target) -> str:
    import asyncio
    import os

    from rl.evaluation.remote import KEY_VARIABLE, served_model

    key = os.environ.get(KEY_VARIABLE)
    return asyncio.run(served_model(target.source, key, target.served_as))


def _in_a_process(
    name: str, arguments: Sequence[str], doing: str, supervisor: Supervisor, deadline_s: float
) -> None:
    from rl.evaluation.model import REFUSED

    argv = [sys.executable, "-m", "rl.evaluation.model", *arguments]
    child = supervisor.start(name, argv, {})
    try:
        supervisor.finish(child, doing, deadline_s)
    except ChildDied:
        if child.returncode() == REFUSED:
            raise UserError(child.last_lines(1).strip()) from None
        raise


def _settings(target: Target, found: dict[str, Any], task: Task) -> Settings:
    recipe = task.recipe
    envs = [spec.model_dump() for spec in recipe.evaluation.envs or recipe.envs]
    return Settings(
        checkpoint=target.source,
        identity=found["identity"],
        step=target.step,
        variant=target.variant,
        parameters=found["parameters"],
        envs=envs,
        draw=task.draw,
        problems=recipe.evaluation.problems,
        sampling=sampling_settings(recipe),
        versions=versions(),
        data=data_digest(envs),
    )


def _refuse_other_settings(store: Store, then: Settings, now: Settings, target: Target) -> None:
    """A directory is known by its contents, wherever it is now; a server only by its address."""
    keys = [key for key in differing(then, now) if target.remote or key != "checkpoint"]
    if keys:
        raise UserError(
            f"{store.path} holds answers of another evaluation (differing: {', '.join(keys)}): "
            "choose another directory with run_dir=DIR, or delete this one"
        )


def _sample(
    target: Target,
    found: dict[str, Any],
    settings: Settings,
    task: Task,
    supervisor: Supervisor,
    store: Store,
) -> None:
    directory = supervisor.run_dir
    made = directory / "model"
    path = _model(target, found, made, supervisor)
    recipe = task.recipe.model_copy(update={"model": path or "embedded"})
    plan = make_plan(recipe, task.hardware, learns=False)
    RunDirectory(directory).write_text("recipe.yaml", dump(plan.recipe))
    store.begin(settings)
    arguments, environment = [str(directory)], {}
    if path is None:
        arguments += ["--remote", target.source]
    else:
        urls, key = supervisor.serve(path, plan.recipe, plan)
        arguments += ["--model", path, "--servers", *urls]
        environment["ASSAY_API_KEY"] = key
    took = supervisor.lead(
        arguments,
        environment=environment,
        gpus=[""],
        doing="starting the evaluation",
        deadline_s=recipe.engine.start_deadline_s,
        module="rl.evaluation.lead",
    )
    shutil.rmtree(made, ignore_errors=True)
    if took["seconds"]:
        supervisor.progress.say(
            f"    {took['answers']:,} answers, {took['tokens']:,} tokens in {took['seconds']:.1f} s"
        )


def _model(target: Target, found: dict[str, Any], made: Path, supervisor: Supervisor) -> str | None:
    """The directory to serve; None for a server elsewhere."""
    if target.remote:
        return None
    if target.variant is None and found["base"] is None:
        return found["path"]
    argv = ["make", str(supervisor.run_dir / "model.json"), "--into", str(made)]
    argv += ["--variant", target.variant] if target.variant else []
    _in_a_process("model", argv, "making the model to serve", supervisor, MAKE_DEADLINE_S)
    return str(made)

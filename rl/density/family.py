"""`assay density family RECIPE`: trains a family of policies, and writes its table.

All members imitate the same worked solutions to a recipe's tasks, as many tokens each (D0), and
answer the same held-out tasks. They differ in width, and in the learning rate that goes with it.
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rl.children import ChildDied
from rl.density.fit import Member
from rl.density.table import write_members
from rl.errors import UserError
from rl.evaluation.statistics import Estimate
from rl.launch import POLICY_REFUSED, differing_keys, prepare, starting_policy
from rl.plan import n_parameters
from rl.progress import Progress
from rl.recipe.config import Recipe
from rl.recipe.load import load_recipe, read_resolved
from rl.supervisor import Supervisor

TABLE = "family.csv"
MEASURED = "member.json"
MEASURE_DEADLINE_S = 3 * 3600.0

# Of two layers each: hidden, heads, intermediate. 21,920 to 2,067,968 parameters.
SIZES = ((24, 1, 64), (40, 1, 112), (64, 2, 176), (96, 3, 256), (160, 5, 432), (288, 9, 768))
LAYERS = 2


def make_family(
    path: Path,
    overrides: Sequence[str],
    out: Path,
    progress: Progress,
    sizes: Sequence[tuple[int, int, int]] = SIZES,
) -> Path:
    """Train and measure what is not finished yet, smallest first.

    Returns:
        The table, written anew after every member.

    Raises:
        UserError: the recipe has nothing to imitate, or `out` holds a family of another recipe.
    """
    recipes = [member_recipe(path, overrides, size) for size in sizes]
    members: dict[str, list[Member]] = {}
    for recipe in recipes:
        began = time.monotonic()
        n = n_parameters(recipe)
        directory = (out / str(n)).absolute()
        _refuse_another(directory, recipe)
        if not (directory / MEASURED).exists():
            _make_member(directory, recipe, progress)
            progress.say(f"{n:,} parameters: made in {time.monotonic() - began:.0f} s")
        for env, member in read_member(directory, str(n)).items():
            members.setdefault(env, []).append(member)
        write_members(out / TABLE, members)
        last = read_member(directory, str(n))["all"]
        progress.say(f"{n:,} parameters: loss {last.loss:.4f}, score {last.score}")
    return out / TABLE


def member_recipe(path: Path, overrides: Sequence[str], size: tuple[int, int, int]) -> Recipe:
    """The recipe as one member of the family is made by it.

    The learning rate is the recipe's at the recipe's width, and falls as the width grows: then
    every width learns at about its own best rate (arXiv:2203.03466).

    Raises:
        UserError: the recipe has no warm start, one that the family cannot have, or answers in
            chunks, which are not sampled here.
    """
    recipe = load_recipe(path, overrides, profile="cpu")
    if recipe.sft is None or recipe.model != "embedded":
        raise UserError(
            f"{path}: a family imitates worked solutions with the embedded policy: give a recipe "
            f"with sft and model: embedded (found sft: {recipe.sft and 'set'}, model: "
            f"{recipe.model})"
        )
    if recipe.rollout.chunk_tokens is not None or recipe.rollout.truncated == "interrupt":
        raise UserError(
            f"{path}: the family's answers are sampled whole: give a recipe without "
            "rollout.chunk_tokens and with another rollout.truncated than interrupt"
        )
    hidden, heads, intermediate = size
    embedded = recipe.embedded.model_copy(
        update={
            "layers": LAYERS, "hidden": hidden, "heads": heads, "kv_heads": heads,
            "intermediate": intermediate, "experts": 0,
        }
    )  # fmt: skip
    lr = recipe.sft.lr * recipe.embedded.hidden / hidden
    sft = recipe.sft.model_copy(update={"corrupted_fraction": 0.0, "lr": lr})
    return recipe.model_copy(update={"embedded": embedded, "sft": sft, "run_dir": None})


def _refuse_another(directory: Path, recipe: Recipe) -> None:
    stored = directory / "recipe.yaml"
    if not stored.exists():
        return
    old = read_resolved(stored).model_dump(mode="json")
    differing = list(differing_keys(old, recipe.model_dump(mode="json")))
    if differing:
        raise UserError(
            f"{directory} holds a member of another family (differing: {', '.join(differing)}): "
            "choose another directory with --out DIR"
        )


def _make_member(directory: Path, recipe: Recipe, progress: Progress) -> None:
    """Train one, or find it in the cache of policies, and measure it."""
    with Supervisor(directory, progress) as supervisor:
        prepare(directory, recipe)
        policy = starting_policy(supervisor)
        argv = [sys.executable, "-m", "rl.density.measure", "--model", policy]
        argv += ["--recipe", str(directory / "recipe.yaml"), "--out", str(directory / MEASURED)]
        child = supervisor.start("measure", [*argv, "--log", str(directory / "verifiers.log")], {})
        try:
            supervisor.finish(child, "measuring loss and score", MEASURE_DEADLINE_S)
        except ChildDied:
            if child.returncode() == POLICY_REFUSED:
                raise UserError(child.last_lines(1).strip()) from None
            raise


def read_member(directory: Path, name: str) -> dict[str, Member]:
    """What was measured of one member, by kind of task."""
    found = json.loads((directory / MEASURED).read_text(encoding="utf-8"))
    parameters = json.loads((directory / "policy.json").read_text())["n_parameters"]
    return {
        env: Member(
            name=name,
            parameters=parameters,
            tokens=found["tokens"],
            loss=own["loss"],
            score=Estimate(**own["score"]),
            mean_tokens=own["mean_tokens"],
        )
        for env, own in found["by_env"].items()
    }


def check_same_tasks(table: Path, where: Path) -> None:
    """Raises UserError where a run or an evaluation was asked otherwise than the family beside
    `table` was.

    A table that no family lies beside is not looked at: it is its owner's who knows. Nor are CSV
    files, which do not say what was asked.
    """
    of_family = sorted(table.parent.glob("*/recipe.yaml"))
    if not of_family:
        return
    family = _evaluated(read_resolved(of_family[0]))
    for file in sorted([*where.glob("recipe.yaml"), *where.glob("*/recipe.yaml")]):
        if differing := list(differing_keys(family, _evaluated(read_resolved(file)))):
            raise UserError(
                f"{file.parent} and the family of {table} were not asked the same (differing: "
                f"{', '.join(differing)}): make a family for it with assay density family {file} "
                "--out DIR"
            )


def _evaluated(recipe: Recipe) -> dict[str, object]:
    """What a held-out score depends on besides the policy, as plain data."""
    specs = recipe.evaluation.envs or recipe.envs
    return {
        "envs": [spec.model_dump(mode="json") for spec in specs],
        "evaluation.temperature": recipe.evaluation.temperature,
        "evaluation.top_p": recipe.evaluation.top_p,
        "evaluation.problems": recipe.evaluation.problems,
        "rollout.max_new_tokens": recipe.rollout.max_new_tokens,
    }

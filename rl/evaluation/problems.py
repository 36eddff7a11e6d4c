"""Which problems an evaluation asks."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from envs.base import NoTasks
from envs.dataset import FORMATS
from envs.registry import make_env
from rl.evaluation.settings import QUESTIONS, Draw
from rl.recipe.config import Recipe
from rl.recipe.load import read_value
from rl.recipe.sections import EnvSpec
from rl.tasks import Drawn, Tasks, sampling_seed

OPTIONS = re.compile(r":(?=[A-Za-z_]\w*=)")  # between a name and its options
NEXT_OPTION = re.compile(r",(?=[A-Za-z_]\w*=)")


class Wanted(NamedTuple):
    """Answers `first` to `first + n - 1` to a problem."""

    problem: Drawn
    first: int
    n: int


def env_section(text: str) -> dict[str, Any]:
    """`NAME[:option=value,...]` as a recipe's envs have it; the name of a file with rows stands for
    a data set of them.

    Raises:
        RecipeError: a value is no YAML.
    """
    name, *rest = OPTIONS.split(text, maxsplit=1)
    options: dict[str, Any] = {}
    for part in NEXT_OPTION.split(rest[0]) if rest else ():
        key, _, value = part.partition("=")
        options[key] = read_value(value, f"--env {text!r}: {key}")
    if any(name.endswith(ending) for ending in FORMATS):
        options, name = {"path": name, **options}, QUESTIONS
    return {"name": name, **options}


def problems(recipe: Recipe, draw: Draw) -> list[Drawn]:
    """The same for equal recipes, whatever the model; more of them begin with the same ones.

    Raises:
        NoTasks: there are fewer than asked for, and they are not all that a data set has.
    """
    if draw is Draw.MIXTURE:
        return Tasks(recipe).held_out
    specs = recipe.evaluation.envs or recipe.envs
    wanted = recipe.evaluation.problems
    return [one for spec in specs for one in _of(spec, wanted, whole=draw is Draw.ALL)]


def _of(spec: EnvSpec, wanted: int, *, whole: bool) -> Iterator[Drawn]:
    """Distinct held-out tasks of one environment."""
    env = make_env(spec.name, spec.options)
    size = env.n_tasks("test")
    if size is not None:
        wanted = size if whole else min(wanted, size)
    seen: set[str] = set()
    for index in range(20 * wanted):
        if len(seen) == wanted:
            return
        task = env.draw("test", 0, index)
        if task.key not in seen:
            seen.add(task.key)
            options = json.dumps(spec.options, sort_keys=True)
            seed = sampling_seed("evaluation", spec.name, options, index)
            yield Drawn(spec.name, spec.options, task, env.solve(task), seed, env.family(task))
    if len(seen) < wanted:
        raise NoTasks(
            f"environment '{spec.name}' has only {len(seen)} distinct held-out tasks for "
            f"evaluation.problems={wanted}: lower it, or widen the environment's options"
        )


def expected(found: Sequence[Drawn], samples: int) -> Iterator[tuple[Drawn, int]]:
    """Every answer that the evaluation consists of: a problem, and the number of the answer."""
    return ((problem, sample) for problem in found for sample in range(samples))


def asked_together(missing: Sequence[tuple[Drawn, int]], most: int) -> list[Wanted]:
    """Answers to one problem whose numbers follow each other, at most so many in one."""
    found: list[Wanted] = []
    for problem, sample in missing:
        last = found[-1] if found else None
        follows = last and last.problem is problem and last.first + last.n == sample
        if last and follows and last.n < most:
            found[-1] = last._replace(n=last.n + 1)
        else:
            found.append(Wanted(problem, sample, 1))
    return found

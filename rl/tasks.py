"""Which tasks a step trains on, and which are held out: a pure function of recipe and step."""

from collections.abc import Sequence
from hashlib import sha256
from random import Random
from typing import Any, NamedTuple

from envs.base import Env, NoTasks, Task
from envs.registry import make_env
from rl.recipe.config import Recipe
from rl.recipe.sections import EnvSpec


class Drawn(NamedTuple):
    """A task, and the environment it came from."""

    env: str  # name in the recipe
    options: dict[str, Any]
    task: Task
    solution: str | None  # accepted by the verifier: the control when judging uses up a limit
    seed: int  # of sampling its answers
    family: str | None = None  # what tasks of its environment come in clusters by


class Tasks:
    """Draws training tasks by weight over the environments, and the held-out ones for evaluation.

    Raises:
        NoTasks: an environment has too few distinct tasks to evaluate on.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._seed = recipe.seed
        self._per_step = recipe.groups_per_step
        self._canary_fraction = recipe.alarms.canary_fraction
        self._train = _Mixture(recipe.envs)
        held_out = _Mixture(recipe.evaluation.envs or recipe.envs)
        self.held_out = self._held_out(held_out, recipe.evaluation.problems)
        self._held_out_keys = {drawn.task.key for drawn in self.held_out}

    def step(self, step: int) -> list[Drawn]:
        """The `groups_per_step` tasks of one step (1 is the first)."""
        first = (step - 1) * self._per_step
        return [self.train(index) for index in range(first, first + self._per_step)]

    def canaries(self, step: int) -> list[Drawn]:
        """Tasks without an answer, to sample beside those of a step: about `canary_fraction` times
        as many; none where no environment has any."""
        first = (step - 1) * self._per_step
        found = []
        for index in range(first, first + self._per_step):
            rng = Random(f"canary/{self._seed}/{index}")
            if rng.random() < self._canary_fraction:
                drawn = self._train.canary(rng, sampling_seed("canary", self._seed, index))
                found += [drawn] if drawn is not None else []
        return found

    def train(self, index: int) -> Drawn:
        """Of the endless row of training tasks that one; the first has index 0."""
        # Environments keep their splits apart themselves; this holds also for an evaluation on
        # other environments than those trained on.
        for attempt in range(1000):
            drawn = self._train.draw("train", self._seed, f"{index}/{attempt}", index, attempt)
            if drawn.task.key not in self._held_out_keys:
                return drawn
        raise NoTasks(
            "1000 training tasks in a row are held out for evaluation: the environments have too "
            "few distinct tasks; lower evaluation.problems or widen their options"
        )

    def _held_out(self, mixture: "_Mixture", problems: int) -> list[Drawn]:
        """Distinct tasks: the same for every seed of training, so that runs can be compared."""
        found: dict[str, Drawn] = {}
        for index in range(20 * problems):
            if len(found) == problems:
                break
            drawn = mixture.draw("test", 0, f"{index}/0", index, 0)
            found.setdefault(drawn.task.key, drawn)
        if len(found) < problems:
            raise NoTasks(
                f"only {len(found)} distinct held-out tasks were found for evaluation.problems="
                f"{problems}: lower it, or widen the environments' options"
            )
        return list(found.values())


class _Mixture:
    def __init__(self, specs: Sequence[EnvSpec]) -> None:
        self._specs = specs
        self._envs: list[Env] = [make_env(spec.name, spec.options) for spec in specs]

    def draw(self, split: str, seed: int, label: str, index: int, attempt: int) -> Drawn:
        """Task `index`; a further attempt at the same index is an independent draw."""
        rng = Random(f"mixture/{split}/{seed}/{label}")
        which = rng.choices(range(len(self._specs)), [s.weight for s in self._specs])[0]
        env, spec = self._envs[which], self._specs[which]
        # Attempts beyond the first use indices far from any step's, not the neighbour's.
        task = env.draw("test" if split == "test" else "train", seed, index + attempt * 10**9)
        return Drawn(
            env=spec.name,
            options=spec.options,
            task=task,
            solution=env.solve(task),
            seed=sampling_seed(split, seed, label),
            family=env.family(task),
        )

    def canary(self, rng: Random, seed: int) -> Drawn | None:
        which = rng.choices(range(len(self._specs)), [s.weight for s in self._specs])[0]
        task, spec = self._envs[which].canary(rng), self._specs[which]
        return Drawn(spec.name, spec.options, task, None, seed) if task is not None else None


def sampling_seed(*parts: object) -> int:
    """A seed of 48 bits: rollout servers add the index within a group to it."""
    return int(sha256("/".join(map(str, parts)).encode()).hexdigest()[:12], 16)

"""Which tasks to draw next, given what became of those before.

Dynamic sampling (DAPO, arXiv 2503.14476, section 3.2): a step draws on until enough of its groups
carry signal. Retirement: a task that the policy solves is drawn no more, but for a few that are
looked at again (Kimi k1.5, Polaris and others filter so between stages; here it goes on all along).

The tasks of a recipe stand in one endless row, `Tasks.train`; drawing moves a position along it.
With the default settings step t takes the places (t - 1) * groups_per_step and on, and nothing
depends on what became of them.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from rl.learner.batch import has_signal, why_invalid
from rl.recipe.config import Recipe
from rl.tasks import Drawn, Tasks
from rl.types import Group
from verifiers.verdict import Outcome

FILE = "trainer/curriculum.json"  # in a checkpoint

MAX_PASSED_OVER = 100  # retired tasks in a row; then nearly all are, and one is looked at again


def more_tasks(signal: int, drawn: int, wanted: int, most: int) -> int:
    """How many tasks to draw beside `drawn`, of which `signal` carried signal, 0: no more.

    So many that at the same rate `wanted` will carry signal, and never more than `most` in all.
    """
    if signal >= wanted:
        return 0
    return min(most - drawn, math.ceil((wanted - signal) * drawn / max(signal, 1)))


def pass_rate(group: Group, recipe: Recipe) -> float | None:
    """Share of right ones among the valid answers; None with fewer than two of them."""
    valid = [graded for graded in group if why_invalid(graded, recipe) is None]
    if len(valid) < 2:
        return None
    return sum(graded.verdict.outcome is Outcome.CORRECT for graded in valid) / len(valid)


class _Step:
    """What was drawn for one step that is under way."""

    def __init__(self) -> None:
        self.drawn: list[tuple[int, int]] = []  # place in the row of tasks, seed of the answers
        self.places: dict[str, int] = {}  # by the task's key
        self.reviewed = 0


class Curriculum:
    """Draws for one step after another; told what became of the groups, it draws accordingly."""

    def __init__(self, tasks: Tasks, recipe: Recipe) -> None:
        self._tasks = tasks
        self._recipe = recipe
        self._position = 0  # in the row of tasks: the next to draw
        self._retired: dict[str, int] = {}  # key of a task: its place
        self._steps: dict[int, _Step] = {}  # under way
        self._again: dict[int, list[tuple[int, int]]] = {}  # by step, drawn before a resume

    def draw(self, step: int, n: int) -> list[Drawn]:
        """The next `n` tasks for a step, which may have some already."""
        own = self._steps.setdefault(step, _Step())
        return [self._one(step, own) for _ in range(n)]

    def _one(self, step: int, own: _Step) -> Drawn:
        if again := self._again.get(step):
            place, seed = again.pop(0)
            drawn = self._tasks.train(place)._replace(seed=seed)
        else:
            rng = Random(f"curriculum/{self._recipe.seed}/{step}/{len(own.drawn)}")
            place = self._place(own, rng)
            drawn = self._tasks.train(place)
            if drawn.task.key in self._retired:  # answered by other random numbers than before
                drawn = drawn._replace(seed=rng.getrandbits(48))
        own.reviewed += drawn.task.key in self._retired
        own.drawn.append((place, drawn.seed))
        own.places[drawn.task.key] = place
        return drawn

    def _place(self, own: _Step, rng: Random) -> int:
        review = bool(self._retired) and rng.random() < self._recipe.curriculum.review_fraction
        place = self._retired_one(own, rng) if review else None
        if place is None:
            place = self._next(own)
        if place is None:
            place = self._retired_one(own, rng)
        return self._pass() if place is None else place

    def _retired_one(self, own: _Step, rng: Random) -> int | None:
        """The place of a retired task that is not in this step already; None: there is none."""
        places = [place for key, place in self._retired.items() if key not in own.places]
        return rng.choice(places) if places else None

    def _next(self, own: _Step) -> int | None:
        """The place of the next task; where tasks retire, of one that has not retired and is not in
        this step already. None: there is hardly one left."""
        if self._recipe.curriculum.retire_at is None:
            return self._pass()
        for _ in range(MAX_PASSED_OVER):
            place = self._pass()
            key = self._tasks.train(place).task.key
            if key not in self._retired and key not in own.places:
                return place
        return None

    def _pass(self) -> int:
        self._position += 1
        return self._position - 1

    def missing(self, step: int, groups: Sequence[Group]) -> int:
        """How many more tasks the step needs, all of whose groups so far are given."""
        settings, wanted = self._recipe.curriculum, self._recipe.groups_per_step
        if not settings.dynamic:
            return 0
        signal = sum(has_signal(group, self._recipe) for group in groups)
        drawn = len(self._steps[step].drawn)
        return more_tasks(signal, drawn, wanted, int(settings.max_draws * wanted))

    def finish(self, step: int, groups: Sequence[Group]) -> dict[str, int]:
        """Take note of all groups of a step: tasks retire, and those that slipped come back.

        Returns:
            Tasks drawn, how many of them were retired ones, and how many are now.
        """
        own = self._steps.pop(step)
        least = self._recipe.curriculum.retire_at
        for group in groups:
            rate, key = pass_rate(group, self._recipe), group[0].rollout.task.key
            if least is None or rate is None:
                continue
            if rate >= least:
                self._retired.setdefault(key, own.places[key])
            else:
                self._retired.pop(key, None)
        return {"drawn": len(own.drawn), "reviewed": own.reviewed, "retired": len(self._retired)}

    # Across a resume: steps that were under way are given the tasks that they had.

    def save(self, checkpoint: Path) -> None:
        under_way = self._again | {
            step: own.drawn + self._again.get(step, []) for step, own in self._steps.items()
        }
        state = {"position": self._position, "retired": self._retired, "under_way": under_way}
        (checkpoint / FILE).write_text(json.dumps(state), encoding="utf-8")

    def load(self, checkpoint: Path) -> None:
        state: dict[str, Any] = json.loads((checkpoint / FILE).read_text(encoding="utf-8"))
        self._position, self._retired = state["position"], state["retired"]
        self._again = {
            int(step): [(place, seed) for place, seed in drawn]
            for step, drawn in state["under_way"].items()
        }

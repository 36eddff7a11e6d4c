"""Scores of groups, whole and of each environment."""

import pytest

from envs.base import Task
from rl.evaluation.evaluate import score
from rl.recipe.sections import Evaluation
from rl.types import Completion, Graded, Rollout, Span, Stop
from verifiers.verdict import broken, correct, wrong


def group(env, *verdicts, options=None):
    completion = Completion([1, 2], [-0.1, -0.1], Stop.FINISHED, [Span(0, 0, 2)])
    rollout = Rollout(env, Task("?", "!"), [1], completion, "!", options or {})
    return [Graded(rollout, verdict, 0.0) for verdict in verdicts]


RIGHT, WRONG, BROKEN = correct("1", "v/1"), wrong("2", "not 1", "v/1"), broken("it raised", "v/1")


def test_each_environment_has_its_own_mean_beside_that_of_all():
    groups = [group("sums", RIGHT, RIGHT), group("sums", RIGHT, WRONG), group("dates", WRONG)]
    found = score(groups, Evaluation(samples=2))
    assert found.avg_at_k.value == pytest.approx(1.5 / 3)
    assert {name: e.value for name, e in found.avg_by_env.items()} == {"dates": 0, "sums": 0.75}
    assert found.to_json()["avg_by_env"]["sums"]["value"] == 0.75


def test_environments_of_one_name_are_told_apart_by_their_options():
    groups = [group("sums", RIGHT, options={"digits": n}) for n in (2, 3)] + [group("dates", WRONG)]
    found = score(groups, Evaluation(samples=1)).avg_by_env
    assert list(found) == ["dates", 'sums {"digits": 2}', 'sums {"digits": 3}']


def test_broken_verdicts_count_neither_way():
    groups = [group("sums", RIGHT, BROKEN), group("dates", BROKEN, BROKEN)]
    found = score(groups, Evaluation(samples=2))
    assert (found.avg_at_k.value, found.broken, list(found.avg_by_env)) == (1.0, 3, ["sums"])

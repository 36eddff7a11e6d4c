"""A run's own evaluations: scores of groups, whole and of each environment."""

import pytest

from envs.base import Task
from rl.evaluation.evaluate import score
from rl.tasks import Drawn
from rl.types import Completion, Graded, Rollout, Span, Stop
from verifiers.verdict import broken, correct, wrong

RIGHT, WRONG, BROKEN = correct("1", "v/1"), wrong("2", "not 1", "v/1"), broken("it raised", "v/1")


def scored(*rows):
    """Of (environment, options, family, verdicts) for each task."""
    held_out, groups = [], []
    for number, (env, options, family, verdicts) in enumerate(rows):
        task = Task(f"{number}?", "!")
        completion = Completion([1, 2], [-0.1, -0.1], Stop.FINISHED, (Span(0, 0, 2),))
        rollout = Rollout(env, task, [1], completion, "!", options)
        groups.append([Graded(rollout, verdict, 0.0) for verdict in verdicts])
        held_out.append(Drawn(env, options, task, None, 0, family))
    return score(groups, held_out)


def test_each_environment_has_its_own_mean_beside_that_of_all():
    found = scored(
        ("sums", {}, None, [RIGHT, RIGHT]),
        ("sums", {}, None, [RIGHT, WRONG]),
        ("dates", {}, None, [WRONG, WRONG]),
    )
    assert found["avg_at_k"]["value"] == pytest.approx(1.5 / 3)
    assert {name: e["value"] for name, e in found["avg_by_env"].items()} == {
        "dates": 0,
        "sums": 0.75,
    }
    assert found["pass_at_k"]["value"] == pytest.approx(2 / 3)
    assert (found["problems"], found["samples"], found["mean_tokens"]) == (3, 2, 2)


def test_environments_of_one_name_are_told_apart_by_their_options():
    found = scored(
        *(("sums", {"digits": n}, None, [RIGHT]) for n in (2, 3)), ("dates", {}, None, [WRONG])
    )
    assert list(found["avg_by_env"]) == ["dates", 'sums {"digits": 2}', 'sums {"digits": 3}']


def test_broken_verdicts_count_neither_way():
    found = scored(("sums", {}, None, [RIGHT, BROKEN]), ("dates", {}, None, [BROKEN, BROKEN]))
    assert (found["avg_at_k"]["value"], found["broken"]) == (1.0, 3)
    assert list(found["avg_by_env"]) == ["sums"]
    assert found["pass_at_k"]["value"] == 1.0  # of the one answer that was judged


def test_families_widen_the_interval_of_a_run_as_of_an_evaluation():
    def width(family):
        rows = [("sums", {}, family(i), [RIGHT if i < 12 else WRONG]) for i in range(24)]
        interval = scored(*rows)["avg_at_k"]
        return interval["high"] - interval["low"]

    assert width(lambda i: str(i // 4)) > 1.5 * width(lambda _: None)

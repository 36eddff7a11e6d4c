"""Every alarm for a policy that cheats, at its threshold and beside it."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from envs.base import Task
from envs.programs import fenced
from envs.transformations import Transformations
from rl.errors import UserError
from rl.events import EventReader, Events
from rl.recipe.config import Recipe
from rl.recipe.sections import EnvSpec
from rl.tasks import Tasks
from rl.types import Completion, Graded, Rollout, Span, Stop
from rl.watch import Watch, check_canaries, check_duplicates, check_held_out, check_recheck
from verifiers.pool import Limits, VerifierPool
from verifiers.verdict import Outcome, Verdict, correct, wrong

PARTIAL = Verdict(Outcome.PARTIAL, 0.2)


def graded(response: str, verdict: Verdict, truth: str = "5") -> Graded:
    completion = Completion([1], [0.0], Stop.FINISHED, (Span(0, 0, 1),))
    rollout = Rollout("arithmetic", Task("2+3=?", truth), [1], completion, response, {"digits": 1})
    return Graded(rollout, verdict, verdict.score)


def group(*verdicts: Verdict) -> list[Graded]:
    return [graded("\\boxed{5}", verdict) for verdict in verdicts]


def test_canaries_that_earn_nothing_are_silent():
    assert check_canaries([]) is None
    assert check_canaries([group(wrong("5", "no"), wrong("5", "no"))]) is None


@pytest.mark.parametrize("paid", [correct("5"), PARTIAL], ids=["all of it", "a part"])
def test_a_single_paid_canary_is_an_alarm_with_its_answer(paid):
    found = check_canaries([group(wrong("5", "no")), group(paid)])
    assert found is not None
    assert "1 of 2 answers to canary tasks" in found
    assert "boxed{5}" in found


def test_the_stricter_rules_may_refuse_some_but_not_more_than_allowed():
    good, bad = correct("5"), wrong("5", "two boxes")
    assert check_recheck([bad] * 9, 0.1) is None, "too few to say anything"
    assert check_recheck([bad] + [good] * 9, 0.1) is None
    found = check_recheck([bad, bad] + [good] * 8, 0.1)
    assert found is not None
    assert "refuse 2 of the last 10" in found
    assert "two boxes" in found


def test_one_answer_to_every_task_is_an_alarm():
    same = [[graded("\\boxed{7}", wrong("7", "no"))] for _ in range(9)]
    other = [[graded("\\boxed{8}", wrong("8", "no"))]]
    assert check_duplicates(same[:3], 0.9) is None, "too few groups"
    assert check_duplicates([*same[:8], *other, *other], 0.9) is None
    found = check_duplicates([*same, *other], 0.9)
    assert found is not None
    assert "90% of the answers are the same one" in found


def evaluation(step: int, value: float) -> dict[str, object]:
    score = {"value": value, "low": value - 0.02, "high": value + 0.02}
    return {"step": step, "samples": 8, "avg_at_k": score}


RISING = [0.1 * i for i in range(11)]


def test_a_reward_that_rises_while_the_held_out_score_falls_is_an_alarm():
    found = check_held_out([evaluation(0, 0.6), evaluation(10, 0.4)], RISING, 0.05)
    assert found is None, "the first ten steps are compared with themselves"
    rewards = [0.2] * 10 + [0.8] * 10
    found = check_held_out([evaluation(0, 0.6), evaluation(20, 0.4)], rewards, 0.05)
    assert found is not None
    assert "rose from 0.200 to 0.800" in found
    assert "fell from 0.600 to 0.400" in found


@pytest.mark.parametrize(
    ("evaluations", "rewards"),
    [
        ([evaluation(0, 0.6)], [0.2] * 20),
        ([evaluation(0, 0.6), evaluation(20, 0.7)], [0.2] * 10 + [0.8] * 10),
        ([evaluation(0, 0.6), evaluation(20, 0.57)], [0.2] * 10 + [0.8] * 10),
        ([evaluation(0, 0.6), evaluation(20, 0.4)], [0.8] * 10 + [0.2] * 10),
    ],
    ids=["a single one", "it rises", "within the intervals", "the reward falls too"],
)
def test_held_out_scores_that_are_no_sign_of_cheating_are_silent(evaluations, rewards):
    assert check_held_out(evaluations, rewards, 0.02) is None


ARITHMETIC: dict[str, Any] = {"name": "arithmetic", "digits": 2}


def recipe(*envs: dict[str, Any], **alarms: object) -> Recipe:
    specs = [EnvSpec.model_validate(env) for env in envs or (ARITHMETIC,)]
    return Recipe.model_validate(
        {"model": "embedded", "envs": specs, "evaluation": {"problems": 4}, "alarms": alarms}
    )


async def watched(
    recipe: Recipe,
    tmp_path: Path,
    steps: Sequence[list[list[Graded]]],
    canaries: list[list[Graded]],
) -> list[str]:
    reading, writing = os.pipe()
    reader, events = EventReader(reading), Events(writing)
    prepare = [{"name": spec.name, "options": spec.options} for spec in recipe.envs]
    limits = Limits(10, 5, 1024)
    pool = VerifierPool("envs.registry:recheck", 1, limits, tmp_path / "log", prepare)
    async with pool:
        watch = Watch(recipe, pool, events)
        try:
            for step, groups in enumerate(steps, start=1):
                await watch.step(step, groups, canaries)
            return [e.content["text"] for e in reader.read() if e.kind == "warn"]
        finally:
            os.close(reading)
            os.close(writing)


@pytest.fixture
def run(tmp_path):
    import asyncio

    def run(recipe, steps, canaries=()):
        return asyncio.run(watched(recipe, tmp_path, steps, list(canaries)))

    return run


def test_a_paid_canary_ends_the_run_and_names_the_key(run):
    with pytest.raises(UserError, match=r"step 1: .*alarms.canary_action=stop"):
        run(recipe(), [[group(correct("5"))]], [group(correct("5"))])


def test_an_alarm_that_is_only_logged_is_said_once_in_ten_steps(run):
    quiet = recipe(canary_action="log", recheck_fraction=0)
    said = run(quiet, [[group(wrong("5", "no"))]] * 11, [group(correct("5"))])
    assert [text.partition(":")[0] for text in said] == ["step 1", "step 11"]


def test_accepted_answers_are_judged_again_by_the_stricter_rules(run):
    everything = recipe(recheck_fraction=1)
    honest = [graded("\\boxed{5}", correct("5")) for _ in range(20)]
    assert run(everything, [[honest]]) == []
    lax = [graded("\\boxed{4} or \\boxed{5}", correct("5")) for _ in range(20)]
    with pytest.raises(UserError, match=r"refuse 20 of the last 20 .*2 different boxes"):
        run(everything, [[lax]])


OPTIONS: dict[str, Any] = {"inputs": ("text",), "tests": 1}


def test_programs_that_know_their_tests_by_heart_are_an_alarm(run):
    """Judged in the second pool, in a sandbox of its own, on tests drawn afresh."""
    env = Transformations(**OPTIONS)
    task = env.draw("train", 0, 0)
    tests = [*task.truth["visible_tests"], *task.truth["hidden_tests"]]
    table = {test["args"][0]: test["expected"] for test in tests}
    responses = (env.solve(task), fenced(f"def f(s): return {table!r}.get(s)"))
    honest, by_heart = ([answer(task, response)] * 10 for response in responses)
    everything = recipe({"name": "transformations", **OPTIONS}, recheck_fraction=1)
    assert run(everything, [[honest]]) == []
    with pytest.raises(UserError, match=r"refuse 10 of the last 10 .*hidden test 1"):
        run(everything, [[by_heart]])


def answer(task: Task, response: str) -> Graded:
    """One that was accepted."""
    completion = Completion([1], [0.0], Stop.FINISHED, (Span(0, 0, 1),))
    rollout = Rollout("transformations", task, [1], completion, response, OPTIONS)
    return Graded(rollout, correct(response), 1.0)


def test_every_environment_of_a_mixture_has_its_canaries():
    names = ("algebra", "output_prediction", "transformations")
    mixture = recipe(*({"name": name} for name in names), canary_fraction=0.5)
    found = Tasks(mixture).canaries(1)
    assert {drawn.env for drawn in found} == set(names)
    assert found == Tasks(mixture).canaries(1)


def test_canaries_come_beside_a_steps_tasks_and_are_the_same_again():
    tasks = Tasks(recipe(canary_fraction=0.5))
    found = [tasks.canaries(step) for step in range(1, 5)]
    assert found == [Tasks(recipe(canary_fraction=0.5)).canaries(step) for step in range(1, 5)]
    assert 40 < sum(map(len, found)) < 90  # of 4 x 32
    prompts = {d.task.messages[0].content for step in found for d in step}
    assert all(prompt.endswith("+=?") for prompt in prompts)
    assert len(tasks.step(1)) == 32
    assert Tasks(recipe(canary_fraction=0)).canaries(1) == []

"""What every environment listed in envs/__init__.py must hold to. A new one gets this for free."""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

import pytest

from envs import ENVS
from envs.base import Env, Split, Task
from envs.registry import job, judge, make_env
from verifiers.verdict import Outcome

N = 1000

# Options beside the defaults to hold to the contract too, by name.
MORE_OPTIONS: dict[str, list[dict[str, Any]]] = {
    "arithmetic": [{"digits": 4, "terms": 3, "operations": "+-"}],
}

JUNK = [
    "", " ", "\n", "?", "None", "nan", "True", "the answer is correct", "\\boxed{}", "\\boxed{",
    "\\boxed{None}", "\\boxed{\\infty}", "\\boxed{0/0}", "}{" * 50, "\x00", "\ud800", "\u202e1",
    "\\boxed{__import__('os')._exit(0)}", "<answer></answer>", "Answer:", "####", "\\" * 101,
]  # fmt: skip

HOSTILE = [
    "\\boxed{", "\\boxed{1}", "Answer: 1\n", "#### 1\n", "9", "0", "(", "{", "[", "$", "\\", "-",
    "^", "1,000", "\\frac", "\\text{a}", " ", "\n", "a ", "1+", "x_", "=", "\\left(", "9.",
    "<<1=1>>",
]  # fmt: skip
WRAPPERS = ["{}", "\\boxed{{{}}}", "\\boxed{{{}x", "Answer: {}"]


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set for the environment that reads one."""
    path = tmp_path_factory.mktemp("data") / "rows.jsonl"
    lines = [
        {"question": f"How much is {a} times {b}?", "answer": f"{a * b:,}"}
        for a in range(2, 62)
        for b in range(100, 200)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


CASES = [(name, options) for name in ENVS for options in [{}, *MORE_OPTIONS.get(name, [])]]
IDS = [name + ("" if not options else "-" + "-".join(map(str, options))) for name, options in CASES]


@pytest.fixture(params=CASES, ids=IDS)
def case(request: pytest.FixtureRequest, rows: Path) -> tuple[str, dict[str, Any]]:
    name, options = request.param
    return name, {**({"path": str(rows)} if name == "dataset" else {}), **options}


@pytest.fixture
def env(case: tuple[str, dict[str, Any]]) -> Env:
    return remembered(case[0], json.dumps(case[1]))


@cache
def remembered(name: str, options: str) -> Env:
    """The environments never change, so that one of each will do for all tests."""
    return make_env(name, json.loads(options))


def draw(env: Env, split: Split, n: int = N, seed: int = 0) -> list[Task]:
    return [env.draw(split, seed, index) for index in range(n)]


def test_its_own_solution_is_accepted_a_thousand_times_in_a_thousand(env: Env) -> None:
    for split in ("train", "test"):
        refused = [
            (task, verdict)
            for task in draw(env, split)
            if (verdict := env.verify(task, env.solve(task))).outcome is not Outcome.CORRECT
        ]
        assert refused == []


def test_no_held_out_task_occurs_in_training_whatever_the_seeds(env: Env) -> None:
    held_out = {task.key for seed in (0, 1) for task in draw(env, "test", seed=seed)}
    trained = {task.key for seed in (0, 1, 2) for task in draw(env, "train", seed=seed)}
    assert held_out
    assert not held_out & trained


def test_a_task_depends_on_split_seed_and_index_alone(
    env: Env, case: tuple[str, dict[str, Any]]
) -> None:
    again = make_env(*case)
    wanted: list[tuple[Split, int, int]] = [
        (split, seed, index)
        for split in ("train", "test")
        for seed in (0, 7)
        for index in range(0, 200, 9)
    ]
    first = [env.draw(*place) for place in wanted]
    Random(5).shuffle(order := list(range(len(wanted))))
    assert {i: again.draw(*wanted[i]) for i in order} == dict(enumerate(first))


def test_the_tasks_of_another_seed_are_not_the_same_ones_shifted(env: Env) -> None:
    """Chance alone makes some equal where there are few; a shifted copy makes nearly all."""
    one, other = ([task.key for task in draw(env, "train", 300, seed)] for seed in (0, 1))
    for shift in range(-3, 4):
        pairs = [(one[i], other[i + shift]) for i in range(3, 297)]
        assert sum(a == b for a, b in pairs) < 0.1 * len(pairs)


def test_tasks_vary(env: Env) -> None:
    counts = Counter(task.key for task in draw(env, "train", 300))
    assert len(counts) > 100
    assert max(counts.values()) < 30


def test_a_task_can_be_sent_as_data_and_is_judged_the_same(
    env: Env, case: tuple[str, dict[str, Any]]
) -> None:
    for task in draw(env, "train", 20):
        for response in (env.solve(task), "no answer"):
            sent = json.loads(json.dumps(job(*case, task, response)))
            assert judge(sent) == env.verify(task, response)


def test_the_prompt_does_not_give_the_solution_away(env: Env) -> None:
    for task in draw(env, "train", 100):
        for message in task.messages:
            assert message.content.strip()
            assert env.solve(task) not in message.content
            assert env.verify(task, message.content).outcome is not Outcome.CORRECT


@pytest.mark.parametrize("junk", JUNK, ids=range(len(JUNK)))
def test_junk_is_neither_accepted_nor_fatal(env: Env, junk: str) -> None:
    for task in draw(env, "train", 20):
        verdict = env.verify(task, junk)
        assert verdict.outcome not in (Outcome.CORRECT, Outcome.BROKEN)
        assert verdict.score == 0.0


def test_the_solution_of_another_task_is_refused(env: Env) -> None:
    tasks = draw(env, "train", 300)
    for task, other in pairwise(tasks):
        if task.truth != other.truth:
            assert env.verify(task, env.solve(other)).outcome is not Outcome.CORRECT


def test_a_verdict_does_not_depend_on_what_was_judged_before(
    env: Env, case: tuple[str, dict[str, Any]]
) -> None:
    tasks = draw(env, "train", 50)
    answers = [(task, env.solve(other)) for task in tasks for other in (task, tasks[0])]
    answers += [(task, junk) for task, junk in zip(tasks, JUNK * 3, strict=False)]
    expected = [env.verify(*answer) for answer in answers]
    Random(3).shuffle(order := list(range(len(answers))))
    again = make_env(*case)
    assert {i: again.verify(*answers[i]) for i in order} == dict(enumerate(expected))


def test_a_verdict_says_who_judged_and_why(env: Env) -> None:
    task, other = draw(env, "train", 2)
    assert env.verify(task, env.solve(task)).verifier
    verdict = env.verify(task, env.solve(other))
    assert verdict.detail
    assert "\n" not in verdict.detail


@pytest.mark.parametrize("unit", HOSTILE, ids=range(len(HOSTILE)))
def test_a_long_hostile_response_is_judged_in_linear_work(env: Env, unit: str) -> None:
    """Four times the length may cost at most about four times: quadratic work would be 16 times.

    Work inside Python is counted in lines run; work inside C (regular expressions) as CPU time, in
    which only a gross excess is an error, so that a busy machine does not matter.
    """
    task = draw(env, "train", 1)[0]
    for wrapper in WRAPPERS:
        short, long = (wrapper.format(unit * (n // len(unit))) for n in (20_000, 80_000))
        env.verify(task, short)  # imports and caches
        few, many = (lines_run(lambda r=r: env.verify(task, r)) for r in (short, long))
        assert many < 6 * few + 20_000
        assert cpu_s(lambda r=long: env.verify(task, r)) < 2.0


def lines_run(work: Callable[[], object]) -> int:
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        count += 1
        return trace

    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(None)
    return count


def cpu_s(work: Callable[[], object]) -> float:
    start = time.thread_time()
    work()
    return time.thread_time() - start


def demonstrations(env: Env, corrupt: bool) -> Iterator[tuple[Task, str]]:
    for index, task in enumerate(draw(env, "train", 300)):
        try:
            yield task, env.demonstrate(task, Random(index), corrupt)
        except TypeError:
            pytest.skip("this environment has no worked solutions")


def test_worked_solutions_are_accepted_and_corrupted_ones_refused(env: Env) -> None:
    good = [env.verify(*shown).outcome for shown in demonstrations(env, corrupt=False)]
    bad = [env.verify(*shown).outcome for shown in demonstrations(env, corrupt=True)]
    assert set(good) == {Outcome.CORRECT}
    assert set(bad) == {Outcome.WRONG}, "the format must stay perfect, only the skill is noisy"


def test_worked_solutions_repeat_for_equal_randomness(env: Env) -> None:
    for corrupt in (False, True):
        assert list(demonstrations(env, corrupt)) == list(demonstrations(env, corrupt))

"""Every environment listed in envs/__init__.py, at every level, is held to envs/contract.py."""

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache
from itertools import count, pairwise
from pathlib import Path
from random import Random
from statistics import mean
from typing import Any

import pytest

from envs import ENVS, contract
from envs.arithmetic import Arithmetic
from envs.base import Env, Task, unguessable
from envs.contract import CHECKS, ContractError, check_env
from envs.registry import find_class, make_env
from verifiers.verdict import Outcome, Verdict, correct, wrong

LEVELS = (1, 2, 3, 4, 5)

# Options beside the defaults to hold to the contract too, by name.
MORE_OPTIONS: dict[str, list[dict[str, Any]]] = {
    "arithmetic": [{"digits": 4, "terms": 3, "operations": "+-"}],
    "running_sum": [{"steps": 59}],
}

# What does not change with the level is checked at the first one only.
AT_EVERY_LEVEL = (
    contract.its_own_solution_is_accepted,
    contract.no_held_out_task_occurs_in_training,
    contract.tasks_vary,
    contract.the_solution_of_another_task_is_refused,
    contract.a_near_miss_is_refused,
    contract.demonstrations_are_accepted_and_corrupted_ones_refused,
    contract.the_second_opinion_accepts_what_is_right,
)


def has_levels(name: str) -> bool:
    return "level" in {field.name for field in fields(find_class(name))}  # pyright: ignore


def options(name: str) -> list[dict[str, Any]]:
    levels = [{"level": level} for level in LEVELS] if has_levels(name) else [{}]
    return [*levels, *MORE_OPTIONS.get(name, [])]


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


def slow(check: Callable[[Env, int], None], name: str, chosen: dict[str, Any]) -> bool:
    """The higher levels, and what depends on the verifier that most environments share."""
    shared = check is contract.a_long_hostile_answer_is_judged_in_linear_work
    return chosen.get("level", 1) > 1 or (shared and (name != "arithmetic" or bool(chosen)))


def cases() -> list[Any]:
    return [
        pytest.param(
            check,
            name,
            chosen,
            id=f"{check.__name__}-{name}" + "".join(f"-{k}={v}" for k, v in chosen.items()),
            marks=[pytest.mark.slow] if slow(check, name, chosen) else [],
        )
        for name in ENVS
        for number, chosen in enumerate(options(name))
        for check in CHECKS
        if check in AT_EVERY_LEVEL or number == 0 or "level" not in chosen
    ]


@cache
def remembered(name: str, chosen: str) -> Env:
    """The environments never change, so that one of each will do for all tests."""
    return make_env(name, json.loads(chosen))


@pytest.mark.parametrize(("check", "name", "chosen"), cases())
def test_an_environment_keeps_the_contract(
    check: Callable[[Env, int], None], name: str, chosen: dict[str, Any], rows: Path
) -> None:
    if name == "dataset":
        chosen = {**chosen, "path": str(rows)}
    env = remembered(name, json.dumps(chosen))
    check(env, 5 if env.answers == "program" else 1000)


PROGRAMS = [name for name in ENVS if find_class(name).answers == "program"]


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_its_own_program_is_accepted_a_thousand_times_in_a_thousand(name: str) -> None:
    env = make_env(name, {"level": 3, "examples": 1, "tests": 2})
    contract.its_own_solution_is_accepted(env, 1000)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_fresh_tests_accept_its_own_program_at_every_level(name: str) -> None:
    for level in LEVELS:
        env = make_env(name, {"level": level, "examples": 1, "tests": 2})
        for task in contract.tasks_of(env, "train", 8):
            assert env.recheck(task, env.solve(task)).outcome is Outcome.CORRECT


@pytest.mark.parametrize("name", ENVS)
def test_every_environment_that_comes_along_has_canaries_and_a_second_opinion(name: str) -> None:
    env_class = find_class(name)
    assert env_class.canary is not Env.canary
    assert env_class.recheck is not Env.recheck


# The level of an algorithm is how it works, not how long it is.
LEVELLED = [n for n in ENVS if has_levels(n) and n not in ("algorithms", "bug_repair")]


@pytest.mark.parametrize("name", LEVELLED)
def test_a_higher_level_takes_longer_solutions(name: str) -> None:
    lengths = []
    for level in LEVELS:
        env = remembered(name, json.dumps({"level": level}))
        tasks = contract.tasks_of(env, "train", 400 if env.answers == "math" else 60)
        lengths.append(mean(len(env.solve(task)) for task in tasks))
    assert all(lower < higher for lower, higher in pairwise(lengths)), lengths


# -- the contract itself: each check refuses an environment that breaks its rule -------------------


@dataclass(frozen=True)
class Sound(Arithmetic):
    """The environments below break one rule each."""


@dataclass(frozen=True)
class RefusesItsOwn(Sound):
    def solve(self, task: Task) -> str:
        return "\\boxed{-1}"


@dataclass(frozen=True)
class HoldsNothingOut(Sound):
    def draw(self, split: Any, seed: int, index: int) -> Task:
        return self.task(Random(f"{split}/{seed}/{index}"))

    digits: int = 1


@dataclass(frozen=True)
class DrawsFromTheClock(Sound):
    def task(self, rng: Random, times: Any = count()) -> Task:  # noqa: B008
        return Task(f"{next(times)}+1=?", "2")


@dataclass(frozen=True)
class DrawsFromASet(Sound):
    def task(self, rng: Random) -> Task:
        a, b, *_ = {str(rng.randrange(100, 999)) for _ in range(20)}
        return Task(f"{a}+{b}=?", str(int(a) + int(b)))


@dataclass(frozen=True)
class SeedsNextToEachOther(Sound):
    def draw(self, split: Any, seed: int, index: int) -> Task:
        return Sound.draw(self, split, 0, seed + index)


@dataclass(frozen=True)
class AsksTheSame(Sound):
    digits: int = 1


@dataclass(frozen=True)
class TruthIsNoData(Sound):
    def task(self, rng: Random) -> Task:
        task = Sound.task(self, rng)
        return Task(task.prompt, {task.truth})


@dataclass(frozen=True)
class AcceptsEverything(Sound):
    def verify(self, task: Task, response: str) -> Verdict:
        return correct(response, "yes")


@dataclass(frozen=True)
class AcceptsWhatContainsTheLastDigit(Sound):
    def verify(self, task: Task, response: str) -> Verdict:
        right = task.truth[-1] in response
        return correct(response, "yes") if right else Sound.verify(self, task, response)


@dataclass(frozen=True)
class GivesTheAnswerAway(Sound):
    def task(self, rng: Random) -> Task:
        task = Sound.task(self, rng)
        return Task(f"{task.prompt} \\boxed{{{task.truth}}}", task.truth)


@dataclass(frozen=True)
class Remembers(Sound):
    seen: tuple[str, ...] = ()

    def verify(self, task: Task, response: str, seen: Any = set()) -> Verdict:  # noqa: B006
        if task.truth in seen:
            return correct(response, "seen")
        seen.add(task.truth)
        return Sound.verify(self, task, response)


@dataclass(frozen=True)
class SaysNothing(Sound):
    def verify(self, task: Task, response: str) -> Verdict:
        found = Sound.verify(self, task, response)
        return Verdict(found.outcome, found.score, found.answer)


@dataclass(frozen=True)
class LooksAtEveryPair(Sound):
    def verify(self, task: Task, response: str) -> Verdict:
        for i in range(0, len(response), 500):
            for _ in range(0, i, 10):
                pass
        return Sound.verify(self, task, response)


@dataclass(frozen=True)
class CorruptsNothing(Sound):
    def demonstrate(self, task: Task, rng: Random, corrupt: bool) -> str:
        return self.solve(task)


@dataclass(frozen=True)
class DemonstratesByTheClock(Sound):
    def demonstrate(self, task: Task, rng: Random, corrupt: bool, times: Any = count()) -> str:  # noqa: B008
        return f"{next(times)}\\boxed{{1}}"


@dataclass(frozen=True)
class PaysForACanary(Sound):
    def canary(self, rng: Random) -> Task:
        return Task("1+=?", "2")


@dataclass(frozen=True)
class DrawsCanariesByTheClock(Sound):
    def canary(self, rng: Random, times: Any = count()) -> Task:  # noqa: B008
        return Task(f"{next(times)}+=?", unguessable(rng))


@dataclass(frozen=True)
class TakesOneSpellingOnly(Sound):
    def recheck(self, task: Task, response: str) -> Verdict:
        same = response == self.solve(task)
        return correct(response, "yes") if same else wrong(response, "spelled differently", "no")


BROKEN: list[tuple[Callable[[Env, int], None], type[Env]]] = [
    (contract.its_own_solution_is_accepted, RefusesItsOwn),
    (contract.no_held_out_task_occurs_in_training, HoldsNothingOut),
    (contract.a_task_depends_on_split_seed_and_index_alone, DrawsFromTheClock),
    (contract.a_task_is_the_same_in_every_process, DrawsFromASet),
    (contract.another_seed_gives_other_tasks, SeedsNextToEachOther),
    (contract.tasks_vary, AsksTheSame),
    (contract.truth_is_data, TruthIsNoData),
    (contract.the_solution_of_another_task_is_refused, AcceptsEverything),
    (contract.a_near_miss_is_refused, AcceptsWhatContainsTheLastDigit),
    (contract.junk_is_neither_accepted_nor_fatal, AcceptsEverything),
    (contract.the_prompt_does_not_give_the_answer_away, GivesTheAnswerAway),
    (contract.a_verdict_does_not_depend_on_what_was_judged_before, Remembers),
    (contract.a_task_can_be_sent_as_data_and_is_judged_the_same, Remembers),
    (contract.a_verdict_says_who_judged_and_why, SaysNothing),
    (contract.a_long_hostile_answer_is_judged_in_linear_work, LooksAtEveryPair),
    (contract.demonstrations_are_accepted_and_corrupted_ones_refused, CorruptsNothing),
    (contract.demonstrations_repeat_for_equal_randomness, DemonstratesByTheClock),
    (contract.a_canary_is_paid_for_by_nothing, PaysForACanary),
    (contract.a_canary_is_paid_for_by_nothing, DrawsCanariesByTheClock),
    (contract.the_second_opinion_accepts_what_is_right, TakesOneSpellingOnly),
]


@pytest.mark.parametrize(("check", "broken"), BROKEN, ids=[b.__name__ for _, b in BROKEN])
def test_a_check_refuses_what_breaks_its_rule(
    check: Callable[[Env, int], None], broken: type[Env]
) -> None:
    with pytest.raises(ContractError) as caught:
        check(broken(), 300)
    assert broken.__name__ in str(caught.value)


def test_every_check_has_an_environment_that_breaks_it() -> None:
    assert {check for check, _ in BROKEN} == set(CHECKS)


def test_a_sound_environment_passes_all_checks_in_one_call() -> None:
    check_env(Sound(), n=100)

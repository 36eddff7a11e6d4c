"""What an evaluation keeps, which problems it asks, and which answers may be added to which."""

import json
import os
from dataclasses import dataclass, replace
from datetime import datetime
from random import Random

import pytest

from envs.base import Env, NoTasks, Task
from rl.errors import UserError
from rl.evaluation.problems import env_section, problems
from rl.evaluation.settings import Draw, Settings, asks_for_more, differing, sampling_settings
from rl.evaluation.store import Sampled, Store, answers, row_key, row_of
from rl.recipe.config import Recipe
from rl.recipe.load import RecipeError
from rl.types import Stop
from verifiers.verdict import Outcome, Verdict, correct, wrong


@dataclass(frozen=True)
class Few(Env):
    """Numbers up to `n`, in families of ten."""

    n: int = 12

    def task(self, rng: Random) -> Task:
        return Task(f"Say {rng.randrange(self.n)}.", "")

    def draw(self, split, seed, index):
        del split, seed
        return Task(f"Say {index % self.n}.", str(index % self.n))

    def verify(self, task: Task, response: str) -> Verdict:
        return correct(response) if response == task.truth else wrong(response, "no")

    def solve(self, task: Task) -> str:
        return task.truth

    def n_tasks(self, split):
        return self.n

    def family(self, task: Task) -> str:
        return task.truth[:-1] or "0"


FEW = f"{__name__}:Few"


def recipe(*envs, **evaluation):
    return Recipe.model_validate(
        {
            "model": "embedded",
            "envs": list(envs) or [{"name": FEW}],
            "evaluation": {"samples": 2, "problems": 4, **evaluation},
        }
    )


def settings(found, draw=Draw.ALL):
    return Settings(
        checkpoint="here",
        identity="abc",
        step=None,
        variant=None,
        parameters=10,
        envs=[spec.model_dump() for spec in found.envs],
        draw=draw,
        problems=found.evaluation.problems,
        sampling=sampling_settings(found),
        versions={"python": "3"},
    )


def row(problem, sample, text="7", stop=Stop.FINISHED):
    sampled = Sampled(text, stop, 5, 3, [[0, 0, 0]], [])
    return row_of(4, problem, sample, sampled, Few().verify(problem.task, text))


def test_of_a_finite_environment_all_problems_are_asked_unless_so_many_are_said():
    assert len(problems(recipe(), Draw.ALL)) == 12
    assert len(problems(recipe(), Draw.EACH)) == 4
    assert problems(recipe(), Draw.ALL)[:4] == problems(recipe(), Draw.EACH)
    assert len(problems(recipe(problems=100), Draw.EACH)) == 12


def test_each_environment_gives_as_many_and_families_are_kept():
    both = recipe({"name": FEW}, {"name": FEW, "n": 30})
    found = problems(both, Draw.EACH)
    assert [problem.options for problem in found] == [{}] * 4 + [{"n": 30}] * 4
    last = problems(recipe({"name": FEW, "n": 30}), Draw.ALL)[29]
    assert (last.task.truth, last.family) == ("29", "2")


def test_seeds_of_problems_differ_and_stay_what_they_are():
    first, again = (problems(recipe(), Draw.ALL) for _ in range(2))
    assert first == again
    assert len({problem.seed for problem in first}) == 12


def test_too_few_distinct_tasks_of_an_endless_environment_are_said():
    name = f"{__name__}:SaysItIsEndless"
    with pytest.raises(NoTasks, match="only 12 distinct held-out tasks"):
        problems(recipe({"name": name}, problems=13), Draw.EACH)


class SaysItIsEndless(Few):
    def n_tasks(self, split):
        return None


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("arithmetic", "arithmetic", {}),
        ("arithmetic:digits=3,terms=[2, 3]", "arithmetic", {"digits": 3, "terms": [2, 3]}),
        ("a/b.py:Class", "a/b.py:Class", {}),
        ("a/b.py:Class:x=1e-3,y=a,b", "a/b.py:Class", {"x": 0.001, "y": "a,b"}),
        ("gsm8k:path=c:/x,y.jsonl", "gsm8k", {"path": "c:/x,y.jsonl"}),
        (
            "my/questions.jsonl:question_field=problem",
            "envs.math_benchmarks:MathBenchmark",
            {"path": "my/questions.jsonl", "question_field": "problem"},
        ),
    ],
)
def test_an_environment_on_the_command_line(text, name, options):
    assert env_section(text) == {"name": name, **options}


def test_a_value_that_is_no_yaml_is_named():
    with pytest.raises(RecipeError, match=r"--env 'arithmetic:digits=\[3': digits"):
        env_section("arithmetic:digits=[3")


def test_answers_come_back_in_the_order_of_problems_whatever_came_in_first(tmp_path):
    found = recipe()
    asked = problems(found, Draw.ALL)
    store = Store(tmp_path)
    store.begin(settings(found))
    rows = [row(problem, sample) for problem in asked for sample in (0, 1)]
    for one in reversed(rows):
        store.add(one)
    kept = list(store.rows())
    assert kept == rows[::-1]
    assert answers(kept, settings(found)) == answers(rows, settings(found))
    right = [a for a in answers(kept, settings(found)) if a.outcome is Outcome.CORRECT]
    assert [(a.env, a.family, a.answer, a.tokens) for a in right] == [(FEW, "0", "7", 3)] * 2


def test_an_answer_that_was_half_written_is_dropped_and_the_others_stay(tmp_path):
    store, asked = Store(tmp_path), problems(recipe(), Draw.ALL)
    store.begin(settings(recipe()))
    store.add(row(asked[0], 0))
    store.add(row(asked[0], 1, "\ud800\u2028\x00"))
    whole = (tmp_path / "answers.jsonl").read_bytes()
    with (tmp_path / "answers.jsonl").open("ab") as file:
        file.write(b'{"step": 4, "split' + b"x" * 100_000)
    assert len(list(store.rows())) == 2
    store.mend()
    assert (tmp_path / "answers.jsonl").read_bytes() == whole
    store.add(row(asked[1], 0))
    assert [row_key(x)[2] for x in store.rows()] == [0, 1, 0]


def test_answers_that_the_server_failed_on_are_missing_when_it_goes_on(tmp_path):
    store, asked = Store(tmp_path), problems(recipe(), Draw.ALL)
    store.begin(settings(recipe()))
    store.add(row(asked[0], 0))
    store.add(row(asked[0], 1, "", Stop.FAILED))
    store.add(row(asked[1], 0))
    assert store.n_failed() == 1
    store.forget_failed()
    assert [row_key(x)[1:] for x in store.rows()] == [
        (asked[0].task.key, 0),
        (asked[1].task.key, 0),
    ]


def test_a_file_without_a_whole_line_is_emptied(tmp_path):
    (tmp_path / "answers.jsonl").write_text('{"step"')
    Store(tmp_path).mend()
    assert (tmp_path / "answers.jsonl").read_bytes() == b""


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": {"outcome": "correct", "score": 0.0}},
        {"sample": "1"},
        {"response_tokens": None},
        {"options": []},
        {"env": 3},
        {"family": ["a"]},
        {"prompt": 7},
    ],
)
def test_a_line_that_is_no_answer_is_named(tmp_path, change):
    store, asked = Store(tmp_path), problems(recipe(), Draw.ALL)
    store.add(row(asked[0], 0))
    store.add(row(asked[0], 1) | change)
    with pytest.raises(UserError, match=r"answers.jsonl, line 2 is no answer"):
        list(store.rows())


def test_the_log_for_inspect_has_the_times_of_the_settings_and_of_the_last_answer(tmp_path):
    found = recipe()
    store = Store(tmp_path)
    store.begin(settings(found))
    for problem in problems(found, Draw.ALL):
        store.add(row(problem, 0))
    os.utime(tmp_path / "settings.json", (1_700_000_000, 1_700_000_000))
    os.utime(tmp_path / "answers.jsonl", (1_700_000_090, 1_700_000_090))

    def times():
        store.finish(settings(found))
        (log,) = (tmp_path / "inspect").iterdir()
        stats = json.loads(log.read_text())["stats"]
        return [
            datetime.fromisoformat(stats[k]).timestamp() for k in ("started_at", "completed_at")
        ]

    assert times() == [1_700_000_000, 1_700_000_090]
    store.replace(list(store.rows()))  # with other verdicts
    assert times() == [1_700_000_000, 1_700_000_090]
    store.begin(settings(found))  # again, and nothing was left to sample
    assert times() == [1_700_000_090, 1_700_000_090]


def test_scores_and_a_log_for_inspect_are_written_at_the_end(tmp_path):
    found = recipe()
    store, asked = Store(tmp_path), problems(found, Draw.ALL)
    store.begin(settings(found))
    for problem in asked:
        for sample in (0, 1):
            store.add(row(problem, sample, stop=Stop.LENGTH))
    assert not store.complete
    store.finish(settings(found))
    assert store.complete
    scores = store.scores()
    assert scores["all"]["avg_at_k"]["value"] == pytest.approx(1 / 12)
    assert list(scores["by_env"]) == [FEW]
    assert (scores["all"]["truncated_fraction"], scores["all"]["samples"]) == (1.0, 2)
    assert settings(found).to_json() == json.loads((tmp_path / "settings.json").read_text())
    (log,) = (tmp_path / "inspect").iterdir()
    assert len(json.loads(log.read_text())["samples"]) == 24
    store.replace(rows := list(store.rows()))  # with other verdicts
    assert not store.complete
    assert list(store.rows()) == rows
    store.finish(settings(found))
    store.begin(settings(found))  # more is going to be sampled
    assert not store.complete


def test_environments_of_one_name_are_told_apart_by_their_options():
    both = settings(recipe({"name": FEW}, {"name": FEW, "n": 30}, {"name": "arithmetic"}))
    assert list(both.labels.values()) == [f"{FEW} {{}}", f'{FEW} {{"n": 30}}', "arithmetic"]


def test_a_file_of_questions_is_called_by_its_name():
    found = recipe(env_section("some/where/mine.jsonl"), env_section("other.jsonl:answer_field=a"))
    labels = settings(found).labels
    assert sorted(labels.values()) == ["mine.jsonl", "other.jsonl"]
    twice = recipe(env_section("a/mine.jsonl"), env_section("b/mine.jsonl"))
    assert all("mine.jsonl" in label for label in settings(twice).labels.values())
    assert len(set(settings(twice).labels.values())) == 2


def test_an_answer_to_another_environments_problem_is_refused():
    other = row(problems(recipe(), Draw.ALL)[0], 0) | {"env": "arithmetic"}
    with pytest.raises(UserError, match="answer to a problem of arithmetic"):
        answers([other], settings(recipe()))


def test_settings_come_back_as_they_were(tmp_path):
    then = settings(recipe())
    store = Store(tmp_path)
    store.begin(then)
    assert store.settings() == then
    (tmp_path / "settings.json").write_text("{}")
    with pytest.raises(UserError, match="is not what `assay eval` writes"):
        store.settings()


def test_answers_are_only_added_to_those_of_the_same_settings():
    then = settings(recipe())
    more = settings(recipe(samples=4, problems=8))
    assert differing(then, more) == []
    assert differing(more, then) == ["problems", "sampling.samples"]
    assert differing(then, settings(recipe(temperature=0.5))) == ["sampling.temperature"]
    assert differing(then, settings(recipe({"name": FEW, "n": 9}))) == ["envs"]
    assert differing(then, replace(then, identity="def", versions={})) == ["identity"]
    assert asks_for_more(then, more)
    assert not asks_for_more(then, replace(then, checkpoint="elsewhere", versions={}))

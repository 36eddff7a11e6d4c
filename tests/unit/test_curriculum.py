"""Which tasks come next, given what became of those before."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl.curriculum import Curriculum, more_tasks
from rl.learner.batch import pack
from rl.recipe.config import Recipe
from rl.tasks import Drawn, Tasks
from rl.types import Completion, Graded, Group, Rollout, Span, Stop
from verifiers.verdict import Outcome, Verdict, broken


def recipe(n: int = 8, rows: Path | None = None, **curriculum) -> Recipe:
    env = {"name": "arithmetic", "digits": 3} if rows is None else {"name": "dataset", "path": rows}
    return Recipe.model_validate(
        {
            "model": "embedded",
            "envs": [{**env, **({"path": str(rows)} if rows else {})}],
            "groups_per_step": n,
            "group_size": 4,
            "evaluation": {"problems": 2},
            "curriculum": curriculum,
        }
    )


@pytest.fixture
def forty_questions(tmp_path: Path) -> Path:
    file = tmp_path / "questions.jsonl"
    lines = (f'{{"question": "What is {n} + 1?", "answer": "{n + 1}"}}\n' for n in range(40))
    file.write_text("".join(lines))
    return file


def group(drawn: Drawn, right: int, n: int = 4, n_broken: int = 0) -> Group:
    """Four answers of three tokens, so many of them right or broken."""
    answers = []
    for i in range(n):
        outcome = Outcome.CORRECT if i < right else Outcome.WRONG
        verdict = Verdict(outcome, float(i < right), None, "", "test 1")
        if i >= n - n_broken:
            verdict = broken("nothing works", "test 1")
        completion = Completion([5, 6, 7], [-1.0] * 3, Stop.FINISHED, (Span(0, 0, 3),))
        rollout = Rollout(drawn.env, drawn.task, [1, 2], completion, "answer")
        answers.append(Graded(rollout, verdict, verdict.score))
    return answers


def keys(drawn: list[Drawn]) -> list[str]:
    return [each.task.key for each in drawn]


def test_by_default_a_step_draws_what_it_always_did_whatever_became_of_the_others():
    wanted = recipe()
    tasks = Tasks(wanted)
    curriculum = Curriculum(tasks, wanted)
    for step in range(1, 5):
        drawn = curriculum.draw(step, 8)
        assert drawn == tasks.step(step)
        groups = [group(each, right=4) for each in drawn]
        assert curriculum.missing(step, groups) == 0
        assert curriculum.finish(step, groups) == {"drawn": 8, "reviewed": 0, "retired": 0}


@pytest.mark.parametrize(
    ("signal", "drawn", "wanted", "most", "expected"),
    [
        (8, 8, 8, 32, 0),
        (9, 16, 8, 32, 0),
        (4, 8, 8, 32, 8),  # half of them carried signal, four are wanted
        (6, 8, 8, 32, 3),  # 2 x 8 / 6 is 2.67
        (0, 8, 8, 32, 24),  # nothing is known of the rate but that it is low
        (1, 31, 8, 32, 1),
        (1, 32, 8, 32, 0),  # the bound
    ],
)
def test_so_many_more_tasks_are_drawn_as_will_do_at_the_same_rate(
    signal, drawn, wanted, most, expected
):
    assert more_tasks(signal, drawn, wanted, most) == expected


@settings(deadline=None)
@given(st.integers(1, 64), st.floats(1, 8), st.lists(st.floats(0, 1), min_size=1, max_size=64))
def test_drawing_on_ends_with_enough_signal_or_at_the_bound(wanted, max_draws, rates):
    most = int(max_draws * wanted)
    drawn = signal = 0
    more = wanted
    for rate in rates * 8 * 64:
        drawn += more
        signal += int(rate * more)
        more = more_tasks(signal, drawn, wanted, most)
        if not more:
            break
    assert drawn <= most
    assert signal >= wanted or drawn == most


def test_a_step_draws_on_until_enough_groups_carry_signal_and_the_next_goes_on_from_there():
    wanted = recipe(dynamic=True)
    tasks = Tasks(wanted)
    curriculum = Curriculum(tasks, wanted)
    drawn = curriculum.draw(1, 8)
    groups = [group(each, right=4 if i % 2 else 2) for i, each in enumerate(drawn)]
    assert curriculum.missing(1, groups) == 8
    more = curriculum.draw(1, 8)
    assert keys(more) == keys(tasks.step(2))
    groups += [group(each, right=1) for each in more]
    assert curriculum.missing(1, groups) == 0
    assert curriculum.finish(1, groups)["drawn"] == 16
    assert keys(curriculum.draw(2, 8)) == keys(tasks.step(3))


def test_dropped_groups_do_not_count_in_the_loss_and_are_still_told():
    tasks = Tasks(recipe())
    drawn = tasks.step(1)[:3]
    groups = [group(drawn[0], right=2), group(drawn[1], right=4), group(drawn[2], right=0)]
    assert pack(groups, recipe()).batch.n_tokens == 36
    packed = pack(groups, recipe(dynamic=True))
    assert (packed.batch.n_tokens, packed.batch.denominator) == (12, 12)
    assert packed.skipped[1:] == [["constant_reward"] * 4] * 2
    assert packed.signal_groups == 1
    # where none carries signal there is nothing to put into their place
    assert pack(groups[1:], recipe(dynamic=True)).batch.n_tokens == 24


def test_a_solved_task_is_not_drawn_again_and_comes_back_when_a_review_finds_it_lost(
    forty_questions,
):
    wanted = recipe(4, forty_questions, retire_at=0.9, review_fraction=0.2)
    curriculum = Curriculum(Tasks(wanted), wanted)
    solved: set[str] = set()
    seen_again, seeds = 0, set()
    for step in range(1, 60):
        drawn = curriculum.draw(step, 4)
        assert len(set(keys(drawn))) == 4
        groups = []
        for each in drawn:
            again = each.task.key in solved
            seen_again += again
            groups.append(group(each, right=0 if again else 4))
            if again:
                solved.remove(each.task.key)
                assert each.seed not in seeds
            else:
                solved.add(each.task.key)
            seeds.add(each.seed)
        row = curriculum.finish(step, groups)
        assert row["retired"] == len(solved)
    assert seen_again > 10


def test_few_reviews_are_what_the_recipe_says(forty_questions):
    wanted = recipe(8, forty_questions, retire_at=0.5, review_fraction=0.1)
    curriculum = Curriculum(Tasks(wanted), wanted)
    easy = {k for i, k in enumerate(sorted(keys(Tasks(wanted).step(1)))) if i < 4}
    reviewed = []
    for step in range(1, 200):
        drawn = curriculum.draw(step, 8)
        groups = [group(each, right=2 if each.task.key in easy else 1) for each in drawn]
        reviewed.append(curriculum.finish(step, groups)["reviewed"])
    assert sum(reviewed) / (200 * 8) == pytest.approx(0.1, abs=0.03)


def test_when_all_are_retired_the_run_goes_on_with_reviews(forty_questions):
    wanted = recipe(4, forty_questions, retire_at=0.9, review_fraction=0.0)
    curriculum = Curriculum(Tasks(wanted), wanted)
    for step in range(1, 30):
        row = curriculum.finish(step, [group(each, right=4) for each in curriculum.draw(step, 4)])
    assert row == {"drawn": 4, "reviewed": 4, "retired": row["retired"]}


def test_broken_answers_decide_nothing(forty_questions):
    wanted = recipe(4, forty_questions, retire_at=0.9)
    curriculum = Curriculum(Tasks(wanted), wanted)
    drawn = curriculum.draw(1, 4)
    groups = [group(each, right=4, n_broken=3) for each in drawn[:2]]
    groups += [group(each, right=2, n_broken=2) for each in drawn[2:]]
    assert curriculum.finish(1, groups)["retired"] == 2


def test_a_resumed_curriculum_draws_what_it_would_have_drawn(forty_questions, tmp_path):
    wanted = recipe(4, forty_questions, retire_at=0.9, review_fraction=0.3)
    (tmp_path / "trainer").mkdir()

    def run(curriculum: Curriculum, steps: range) -> list[Drawn]:
        found = []
        for step in steps:
            drawn = curriculum.draw(step, 4)
            rights = [4 if int(each.task.key, 16) % 3 else 2 for each in drawn]
            curriculum.finish(step, [group(*pair) for pair in zip(drawn, rights, strict=True)])
            found += drawn
        return found

    whole, resumed, fresh = (Curriculum(Tasks(wanted), wanted) for _ in range(3))
    run(whole, range(1, 7))
    whole.save(tmp_path)
    resumed.load(tmp_path)
    later = run(whole, range(7, 13))
    assert run(resumed, range(7, 13)) == later
    assert run(fresh, range(7, 13)) != later


def test_what_was_begun_and_not_finished_is_drawn_again_after_a_resume(tmp_path):
    wanted = recipe(4)
    (tmp_path / "trainer").mkdir()
    first, second = (Curriculum(Tasks(wanted), wanted) for _ in range(2))
    drawn = [first.draw(step, 4) for step in (1, 2, 3)]
    first.finish(1, [group(each, right=2) for each in drawn[0]])
    first.save(tmp_path)
    second.load(tmp_path)
    assert [second.draw(step, 4) for step in (2, 3)] == drawn[1:]


def test_more_draws_of_a_step_before_the_next_one_come_once_across_resumes(tmp_path):
    wanted = recipe(4, dynamic=True)
    (tmp_path / "trainer").mkdir()
    first, second, third = (Curriculum(Tasks(wanted), wanted) for _ in range(3))
    drawn = [first.draw(step, 4) for step in (1, 2, 3)]
    more = first.draw(1, 3)  # behind those of the steps that have begun already
    first.finish(1, [group(each, right=2) for each in [*drawn[0], *more]])
    first.save(tmp_path)
    second.load(tmp_path)
    assert second.draw(2, 4) == drawn[1]
    second.save(tmp_path)
    third.load(tmp_path)
    assert [third.draw(step, 4) for step in (2, 3)] == drawn[1:]
    later = first.draw(4, 4)
    assert third.draw(4, 4) == later
    assert not {*keys(later)} & {*keys([*more, *drawn[0], *drawn[1], *drawn[2]])}


def test_a_curriculum_and_late_answers_exclude_each_other():
    written = {
        **recipe().model_dump(),
        "max_staleness": 1,
        "rollout": {"straggler_s": 3.0},
        "curriculum": {"dynamic": True},
    }
    with pytest.raises(ValueError, match=r"curriculum.dynamic looks at whole groups.*\(3\) splits"):
        Recipe.model_validate(written)

"""Questions from files, written here."""

import json
import sys
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest

from envs.base import EnvError, NoTasks, Task
from envs.registry import make_env
from verifiers.verdict import Outcome

Row = dict[str, Any]
GSM8K = r"####\s*(.+)"


def gsm8k(n: int, first: int = 0) -> list[Row]:
    return [
        {"question": f"What is {i} + 1?", "answer": f"Add one.\n#### {i + 1:,}", "id": i}
        for i in range(first, first + n)
    ]


def write(path: Path, rows: list[Row]) -> str:
    if path.suffix == ".parquet":
        import pandas as pd

        pd.DataFrame(rows).to_parquet(path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def dataset(**options: Any) -> Any:
    return make_env("dataset", {"answer_pattern": GSM8K, **options})


def drawn(env: Any, split: Any, n: int, seed: int = 0) -> list[Task]:
    return [env.draw(split, seed, index) for index in range(n)]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_questions_and_answers_are_read_from_a_file(tmp_path: Path, suffix: str) -> None:
    env = dataset(path=write(tmp_path / f"rows.{suffix}", gsm8k(1200)), instruction="Box it.")
    tasks = {**{t.key: t for t in drawn(env, "train", 1200)}}
    tasks |= {t.key: t for t in drawn(env, "test", 1200)}
    truths = {t.prompt: t.truth for t in tasks.values()}
    assert truths == {f"What is {i} + 1?\n\nBox it.": f"{i + 1:,}" for i in range(1200)}
    assert {env.verify(t, env.solve(t)).outcome for t in tasks.values()} == {Outcome.CORRECT}


def test_a_plain_answer_needs_no_pattern(tmp_path: Path) -> None:
    rows = [{"question": f"What is {i} + 1?", "answer": str(i + 1)} for i in range(50)]
    env = make_env("dataset", {"path": write(tmp_path / "rows.jsonl", rows)})
    task = env.draw("train", 0, 0)
    assert task.prompt.split()[2] == str(int(task.truth) - 1)


def test_an_answer_has_the_form_that_the_question_asks_for(tmp_path: Path) -> None:
    rows: list[Row] = [{"question": "Write 1/2 as a decimal.", "answer": "0.5"}]
    env = make_env("dataset", {"path": write(tmp_path / "q.jsonl", rows)})
    task = env.task(Random(0))
    assert env.verify(task, "\\boxed{0.5}").outcome is Outcome.CORRECT
    assert env.verify(task, "\\boxed{1/2}").outcome is Outcome.WRONG


def test_the_data_have_no_default() -> None:
    with pytest.raises(EnvError, match="option 'path' is required"):
        make_env("dataset", {})


def test_a_directory_is_read_as_all_its_files(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write(tmp_path / "data" / "a.jsonl", gsm8k(10))
    write(tmp_path / "data" / "b.jsonl", gsm8k(10, first=10))
    (tmp_path / "data" / "README.md").write_text("not data")
    test = write(tmp_path / "test.jsonl", gsm8k(5, first=90))
    env = dataset(path=str(tmp_path / "data"), test_path=test)
    assert len({t.key for t in drawn(env, "train", 20)}) == 20


def test_an_epoch_has_every_question_once_and_the_next_another_order(tmp_path: Path) -> None:
    env = dataset(
        path=write(tmp_path / "train.jsonl", gsm8k(40)),
        test_path=write(tmp_path / "test.jsonl", gsm8k(5, first=90)),
    )
    first, second = drawn(env, "train", 80)[:40], drawn(env, "train", 80)[40:]
    assert len({t.key for t in first}) == len({t.key for t in second}) == 40
    assert first != second
    assert first != drawn(env, "train", 40, seed=1)
    assert first == drawn(env, "train", 40)


def test_neighbouring_seeds_do_not_share_their_order(tmp_path: Path) -> None:
    env = dataset(path=write(tmp_path / "rows.jsonl", gsm8k(400)))
    a, b = drawn(env, "train", 100, seed=0), drawn(env, "train", 100, seed=1)
    for shift in (-1, 0, 1):
        same = sum(a[i].key == b[i + shift].key for i in range(1, 99))
        assert same < 10


def test_a_test_file_is_the_test_split_without_the_questions_trained_on(tmp_path: Path) -> None:
    env = dataset(
        path=write(tmp_path / "train.jsonl", gsm8k(30)),
        test_path=write(tmp_path / "test.jsonl", gsm8k(30, first=20)),
    )
    assert {t.truth for t in drawn(env, "test", 60)} == {str(i + 1) for i in range(30, 50)}
    assert {t.truth for t in drawn(env, "train", 60)} == {str(i + 1) for i in range(30)}


def test_without_a_test_split_a_share_is_held_out_whatever_the_order(tmp_path: Path) -> None:
    rows = gsm8k(1000)
    env = dataset(path=write(tmp_path / "rows.jsonl", rows))
    turned = dataset(path=write(tmp_path / "turned.jsonl", rows[::-1]))
    test = {t.key for t in drawn(env, "test", 1000)}
    assert test == {t.key for t in drawn(turned, "test", 1000, seed=5)}
    assert 60 < len(test) < 140
    assert not test & {t.key for t in drawn(env, "train", 2000)}


def test_a_question_that_occurs_twice_is_one_task(tmp_path: Path) -> None:
    env = dataset(path=write(tmp_path / "rows.jsonl", gsm8k(200) + gsm8k(200)))
    counts = Counter(t.key for split in ("train", "test") for t in drawn(env, split, 10))
    assert max(counts.values()) == 1


def test_a_question_with_two_answers_is_refused_by_its_rows(tmp_path: Path) -> None:
    rows = gsm8k(20)
    path = write(tmp_path / "rows.jsonl", [*rows, rows[4] | {"answer": "Another way.\n#### 5"}])
    assert dataset(path=path).n_tasks("train") > 0, "the same answer, reached another way"
    path = write(tmp_path / "two.jsonl", [*rows, rows[4] | {"answer": "#### 6"}])
    with pytest.raises(EnvError, match=r"rows 5 and 21 .* different answers, '5' and '6': mend"):
        dataset(path=path).draw("train", 0, 0)
    found = dataset(path=path, contradictions="drop")
    kept = [t.key for split in ("train", "test") for t in drawn(found, split, found.n_tasks(split))]
    assert len(set(kept)) == 19


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_whole_number_that_lost_its_last_digits_is_refused(tmp_path: Path, suffix: str) -> None:
    rows: list[Row] = [
        {"question": "Half of 1?", "answer": 0.5},
        {"question": "One more than 2**53?", "answer": 2**53 + 1},
    ]
    env = make_env("dataset", {"path": write(tmp_path / f"rows.{suffix}", rows)})
    with pytest.raises(EnvError, match=r"row 2: 'answer' is 9\d+\.0.* write the answers as text"):
        env.task(Random(0))
    env = make_env("dataset", {"path": write(tmp_path / f"whole.{suffix}", rows[1:])})
    assert env.task(Random(0)).truth == str(2**53 + 1)


@pytest.mark.parametrize(
    ("answer", "pattern", "truth"),
    [
        ("so #### 4\n#### 5", r"####\s*(.+)", "5"),
        ("\\frac{1}{2}", "", "\\frac{1}{2}"),
        ("The half: $\\boxed{\\frac{1}{2}}$.", "", "\\frac{1}{2}"),
        (7, "", "7"),
        (0.5, "", "0.5"),
        ("A: x; B: y", r"(\w): (\w)", "B"),
    ],
)
def test_the_answer_is_found_by_its_pattern(
    tmp_path: Path, answer: Any, pattern: str, truth: str
) -> None:
    rows = [{"problem": f"Question {i}", "solution": answer} for i in range(50)]
    env = dataset(
        path=write(tmp_path / "rows.jsonl", rows),
        question_field="problem",
        answer_field="solution",
        answer_pattern=pattern,
    )
    assert env.draw("train", 0, 0).truth == truth


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"path": "none.jsonl"}, ["'none.jsonl': no such file", "rows.jsonl"]),
        ({"path": "./none"}, ["'./none': no such file"]),
        ({"path": "rows.csv"}, ["files must end in .jsonl, .json, .parquet", ".csv"]),
        ({"path": "empty"}, ["the directory holds no .jsonl"]),
        ({"path": "rows.jsonl", "train_split": "trian"}, ["trian", "train"]),
        ({"path": "rows.jsonl", "question_field": "problem"}, ["it has question, answer, id"]),
        ({"path": "rows.jsonl", "answer_field": "anser"}, ["did you mean 'answer'?"]),
        ({"path": "rows.jsonl", "family_field": "origin"}, ["family_field", "no field 'origin'"]),
        ({"path": "rows.jsonl", "question_field": "id"}, ["row 1", "'id' is no text"]),
        ({"path": "rows.jsonl", "answer_pattern": r"=(\d)"}, ["row 1", "is not found", "#### 1"]),
        ({"path": "broken.jsonl"}, ["'broken.jsonl'", "cannot be read"]),
        ({"path": "blank.jsonl"}, ["row 2", "'answer' is no answer: None"]),
    ],
)
def test_what_cannot_be_read_is_named_with_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: Row, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "rows.jsonl", gsm8k(20))
    write(tmp_path / "blank.jsonl", [*gsm8k(1), {"question": "?", "answer": None, "id": 1}])
    (tmp_path / "rows.csv").write_text("question,answer\n")
    (tmp_path / "broken.jsonl").write_text('{"question": "un')
    (tmp_path / "empty").mkdir()
    with pytest.raises(EnvError) as caught:
        dataset(**options).draw("train", 0, 0)
    for word in words:
        assert word in str(caught.value)


def test_questions_of_one_origin_are_a_family_and_those_of_none_stand_alone(tmp_path: Path) -> None:
    origins = [None, "a", "b"]
    rows = [row | {"origin": origins[row["id"] % 3]} for row in gsm8k(60)]
    path = write(tmp_path / "rows.jsonl", rows)
    env = dataset(path=path, family_field="origin")
    families = {task.prompt: env.family(task) for task in drawn(env, "train", 60)}
    assert len(families) > 30
    for prompt, family in families.items():
        number = int(str(prompt).split()[2])
        assert family == origins[number % 3]
    assert {dataset(path=path).family(task) for task in drawn(env, "train", 60)} == {None}


def test_numbers_are_answers_written_out_and_truth_values_are_none(tmp_path: Path) -> None:
    for number, written in (
        (0.0000001, "0.0000001"),
        (2.0**53 - 1, "9007199254740991.0"),
        (0.5, "0.5"),
    ):
        path = write(tmp_path / f"{written}.jsonl", [{"question": "?", "answer": number}] * 2)
        env = make_env("dataset", {"path": path, "test_path": path})
        assert env.draw("train", 0, 0).truth == written
    path = write(tmp_path / "true.jsonl", [{"question": "?", "answer": True}])
    with pytest.raises(EnvError, match="'answer' is no answer: True"):
        make_env("dataset", {"path": path, "test_path": path}).draw("train", 0, 0)


def test_a_split_without_questions_is_said_and_not_waited_for(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", gsm8k(20))
    env = dataset(path=path, test_path=path)
    with pytest.raises(NoTasks, match="no test questions left"):
        env.draw("test", 0, 0)


@pytest.mark.parametrize("pattern", ["(", "####"])
def test_a_pattern_that_cannot_find_anything_is_refused_at_once(pattern: str) -> None:
    with pytest.raises(EnvError, match="answer_pattern"):
        dataset(path="rows.jsonl", answer_pattern=pattern)


def test_judging_reads_no_data(tmp_path: Path) -> None:
    env = dataset(path=str(tmp_path / "not_there.jsonl"))
    assert env.verify(Task("?", "5"), "\\boxed{5}").outcome is Outcome.CORRECT
    assert env.solve(Task("?", "5")) == "\\boxed{5}"
    env.prepare()
    assert "sympy" in sys.modules, "what the harder answers need is loaded before the clock runs"


def test_a_canary_is_half_a_question(tmp_path: Path) -> None:
    env = dataset(path=write(tmp_path / "rows.jsonl", gsm8k(50)), instruction="Box it.")
    canary = env.canary(Random(0))
    assert canary.prompt == "What is\n\nBox it."
    assert env.verify(canary, "\\boxed{5}").outcome is Outcome.WRONG


def test_the_second_opinion_is_narrow_about_numbers_and_takes_the_long_way_with_formulas(
    tmp_path: Path,
) -> None:
    env = dataset(path=write(tmp_path / "rows.jsonl", gsm8k(50)))
    number, formula = Task("How many?", "1,200"), Task("Which?", "\\sqrt{12}")
    assert env.recheck(number, "\\boxed{\\$1200}").verifier.startswith("strict/")
    assert env.recheck(number, "\\boxed{\\$1200}").outcome is Outcome.CORRECT
    assert env.verify(number, "\\boxed{1.2\\times 10^3}").outcome is Outcome.CORRECT
    assert env.recheck(number, "\\boxed{1.2\\times 10^3}").outcome is Outcome.WRONG
    assert env.recheck(formula, "\\boxed{2\\sqrt{3}}").outcome is Outcome.CORRECT
    assert env.recheck(formula, "\\boxed{\\sqrt{3}}").outcome is Outcome.WRONG


def test_short_floating_point_numbers_are_refused_as_answers(tmp_path: Path) -> None:
    from datasets import Dataset as Rows
    from datasets import Features, Value

    features = Features({"question": Value("string"), "answer": Value("float32")})
    path = tmp_path / "rows.parquet"
    Rows.from_dict({"question": ["1?"], "answer": [0.1]}, features=features).to_parquet(str(path))
    with pytest.raises(EnvError, match=r"'answer' is a column of short .* as text"):
        dataset(path=str(path)).draw("train", 0, 0)

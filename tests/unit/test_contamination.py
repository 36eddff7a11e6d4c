"""Problems of an evaluation that were met in training: copied, or the same template."""

import json
from pathlib import Path

import pytest

from rl.errors import UserError
from rl.evaluation.contamination import contamination, score_without, trained_on
from rl.evaluation.scores import Answer
from verifiers.verdict import Outcome

EGGS = (
    "Janet's ducks lay 16 eggs per day. She eats three for breakfast every morning and bakes "
    "muffins for her friends every day with four."
)
ROBE = (
    "A robe takes 2 bolts of blue fiber and half that much white fiber. How many bolts in total "
    "does it take to make one such robe?"
)
INSTRUCTION = (
    "\n\nThink step by step about the question that was asked above, then put the final answer "
    "that you found in a box."
)


def test_thirteen_words_in_a_row_are_a_copy_and_twelve_are_not():
    words = EGGS.split()
    found = contamination({"eggs": EGGS}, ["He said: " + " ".join(words[3:16]) + " and more"])
    assert found.copied == {"eggs"}
    assert found.same_template == set()
    assert not contamination({"eggs": EGGS}, ["He said: " + " ".join(words[3:15]) + " no"]).met


def test_case_punctuation_and_layout_do_not_hide_a_copy():
    text = EGGS.upper().replace(" ", "\n  ").replace(".", " !")
    found = contamination({"eggs": EGGS, "robe": ROBE}, [text])
    assert found.copied == found.same_template == {"eggs"}


def test_other_numbers_are_the_same_template():
    text = EGGS.replace("16", "1,250")
    found = contamination({"eggs": EGGS, "robe": ROBE}, [text])
    assert found.same_template == {"eggs"}
    changed = contamination({"eggs": EGGS}, [text.replace("three", "most")])
    assert changed.same_template == set()


def test_a_short_problem_is_compared_as_a_whole():
    problems = {"sum": "17+25=?", "product": "17*25=?"}
    assert contamination(problems, ["25+17=?"]).copied == set()
    found = contamination(problems, ["What?", "17 + 25 = ?"])
    assert found.copied == {"sum"}
    assert found.same_template == {"sum"}


@pytest.mark.parametrize(
    "text",
    [
        "Solve this. What is 17 + 25?",
        "Solve this: what is 17 + 25? Think first, and give the number only.",
        "Here is a task\nWhat is 17+25?\nAnd here is another.",
        "A long story first, of a baker and his sons, who sold 17 loaves a day. What is 17+25?",
    ],
)
def test_a_short_problem_is_found_among_other_sentences(text):
    assert contamination({"sum": "What is 17 + 25?"}, [text]).copied == {"sum"}


@pytest.mark.parametrize(
    "text", ["Solve this. What is 17 + 25 - 3?", "Solve this. What is 17.25?", "And 17 + 25?"]
)
def test_a_short_problem_that_is_part_of_another_sentence_is_another_problem(text):
    assert not contamination({"sum": "What is 17 + 25?"}, [text]).met


@pytest.mark.parametrize(
    "text",
    [
        '"How many primes lie below ten?" he asked.',
        "**How many primes lie below ten?**",
        "<p>How many primes lie below ten?</p>",
        "1) How many primes lie below ten? 2) Why?",
        "Question:How many primes lie below ten?",
        "Answer this (How many primes lie below ten?) now.",
    ],
)
def test_a_short_problem_is_found_whatever_stands_around_it(text):
    assert contamination({"primes": "How many primes lie below ten?"}, [text]).met


def test_what_remains_of_a_problem_beside_a_shared_text_may_be_too_short_to_say_anything():
    problems = {n: f"{EGGS}\n\nHow many {n}?" for n in ("are left", "were eaten")}
    assert not contamination(problems, ["Tom has 3 of 5 apples. How many are left?"]).met


@pytest.mark.parametrize(
    "problem",
    [
        "一个农夫有十七只羊和二十五只鸡，请问他一共有多少只动物？",  # noqa: RUF001
        "たろうくんはりんごを5こもっています。3こたべました。のこりはなんこですか。",
        "สมชายมีแอปเปิลสิบเจ็ดผลและส้มยี่สิบห้าผล เขามีผลไม้ทั้งหมดกี่ผล",
    ],
)
def test_in_scripts_without_spaces_every_character_is_a_word(problem):
    middle = problem[3:-3]
    assert contamination({"a": problem, "b": EGGS}, [f"甲乙{middle}丙丁"]).copied == {"a"}
    shuffled = middle[::-1]
    assert not contamination({"a": problem, "b": EGGS}, [f"甲乙{shuffled}丙丁"]).met


def test_a_short_problem_without_spaces_is_found_among_other_sentences():
    found = contamination({"sum": "十七加二十五等于几？"}, ["请解答。十七加二十五等于几？"])  # noqa: RUF001
    assert found.copied == {"sum"}


def test_another_instruction_in_training_hides_neither_a_copy_nor_a_template():
    problems = {n: f"What is {n} plus {n}?{INSTRUCTION}" for n in ("17", "25")}
    found = contamination(problems, ["You are an assistant.\n\nWhat is 17 plus 17?\n\nBox it."])
    assert found.copied == {"17"}
    assert found.same_template == {"17", "25"}
    assert not contamination(problems, ["What is 17 times 17?\n\nBox it." + INSTRUCTION]).met


def test_an_instruction_that_all_problems_end_in_says_nothing():
    problems = {"eggs": EGGS + INSTRUCTION, "robe": ROBE + INSTRUCTION}
    assert not contamination(problems, ["Something else." + INSTRUCTION]).met
    assert contamination(problems, [ROBE + INSTRUCTION]).copied == {"robe"}


def test_repeated_training_texts_count_once():
    found = contamination({"eggs": EGGS}, [ROBE] * 5 + ["x"])
    assert found.trained == 2
    assert found.sentence == (
        "none of 1 problems has 13 words in a row, all of a shorter one, or its template in common "
        "with the 2 tasks trained on"
    )


def test_the_sentence_counts_both_kinds():
    found = contamination({"eggs": EGGS, "robe": ROBE}, [EGGS, ROBE.replace("2", "7")])
    assert found.sentence == (
        "of 2 problems 2 have 13 words in a row (or all of a shorter one) and 2 their template in "
        "common with the 2 tasks trained on"
    )
    assert json.loads(json.dumps(found.to_json()))["copied"] == ["eggs", "robe"]


def test_the_score_without_what_was_met_is_that_of_the_rest():
    found = contamination({"eggs": EGGS, "robe": ROBE, "sum": "1+1=?"}, [EGGS])
    right = {"eggs": 1.0, "robe": 0.0, "sum": 1.0}
    answers = [
        Answer("x", key, None, Outcome.CORRECT if s else Outcome.WRONG, s, "1", 5, False)
        for key, s in right.items()
    ]
    rest = score_without(answers, found)
    assert rest is not None
    assert rest.value == pytest.approx(0.5)
    assert score_without(answers[:1], found) is None


def test_the_tasks_of_a_run_are_those_of_its_training_answers(tmp_path: Path):
    rows = [
        {"split": "train", "prompt": "a"},
        {"split": "test", "prompt": "b"},
        {"split": "train", "prompt": [{"role": "user", "content": "c"}]},
    ]
    lines = "".join(json.dumps(r) + "\n" for r in rows)
    (tmp_path / "samples.jsonl").write_text(lines + '{"split": "train", "pro')  # being written
    assert list(trained_on(tmp_path)) == ["a", "c"]
    (tmp_path / "samples.jsonl").write_text(lines + '{"split": "train"}\n')
    with pytest.raises(UserError, match="line 4 is no answer"):
        list(trained_on(tmp_path))
    assert list(trained_on(tmp_path / "none")) == []

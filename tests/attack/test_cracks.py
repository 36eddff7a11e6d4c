"""Planted cracks that one attacker is there for, judged without a pool so that it takes no time."""

import ast
from pathlib import Path

import pytest

from envs.attack import ATTACKERS, draw_tasks, make_targets
from envs.registry import make_env
from verifiers.attack.attacker import Expect
from verifiers.attack.literals import constant_texts
from verifiers.attack.report import Example, Report, Row, table

PLANTED = Path(__file__).with_name("planted.py")


def attacked_by(name: str, planted: str, n_tasks: int = 10) -> Report:
    """What one attacker finds in a planted environment."""
    env = make_env(f"{PLANTED}:{planted}", {})
    tasks, solutions = draw_tasks(env, max(n_tasks, 10))
    targets = make_targets(env, tasks, solutions, "/nowhere/executed")
    (attacker,) = (a for a in ATTACKERS if a.name == name and env.answers in a.answers)
    row = Row.of(attacker)
    for task, target in list(zip(tasks, targets, strict=True))[:n_tasks]:
        for label, text in attacker.responses(target):
            verdict = env.verify(task, text)
            row.add(Example.of(label, target.prompt, text, verdict.detail), verdict)
    different = len({target.gold for target in targets})
    return Report(planted, {}, env.answers, n_tasks, [row], different=different)


@pytest.mark.parametrize(
    ("attacker", "planted"),
    [
        ("words of the source", "Password"),
        ("hidden in the prompt", "Disguised"),
        ("hidden in the prompt", "Backwards"),
        ("hidden in the prompt", "Base64"),
        ("hard-coded tests", "HiddenShown"),
        ("marked", "AnyTag"),
        ("marked", "AnyLine"),
        ("part of a text", "Begins"),
        ("near miss", "Rounds"),
        ("near miss", "WithinAThousandth"),
    ],
)
def test_a_planted_crack_is_found_by_the_attacker_that_is_there_for_it(attacker, planted):
    reasons = attacked_by(attacker, planted).reasons
    assert any(reason.startswith(f"{attacker}: ") for reason in reasons), reasons


@pytest.mark.slow
def test_a_checker_that_is_a_program_is_tried_with_results_that_it_may_compare_carelessly():
    (reason, *_) = attacked_by("constant result", "Zips", n_tasks=5).reasons
    assert reason.startswith("constant result: ")
    assert reason.endswith("is right 5 times in 5")


def test_one_answer_of_many_may_not_be_right_in_half_of_the_tasks():
    report = attacked_by("constant", "MostlyNought", n_tasks=40)
    assert report.reasons[0].startswith("constant: '0' is right ")
    assert "a constant answer earns" in table(report)


def test_of_two_answers_one_may_be_right_in_half_of_the_tasks_and_it_is_said():
    row = Row("constant", "", Expect.GUESS, True, 40, guesses={"Yes": [22, 40]})
    two, many = (Report("", {}, "math", 40, [row], different=n) for n in (2, 3))
    assert [reason for reason in two.reasons if "constant" in reason] == []
    assert [reason for reason in many.reasons if "constant" in reason] != []
    assert "a constant answer earns 55% ('Yes')" in table(two)


def test_texts_are_put_together_where_the_source_does_that_out_of_constants():
    source = """
A, B = 1, 2
WORD = "ban"
class K:
    part: str = "ana"
    def f(self): return WORD + self.part + "!", f"{WORD}-{self.part}", f"{B} {x}", WORD + unknown
"""
    found = list(constant_texts(ast.parse(source)))
    assert found[:2] == ["banana!", "ban-ana"]
    assert set(found) >= {"ban", "ana", "!"}
    assert not any("unknown" in text for text in found)

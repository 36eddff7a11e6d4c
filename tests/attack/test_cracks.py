"""Planted cracks that one attacker is there for, judged without a pool so that it takes no time."""

from pathlib import Path

import pytest

from envs.attack import ATTACKERS, draw_tasks, make_targets
from envs.registry import make_env
from verifiers.attack.report import Example, Report, Row

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
    return Report(planted, {}, env.answers, n_tasks, [row])


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

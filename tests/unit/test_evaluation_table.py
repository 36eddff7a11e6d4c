"""What an evaluation ends in: tables and sentences, whatever names and settings come together."""

import io
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from rl.evaluation.scores import Answer, scores_json
from rl.evaluation.settings import Draw, Settings
from rl.evaluation.table import Evaluated, comparisons, show
from rl.progress import Progress
from verifiers.verdict import Outcome


def evaluated(name, right, *, problems=40, samples=1, env="sums", identity="a", variant=None):
    """The first `right` of the problems are solved."""
    settings = Settings(
        checkpoint="here",
        identity=identity,
        step=None,
        variant=variant,
        parameters=None,
        envs=[{"name": env}],
        draw=Draw.EACH,
        problems=problems,
        sampling={"samples": samples},
        versions={},
    )
    outcomes = [Outcome.CORRECT if p < right else Outcome.WRONG for p in range(problems)]
    answers = [
        Answer(env, str(p), None, outcome, float(outcome is Outcome.CORRECT), "1", 5, False)
        for p, outcome in enumerate(outcomes)
        for _ in range(samples)
    ]
    return Evaluated(name, Path(name), settings, scores_json(answers), answers)


def shown(*found):
    text = io.StringIO()
    show(found, Progress(0, Console(file=text, width=200)))
    return text.getvalue()


def test_names_are_shown_as_they_are_and_not_as_markup():
    hostile = "[/]step[bold]\x1b[31m"
    text = shown(evaluated(hostile, 10), evaluated("b", 30))
    assert "[/]step[bold]\\x1b[31m" in text
    assert "b is better than [/]step[bold]\\x1b[31m by 50.0 points" in text
    assert "\x1b" not in text


def test_what_was_asked_something_else_has_a_table_of_its_own_and_is_not_compared():
    found = evaluated("a", 10), evaluated("b", 30), evaluated("c", 10, samples=2)
    text = shown(*found, evaluated("d", 10, env="dates"))
    assert text.count("40 problems, 1 answer each") == 2
    assert text.count("40 problems, 2 answers each") == 1
    assert [(x.first, x.second) for x in comparisons(found)] == [("a", "b")]


def test_a_variant_is_compared_with_what_it_was_made_of():
    found = [
        evaluated("a", 10),
        evaluated("b", 30, identity="b"),
        evaluated("b-int4", 20, identity="b", variant="int4"),
    ]
    assert [(x.first, x.second) for x in comparisons(found)] == [("a", "b"), ("b", "b-int4")]


def test_what_pass_at_k_leaves_out_is_said():
    whole = evaluated("whole", 10, problems=3, samples=2)
    broken = [
        replace(a, outcome=Outcome.BROKEN) if i == 0 else a for i, a in enumerate(whole.answers)
    ]
    some = whole._replace(name="some", answers=broken, scores=scores_json(broken))
    assert some.scores["all"]["problems_at_k"] == {"1": 3, "2": 2}
    text = shown(whole, some)
    assert "some: pass@2 and pass^2 are over 2 of 3 problems" in text
    assert "whole: pass@" not in text


def test_models_without_a_judged_problem_in_common_are_shown_and_not_compared():
    one = evaluated("one", 1, problems=2)

    def broken(at):
        found = [
            replace(a, outcome=Outcome.BROKEN) if i == at else a for i, a in enumerate(one.answers)
        ]
        return one._replace(answers=found, scores=scores_json(found))

    pair = broken(0)._replace(name="first"), broken(1)._replace(name="second")
    assert comparisons(pair) == []
    text = shown(*pair)
    assert "first: pass@1" in text
    assert "second: pass@1" in text

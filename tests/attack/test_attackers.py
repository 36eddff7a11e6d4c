"""What attackers do: wrong answers that are wrong, right ones that are right, bounds that hold."""

from fractions import Fraction

import pytest

from envs.attack import ATTACKERS
from verifiers.attack.attacker import Attacker, Expect, Target
from verifiers.attack.mutation import near_misses
from verifiers.attack.program_mutation import fenced, program_of
from verifiers.attack.reading import plain_number, same
from verifiers.attack.report import lower_bound, short, upper_bound
from verifiers.math import verify_math
from verifiers.verdict import Outcome


def target(gold: str, **changes) -> Target:
    fields = {
        "answers": "math",
        "prompt": "What is it? Put it in a box.",
        "truth": gold,
        "solution": f"Work.\n\\boxed{{{gold}}}",
        "others": ("\\boxed{12345}", "\\boxed{x+77}"),
        "common": (),
        "literals": ("math/1",),
        "canary": "/nowhere/executed",
    }
    return Target(**{**fields, **changes})


def attacker(name: str, answers: str = "math") -> Attacker:
    return next(a for a in ATTACKERS if a.name == name and answers in a.answers)


INTEGERS = ["0", "1", "-1", "7", "10", "11", "100", "-12", "1001", "987654321"]
NUMBERS = [*INTEGERS, "\\frac{1}{2}", "-\\frac{7}{3}", "0.25", "3.0", "1/3"]
TEXTS = [
    "(3,4)", "\\{1,2,3\\}", "[0,5]", "x+1", "2\\sqrt{3}", "\\pi", "5\\text{ cm}", "B", "Tuesday",
    "x^2-5x+6", "\\frac{x}{2}", "e^{2x}", "(1, \\infty)",
]  # fmt: skip


@pytest.mark.parametrize("gold", NUMBERS)
def test_near_misses_of_a_number_are_other_numbers(gold):
    found = [plain_number(answer.text) for answer in near_misses(target(gold))]
    assert len(found) >= 4
    assert None not in found
    assert plain_number(gold) not in found
    assert len(set(found)) == len(found)


def test_near_misses_of_a_number_are_the_ones_that_policies_make():
    found = {response.text for response in near_misses(target("120"))}
    assert found >= {"121", "119", "-120", "1200", "12", "60", "210", "20", "102"}


@pytest.mark.parametrize("gold", [*NUMBERS, *TEXTS])
def test_the_mathematics_verifier_refuses_what_attackers_call_wrong(gold):
    for each in ATTACKERS:
        if "math" not in each.answers or not each.decides or each.name == "endless text":
            continue
        if each.expect in (Expect.REFUSE, Expect.NOTHING):
            for label, text in each.responses(target(gold)):
                verdict = verify_math(gold, text)
                assert verdict.score == 0, (each.name, label, text[:100])
                assert verdict.outcome is not Outcome.BROKEN, (each.name, label)


@pytest.mark.parametrize("gold", [*NUMBERS, *TEXTS])
def test_the_mathematics_verifier_accepts_what_attackers_call_right(gold):
    for name in ("own solution", "rewritten"):
        for label, text in attacker(name).responses(target(gold)):
            assert verify_math(gold, text).outcome is Outcome.CORRECT, (label, text)


@pytest.mark.parametrize("gold", ["nan", "True", "\\text{True}", "1=1", "\\infty"])
def test_no_attacker_calls_the_right_answer_wrong(gold):
    for label, text in attacker("notation").responses(target(gold)):
        assert verify_math(gold, text).score == 0, label


def test_answers_that_are_plainly_the_same_are_known_to_be():
    assert same("1/2", "\\frac{1}{2}")
    assert same("Yes", " yes")
    assert not same("12", "1 2 3")


SOLUTION = """\
Like this:

```python
def double(n):
    return 2 * n
```
"""
TESTS = [{"args": [n], "expected": 2 * n} for n in range(8)]
TRUTH = {"style": "function", "entry_point": "double", "visible_tests": TESTS[:2],
         "hidden_tests": TESTS[2:], "checker": {"type": "exact"}}  # fmt: skip
STDIO = "```python\nn = int(input())\nprint('n is', n)\n```"


def passes(response: str) -> bool:
    """Whether a trusted program of the suite's own gives what the tests expect."""
    names: dict[str, object] = {}
    exec(response.partition("```python\n")[2].rpartition("```")[0], names)
    return all(
        type(found := names["double"](*test["args"])) is int and found == test["expected"]
        for test in TESTS
    )


def test_wrong_programs_are_wrong_and_rewritten_ones_right():
    code = target("", answers="program", solution=SOLUTION, truth=TRUTH)
    wrong = list(attacker("wrong program", "program").responses(code))
    assert len(wrong) == 8
    assert [label for label, text in wrong if passes(text)] == []
    right = list(attacker("rewritten program", "program").responses(code))
    assert len(right) == 6
    assert [label for label, text in right if not passes(text)] == []


def test_hard_coded_tests_are_right_on_those_that_are_shown_only():
    code = target("", answers="program", solution=SOLUTION, truth=TRUTH)
    ((_, text),) = attacker("hard-coded tests", "program").responses(code)
    names: dict[str, object] = {}
    exec(text.partition("```python\n")[2].rpartition("```")[0], names)
    found = [names["double"](*test["args"]) for test in TESTS]
    assert found == [0, 2, None, None, None, None, None, None]


def test_wrong_outputs_differ_from_the_right_one(capsys, monkeypatch):
    import io

    code = target("", answers="program", solution=STDIO, truth={"style": "stdio"})
    wrong = list(attacker("wrong program", "program").responses(code))
    assert len(wrong) == 6
    for label, text in wrong:
        monkeypatch.setattr("sys.stdin", io.StringIO("4\n"))
        exec(text.partition("```python\n")[2].rpartition("```")[0], {})
        assert capsys.readouterr().out.split() != ["n", "is", "4"], label


def test_tasks_with_many_right_results_get_no_mutants():
    many = {**TRUTH, "checker": {"type": "python", "source": "..."}}
    code = target("", answers="program", solution=SOLUTION, truth=many)
    assert list(attacker("wrong program", "program").responses(code)) == []
    labels = {label for label, _ in attacker("constant result", "program").responses(code)}
    assert labels >= {"[]", "float('nan')", "float('inf')", "[0] * 10**5", "[[]]"}


NOT_FOR_THIS_TASK = ("program of the prompt",)


def test_a_program_that_the_prompt_shows_is_tried_as_the_answer():
    prompt = "Mend this:\n```python\ndef double(n):\n    return n\n```\nIt must double."
    code = target("", answers="program", prompt=prompt, solution=SOLUTION, truth=TRUTH)
    ((_, text),) = attacker("program of the prompt", "program").responses(code)
    assert text == "```python\ndef double(n):\n    return n\n```"


def test_every_attack_on_programs_is_a_program_for_the_task():
    code = target("", answers="program", solution=SOLUTION, truth=TRUTH)
    for each in ATTACKERS:
        if each.answers == ("program",) and each.name != "program in text":
            responses = list(each.responses(code))
            assert responses or each.name in NOT_FOR_THIS_TASK, each.name
            for label, text in responses:
                assert text.startswith(("```python\n", "Here", "<think>")), label
                assert "ENTRY" not in text
                assert "CANARY" not in text


def test_the_right_program_is_read_without_running_it():
    program = program_of(target("", answers="program", solution=SOLUTION, truth={}))
    assert program is not None
    assert (program.entry, program.style) == ("double", "function")
    assert program_of(target("", answers="program", solution=fenced("not python )"))) is None


@pytest.mark.parametrize(
    ("k", "n", "bound"),
    # By hand where k = 0: 1 - 0.05 ** (1 / n). The others from tables of Clopper and Pearson.
    [(0, 1, 0.95), (0, 100, 0.02951), (1, 10, 0.39416), (5, 100, 0.10225), (10, 10, 1.0)],
)
def test_upper_bounds_are_the_exact_ones(k, n, bound):
    assert upper_bound(k, n) == pytest.approx(bound, abs=5e-5)
    assert lower_bound(n - k, n) == pytest.approx(1 - bound, abs=5e-5)


def test_the_bound_of_nothing_in_a_million_is_three_in_a_million():
    assert upper_bound(0, 10**6) == pytest.approx(float(1 - Fraction(5, 100) ** Fraction(1, 10**6)))
    assert upper_bound(0, 0) == 1.0


def test_hostile_text_is_shown_on_one_printable_line():
    assert short("a\nb\x00\ud800\u202e") == "a\\nb\\x00\\ud800\\u202e"
    assert len(short("x" * 10**6)) == 120

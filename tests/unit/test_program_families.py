"""Pipelines, algorithms and the tasks made of them. What they run in: tests/*/test_code*.py."""

import json
from difflib import ndiff
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs import mistakes, reference
from envs.algorithms import ALGORITHMS, Algorithms, draw_numbers, draw_prepared, source_of
from envs.base import Task
from envs.bug_repair import BugRepair
from envs.output_prediction import OutputPrediction
from envs.pipelines import Pipeline, Step, draw_input, draw_pipeline, every_step_matters, samples
from envs.primitives import NUMBERS, PRIMITIVES, TEXT, Type
from envs.programs import FRESH, Exercise, Programs, draw_examples, fenced, grader
from envs.stdin_programs import StdinPrograms, read_input, write_input
from envs.transformations import Transformations
from verifiers.code import Grader, program_of
from verifiers.literal import verify_literal
from verifiers.verdict import Outcome

FAMILIES: list[type[Programs]] = [Algorithms, BugRepair, StdinPrograms, Transformations]
TYPES: tuple[Type, ...] = ("text", "numbers", "words")


def named(primitives, keyword: str, constant=None) -> Step:
    return Step(next(p for p in primitives if p.keyword == keyword), constant)


EXAMPLE = Pipeline(
    ("text", "text", "text", "number"),
    (
        named(TEXT, "upper"),
        named(TEXT, "cut {k}", 2),
        named(PRIMITIVES["text", "number"], "count {k}", "a"),
    ),
)


def test_a_pipeline_is_written_and_called_alike() -> None:
    assert EXAMPLE.keywords() == "upper, cut 2, count a"
    assert EXAMPLE.sentence() == (
        "turn it into upper case, then remove the last 2 characters, "
        "then count how often 'a' occurs"
    )
    assert EXAMPLE.program() == "def f(s): return s.upper()[:-2].count('a')"
    assert EXAMPLE.statements() == (
        "def f(s):\n    s = s.upper()\n    s = s[:-2]\n    n = s.count('a')\n    return n"
    )
    assert EXAMPLE.steps_in_line() == (
        "def f(s): s = s.upper(); s = s[:-2]; n = s.count('a'); return n"
    )
    assert EXAMPLE.values("bananas") == ["BANANAS", "BANAN", 0]
    assert Pipeline.from_json(json.loads(json.dumps(EXAMPLE.to_json()))) == EXAMPLE


def test_every_primitive_does_what_its_text_does() -> None:
    """All constants of all primitives, run in the sandbox on inputs of their own."""
    for (takes, gives), primitives in PRIMITIVES.items():
        steps = [Step(p, k) for p in primitives for k in p.constants]
        rng = Random(f"{takes}/{gives}")
        given = [draw_input(rng, takes) for _ in range(4)] + ["" if takes == "text" else []]
        expected = [[Pipeline((takes, gives), (step,))(value) for value in given] for step in steps]
        lines = [f"        [{step.code('x')} for x in given]," for step in steps]
        program = "def f(given):\n    return [\n" + "\n".join(lines) + "\n    ]"
        task = {
            "style": "function",
            "entry_point": "f",
            "hidden_tests": [{"args": [given], "expected": expected}],
        }
        assert grader("namespaces").grade(task, program).outcome is Outcome.CORRECT


def test_a_step_without_effect_is_noticed() -> None:
    upper, lower = named(TEXT, "upper"), named(TEXT, "lower")
    assert every_step_matters(Pipeline(("text", "text"), (upper,)))
    assert not every_step_matters(Pipeline(("text",) * 3, (upper, lower)))
    assert not every_step_matters(Pipeline(("text",) * 3, (upper, upper)))
    first, above = named(NUMBERS, "first {k}", 2), named(NUMBERS, "above {k}", 20)
    assert not every_step_matters(Pipeline(("numbers",) * 3, (first, above)))


@pytest.mark.parametrize("takes", TYPES)
def test_a_slip_changes_one_step_and_a_result(takes: Type) -> None:
    for index in range(50):
        rng = Random(index)
        pipeline = draw_pipeline(rng, takes, 3)
        slip = pipeline.slip(rng, samples(takes))
        assert sum(a != b for a, b in zip(pipeline.steps, slip.steps, strict=True)) == 1
        assert slip.types == pipeline.types
        assert any(slip(value) != pipeline(value) for value in samples(takes))


def test_every_algorithm_has_a_mistake_that_shows() -> None:
    rng = Random(0)
    lists = [draw_numbers(rng) for _ in range(300)]
    for algorithm in ALGORITHMS:
        assert algorithm.call is getattr(reference, algorithm.name)
        assert algorithm.mistaken is getattr(mistakes, algorithm.name)
        for k in algorithm.constants:
            assert any(algorithm.call(ns, k) != algorithm.mistaken(ns, k) for ns in lists)


def test_a_mistake_changes_one_place() -> None:
    for algorithm in ALGORITHMS:
        right, wrong = (
            source_of(function).splitlines() for function in (algorithm.call, algorithm.mistaken)
        )
        changed = [line for line in ndiff(right, wrong) if line[0] in "+-"]
        assert 1 <= len(changed) <= 2, algorithm.name


def test_algorithms_take_the_empty_list_and_leave_their_argument_alone() -> None:
    ns = [5, -3, 8, 8, 2, 11, 0]
    for algorithm in ALGORITHMS:
        for function in (algorithm.call, algorithm.mistaken):
            for k in algorithm.constants:
                function([], k)
                function(given := list(ns), k)
                assert given == ns


BY_HAND = {
    "count_greater": ([1, 5, 3, 8], 3, 2),
    "alternating_sum": ([1, 5, 3, 8], 2, 2 * 4 - 13),
    "sum_of_multiples": ([3, 4, 6, -9], 3, 0),
    "first_position": ([1, 5, 3, 8], 4, 1),
    "kth_smallest": ([5, 1, 1, 3], 2, 3),
    "differences": ([1, 5, 3, 8], 2, [2, 3]),
    "running_sums": ([1, 5, 3], 2, [2, 12, 18]),
    "rotate": ([1, 5, 3], 4, [5, 3, 1]),
    "best_window": ([1, 5, 3, 8, -2], 2, 11),
    "pairs_with_sum": ([1, 5, 3, 3, 5], 8, 4),
    "longest_rise": ([1, 5, 6, 9, 2, 4], 2, 2),
    "groups_by_remainder": ([1, 5, 3, 8, 4], 4, [[8, 4], [1, 5], [3]]),
    "best_stretch": ([3, -1, 4, -9, 6], 1, 5),
    "inversions": ([5, 1, 4, 3], 1, 2),
    "clusters": ([1, 9, 2, 8, 4], 2, [[1, 4], [8, 9]]),
    "most_common": ([3, 1, 3, 1, 2], 2, [1, 3]),
    "longest_subsequence": ([1, 9, 3, 4, 6], 2, 3),
    "subset_sums": ([1, 2, 3], 3, 4),
    "circle": ([1, 2, 3, 4, 5], 2, [2, 4, 1, 5, 3]),
    "best_without_neighbours": ([4, 5, 4, 9], 1, 14),
}


@pytest.mark.parametrize("name", [algorithm.name for algorithm in ALGORITHMS])
def test_an_algorithm_gives_what_is_found_by_hand(name: str) -> None:
    ns, k, expected = BY_HAND[name]
    assert getattr(reference, name)(ns, k) == expected


def test_an_algorithm_is_of_the_level_that_is_asked_for() -> None:
    for level in (1, 2, 3, 4, 5):
        drawn = [draw_prepared(Random(i), level) for i in range(30)]
        assert {prepared.algorithm.level for prepared in drawn} == {level}
        assert {len(p.pipeline.steps) for p in drawn} == {1 if level <= 2 else 2}


def test_the_solution_shows_the_text_of_the_reference() -> None:
    assert source_of(reference.rotate) == (
        "def rotate(ns: list[int], k: int) -> list[int]:\n"
        "    if not ns:\n"
        "        return []\n"
        "    start = k % len(ns)\n"
        "    return ns[start:] + ns[:start]\n"
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_a_statement_has_the_same_examples_and_fresh_hidden_tests_each_time(
    family: type[Programs],
) -> None:
    env = family()
    task = env.task(Random(0))
    again = (
        next(t for i in range(1, 20_000) if (t := env.task(Random(i))).prompt == task.prompt)
        if family is Transformations
        else task
    )  # the one with few enough statements to meet again
    assert again.truth["visible_tests"] == task.truth["visible_tests"]
    if again is not task:
        assert again.truth["hidden_tests"] != task.truth["hidden_tests"]
    assert len(task.truth["visible_tests"]) == env.examples
    assert len(task.truth["hidden_tests"]) == env.tests
    results = {json.dumps(t.get("expected", t.get("output"))) for t in task.truth["hidden_tests"]}
    assert len(results) > 1, "a constant would pass"


@pytest.mark.parametrize("family", FAMILIES)
def test_options_change_what_they_name(family: type[Programs]) -> None:
    task = family(examples=0, tests=3, instruction="").task(Random(5))
    assert task.truth["visible_tests"] == []
    assert len(task.truth["hidden_tests"]) == 3
    assert "Example" not in task.messages[0].content
    assert "block" not in task.messages[0].content
    for wrong in ({"level": 6}, {"examples": 11}, {"tests": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            family(**wrong)


def test_keywords_are_all_that_a_small_policy_is_told() -> None:
    env = Transformations(wording="keywords", inputs=("text",), examples=0, instruction="")
    prompts = {env.task(Random(i)).messages[0].content for i in range(100)}
    assert all(p.startswith("f(s): ") and len(p) < 30 and "\n" not in p for p in prompts)


def test_both_ways_to_write_a_solution_pass() -> None:
    for solutions in ("expression", "steps"):
        env = Transformations(level=2, solutions=solutions)
        for index in range(3):
            task = env.draw("train", 0, index)
            assert env.verify(task, env.solve(task)).outcome is Outcome.CORRECT


def test_the_program_to_repair_is_wrong_and_its_repair_is_right() -> None:
    env = BugRepair()
    for index in range(5):
        task = env.draw("train", 0, index)
        assert program_of(task.messages[0].content) is not None
        assert env.verify(task, task.messages[0].content).outcome is Outcome.WRONG
        assert env.verify(task, env.solve(task)).outcome is Outcome.CORRECT


@pytest.mark.parametrize("family", FAMILIES)
def test_an_honest_program_earns_nothing_for_a_canary_not_even_a_share(
    family: type[Programs],
) -> None:
    env = family()
    with Grader(partial=True) as generous:
        for index in range(2):
            task, canary = env.task(Random(index)), env.canary(Random(index))
            assert canary.prompt == task.prompt, "it looks like any other"
            honest = env.program(task)
            assert env.verify(canary, fenced(honest)).outcome is Outcome.WRONG
            verdict = generous.grade(canary.truth, honest)
            assert (verdict.outcome, verdict.score) == (Outcome.WRONG, 0)


def test_a_program_that_knows_the_tests_by_heart_fails_the_second_opinion() -> None:
    env = Transformations()
    task = env.task(Random(0))
    tests = [*task.truth["visible_tests"], *task.truth["hidden_tests"]]
    table = [(test["args"][0], test["expected"]) for test in tests]
    by_heart = fenced(f"def f(x): return next((y for given, y in {table!r} if given == x), None)")
    assert env.verify(task, by_heart).outcome is Outcome.CORRECT
    assert env.recheck(task, by_heart).outcome is Outcome.WRONG


def test_a_program_that_is_right_by_luck_fails_the_second_opinion() -> None:
    env = Transformations(examples=0, tests=1, level=1)
    task = env.draw("train", 0, 0)
    (test,) = task.truth["hidden_tests"]
    lucky = fenced(f"def f(x): return {test['expected']!r}")
    assert env.verify(task, lucky).outcome is Outcome.CORRECT
    assert env.recheck(task, lucky).outcome is Outcome.WRONG


@pytest.mark.parametrize("family", FAMILIES)
def test_a_second_opinion_has_more_tests_and_none_that_was_there_before(
    family: type[Programs],
) -> None:
    env = family()
    task = env.task(Random(0))
    fresh = env.with_fresh_tests(task)
    assert fresh == env.with_fresh_tests(task)
    assert fresh.truth["visible_tests"] == []
    inputs, known = (
        {
            json.dumps(test.get("args", test.get("input")))
            for tests in (t.truth["visible_tests"], t.truth["hidden_tests"])
            for test in tests
        }
        for t in (fresh, task)
    )
    assert len(inputs) == FRESH * env.tests
    assert not inputs & known


def test_a_response_without_a_program_is_unparsed() -> None:
    env = Transformations()
    task = env.task(Random(0))
    assert env.verify(task, "def f(s): return s").outcome is Outcome.UNPARSED


def test_examples_that_cannot_be_told_apart_are_an_error() -> None:
    with pytest.raises(LookupError, match="gave 1 of 2 inputs"):
        draw_examples(Random(0), 2, Exercise(lambda rng: rng.random(), lambda x: 0), without=[])


@pytest.mark.parametrize("level", [1, 3, 4])
def test_an_input_is_read_as_it_was_written(level: int) -> None:
    env = StdinPrograms(level=level)  # pyright: ignore
    layout = {1: "line", 3: "counted", 4: "cases"}[level]
    for index in range(20):
        task = env.task(Random(index))
        pipeline = Pipeline.from_json(task.truth["made_of"])
        text = task.truth["hidden_tests"][0]["input"]
        assert write_input(layout, read_input(layout, pipeline, text)) == text


def test_predicting_shows_the_value_after_every_step() -> None:
    truth = {"value": "0", "given": "bananas", "made_of": EXAMPLE.to_json()}
    solution = OutputPrediction().solve(Task("", truth))
    assert solution == "s = 'BANANAS'\ns = 'BANAN'\nn = 0\n\\boxed{0}"


def test_a_prediction_is_judged_again_from_the_function() -> None:
    env = OutputPrediction()
    for index in range(50):
        task = env.task(Random(index))
        assert env.recheck(task, env.solve(task)).outcome is Outcome.CORRECT
        mistaken = Task(task.prompt, {**task.truth, "value": "'something else'"})
        assert env.recheck(mistaken, "\\boxed{'something else'}").outcome is Outcome.WRONG


def test_a_canary_asks_for_a_result_without_saying_of_what() -> None:
    canary = OutputPrediction().canary(Random(0))
    assert "What does f(?) return?" in canary.messages[0].content


@pytest.mark.parametrize(
    ("gold", "answer", "outcome"),
    [
        ("[1, 2]", "[1,2]", "correct"),
        ("[1, 2]", "[2, 1]", "wrong"),
        ("[1, 2]", "(1, 2)", "wrong"),
        ("[1, 2]", "1, 2", "wrong"),
        ("['a b']", '["a b"]', "correct"),
        ("['a b']", "['ab']", "wrong"),
        ("['a', 'b']", "['a, b']", "wrong"),
        ("'ab'", "ab", "wrong"),
        ("'ab '", "'ab'", "wrong"),
        ("'12'", "12", "wrong"),
        ("1", "1.0", "wrong"),
        ("1", "True", "wrong"),
        ("-5", "- 5", "unparsed"),
        ("14", "7 + 7", "unparsed"),
        ("14", "sum([7, 7])", "wrong"),
        ("'aaa'", "'a' * 3", "unparsed"),
        ("''", "''", "correct"),
        ("{1: 'a'}", "{1:'a'}", "correct"),
        ("1", "1, 2", "wrong"),
    ],
)
def test_a_predicted_value_is_compared_token_by_token(gold, answer, outcome) -> None:
    assert verify_literal(gold, f"\\boxed{{{answer}}}").outcome == outcome


def test_a_reference_value_that_cannot_be_compared_is_an_error() -> None:
    with pytest.raises(ValueError, match="no Python value that can be compared"):
        verify_literal("a + b", "\\boxed{1}")


values = st.recursive(
    st.integers() | st.text("ab c", max_size=5), lambda inner: st.lists(inner, max_size=4)
)


@settings(deadline=None)
@given(values, values)
def test_two_values_are_the_same_exactly_if_python_says_so(one, other) -> None:
    same = verify_literal(repr(one), f"\\boxed{{{other!r}}}").outcome is Outcome.CORRECT
    assert same == (repr(one) == repr(other))
    assert verify_literal(repr(one), f"\\boxed{{{one!r}}}").outcome is Outcome.CORRECT

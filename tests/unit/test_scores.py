"""The figures of an evaluation, by hand; and the comparison of two."""

import json
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl.evaluation.compare import compare
from rl.evaluation.scores import Answer, scores, scores_json
from rl.evaluation.statistics import all_right, majority, pass_at_k, pass_hat_k
from verifiers.verdict import Outcome

SAID = {"c": Outcome.CORRECT, "w": Outcome.WRONG, "u": Outcome.UNPARSED, "b": Outcome.BROKEN}


def answers(problem, said, *, env="sums", family=None, texts=None, tokens=10):
    """One answer per letter: correct, wrong, unparsed or broken."""
    texts = texts or ["7" if letter == "c" else "8" for letter in said]
    return [
        Answer(
            env=env,
            problem=problem,
            family=family,
            outcome=SAID[letter],
            score=float(letter == "c"),
            answer=text if letter in "cw" else None,
            tokens=tokens,
            truncated=letter == "u",
        )
        for letter, text in zip(said, texts, strict=True)
    ]


def test_the_figures_of_two_problems_are_those_by_hand():
    found = scores([*answers("a", "ccww", tokens=10), *answers("b", "cccu", tokens=30)])
    assert (found.problems, found.samples, found.broken) == (2, 4, 0)
    assert found.avg_at_k.value == pytest.approx((0.5 + 0.75) / 2)
    # Of 2 draws from ccww one right: 1 - 1/6; from cccu: always. All right: 1/6 and 3/6.
    assert found.pass_at_k[2].value == pytest.approx((5 / 6 + 1) / 2)
    assert found.pass_hat_k[2].value == pytest.approx((1 / 6 + 1 / 2) / 2)
    assert found.pass_at_k[4].value == 1
    assert found.pass_hat_k[4].value == 0
    assert found.majority_at_k is not None
    assert found.majority_at_k.value == pytest.approx((0.5 + 1) / 2)  # a tie, and three of three
    assert found.mean_tokens.value == 20
    assert found.truncated_fraction == 1 / 8
    assert found.outcomes["correct"] == 5


def test_pass_at_1_pass_hat_1_and_the_mean_are_one():
    found = scores([*answers("a", "ccww"), *answers("b", "cwww"), *answers("c", "wwww")])
    assert found.pass_at_k[1] == pytest.approx(found.pass_hat_k[1])
    assert found.pass_at_k[1] == pytest.approx(found.avg_at_k)


def test_broken_verdicts_count_neither_way_and_shorten_the_curves():
    found = scores([*answers("a", "cbb"), *answers("b", "bbb"), *answers("c", "cwb")])
    assert (found.problems, found.samples, found.broken) == (3, 3, 6)
    assert found.avg_at_k.value == pytest.approx((1 + 0.5) / 2)
    assert list(found.pass_at_k) == [1, 2]  # no problem has three judged answers
    assert found.pass_at_k[2].value == 1  # one has two


def test_nothing_but_broken_verdicts_is_no_score():
    with pytest.raises(ValueError, match="environment 'dates': none of the 2 answers"):
        scores_json([*answers("a", "cc"), *answers("b", "bb", env="dates")])


@settings(deadline=None)
@given(st.integers(1, 7), st.data())
def test_pass_figures_are_the_shares_of_all_draws(n, data):
    c = data.draw(st.integers(0, n))
    k = data.draw(st.integers(1, n))
    draws = list(combinations([True] * c + [False] * (n - c), k))
    assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, draws)) / len(draws))
    assert pass_hat_k(n, c, k) == pytest.approx(sum(map(all, draws)) / len(draws))


@pytest.mark.parametrize(("n", "c", "k"), [(4, 5, 1), (4, -1, 1), (4, 1, 5), (4, 1, 0)])
def test_pass_hat_k_refuses_impossible_counts(n, c, k):
    with pytest.raises(ValueError, match=r"pass\^k needs"):
        pass_hat_k(n, c, k)


@pytest.mark.parametrize(
    ("votes", "chance"),
    [
        ([], 0),
        ([(False, "3")], 0),
        ([(True, "1/2"), (True, "0.5"), (False, "2"), (False, "3")], 1),  # right ones are one
        ([(True, "1"), (False, "2"), (False, "2")], 0),
        ([(True, "1"), (False, "2")], 0.5),
        ([(True, "1"), (False, "2"), (False, "3")], 1 / 3),
        ([(True, "1"), (False, "2  x"), (False, " 2 x\n")], 0),  # but for spaces the same
        ([(True, "1"), (False, ""), (False, "")], 0),
    ],
)
def test_the_majority_is_the_most_common_answer_and_ties_are_broken_by_lot(votes, chance):
    assert majority(votes) == pytest.approx(chance)


def test_answers_that_are_not_compared_have_no_majority():
    programs = answers("a", "cw", texts=[None, None])
    assert scores(programs).majority_at_k is None
    assert scores_json(programs)["all"]["majority_at_k"] is None
    unread = scores(answers("a", "uu")).majority_at_k
    assert unread is not None
    assert unread.value == 0


def test_families_widen_the_interval():
    rows = [(str(i), "cc" if i < 12 else "ww", str(i // 4)) for i in range(24)]
    alone = scores([a for p, said, _ in rows for a in answers(p, said)])
    clustered = scores([a for p, said, f in rows for a in answers(p, said, family=f)])
    assert clustered.avg_at_k.value == alone.avg_at_k.value
    for name in ("avg_at_k", "majority_at_k"):
        narrow, wide = getattr(alone, name), getattr(clustered, name)
        assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


def test_the_same_key_in_two_environments_is_two_problems():
    found = scores_json([*answers("a", "cc", env="x"), *answers("a", "ww", env="y")])
    assert found["all"]["problems"] == 2
    assert {name: s["avg_at_k"]["value"] for name, s in found["by_env"].items()} == {"x": 1, "y": 0}


def test_scores_are_plain_json():
    found = scores_json([*answers("a", "ccw"), *answers("b", "wwu")])
    assert json.loads(json.dumps(found)) == found
    assert set(found["all"]["pass_at_k"]) == {"1", "2", "3"}
    assert set(found["all"]["avg_at_k"]) == {"value", "low", "high"}


def checkpoint(right, n=200, shift=0):
    return [a for i in range(n) for a in answers(str(i + shift), "cc" if i < right else "ww")]


def test_a_better_checkpoint_is_called_better_with_its_interval():
    found = compare(checkpoint(100), checkpoint(130), names=("before", "after"))
    assert found.problems == 200
    assert found.sentence == (
        "after is better than before by 15.0 points, 95 % interval "
        f"{100 * found.difference.low:.1f} to {100 * found.difference.high:.1f}"
    )
    back = compare(checkpoint(130), checkpoint(100), names=("after", "before"))
    assert back.sentence == found.sentence.replace("better", "worse").replace(
        "after is", "before is"
    ).replace("than before", "than after")


def test_no_difference_is_not_called_one():
    found = compare(checkpoint(100), checkpoint(101), names=("A", "B"))
    assert found.sentence.startswith("no difference can be told: B minus A is 0.5 points, 95 %")
    assert found.difference.low < 0 < found.difference.high
    same = compare(checkpoint(100), checkpoint(100), names=("A", "B"))
    assert "is 0.0 points" in same.sentence


def test_only_problems_that_both_have_are_compared():
    found = compare(checkpoint(50, n=100), checkpoint(50, n=100, shift=40), names=("A", "B"))
    assert (found.problems, found.unpaired) == (60, 80)
    with pytest.raises(ValueError, match="A and B have no judged problem in common"):
        compare(checkpoint(1, n=2), checkpoint(1, n=2, shift=2), names=("A", "B"))


def test_families_can_take_a_difference_away():
    def rows(learnt, family):
        return [
            a
            for i in range(60)
            for a in answers(str(i), "c" if i < 30 + learnt else "w", family=family(i))
        ]

    def sentence(family):
        return compare(rows(0, family), rows(6, family), names=("A", "B")).sentence

    assert sentence(lambda i: None).startswith("B is better than A by 10.0 points")
    assert sentence(lambda i: str(i // 6)).startswith("no difference can be told")


@given(st.integers(1, 60), st.data())
@settings(max_examples=200)
def test_all_k_at_once_are_the_exact_ones(n, data):
    c = data.draw(st.integers(0, n))
    assert all_right(n, c) == pytest.approx([pass_hat_k(n, c, k) for k in range(1, n + 1)])
    found = scores(answers("a", "c" * c + "w" * (n - c)))
    assert [e.value for e in found.pass_at_k.values()] == pytest.approx(
        [pass_at_k(n, c, k) for k in range(1, n + 1)]
    )


def test_what_the_server_failed_on_has_no_length():
    failed = replace(answers("a", "b")[0], tokens=0, failed=True)
    found = scores([*answers("a", "cu", tokens=30), failed, *answers("b", "cc", tokens=10)])
    assert found.mean_tokens.value == 20
    assert found.truncated_fraction == 1 / 4
    assert found.broken == 1

import pytest

from envs.base import Task
from rl.learner.batch import pack
from rl.metrics import pace_row, sample_rows, signs, step_row
from rl.recipe.config import Recipe
from rl.record import RunDirectory
from rl.sampling.pace import Pace
from rl.types import ENGINE, Completion, CriticUpdate, Graded, Rollout, Span, Stop, Update
from verifiers.verdict import broken, correct, wrong

RECIPE = Recipe.model_validate({"model": "embedded", "envs": [{"name": "arithmetic"}]})
UPDATE = Update(
    version=9, loss=0.0, grad_norm=0.0, lr=0.0, clip_fraction=0.25, masked_fraction=0.5,
    mismatch_kl=0.0, logprob_diff_mean=0.0, logprob_diff_max=0.0, ratio_max=1.0, prob_diff_max=0.75,
    n_tokens=3, n_trained_tokens=0, n_micro_batches=1, entropy=0.5,
    optional={"reference_kl": 0.125},
)  # fmt: skip


def answer(n: int, version: int = 8, stop: Stop = Stop.FINISHED) -> Graded:
    spans = (Span(version, 0, n),) if n else ()
    completion = Completion([1] * n, [0.0] * n, stop, spans)
    verdict = broken("no answer", ENGINE) if stop is Stop.FAILED else correct("2")
    return Graded(Rollout("arithmetic", Task("1+1=?", "2"), [1], completion, "2"), verdict, 1.0)


def row(*group: Graded):
    groups = [list(group)]
    return step_row(9, groups, [], pack(groups, RECIPE), UPDATE, 0.0)


def test_an_answer_that_failed_without_a_token_has_no_staleness():
    assert row(answer(3), answer(2, version=6), answer(0, stop=Stop.FAILED))["staleness_max"] == 2
    assert row(answer(3), answer(2, version=1, stop=Stop.FAILED))["staleness_max"] == 0
    assert row(answer(0, stop=Stop.FAILED))["staleness_max"] == 0


def test_a_row_says_how_much_was_clipped_and_left_out():
    found = row(answer(3))
    shares = [found[key] for key in ("clip_fraction", "masked_fraction", "prob_diff_max")]
    assert shares == [0.25, 0.5, 0.75]


def test_a_row_has_the_critics_numbers_where_there_is_a_critic():
    groups = [[answer(3)]]
    critic = CriticUpdate(0.1, 0.5, 0.25, 0.75, 0.0, 1.0, policy_frozen=True)
    update = UPDATE._replace(critic=critic)
    found = step_row(9, groups, [], pack(groups, RECIPE), update, 0.0)
    assert found["critic"] == critic._asdict()
    assert "critic" not in row(answer(3))


@pytest.mark.parametrize(("lengths", "ended"), [((5, 9, 9), True), ((5, 12, 12), False)])
def test_answers_cut_off_before_their_budget_met_the_end_of_the_context(lengths, ended):
    groups = [[answer(n, stop=Stop.LENGTH) for n in lengths]]
    seen = signs(9, groups, pack(groups, RECIPE), 12)
    assert seen.truncated_fraction == 1.0
    assert seen.context_ended is ended


def test_no_text_of_a_policy_an_author_or_a_data_set_stops_the_record(tmp_path):
    half = "half a pair: \ud800"
    task = Task(half, {"tests": [half], half: half})
    completion = Completion([1], [0.0], Stop.FINISHED, (Span(0, 0, 1),))
    rollout = Rollout("arithmetic", task, [1], completion, half, {"data": half})
    graded = Graded(rollout, wrong(half, half, half), 0.0)
    rows = list(sample_rows(1, [[graded]], split="train", training=None))
    directory = RunDirectory(tmp_path)
    directory.append("samples.jsonl", rows)
    (read,) = directory.rows("samples.jsonl")
    assert (read["response"], read["truth"]) == (half, task.truth)
    assert read["verdict"] == graded.verdict.to_json()
    assert half in str(read["prompt"])
    assert read["options"] == {"data": half}


def test_the_learner_is_idle_in_all_that_is_not_learning():
    phases = {"sample_s": 5.0, "learn_s": 2.0, "publish_s": 0.5, "evaluate_s": 2.5}
    assert pace_row(Pace(idle_fraction=0.25, tokens_per_s=1234.56), phases) == {
        "servers_idle_fraction": 0.25,
        "learner_idle_fraction": 0.8,
        "sampled_tokens_per_s": 1234.6,
    }

import pytest
import torch

from envs.base import Task
from rl.learner.batch import pack
from rl.recipe.config import Recipe
from rl.recipe.sections import Curriculum
from rl.types import Completion, Graded, Rollout, Span, Stop
from verifiers.verdict import broken, correct, wrong


def recipe(rollout=None, teacher=None, critic=None, **algorithm):
    sections = {"rollout": rollout or {}, "teacher": teacher, "algorithm": algorithm}
    sections["critic"] = critic
    return Recipe.model_validate(
        {"model": "embedded", "envs": [{"name": "arithmetic"}], **sections}
    )


def graded(reward, n=2, stop=Stop.FINISHED, verdict=None, prompt=(7, 8)):
    """A rollout of `n` sampled tokens 10, 11, ... with log-probabilities -0.1, -0.2, ..."""
    tokens = list(range(10, 10 + n))
    logprobs = [-0.1 * (i + 1) for i in range(n)]
    completion = Completion(tokens, logprobs, stop, (Span(0, 0, n),))
    rollout = Rollout("arithmetic", Task("1 + 1", "2"), list(prompt), completion, "answer")
    found = verdict or (correct("2") if reward else wrong("3", "not 2"))
    return Graded(rollout, found, reward)


def test_a_group_is_laid_end_to_end_by_hand():
    group = [graded(1.0, n=2), graded(0.0, n=3, prompt=(7, 8, 9))]
    packed = pack([group], recipe(advantage="group_mean"))
    batch = packed.batch
    assert batch.tokens.tolist() == [7, 8, 10, 11, 7, 8, 9, 10, 11, 12]
    assert batch.positions.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 4, 5]
    assert batch.loss_mask.tolist() == [False, False, True, True] + [False] * 3 + [True] * 3
    assert batch.advantages.tolist() == [0, 0, 0.5, 0.5, 0, 0, 0, -0.5, -0.5, -0.5]
    expected = torch.tensor([0, 0, -0.1, -0.2, 0, 0, 0, -0.1, -0.2, -0.3])
    torch.testing.assert_close(batch.rollout_logprobs, expected)
    assert batch.n_tokens == batch.denominator == 5
    assert batch.weights.tolist() == batch.loss_mask.float().tolist()
    assert packed.advantages == [[0.5, -0.5]]
    assert packed.skipped == [[None, None]]
    assert packed.signal_groups == 1
    types = [batch.tokens, batch.positions, batch.loss_mask, batch.rollout_logprobs]
    assert [t.dtype for t in types] == [torch.int64, torch.int64, torch.bool, torch.float32]


def test_constant_groups_are_not_packed_but_their_tokens_count():
    signal, constant = [graded(1.0), graded(0.0)], [graded(1.0, n=5), graded(1.0, n=6)]
    packed = pack([constant, signal], recipe())
    assert packed.batch.n_tokens == 2 + 2 + 5 + 6
    assert int(packed.batch.loss_mask.sum()) == 4
    assert packed.skipped == [["constant_reward"] * 2, [None, None]]
    assert packed.advantages[0] == [0.0, 0.0]
    assert packed.signal_groups == 1


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (graded(0.0, n=9, stop=Stop.FAILED), "rollout_failed"),
        (graded(0.0, n=9, verdict=broken("sympy raised")), "verifier_broken"),
        (graded(0.0, n=0), "no_tokens"),
    ],
)
def test_what_is_not_the_policys_fault_is_left_out_and_the_rest_of_the_group_stays(member, reason):
    with_it = pack([[graded(1.0), member, graded(0.0)]], recipe())
    without = pack([[graded(1.0), graded(0.0)]], recipe())
    assert with_it.skipped == [[None, reason, None]]
    assert with_it.advantages == [[without.advantages[0][0], 0.0, without.advantages[0][1]]]
    assert with_it.batch.n_tokens == without.batch.n_tokens
    torch.testing.assert_close(with_it.batch.tokens, without.batch.tokens)


def test_truncated_answers_are_trained_on_unless_the_recipe_says_no():
    group = [graded(1.0), graded(0.0, stop=Stop.LENGTH), graded(0.0)]
    assert pack([group], recipe()).skipped == [[None, None, None]]
    left = pack([group], recipe({"truncated": "mask"}))
    assert left.skipped == [[None, "truncated", None]]
    assert left.batch.n_tokens == 4


def test_a_rollout_left_alone_has_no_baseline_but_its_tokens_count():
    packed = pack([[graded(1.0, n=3), graded(0.0, stop=Stop.FAILED)]], recipe())
    assert packed.skipped == [["no_baseline", "rollout_failed"]]
    assert packed.batch.n_tokens == 3
    assert packed.batch.tokens.numel() == 0
    assert packed.signal_groups == 0


TEACHER = {"model": "org/teacher"}


@pytest.mark.parametrize(
    "learns",
    [
        recipe(teacher=TEACHER),
        recipe(kl_coef=0.1),
        recipe(entropy_coef=0.1),
        recipe(entropy_target=0.3),
    ],
)
def test_where_every_answer_learns_groups_without_signal_are_packed_with_advantage_zero(learns):
    signal, constant = [graded(1.0), graded(0.0)], [graded(1.0, n=5), graded(1.0, n=6)]
    alone = [graded(1.0, n=3), graded(0.0, stop=Stop.FAILED)]
    packed = pack([constant, signal, alone], learns)
    plain = pack([constant, signal, alone], recipe())
    assert packed.skipped == [[None] * 2, [None] * 2, [None, "rollout_failed"]]
    assert int(packed.batch.loss_mask.sum()) == packed.batch.n_tokens == 5 + 6 + 2 + 2 + 3
    assert packed.batch.denominator == plain.batch.denominator
    assert packed.advantages == plain.advantages
    assert packed.signal_groups == plain.signal_groups == 1, "of the rewards"
    assert (packed.batch.advantages != 0).sum() == 4


def test_groups_that_dynamic_sampling_drops_do_not_learn_from_a_teacher_either():
    signal, constant = [graded(1.0), graded(0.0)], [graded(1.0, n=5), graded(1.0, n=6)]
    learns = recipe(teacher=TEACHER).model_copy(update={"curriculum": Curriculum(dynamic=True)})
    packed = pack([constant, signal], learns)
    assert packed.skipped == [["constant_reward"] * 2, [None, None]]
    assert packed.batch.n_tokens == int(packed.batch.loss_mask.sum()) == 4


def test_without_an_advantage_only_the_teacher_says_what_was_better():
    groups = [[graded(1.0), graded(0.0)], [graded(1.0)], [graded(0.0, stop=Stop.FAILED)]]
    packed = pack(groups, recipe(teacher=TEACHER, advantage="none"))
    assert packed.advantages == [[0.0, 0.0], [0.0], [0.0]]
    assert packed.batch.advantages.abs().max() == 0
    assert packed.batch.loss_mask.sum() == 6
    assert packed.skipped == [[None, None], [None], ["rollout_failed"]]
    assert packed.signal_groups == 2


def test_a_step_without_signal_is_an_empty_batch():
    batch = pack([[graded(1.0), graded(1.0)]], recipe()).batch
    assert [t.shape for t in batch[:7]] == [(0,)] * 7
    assert batch.n_tokens == 4


@pytest.mark.parametrize(
    ("logprobs", "said"),
    [([-0.1], "2 tokens but 1 log-prob"), ([-0.1, float("nan")], "not finite")],
)
def test_log_probabilities_that_cannot_be_are_refused(logprobs, said):
    good = graded(1.0)
    old = good.rollout
    completion = Completion(old.completion.tokens, logprobs, Stop.FINISHED, old.completion.spans)
    bad = Rollout(old.env, old.task, old.prompt_tokens, completion, old.response)
    with pytest.raises(ValueError, match=said):
        pack([[Graded(bad, good.verdict, 1.0), graded(0.0)]], recipe())


# Two tasks with signal, one without; one answer that counts nowhere. Sampled tokens:
# 2 and 3; 4 and 1; 5 and 6.
STEP = [
    [graded(1.0, n=2), graded(0.0, n=3)],
    [graded(0.0, n=4), graded(1.0, n=1), graded(0.0, n=9, stop=Stop.FAILED)],
    [graded(1.0, n=5), graded(1.0, n=6)],
]


@pytest.mark.parametrize(
    ("aggregation", "weights", "denominator"),
    [
        ({"aggregation": "token"}, [1, 1, 1, 1], 21),
        ({"aggregation": "sequence"}, [1 / 2, 1 / 3, 1 / 4, 1], 6),
        ({"aggregation": "prompt"}, [1 / 5, 1 / 5, 1 / 5, 1 / 5], 3),
        ({"aggregation": "constant", "constant_tokens": 10}, [1, 1, 1, 1], 60),
        ({"aggregation": "constant"}, [1, 1, 1, 1], 6 * 1024),  # rollout.max_new_tokens
    ],
)
def test_weights_and_denominator_by_hand(aggregation, weights, denominator):
    batch = pack(STEP, recipe(**aggregation)).batch
    lengths = [2, 3, 4, 1]
    expected = [x for w, n in zip(weights, lengths, strict=True) for x in [0, 0] + [w] * n]
    torch.testing.assert_close(batch.weights, torch.tensor(expected, dtype=torch.float32))
    assert (batch.denominator, batch.n_tokens) == (denominator, 21)


def test_the_deviation_of_a_step_is_that_of_the_groups_with_signal():
    found = pack(STEP, recipe(advantage="batch_std")).advantages
    deviation = (4 * 0.25 / 3) ** 0.5
    up, down = pytest.approx(0.5 / deviation, rel=1e-5), pytest.approx(-0.5 / deviation, rel=1e-5)
    assert found == [[up, down], [down, up, 0.0], [0.0, 0.0]]
    assert pack(STEP[:2], recipe(advantage="batch_std")).advantages == found[:2]


def test_with_a_critic_every_valid_answer_is_trained_on_and_paid_after_its_last_token():
    alone, failed = [graded(1.0, n=3)], graded(0.0, n=9, stop=Stop.FAILED)
    cut = graded(0.5, n=2, stop=Stop.LENGTH)
    packed = pack(
        [alone, [graded(1.0), graded(1.0)], [failed, cut]], recipe(critic={}, preset="ppo")
    )
    assert packed.skipped == [[None], [None, None], ["rollout_failed", None]]
    assert packed.signal_groups == 3
    assert packed.advantages == [[None], [None, None], [0.0, None]]
    assert packed.batch.n_tokens == int(packed.batch.loss_mask.sum()) == 9
    paid = [0, 0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0.5]
    assert packed.batch.rewards.tolist() == [x for answer in paid for x in answer]
    assert pack([[failed]], recipe(critic={}, preset="ppo")).signal_groups == 0

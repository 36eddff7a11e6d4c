"""The simulated schedule: small ones by hand, and what holds for all of them."""

from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl.errors import UserError
from rl.simulator.lengths import Lengths, Source, in_turn, lognormal
from rl.simulator.rules import Discarding, Setup
from rl.simulator.server import Costs
from rl.simulator.simulate import Report, simulate

TWO = in_turn([Lengths(0, (3, 5)), Lengths(0, (2, 7))])  # the same two groups in every batch
ONE_BY_ONE = Costs(step_s=1.0, learn_step_s=2.0, publish_s=1.0, pause_s=1.0)
SKEWED = lognormal(100, 1000, 1.0, group_size=4)
RATES = Costs(
    step_s=0.01,
    answer_s=0.001,
    request_s=3e-3,
    prefill_s=1e-4,
    verify_s=0.02,
    learn_step_s=0.2,
    learn_token_s=1e-3,
    publish_s=0.1,
    pause_s=0.05,
)


def test_a_synchronous_step_lasts_as_long_as_its_longest_answer_then_learns_then_publishes() -> (
    None
):
    report = simulate(TWO, Setup(steps=3, groups_per_step=2), ONE_BY_ONE)
    assert [step.begun_s for step in report.steps] == [0, 10, 20]
    assert [step.learning_s for step in report.steps] == [7, 17, 27]
    assert [step.ended_s for step in report.steps] == [10, 20, 30]
    assert report.tokens_per_s == 3 * 17 / 30
    assert report.servers_idle == pytest.approx(0.3)
    assert report.learner_idle == pytest.approx(0.8)
    assert report.staleness_max == 0
    assert report.staleness_mean == 0


def test_two_places_take_the_answers_in_the_order_of_their_tasks() -> None:
    # 3 and 5 begin; at 3 the 2 takes the place until 5; the 7 the other one from 5 to 12.
    report = simulate(TWO, Setup(steps=1, groups_per_step=2, slots=2), ONE_BY_ONE)
    assert report.steps[0].learning_s == 12


def test_a_decoding_step_takes_longer_with_more_answers_and_with_longer_ones() -> None:
    one_batch = Setup(steps=1, groups_per_step=2)
    # In flight: 4 for 2 steps, 3 for 1, 2 for 2, 1 for 2.
    report = simulate(TWO, one_batch, Costs(step_s=1, answer_s=10))
    assert report.seconds == pytest.approx(7 + 10 * (4 * 2 + 3 * 1 + 2 * 2 + 1 * 2))
    # Each answer reads 1, 2, ... tokens of itself.
    report = simulate(TWO, one_batch, Costs(step_s=1, context_s=10))
    assert report.seconds == pytest.approx(7 + 10 * sum(n * (n + 1) / 2 for n in (3, 5, 2, 7)))
    # And the prompt, which is computed once for each answer before.
    prompts = in_turn([Lengths(100, (3, 5))])
    report = simulate(prompts, one_batch._replace(groups_per_step=1), Costs(1, prefill_s=0.25))
    assert report.seconds == pytest.approx(2 * 25 + 5)


def test_groups_are_dealt_out_to_the_servers_or_answers_are() -> None:
    costs = Costs(step_s=1)
    groups = Setup(steps=1, groups_per_step=2, servers=4, slots=1)
    # Group 0 to server 0, one answer after the other: 8; group 1 to server 1: 9; two are idle.
    report = simulate(TWO, groups, costs)
    assert report.seconds == 9
    assert report.servers_idle == pytest.approx(1 - 17 / 36)
    assert simulate(TWO, groups._replace(spread="answers"), costs).seconds == 7


def test_one_step_ahead_the_servers_sample_while_the_learner_works() -> None:
    """By hand: batches of one answer of 10 tokens, learning 10 s, publishing at once."""
    costs = Costs(step_s=1, learn_step_s=10)
    one = in_turn([Lengths(0, (10,))])
    setup = Setup(steps=5, groups_per_step=1, slots=1, max_staleness=1)
    ahead = simulate(one, setup, costs)
    # Both begin at 0, and the second one waits for the only place until 10; from then on the
    # learner learns from one while the next is sampled.
    assert [step.learning_s for step in ahead.steps] == [10, 20, 30, 40, 50]
    assert ahead.learner_idle == pytest.approx(10 / 60)
    assert simulate(one, setup._replace(max_staleness=0), costs).seconds == 100


def test_every_token_knows_the_weights_that_sampled_it() -> None:
    costs = Costs(step_s=1, learn_step_s=4)
    one = in_turn([Lengths(0, (10,))])
    report = simulate(one, Setup(steps=3, groups_per_step=1, slots=2, max_staleness=1), costs)
    # Batches 1 and 2 end at 10, learning from 10 to 14 and to 18. Batch 3 begins at 14 under the
    # first weights, gets the second ones at 18, ends at 24: 4 tokens are one update old.
    assert [step.learning_s for step in report.steps] == [10, 14, 24]
    assert [step.stale_tokens for step in report.steps] == [0, 10, 4]
    assert [step.staleness_max for step in report.steps] == [0, 1, 1]
    assert report.staleness_mean == pytest.approx(14 / 30)
    assert report.oldest_mean == pytest.approx(2 / 3)


def test_a_server_that_is_paused_decodes_nothing_and_then_computes_contexts_again() -> None:
    costs = Costs(step_s=1, prefill_s=0.5, learn_step_s=4, publish_s=3, pause_s=2)
    source = in_turn([Lengths(0, (10,)), Lengths(0, (20,))])
    setup = Setup(steps=2, groups_per_step=1, max_staleness=1)
    report = simulate(source, setup, costs)
    # Learning from 10 to 14, staged until 15, paused until 17 with 15 tokens held: 7.5 s of
    # prefill, then the 5 tokens that are left.
    assert report.steps[1].learning_s == 17 + 7.5 + 5
    assert simulate(source, setup._replace(update="reuse"), costs).steps[1].learning_s == 17 + 5


def test_an_update_that_waits_lets_answers_end_and_begins_none() -> None:
    costs = Costs(step_s=1, learn_step_s=4, publish_s=2, pause_s=2)
    source = in_turn([Lengths(0, (10,)), Lengths(0, (20,)), Lengths(0, (5,))])
    setup = Setup(steps=3, groups_per_step=1, max_staleness=1)
    waits = simulate(source, setup._replace(update="wait"), costs)
    # Learnt at 14, but the second answer ends at 20; the third begins with the weights, at 22,
    # and ends at 27, a second after the second update.
    assert [step.ended_s for step in waits.steps] == [22, 29, 35]
    keeps = simulate(source, setup, costs)
    # Weights at 16, when the third one begins; the second one was held for 2 and ends at 22.
    assert [step.ended_s for step in keeps.steps] == [16, 28, 34]


def test_on_shared_devices_nothing_is_decoded_while_the_learner_works() -> None:
    costs = Costs(step_s=1, learn_step_s=10)
    one = in_turn([Lengths(0, (10,))])
    setup = Setup(steps=4, groups_per_step=1, slots=1, max_staleness=1, colocated=True)
    assert simulate(one, setup, costs).seconds == 80


STRAGGLING = in_turn([Lengths(0, (2, 3, 50)), Lengths(0, (4, 5, 6)), Lengths(0, (2, 2, 2))])


def test_answers_that_are_late_are_learned_from_in_a_later_step() -> None:
    costs = Costs(step_s=1, learn_step_s=1)
    setup = Setup(steps=3, groups_per_step=1, max_staleness=1, straggler_s=1.0)
    report = simulate(STRAGGLING, setup, costs)
    # At 3 the first task has two answers, at 5 the second. The last step waits for all.
    assert [step.lengths for step in report.steps] == [[2, 3], [4, 5], [50, 6, 2, 2, 2]]
    assert [step.learning_s for step in report.steps] == [3, 5, 50]
    waits = simulate(STRAGGLING, setup._replace(straggler_s=None), costs)
    assert [step.learning_s for step in waits.steps] == [50, 51, 53]


def test_patience_lasts_its_time() -> None:
    costs = Costs(step_s=1, learn_step_s=1)
    setup = Setup(steps=3, groups_per_step=1, max_staleness=1, straggler_s=20.0)
    assert simulate(STRAGGLING, setup, costs).steps[0].learning_s == 20


def closed_form_s(source: Source, setup: Setup, costs: Costs) -> float:
    """A synchronous run where every answer has a place: phase after phase."""
    total = 0.0
    for step in range(setup.steps):
        groups = [source(step * setup.groups_per_step + i) for i in range(setup.groups_per_step)]
        seconds = []
        for server in range(setup.servers):
            own = groups[server :: setup.servers]
            answers = [length for group in own for length in group.answers]
            prompts = sum(group.prompt * len(group.answers) for group in own)
            seconds.append(
                costs.step_s * max(answers, default=0)
                + costs.answer_s * sum(answers)
                + costs.request_s * len(answers)
                + costs.prefill_s * prompts
            )
        tokens = sum(group.prompt + n for group in groups for n in group.answers)
        learn_s = costs.learn_step_s + costs.learn_token_s * tokens / setup.ranks
        total += max(seconds) + costs.verify_s + learn_s + costs.publish_s
    return total


lengths = st.lists(
    st.tuples(st.integers(0, 20), st.lists(st.integers(1, 60), min_size=2, max_size=4)),
    min_size=1,
    max_size=6,
).map(lambda groups: [Lengths(prompt, tuple(answers)) for prompt, answers in groups])


@settings(max_examples=60, deadline=None)
@given(lengths, st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))
def test_a_synchronous_run_lasts_as_long_as_its_phases_together(
    groups: list[Lengths], per_step: int, servers: int, ranks: int
) -> None:
    setup = Setup(4, per_step, servers, slots=64, ranks=ranks)
    report = simulate(in_turn(groups), setup, RATES)
    assert report.seconds == pytest.approx(closed_form_s(in_turn(groups), setup, RATES))


setups = st.builds(
    Setup,
    steps=st.just(4),
    groups_per_step=st.integers(1, 5),
    servers=st.integers(1, 3),
    slots=st.integers(1, 8),
    max_staleness=st.integers(1, 4),
    straggler_s=st.none() | st.floats(0, 2),
    ranks=st.integers(1, 3),
    rank_efficiency=st.floats(0.1, 1),
    update=st.sampled_from(["recompute", "reuse", "wait"]),
    colocated=st.booleans(),
    spread=st.sampled_from(["groups", "answers"]),
)


@settings(max_examples=60, deadline=None)
@given(lengths, setups)
def test_what_is_sampled_is_trained_on_once_whatever_the_schedule(
    groups: list[Lengths], setup: Setup
) -> None:
    source = in_turn(groups)
    report = simulate(source, setup, RATES)
    drawn = [n for i in range(setup.steps * setup.groups_per_step) for n in source(i).answers]
    assert sorted(report.trained) == sorted(report.sampled) == sorted(drawn)
    assert len(report.steps) == setup.steps
    assert 0 <= report.servers_idle <= 1
    assert 0 <= report.learner_idle <= 1
    times = [t for step in report.steps for t in step[:4]]
    assert times == sorted(times)
    if setup.straggler_s is None:
        assert report.staleness_max <= setup.max_staleness


@settings(max_examples=60, deadline=None)
@given(lengths, st.integers(1, 5), st.integers(1, 6), st.integers(1, 6))
def test_more_places_never_make_a_synchronous_run_slower(
    groups: list[Lengths], per_step: int, fewer: int, more: int
) -> None:
    """With updates in flight that need not be: the order in which answers end changes."""
    setup = Setup(3, per_step, slots=fewer)
    few = simulate(in_turn(groups), setup, RATES)
    many = simulate(in_turn(groups), setup._replace(slots=fewer + more), RATES)
    assert many.seconds <= few.seconds * (1 + 1e-9)


AHEAD = Setup(steps=40, groups_per_step=8, slots=64, max_staleness=2)


def bias(report: Report) -> float:
    """Mean length trained on over mean length sampled."""
    return fmean(report.trained) / fmean(report.sampled)


def test_the_lengths_trained_on_are_those_sampled() -> None:
    report = simulate(SKEWED, AHEAD, RATES)
    assert sorted(report.trained) == sorted(report.sampled)
    assert bias(report) == 1


def test_a_schedule_that_discards_late_answers_trains_on_short_ones() -> None:
    """The same test as above, which it fails."""
    report = simulate(SKEWED, AHEAD, RATES, Discarding)
    assert sorted(report.trained) != sorted(report.sampled)
    assert bias(report) < 0.9


def test_running_ahead_of_the_learner_pays_where_lengths_are_skewed() -> None:
    rates = {
        ahead: simulate(SKEWED, AHEAD._replace(max_staleness=ahead), RATES).tokens_per_s
        for ahead in (0, 1, 4)
    }
    assert rates[1] > 1.2 * rates[0]
    assert rates[4] > rates[1]


def test_the_same_lengths_and_costs_give_the_same_schedule() -> None:
    assert simulate(SKEWED, AHEAD, RATES) == simulate(SKEWED, AHEAD, RATES)


def test_steps_that_warm_up_are_left_out() -> None:
    report = simulate(TWO, Setup(steps=4, groups_per_step=2), ONE_BY_ONE).after(1)
    assert report.seconds == 30
    assert report.steps_per_s == 0.1
    assert report.servers_idle == pytest.approx(0.3)
    assert report.phase_s("sample") == 7
    assert report.phase_s("learn") == 2


def test_a_decoding_step_without_a_cost_is_refused() -> None:
    with pytest.raises(ValueError, match="step_s is 0"):
        simulate(TWO, Setup(1, 1), Costs(step_s=0))


@pytest.mark.parametrize(("mean", "longest", "sigma"), [(8192, 32768, 0.8), (8192, 131072, 1.5)])
def test_drawn_lengths_have_the_mean_that_was_asked_for(
    mean: float, longest: int, sigma: float
) -> None:
    source = lognormal(mean, longest, sigma, group_size=100)
    drawn = [n for index in range(200) for n in source(index).answers]
    # Standard error: 20,000 answers whose deviation is at most 2.5 times their mean.
    assert fmean(drawn) == pytest.approx(mean, rel=0.05)
    assert max(drawn) <= longest
    assert source(7) == source(7) != source(8)


def test_lengths_that_cannot_be_are_refused() -> None:
    with pytest.raises(UserError, match="the mean must be at least 1 and below the most"):
        lognormal(100, 100, 1.0, 8)
    with pytest.raises(UserError, match="no answers"):
        in_turn([])

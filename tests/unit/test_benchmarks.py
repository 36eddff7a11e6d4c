"""The parts of benchmarks/ that only compute; the measurements themselves are no tests."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
import torch

from benchmarks import gpu_learner
from benchmarks.async_loop import AHEAD, COUNTED, run_overrides, tokens_per_s
from benchmarks.environments import NoEnvironment, interpreter_with
from benchmarks.harness import (
    LONG,
    SHORT,
    BenchmarkError,
    Helper,
    Row,
    interleave,
    recipe_of,
    table,
    three_digits,
)
from benchmarks.honest_answers import PAIRS, honest
from benchmarks.learner import IGNORED, Pass, packed_passes, padded_passes
from benchmarks.math_answers import PLAIN, cases, judge, plain
from benchmarks.packing import padded
from benchmarks.sampling import share
from benchmarks.scaling import Case, context_in_flight, lengths, rank_efficiency, slots
from benchmarks.verifiers import both_ways, short_cuts
from benchmarks.weights import Line
from rl.learner.batch import Batch
from rl.learner.microbatch import sequence_lengths

Passes = Callable[[Batch, int], Iterator[Pass]]


def test_a_ratio_above_one_always_means_that_ours_is_better() -> None:
    faster = Row("x", "tokens/s", [200.0], [100.0], more_is_better=True)
    sooner = Row("x", "s", [1.0], [2.0], more_is_better=False)
    assert faster.ratio == 2.0
    assert sooner.ratio == 2.0


def test_the_ratio_is_of_medians_so_one_outlier_does_not_move_it() -> None:
    assert Row("x", "s", [1.0, 1.0, 50.0], [2.0, 2.0, 2.0], more_is_better=False).ratio == 2.0


def test_the_table_says_whether_an_aim_was_reached() -> None:
    rows = [
        Row("met", "tokens/s", [95.0], [100.0], True, 0.9),
        Row("missed", "s", [1.0], [1.2], False, 1.5),
        Row("without an aim", "ms", [1234.5], [0.01234], False),
    ]
    lines = table(rows).splitlines()
    assert lines[2] == "| met | tokens/s | 95.0 | 100 | 0.95 x | 0.9 ✓ |"
    assert lines[3] == "| missed | s | 1.00 | 1.20 | 1.20 x | 1.5 ✗ |"
    assert lines[4].startswith("| without an aim | ms | 1,230 | 0.0123 |")
    assert lines[4].endswith("|  |")


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (1234567, "1,230,000"), (99.96, "100"), (12.345, "12.3"), (0.05, "0.0500")],
)
def test_figures_are_shown_with_three_digits(value: float, shown: str) -> None:
    assert three_digits(value) == shown


def test_sides_take_turns_in_going_first_after_one_unmeasured_call_each() -> None:
    calls: list[str] = []

    def ours() -> float:
        calls.append("o")
        return len(calls)

    def baseline() -> float:
        calls.append("b")
        return -len(calls)

    first, second = interleave(ours, baseline, 3)
    assert "".join(calls) == "ob" + "ob" + "bo" + "ob"
    assert first == [3, 6, 7]
    assert second == [-4, -5, -8]


def test_fixed_costs_and_costs_per_byte_are_told_apart() -> None:
    line = Line.through((10, 1.5), (110, 2.5))
    assert line.bytes_per_s == pytest.approx(100.0)
    assert line.fixed_s == pytest.approx(1.4)
    with pytest.raises(ValueError, match="no longer"):
        Line.through((10, 1.0), (20, 1.0))


def test_offline_engines_share_prompts_as_the_servers_do() -> None:
    request = {"prompts": [[1], [2], [3]], "seeds": [10, 20, 30], "n": 8}
    assert share(request, 0, 2) == {"prompts": [[1], [3]], "seeds": [10, 30], "n": 8}
    assert share(request, 1, 2) == {"prompts": [[2]], "seeds": [20], "n": 8}


def _batch(lengths: list[int]) -> Batch:
    """Sequences of distinct tokens whose first one is the prompt."""
    positions = torch.cat([torch.arange(n) for n in lengths])
    tokens = torch.arange(1, 1 + sum(lengths))
    mask = positions > 0
    zeros = torch.zeros(sum(lengths))
    n_tokens = int(mask.sum())
    return Batch(tokens, positions, mask, zeros, zeros, mask.float(), zeros, n_tokens, n_tokens)


@pytest.mark.parametrize("make", [padded_passes, packed_passes])
def test_the_baseline_computes_every_sampled_token_once(make: Passes) -> None:
    batch = _batch([3, 7, 2, 5, 5])
    passes = list(make(batch, 10))
    labels = torch.cat([one.labels.flatten() for one in passes])
    assert sorted(labels[labels != IGNORED].tolist()) == batch.tokens[batch.loss_mask].tolist()
    assert all(one.tokens.numel() <= 10 for one in passes)


def test_padding_stands_right_of_the_shorter_sequences_and_has_no_label() -> None:
    (one,) = padded_passes(_batch([2, 3]), 10)
    assert one.tokens.tolist() == [[3, 4, 5], [1, 2, 0]]
    assert one.labels.tolist() == [[IGNORED, 4, 5], [IGNORED, 2, IGNORED]]


def test_packed_positions_restart_in_every_sequence() -> None:
    (one,) = packed_passes(_batch([2, 3]), 10)
    assert one.positions is not None
    assert one.positions.tolist() == [[0, 1, 2, 0, 1]]


def test_padding_for_the_learner_adds_tokens_that_are_not_trained_and_nothing_else() -> None:
    batch = _batch([3, 7, 2, 5, 4])
    batch = batch._replace(rewards=batch.tokens * batch.loss_mask / 2)
    by_step, by_pass = padded(batch, 14, way="step"), padded(batch, 14, way="pass")
    assert sequence_lengths(by_step) == [7, 7, 7, 7, 7]
    assert sequence_lengths(by_pass) == [7, 7, 5, 5, 4]
    for one in (by_step, by_pass):
        mask = one.loss_mask
        assert one.tokens[mask].tolist() == batch.tokens[batch.loss_mask].tolist()
        assert one.positions[mask].tolist() == batch.positions[batch.loss_mask].tolist()
        assert one.rewards[mask].tolist() == batch.rewards[batch.loss_mask].tolist()
        assert len(one.rewards) == len(one.tokens)
        assert one.weights.sum() == one.denominator == batch.denominator


def test_the_arithmetic_of_an_update_is_counted_as_by_hand() -> None:
    sizes = {
        "hidden_size": 8, "intermediate_size": 20, "num_hidden_layers": 3, "head_dim": 4,
        "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 100,
    }  # fmt: skip
    found = gpu_learner.work(sizes, [10, 6], n_trained=12)
    per_layer = 8 * 8 + 2 * 8 * 4 + 8 * 8 + 3 * 8 * 20  # queries, keys and values, output, MLP
    assert found.tokens == 16
    assert found.linear_flops == 6 * (3 * per_layer * 16 + 8 * 100 * 12)
    assert found.attention_flops == 3 * 3 * (2 * 2 * 8) * (10 * 10 + 6 * 6) / 2
    for name, wanted in (("0.5B", 0.5e9), ("1.5B", 1.5e9)):
        weights = gpu_learner.work(gpu_learner.MODELS[name], [1], 1).linear_flops / 6
        assert weights == pytest.approx(wanted, rel=0.03)


@pytest.mark.parametrize("path", [SHORT, LONG])
def test_a_benchmark_recipe_is_a_recipe_and_evaluates_next_to_nothing(path: Path) -> None:
    recipe = recipe_of(path, "steps=3")
    assert recipe.steps == 3
    assert recipe.groups_per_step * recipe.group_size == 256
    assert recipe.evaluation.problems * recipe.evaluation.samples <= 2


def test_a_helper_answers_whatever_it_prints(tmp_path: Path) -> None:
    code = (
        "import benchmarks.harness as h; print('noise');"
        "h.answer_requests(lambda x: (print('more'), 2 * x)[1])"
    )
    with Helper([sys.executable, "-c", code], tmp_path / "log", {}) as helper:
        assert helper.ask(21) == 42
        assert helper.ask("ab") == "abab"


def test_a_helper_that_dies_is_named_with_its_last_words(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "raise SystemExit('no such model')"]
    with (
        Helper(argv, tmp_path / "log", {}) as helper,
        pytest.raises(BenchmarkError, match="no such model"),
    ):
        helper.ask(1)


@pytest.mark.parametrize("kind", PLAIN)
def test_plain_answers_are_accepted_just_when_they_are_right(kind: str) -> None:
    answers = plain(kind, 30, Random(kind))
    assert judge(answers).accepted == [answer.right for answer in answers]
    assert len({answer.gold for answer in answers}) > 20


def test_every_honest_answer_is_accepted_and_no_other_one() -> None:
    answers = honest(Random(0))
    assert judge(answers).accepted == [True] * len(PAIRS)
    swapped = [a._replace(gold="\\text{none of these}") for a in answers]
    assert judge(swapped).accepted == [False] * len(PAIRS)


def test_short_cuts_change_no_verdict_on_answers_of_our_own_making() -> None:
    answers = both_ways({})
    assert len(answers) > 1500
    assert short_cuts(answers[::4]).startswith("short cuts changed 0 of ")


def test_labelled_cases_are_read_by_level_and_kind(tmp_path: Path) -> None:
    row = {"problem": None, "gold": "7", "response": "\\boxed{7}", "level": "core"}
    lines = [json.dumps({**row, "expect": expect}) for expect in (True, False, True)]
    (tmp_path / "cases.jsonl").write_text("\n".join(lines) + "\n")
    found = cases(tmp_path / "cases.jsonl")
    assert {name: len(answers) for name, answers in found.items()} == {
        "cases: core, honest": 2,
        "cases: core, hostile": 1,
    }


@pytest.mark.slow
def test_the_gpu_benchmark_runs_at_toy_size_where_there_is_no_gpu(tmp_path: Path) -> None:
    found = gpu_learner.measure_all(tmp_path)
    assert len(found) == 1 or found[0]["device"] != "CPU"
    for one in found:
        assert 0 < one["utilisation"] < 1
        assert one["tokens_per_s"] > 0
    assert "| toy | 256 |" in gpu_learner.table(found) or found[0]["device"] != "CPU"


@pytest.mark.slow
def test_an_environment_that_cannot_be_installed_says_what_pip_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(NoEnvironment, match="no-such-package==1"):
        interpreter_with(["no-such-package==1"])
    assert not list(tmp_path.rglob("ready"))


def test_a_run_ahead_is_measured_while_as_many_batches_are_under_way_as_may_be() -> None:
    steps = [{"tokens": 0, "seconds": 100.0}] * 3  # the first ones, at max_staleness 2
    steps += [{"tokens": 60, "seconds": 3.0}] * COUNTED
    steps += [{"tokens": 0, "seconds": 50.0}] * 2  # the last ones
    assert tokens_per_s(steps, 2) == 20
    assert tokens_per_s(steps[2:-2], 0) == 20


@pytest.mark.parametrize("staleness", [0, *AHEAD])
def test_runs_ahead_differ_from_those_in_turns_in_nothing_else(staleness: int) -> None:
    recipe = recipe_of(LONG, *run_overrides(staleness, "embedded"))
    assert recipe.steps - 1 - 2 * staleness == COUNTED
    turns = recipe_of(LONG, *run_overrides(0, "embedded")).model_dump(
        exclude={"steps", "max_staleness"}
    )
    assert recipe.model_dump(exclude={"steps", "max_staleness"}) == turns
    assert recipe.engine.servers == recipe.learner.threads == 1


def test_what_the_scaling_tables_compare_is_told_from_one_another() -> None:
    long, short = (context_in_flight(lengths(x)) for x in (131072, 32768))
    assert slots(long) < slots(short)
    # Half the mean, were all answers equally long; more, because long ones are seen more often.
    assert short > 512 + 8192 / 2
    few, many = rank_efficiency(8, Case(8, 1, 32768)), rank_efficiency(2048, Case(4096, 1, 131072))
    assert few == 1
    assert many < 0.6

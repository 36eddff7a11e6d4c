"""The tables of docs/accelerators.md are what their command prints."""

from pathlib import Path

import pytest

from benchmarks.scaling import Lines, ahead, costs, sizes

PAGE = (Path(__file__).parents[2] / "docs" / "accelerators.md").read_text()


@pytest.mark.parametrize("lines", [sizes([64], [1]), ahead([2])], ids=["sizes", "ahead"])
def test_the_page_shows_what_the_command_prints(lines: Lines) -> None:
    shown = PAGE.splitlines()
    for line in lines:
        assert line in shown


def test_the_page_names_the_costs_that_follow_from_its_assumptions() -> None:
    its = costs()
    assert f"{1e3 * its.step_s:.1f} ms to read the weights" in PAGE
    assert f"{1e6 * its.answer_s:.0f} us per answer" in PAGE
    assert f"{1e9 * its.context_s:.0f} ns per token of context" in PAGE
    assert f"{its.learn_step_s:.1f} s per step at 40 GB/s each" in PAGE

"""The fuzz test of every verifier in small; `python -m benchmarks.fuzz` is the large one."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.fuzz.choices import Choices
from benchmarks.fuzz.loop import Report, Setup, fuzz, targets
from benchmarks.fuzz.target import Target, require
from verifiers.sandbox import Sandbox, TooWeak

IN_SANDBOXES = ("lines", "programs")
MUST_OCCUR = {
    "math": {"correct", "wrong", "unparsed", "broken"},
    "literal": {"correct", "wrong", "unparsed"},
    "strict": {"correct", "wrong"},
    "reports": {"accepted", "another value", "wrong", "exceeded"},
    "nesting": {"value", "refused"},
    "output": {"exact", "different"},
    "extraction": {"none", "program"},
    "lines": {"correct", "error", "broken"},
    "programs": {"correct", "wrong"},
}


def run(target: Target, n: int, out: Path, deadline_s: float = 10.0, seed: int = 0) -> Report:
    return fuzz(target, Setup(target.name, n, seed, deadline_s, False, str(out)))


def one(check: Callable[[bytes], str]) -> Target:
    return Target("planted", "planted", lambda choices: (choices.rest(),), check)


@pytest.fixture(scope="module")
def sandbox() -> None:
    try:
        with Sandbox("landlock"):
            pass
    except TooWeak as error:
        pytest.skip(str(error))


def test_every_target_is_tried() -> None:
    assert set(targets()) == set(MUST_OCCUR)


@pytest.mark.parametrize("name", sorted(set(MUST_OCCUR) - set(IN_SANDBOXES)))
def test_nothing_hostile_breaks_a_verifier(name: str, tmp_path: Path) -> None:
    report = run(targets()[name], 600, tmp_path)
    assert report.findings == []
    assert report.n == 600
    assert report.outcomes.keys() >= MUST_OCCUR[name]


@pytest.mark.parametrize("name", IN_SANDBOXES)
def test_nothing_hostile_breaks_the_grader(name: str, tmp_path: Path, sandbox: None) -> None:
    report = run(targets()[name], 80, tmp_path)
    assert report.findings == []
    assert report.outcomes.keys() >= MUST_OCCUR[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(MUST_OCCUR) - set(IN_SANDBOXES)))
def test_thousands_of_inputs_leave_no_memory_behind(name: str, tmp_path: Path) -> None:
    report = run(targets()[name], 4000, tmp_path, seed=1)
    assert report.findings == []
    _, after_a_tenth, at_the_end = report.rss_mib
    assert at_the_end - after_a_tenth < 32


def test_an_error_is_kept_once_with_its_bytes_and_the_rest_goes_on(tmp_path: Path) -> None:
    def check(data: bytes) -> str:
        if data[0] % 8 == 7:
            raise ZeroDivisionError("an eighth")
        return "fine"

    report = run(one(check), 2000, tmp_path)
    assert report.n == 2000
    assert report.n_findings == report.outcomes["ZeroDivisionError"] > 1
    (finding,) = report.findings
    assert "ZeroDivisionError" in finding["error"]
    assert Path(finding["file"]).read_bytes()[0] % 8 == 7


def test_a_hang_is_ended_by_its_deadline_and_is_a_finding(tmp_path: Path) -> None:
    def check(data: bytes) -> str:
        while True:
            try:
                while data:
                    pass
            except Exception:  # as careless code would
                pass

    report = run(one(check), 2, tmp_path, deadline_s=0.05)
    assert report.outcomes == {"TooSlow": 2}
    assert report.slowest[0][0] >= 0.01


def test_a_verdict_that_must_not_be_is_a_finding(tmp_path: Path) -> None:
    def check(data: bytes) -> str:
        require(len(data) < 30, "too long")
        return "fine"

    report = run(one(check), 50, tmp_path)
    assert report.findings[0]["error"].startswith("Violation at test_fuzz.py")
    assert report.findings[0]["error"].endswith("too long")


def test_what_is_left_behind_is_a_finding(tmp_path: Path) -> None:
    def finish() -> None:
        require(False, "a process")

    report = run(replace(one(lambda data: "fine"), finish=finish), 3, tmp_path)
    assert "a process" in report.findings[0]["error"]


def test_an_input_is_the_same_for_the_same_bytes_and_ends_when_they_do() -> None:
    for target in targets().values():
        for data in (b"", b"\xff", bytes(range(200)), b"\xff" * 300):
            first: Any = target.make(Choices(data))
            assert repr(first) == repr(target.make(Choices(data)))

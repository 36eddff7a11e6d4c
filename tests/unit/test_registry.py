"""Environments by name and by path, and their options."""

from pathlib import Path
from typing import Any

import pytest

from envs.arithmetic import Arithmetic
from envs.base import EnvError, Message, Task
from envs.registry import job, judge, make_env, prepare
from verifiers.verdict import Outcome

OWN = """
from dataclasses import dataclass, field
from typing import Annotated, Literal
from pydantic import Field
from envs.base import Env, Message, Task
from verifiers.verdict import broken, correct, wrong

@dataclass(frozen=True)
class Echo(Env):
    word: str
    times: Annotated[int, Field(ge=1, le=9)] = 2
    share: float = 0.5
    kind: Literal["a", "b"] = "a"
    sizes: tuple[int, ...] = ()
    names: list[str] = field(default_factory=list)
    limit: int | None = None
    prepared = []

    def task(self, rng):
        return Task((Message("system", "echo"), Message("user", self.word)), self.word)

    def verify(self, task, response):
        if response == "kind":
            return correct(type(task.prompt).__name__)
        if response == "prepared":
            return correct(str(len(self.prepared)))
        return correct(response) if response == task.truth else wrong(response, "no echo")

    def solve(self, task):
        return task.truth

    def prepare(self):
        self.prepared.append(self.word)

class NoDataclass(Env):
    pass

number = 5
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A user's file, named relative to the current directory."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "own.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    return "mine/own.py:Echo"


def mistakes(name: str, options: dict[str, Any]) -> str:
    with pytest.raises(EnvError) as caught:
        make_env(name, options)
    return str(caught.value)


def test_an_environment_is_made_by_name_with_its_options() -> None:
    assert make_env("arithmetic", {"digits": 4}) == Arithmetic(digits=4)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    assert "did you mean 'arithmetic'?" in mistakes("arithmetics", {})
    assert "algebra, algorithms, amc, arithmetic" in mistakes("zzz", {})


def test_an_unknown_option_is_answered_with_the_nearest() -> None:
    assert "unknown option 'digit': did you mean 'digits'?" in mistakes("arithmetic", {"digit": 4})
    assert "it has digits, terms" in mistakes("arithmetic", {"zzz": 4})


@pytest.mark.parametrize("value", ["4", 4.5, True, None, [4], {"a": 4}])
def test_a_value_of_a_wrong_type_is_refused(value: Any) -> None:
    message = mistakes("arithmetic", {"digits": value})
    assert "option 'digits'" in message
    assert repr(value) in message


def test_all_mistakes_are_named_at_once() -> None:
    lines = mistakes("arithmetic", {"digit": 4, "terms": "two", "operations": 3}).splitlines()
    assert len(lines) == 3
    assert all(line.startswith("environment 'arithmetic': ") for line in lines)


def test_a_value_out_of_range_is_refused_with_the_environments_own_words() -> None:
    assert "digits must be between 1 and 12, got 99" in mistakes("arithmetic", {"digits": 99})


def test_an_environment_of_ones_own_is_made_by_path(own: str) -> None:
    env: Any = make_env(own, {"word": "hi", "sizes": [1, 2], "share": 1, "limit": None})
    assert (env.word, env.sizes, env.share, env.limit) == ("hi", (1, 2), 1.0, None)
    assert make_env(own, {"word": "hi"}) == make_env(own, {"word": "hi"})


def test_options_of_ones_own_are_checked_by_their_types(own: str) -> None:
    assert "option 'word' is required" in mistakes(own, {})
    message = mistakes(own, {"word": "hi", "times": 0, "kind": "c", "sizes": [1, "x"]})
    assert "option 'times': Input should be greater than or equal to 1 (found 0)" in message
    assert "option 'kind': Input should be 'a' or 'b' (found 'c')" in message
    assert "option 'sizes'" in message


def test_a_file_or_class_that_cannot_be_used_says_why(own: str, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("import no_such_module_at_all")
    (tmp_path / "worse.py").write_text("1/0")
    assert "no file 'mine/none.py'" in mistakes("mine/none.py:Echo", {})
    assert "has no 'Ecco'" in mistakes("mine/own.py:Ecco", {})
    assert "no_such_module_at_all" in mistakes("bad.py:Echo", {})
    assert "ZeroDivisionError" in mistakes("worse.py:Echo", {})
    for name in ("number", "NoDataclass", "Path"):
        assert mistakes(f"mine/own.py:{name}", {})
    assert "not a dataclass derived from" in mistakes("mine/own.py:NoDataclass", {})


def test_a_job_is_judged_as_the_environment_judges() -> None:
    env = make_env("arithmetic", {"digits": 2})
    task = env.draw("train", 0, 0)
    right = judge(job("arithmetic", {"digits": 2}, task, env.solve(task)))
    assert right == env.verify(task, env.solve(task))
    assert right.outcome is Outcome.CORRECT
    assert judge(job("arithmetic", {"digits": 2}, task, "\\boxed{-1}")).outcome is Outcome.WRONG


def test_a_job_keeps_the_shape_of_the_prompt(own: str) -> None:
    one = Task("hi", "hi")
    several = Task((Message("user", "hi"),), "hi")
    kinds = [judge(job(own, {"word": "hi"}, task, "kind")).answer for task in (one, several)]
    assert kinds == ["str", "tuple"]


def test_preparing_makes_the_environment_that_jobs_then_use(own: str) -> None:
    prepare({"name": own, "options": {"word": "ready"}})
    verdict = judge(job(own, {"word": "ready"}, Task("hi", "hi"), "prepared"))
    assert int(verdict.answer or "0") >= 1


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package with an environment, as pip would leave it. Returns its entry points."""
    (tmp_path / "their_package.py").write_text(OWN)
    info = tmp_path / "their_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n")
    points = info / "entry_points.txt"
    points.write_text("[assay.envs]\ntheir_echo = their_package:Echo\n")
    monkeypatch.syspath_prepend(tmp_path)
    return points


def test_an_installed_packages_environment_is_found_by_its_entry_point(package: Path) -> None:
    env: Any = make_env("their_echo", {"word": "hi"})
    assert (type(env).__module__, env.word) == ("their_package", "hi")
    assert judge(job("their_echo", {"word": "hi"}, Task("hi", "hi"), "hi")).score == 1.0
    assert "did you mean 'their_echo'?" in mistakes("their_ecko", {})
    assert "option 'word' is required" in mistakes("their_echo", {})


def test_an_entry_point_that_cannot_be_imported_says_why(package: Path) -> None:
    package.write_text("[assay.envs]\ntheir_echo = their_package:Ecco\n")
    assert "'their_package' has no 'Ecco'" in mistakes("their_echo", {})


def test_two_packages_cannot_have_an_environment_of_one_name(package: Path) -> None:
    second = package.parent.with_name("second-1.0.dist-info")
    second.mkdir()
    (second / "METADATA").write_text("Metadata-Version: 2.1\nName: second\nVersion: 1.0\n")
    (second / "entry_points.txt").write_text("[assay.envs]\ntheir_echo = second:Echo\n")
    message = mistakes("their_echo", {})
    assert "two installed packages have an environment 'their_echo'" in message
    assert "their_package:Echo" in message
    assert "second:Echo" in message


def test_an_entry_point_does_not_take_the_place_of_our_own(package: Path) -> None:
    package.write_text("[assay.envs]\narithmetic = their_package:Echo\n")
    assert make_env("arithmetic", {}) == Arithmetic()

"""The attack suite on whole environments: cracks are found, sound ones admitted, records kept."""

import asyncio
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from envs.admission import find_admission, fingerprint, store_admission
from envs.attack import attack
from rl.cli import main
from rl.commands.attack import admit
from rl.launch import prepare
from rl.progress import Progress
from rl.recipe.config import Recipe
from rl.recipe.sections import EnvSpec
from rl.supervisor import Supervisor
from verifiers.attack.report import Report, table
from verifiers.pool import Limits

PLANTED = str(Path(__file__).with_name("planted.py"))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))


def attacked(name: str, options: dict | None = None, n_tasks: int = 3) -> Report:
    return asyncio.run(
        attack(
            name,
            options or {},
            limits=Limits(10, 5, 2048),
            n_tasks=n_tasks,
            log_path=Path("/dev/null"),
        )
    )


def slow(*values: str) -> object:
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("planted", "reason"),
    [
        slow("Banana", "words of the source"),
        ("Remembers", "verdicts were others the second time"),
        slow("AnythingBoxed", "another's solution: "),
        slow("Contains", "hedge: "),
        slow("Tolerant", "near miss: "),
        slow("Fragile", "the verifier failed on"),
        slow("Strict", "rewritten: "),
        slow("Sevens", "own solution: "),
    ],
)
def test_a_planted_crack_is_found_and_named(planted, reason):
    report = attacked(f"{PLANTED}:{planted}")
    assert not report.admitted
    assert any(reason in found for found in report.reasons), report.reasons
    assert "NOT admitted" in table(report)


@pytest.mark.parametrize(
    ("planted", "reason"),
    [slow("Leaks", "part of the prompt: 'longest number'"), slow("OneAnswer", "constant: 'No'")],
)
def test_a_rule_that_is_right_too_often_is_a_crack(planted, reason):
    report = attacked(f"{PLANTED}:{planted}", n_tasks=12)
    assert any(reason in found for found in report.reasons), report.reasons
    assert report.false_accepts[0] == 0, report.reasons


@pytest.mark.slow
def test_programs_that_run_in_the_verifier_itself_are_caught(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where they forge files
    report = attacked(f"{PLANTED}:RunsHere", n_tasks=2)
    reasons = "\n".join(report.reasons)
    for expected in ("early exit", "lying comparison", "stack and memory walk", "executed outside"):
        assert expected in reasons


def test_a_sound_environment_is_admitted_with_its_bounds_and_remembered(tmp_path, capsys):
    file = tmp_path / "report.json"
    words = ["attack", "arithmetic", "--option", "digits=2", "--tasks", "10"]
    assert main([*words, "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "with 95 % confidence" in printed
    assert "\nadmitted\n" in printed
    (report,) = json.loads(file.read_text())
    assert (report["env"], report["options"]) == ("arithmetic", {"digits": 2})
    assert report["admitted"] is True
    accepted, tried, bound = report["false_accepts"]
    assert (accepted, tried > 2000) == (0, True)
    assert bound == pytest.approx(1 - 0.05 ** (1 / tried))
    assert report["false_rejects"][0] == 0
    assert report["false_rejects"][1] > 400
    assert (report["judged_twice"], report["changed"]) == (400, [])
    assert 0 < report["peak_mib"] < 2048
    assert 0 < report["slowest_s"] < report["deadline_s"]
    admission = find_admission("arithmetic", {"digits": 2})
    assert admission is not None
    assert admission.admitted


def test_an_attack_on_few_tasks_leaves_no_record_and_a_crack_exit_code_1(capsys):
    name = f"{PLANTED}:Evaluates"
    assert main(["attack", name, "--tasks", "2"]) == 1
    printed = capsys.readouterr().out
    assert "a response was executed outside of a sandbox" in printed
    assert "no record: 2 tasks are too few" in printed
    assert find_admission(name, {}) is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["attack", "arithmetik"], "did you mean 'arithmetic'?"),
        (["attack", "arithmetic", "--option", "digit=2"], "did you mean 'digits'?"),
        (["attack", "arithmetic", "--option", "digits"], "write it as key=value"),
        (["attack", "arithmetic", "digits=2"], "--option digits=2"),
        (["attack", f"{PLANTED}:Unsolved"], "own training task 0 of seed 0: NotImplementedError"),
        (["attack", f"{PLANTED}:Confused"], "own training task 0 of seed 0: KeyError: 'solution'"),
        (["attack", "recipes/math_grpo.yaml", "--option", "digits=2"], "envs.0.digits=2"),
    ],
)
def test_words_that_do_not_fit_are_explained(words, message, capsys):
    assert main(words) == 1
    assert message in capsys.readouterr().err


OWN = """
from dataclasses import dataclass
from envs.arithmetic import Arithmetic
import helper

@dataclass(frozen=True)
class Own(Arithmetic):
    pass
"""


def test_a_record_is_found_until_the_environment_changes(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "helper.py").write_text("A = 1\n")
    (tmp_path / "own.py").write_text(OWN)
    name = f"{tmp_path}/own.py:Own"
    assert find_admission(name, {}) is None
    store_admission(Report(name, {}, "math", 10, []))
    found = find_admission(name, {})
    assert found is not None
    assert not found.admitted, "nothing was tried"
    assert find_admission(name, {"digits": 2}) is None
    before = fingerprint(name, {})
    (tmp_path / "helper.py").write_text("A = 2\n")
    assert fingerprint(name, {}) != before
    assert find_admission(name, {}) is None


CONFINED = """
from dataclasses import dataclass
from pathlib import Path
from envs.arithmetic import Arithmetic
from envs.base import Isolation

@dataclass(frozen=True)
class Confined(Arithmetic):
    def isolation(self):
        return Isolation(*Path(__file__).with_name("in_force").read_text().split("/"))
"""


def test_a_record_counts_for_the_isolation_it_was_attacked_in(tmp_path):
    (tmp_path / "confined.py").write_text(CONFINED)
    name = f"{tmp_path}/confined.py:Confined"
    (tmp_path / "in_force").write_text("namespaces/bubblewrap 1")
    store_admission(Report(name, {}, "math", 10, []))
    (tmp_path / "in_force").write_text("namespaces/bubblewrap 2")
    assert find_admission(name, {}) is not None, "the description is for a person"
    (tmp_path / "in_force").write_text("landlock/")
    assert find_admission(name, {}) is None


def test_a_record_covers_the_data_that_options_name(tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"question": "1+1?", "answer": "#### 2"}\n')
    before = fingerprint("dataset", {"path": str(rows)})
    assert fingerprint("dataset", {"path": str(rows)}) == before
    rows.write_text('{"question": "1+1?", "answer": "#### 3 "}\n')
    assert fingerprint("dataset", {"path": str(rows)}) != before


RECIPE = """
model: embedded
envs: [{{name: "{env}"}}]
steps: 1
run_dir: {run_dir}
evaluation: {{problems: 4, samples: 1}}
"""


def test_training_refuses_an_environment_that_can_be_cheated_before_anything_starts(
    tmp_path, capsys
):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE.format(env=f"{PLANTED}:AnythingBoxed", run_dir=tmp_path / "run"))
    assert main(["train", str(recipe)]) == 1
    said = capsys.readouterr().err
    assert "is refused: a policy could cheat it" in said
    assert "another's solution: " in said
    assert "accept_hackable" in said
    assert not (tmp_path / "run" / "policy.json").exists()
    assert main(["train", str(recipe), "--dry-run"]) == 0
    assert "NOT admitted" in capsys.readouterr().out


def test_an_attack_that_fails_itself_ends_the_training_with_its_last_words(tmp_path, capsys):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE.format(env=f"{PLANTED}:Unsolved", run_dir=tmp_path / "run"))
    assert main(["train", str(recipe)]) == 1
    said = capsys.readouterr().err
    assert "attack ended while attacking" in said
    assert "NotImplementedError: to be written" in said


@pytest.mark.slow
def test_training_goes_on_where_the_recipe_says_why(tmp_path):
    said = io.StringIO()
    spec = EnvSpec(name=f"{PLANTED}:AnythingBoxed")
    recipe = Recipe(model="embedded", envs=[spec], accept_hackable="to see it happen")
    with Progress(0, Console(file=said)) as progress, Supervisor(tmp_path, progress) as supervisor:
        prepare(tmp_path, recipe)
        admit(supervisor, recipe)
    assert "NOT admitted" in said.getvalue()
    assert "to see it happen" in said.getvalue()

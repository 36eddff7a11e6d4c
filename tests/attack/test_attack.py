"""The attack suite on whole environments: cracks are found, sound ones admitted, records kept."""

import asyncio
import json
from pathlib import Path

import pytest

from envs.admission import find_admission, fingerprint, store_admission
from envs.attack import attack
from rl.cli import main
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
        ("Banana", "words of the source"),
        ("Evaluates", "executed outside of a sandbox"),
        ("Remembers", "verdicts were others the second time"),
        slow("AnythingBoxed", "empty: "),
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
    [("Leaks", "part of the prompt: 'last number'"), slow("OneAnswer", "constant: 'No'")],
)
def test_a_rule_that_is_right_too_often_is_a_crack(planted, reason):
    report = attacked(f"{PLANTED}:{planted}", n_tasks=12)
    assert any(reason in found for found in report.reasons), report.reasons
    assert report.false_accepts[0] == 0, report.reasons


def test_a_sound_environment_is_admitted_with_its_bounds():
    report = attacked("arithmetic", {"digits": 2})
    assert report.admitted
    accepted, tried = report.false_accepts
    assert accepted == 0
    assert tried > 500
    assert report.false_rejects[0] == 0
    assert report.false_rejects[1] > 400
    assert report.judged_twice == 400
    assert report.verifiers == ["math/1"] or report.verifiers[0].startswith("math/")
    found = report.to_json()
    assert found["false_accepts"][2] == pytest.approx(1 - 0.05 ** (1 / tried))
    assert found["admitted"] is True
    assert 0 < found["peak_mib"] < 2048
    json.dumps(found)


@pytest.mark.slow
def test_programs_that_run_in_the_verifier_itself_are_caught(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where they forge files
    report = attacked(f"{PLANTED}:RunsHere", n_tasks=2)
    reasons = "\n".join(report.reasons)
    for expected in ("early exit", "lying comparison", "stack and memory walk", "executed outside"):
        assert expected in reasons


def test_the_command_says_admitted_or_not_by_its_exit_code(tmp_path, capsys):
    report = tmp_path / "report.json"
    words = ["attack", "arithmetic", "--option", "digits=2", "--tasks", "10"]
    assert main([*words, "--json", str(report)]) == 0
    printed = capsys.readouterr().out
    assert "admitted" in printed
    assert "95 % confidence" in printed
    assert json.loads(report.read_text())["options"] == {"digits": 2}
    admission = find_admission("arithmetic", {"digits": 2})
    assert admission is not None
    assert admission.admitted
    assert main(["attack", f"{PLANTED}:AnythingBoxed", "--tasks", "3"]) == 1
    assert "no record: 3 tasks are too few" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["attack", "arithmetik"], "did you mean 'arithmetic'?"),
        (["attack", "arithmetic", "--option", "digit=2"], "did you mean 'digits'?"),
        (["attack", "arithmetic", "--option", "digits"], "write it as key=value"),
        (["attack", "arithmetic", "digits=2"], "--option digits=2"),
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
    assert "empty: " in said
    assert "accept_hackable" in said
    assert not (tmp_path / "run" / "policy.json").exists()
    assert main(["train", str(recipe), "--dry-run"]) == 0
    assert "NOT admitted" in capsys.readouterr().out

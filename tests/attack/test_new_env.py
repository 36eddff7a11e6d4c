"""What `assay new-env` writes works as it is: its test, its recipe, its admission."""

import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from envs import contract
from envs.registry import make_env
from rl.cli import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    assert main(["new-env", "my_numbers"]) == 0
    return tmp_path


def test_the_class_has_at_most_15_lines(fresh):
    text = (fresh / "my_numbers.py").read_text()
    body = text[text.index("@dataclass") :]
    assert len([line for line in body.splitlines() if line.strip()]) <= 15
    assert "NAME" not in text
    assert "class MyNumbers(Env):" in body


def test_it_has_canaries_that_nothing_is_paid_for(fresh):
    env = make_env(f"{fresh / 'my_numbers.py'}:MyNumbers", {})
    assert env.canary(Random(0)) is not None
    contract.a_canary_is_paid_for_by_nothing(env, 20)
    contract.the_second_opinion_accepts_what_is_right(env, 100)


@pytest.mark.slow
def test_its_own_test_passes_and_the_attack_suite_admits_it(fresh):
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_my_numbers.py"]
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stdout
    assert "2 passed" in ended.stdout


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_its_recipe_can_be_planned(fresh, profile, capsys):
    assert main(["train", "my_numbers.yaml", "--dry-run", f"profile={profile}"]) == 0
    printed = capsys.readouterr().out
    assert "my_numbers.py:MyNumbers: not attacked yet" in printed
    assert "evaluation  64 held-out tasks" in printed


def test_it_has_enough_tasks_to_hold_some_out(fresh):
    from rl.recipe.load import load_recipe
    from rl.tasks import Tasks

    tasks = Tasks(load_recipe(Path("my_numbers.yaml"), profile="cpu"))
    assert len(tasks.held_out) == 64
    assert len(tasks.step(60)) == 32


def test_files_that_exist_are_not_written_over(fresh, capsys):
    (fresh / "my_numbers.yaml").unlink()
    assert main(["new-env", "my_numbers"]) == 1
    assert "my_numbers.py, test_my_numbers.py: already here" in capsys.readouterr().err
    assert not (fresh / "my_numbers.yaml").exists()


@pytest.mark.parametrize(
    "name", ["My-Env", "1st", "../up", "json", "envs", "torch", "class", "task", ""]
)
def test_names_that_no_module_can_have_are_refused(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["new-env", name]) == 1
    assert name in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []

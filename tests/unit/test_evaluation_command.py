"""What `assay eval` makes of its words before anything is started."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from rl.cli import main
from rl.errors import UserError
from rl.evaluation.command import PROGRAM_DEADLINE_S, Task, asked, each, told_apart
from rl.evaluation.settings import Draw, Settings, data_digest, sampling_settings
from rl.evaluation.store import Store
from rl.evaluation.targets import Target, find_targets
from rl.hardware import Gpu, Hardware
from rl.progress import Progress

CPU = Hardware(2, 8.0, (), "cpu")
PROGRAM = {
    "prompt": "def f(x):\n", "entry_point": "f", "task_id": "t/0",
    "test": "def check(f):\n    assert f(1) == 1\n", "canonical_solution": "    return x\n",
}  # fmt: skip


@pytest.fixture
def programs(tmp_path):
    (tmp_path / "he.jsonl").write_text(json.dumps(PROGRAM) + "\n")
    return f"humaneval:path={tmp_path}/he.jsonl"


def test_programs_have_time_for_their_tests_unless_a_deadline_is_said(programs):
    def deadline(env, *overrides):
        return asked(["m"], None, [env], overrides, CPU)[0].verify.deadline_s

    assert deadline(programs) == PROGRAM_DEADLINE_S
    assert deadline("arithmetic") < PROGRAM_DEADLINE_S
    assert deadline(programs, "verify.deadline_s=7") == 7


def test_how_many_problems_of_a_benchmark_can_be_said(programs):
    assert asked(["m"], None, [programs], [], CPU)[1] is Draw.ALL
    assert asked(["m"], None, [programs], ["evaluation.problems=1"], CPU)[1] is Draw.EACH


def test_what_holds_of_the_embedded_policy_binds_no_other_model():
    long = ["rollout.max_new_tokens=4096", "engine.max_model_tokens=8192"]
    assert asked(["Org/Model"], None, ["arithmetic"], long, CPU)[0].rollout.max_new_tokens == 4096
    gpu = Hardware(16, 128.0, (Gpu("0", "Some GPU"),), "gpu")
    for recipe in sorted(Path("recipes").glob("*.yaml")):
        assert asked(["Org/Model"], recipe, [], [], gpu)[0].envs


def test_questions_that_were_edited_are_others(tmp_path):
    file = tmp_path / "mine.jsonl"
    env = {"name": "dataset", "weight": 1.0, "path": str(file)}
    file.write_text('{"question": "1+1?", "answer": "3"}\n')
    before = data_digest([env])
    assert before == data_digest([env, {"name": "arithmetic", "digits": 3}])
    file.write_text('{"question": "1+1?", "answer": "2"}\n')
    assert data_digest([env]) not in (before, None)
    assert data_digest([{"name": "arithmetic", "note": "no file"}]) is None


def test_what_cuts_or_judges_answers_otherwise_is_another_evaluation():
    def sampling(*overrides):
        return sampling_settings(asked(["m"], None, ["arithmetic"], overrides, CPU)[0])

    for override in ("engine.max_model_tokens=64000", "verify.cpu_s=9", "verify.deadline_s=9",
                     "engine.extra_args={quantization: fp8}"):  # fmt: skip
        assert sampling(override) != sampling(), override


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--env", "arithmetic:weight=0"], "weight"),
        (["--env", "arithmetik"], "did you mean 'arithmetic'"),
        (["--env", "arithmetic:digit=3"], "did you mean 'digits'"),
        (["--env", "arithmetic", "model=x"], "an evaluation scores the model named before it"),
    ],
)
def test_mistakes_are_told_before_anything_is_started(
    words, message, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert main(["eval", "http://127.0.0.1:1/v1#m", *words]) in (1, 2)
    assert message in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_judging_again_takes_no_models(capsys):
    with pytest.raises(SystemExit):
        main(["eval", "--regrade", "runs/x", "runs/y"])
    assert "--regrade judges what is stored" in capsys.readouterr().err


def test_a_directory_of_checkpoints_is_none_and_those_in_it_are_named(tmp_path):
    (tmp_path / "checkpoints" / "step-000100").mkdir(parents=True)
    with pytest.raises(UserError, match=r"holds checkpoints: .* \(step-000100\)"):
        find_targets([str(tmp_path / "checkpoints")], [])


def evaluated(targets: list[Target], out: Path) -> list[str]:
    """The names that models get, after each has left its settings in a directory of that name."""
    apart = told_apart(targets, out)
    for target in apart:
        settings = Settings(
            target.source,
            target.served_as or "0",
            None,
            target.variant,
            None,
            [],
            Draw.EACH,
            1,
            {},
            {},
        )
        (out / target.name).mkdir(parents=True, exist_ok=True)
        Store(out / target.name).begin(settings)
    return [target.name for target in apart]


@pytest.fixture
def namesakes(tmp_path) -> list[Target]:
    for place in ("a", "b"):
        (tmp_path / place / "m").mkdir(parents=True)
    return [Target("m", str(tmp_path / place / "m")) for place in ("a", "b")]


def test_a_model_keeps_its_directory_when_another_of_its_name_comes_along(namesakes, tmp_path):
    first, second = namesakes
    out = tmp_path / "out"
    assert evaluated([first], out) == ["m"]
    [other] = evaluated([second], out)
    assert other.startswith("m-")
    assert evaluated([first, second], out) == evaluated([first, second], out) == ["m", other]
    assert evaluated([second, first], out) == [other, "m"]


def test_models_of_one_server_whose_names_look_alike_have_different_directories(tmp_path):
    url = "http://127.0.0.1:1/v1"
    pair = find_targets([f"{url}#org/m", f"{url}#org-m"], [])
    assert pair[0].name == pair[1].name
    first, second = (target.name for target in told_apart(pair, tmp_path))
    assert first != second
    evaluated(pair[:1], tmp_path)
    assert told_apart(pair[::-1], tmp_path)[0].name != first


def test_models_of_one_name_that_are_evaluated_together_have_different_directories(
    namesakes, tmp_path
):
    quantised = [replace(target, name="m-int8", variant="int8") for target in namesakes]
    both = evaluated([*namesakes, *quantised], tmp_path / "out")
    assert len(set(both)) == 4
    assert (both[0], both[2]) == ("m", "m-int8")


def test_a_hub_model_and_a_server_have_directories_of_their_own_too(tmp_path):
    for one, other in (("Org/m", "Elsewhere/m"), ("http://host/v1", "https://host/v1")):
        assert evaluated([Target("m", one)], tmp_path / one[:4]) == ["m"]
        assert evaluated([Target("m", other)], tmp_path / one[:4]) != ["m"]


def test_a_model_that_was_moved_finds_its_results(namesakes, tmp_path):
    evaluated(namesakes[:1], tmp_path / "out")
    (tmp_path / "a" / "m").rename(tmp_path / "m")
    assert evaluated([Target("m", str(tmp_path / "m"))], tmp_path / "out") == ["m"]


@pytest.mark.slow
def test_a_checkpoint_that_its_run_has_replaced_meanwhile_is_left_out(tmp_path, capsys):
    recipe, draw, _ = asked(["m"], None, ["arithmetic"], [], CPU)
    gone = Target("run-step-000050", str(tmp_path / "run" / "step-000050"), 50, run=tmp_path)
    with Progress(0) as progress, pytest.raises(UserError, match="none of the checkpoints is"):
        list(each([gone], Task(recipe, draw, tmp_path / "out", CPU), progress))
    assert "step-000050 is gone: its run keeps the newest checkpoints" in capsys.readouterr().out
    other = Target("elsewhere", gone.source)
    with Progress(0) as progress, pytest.raises(UserError, match="step-000050"):
        list(each([other], Task(recipe, draw, tmp_path / "out", CPU), progress))

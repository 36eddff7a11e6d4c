import socket

import pytest

from rl.cli import main, parse
from rl.errors import UserError
from rl.supervisor import free_ports

RECIPE = "recipes/math_grpo.yaml"


def test_a_dry_run_prints_the_resolved_recipe_and_the_plan_and_starts_nothing(capsys, tmp_path):
    run_dir = tmp_path / "run"
    arguments = ["train", RECIPE, "--dry-run", "profile=cpu", f"run_dir={run_dir}", "steps=7"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "steps: 7" in printed
    assert "32 groups x 8 = 256 answers" in printed
    assert "servers     2 x vLLM" in printed
    assert not run_dir.exists()


def test_answers_of_131072_tokens_are_planned_with_every_means_against_memory(capsys):
    long = [
        "rollout.max_new_tokens=131072",
        "engine.max_model_tokens=131584",
        "embedded={layers: 2, heads: 4, kv_heads: 2, max_tokens: 131584}",
        "learner.micro_batch_tokens=65792",
        "learner.ranks=2",
        "learner.sequence_parallel=2",
        "learner.activation_checkpointing=true",
        "learner.logits_mib=64",
    ]
    assert main(["train", RECIPE, "--dry-run", "profile=cpu", *long]) == 0
    printed = capsys.readouterr().out
    assert "at most 33,554,432 sampled tokens" in printed
    assert "micro-batches of 65,792 tokens per rank, 2 ranks sharing each pass" in printed


def test_a_mistake_is_one_line_on_standard_error_and_exit_code_2(capsys):
    assert main(["train", RECIPE, "profile=cpu", "learner.lrr=1"]) == 2
    assert capsys.readouterr().err == (
        "override 'learner.lrr=1': learner.lrr: unknown key; did you mean 'learner.lr'?\n"
    )


def test_a_missing_recipe_is_one_line_on_standard_error(capsys):
    assert main(["train", "recipes/math_grop.yaml"]) == 2
    assert "did you mean recipes/math_grpo.yaml?" in capsys.readouterr().err


def test_an_unknown_option_is_refused(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["train", RECIPE, "--dry-rum", "steps=1"])
    assert stopped.value.code == 2
    assert "--dry-rum" in capsys.readouterr().err


def refusal(capsys, *words):
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    assert stopped.value.code == 2
    return capsys.readouterr().err


def test_an_unknown_command_is_answered_with_the_nearest(capsys):
    assert "there is no command 'trian'; did you mean 'train'?" in refusal(capsys, "trian", RECIPE)
    assert "there are train, eval, " in refusal(capsys, "xyz")


def test_what_is_missing_is_the_recipe_alone(capsys):
    assert "the following arguments are required: recipe\n" in refusal(capsys, "train")
    assert "the following arguments are required: CHECKPOINT\n" in refusal(capsys, "eval")


def test_the_version_is_shown(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out.startswith("assay 0.")


def test_evaluating_a_bare_model_asks_for_the_recipe(capsys, tmp_path):
    for name in ("config.json", "tokenizer_config.json"):
        (tmp_path / name).write_text("{}")
    assert main(["eval", str(tmp_path)]) == 1
    assert "--recipe recipes/math_grpo.yaml" in capsys.readouterr().err


def test_models_and_overrides_of_an_evaluation_may_stand_anywhere():
    found = parse(["eval", "a", "seed=1", "--env", "x:y=1", "b", "--quantized", "int4", "c=d"])
    assert found.models == ["a", "seed=1", "b", "c=d"]
    assert (found.env, found.quantized) == (["x:y=1"], ["int4"])


def test_a_port_in_use_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=rf"engine.port: port {port} cannot be used"):
            free_ports(1, port)


def test_free_ports_are_distinct():
    assert len(set(free_ports(5, 0))) == 5

"""The command line of a rollout server."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rl.recipe.config import Recipe
from rl.sampling.server import server_command

KEY = "0123456789abcdef"


def recipe(**engine: Any) -> Recipe:
    return Recipe.model_validate({"model": "m", "envs": [{"name": "a"}], "engine": engine})


def argv(model: str = "org/name", **engine: Any) -> list[str]:
    return server_command(model, recipe(**engine), 8000, KEY)[0]


def value(arguments: list[str], option: str) -> str:
    return arguments[arguments.index(option) + 1]


def test_it_is_this_pythons_vllm_on_loopback() -> None:
    arguments = argv()
    assert arguments[:3] == [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    assert value(arguments, "--host") == "127.0.0.1"
    assert value(arguments, "--port") == "8000"
    assert value(arguments, "--model") == "org/name"


def test_the_key_is_in_the_environment_and_not_among_the_arguments() -> None:
    arguments, environment = server_command("m", recipe(), 8000, KEY)
    assert environment["VLLM_API_KEY"] == KEY
    assert not any(KEY in argument for argument in arguments)


def test_the_hub_is_asked_for_a_hub_id_and_not_for_a_directory(tmp_path: Path) -> None:
    assert "HF_HUB_OFFLINE" not in server_command("org/name", recipe(), 1, KEY)[1]
    assert server_command(str(tmp_path), recipe(), 1, KEY)[1]["HF_HUB_OFFLINE"] == "1"


def test_sizes_are_given_only_where_the_recipe_has_them() -> None:
    assert "--max-model-len" not in argv()
    assert "--kv-cache-memory-bytes" not in argv()
    assert value(argv(max_model_tokens=2048), "--max-model-len") == "2048"
    assert value(argv(kv_cache_gib=0.5), "--kv-cache-memory-bytes") == str(2**29)


def test_eager_is_an_option_and_compiled_the_default() -> None:
    assert "--enforce-eager" not in argv()
    assert "--enforce-eager" in argv(eager=True)


def test_extra_arguments_come_last_so_that_they_win() -> None:
    arguments = argv(
        extra_args={"enable-prefix-caching": True, "async-scheduling": False, "block-size": 32}
    )
    assert arguments[-4:] == [
        "--enable-prefix-caching",
        "--no-async-scheduling",
        "--block-size",
        "32",
    ]
    assert "--no-enable-prefix-caching" in arguments[:-4]


@pytest.mark.parametrize(
    ("before", "after"), [(None, "assay_weights"), ("mine,other", "mine,other,assay_weights")]
)
def test_our_plug_in_is_loaded_beside_the_users(
    before: str | None, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VLLM_PLUGINS", raising=False)
    if before:
        monkeypatch.setenv("VLLM_PLUGINS", before)
    assert server_command("m", recipe(), 1, KEY)[1]["VLLM_PLUGINS"] == after


def test_the_supervisor_does_not_import_torch_or_vllm_for_it() -> None:
    code = "import sys, rl.sampling.server; print({'torch', 'vllm'} & sys.modules.keys())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"

"""Finding a starting policy: the cache, its lock, and what is refused. Nothing is made here."""

import errno
import threading
from pathlib import Path

import pytest
from filelock import FileLock

from rl.policy.starting import cache_root, fingerprint, hub_error, main, starting_policy
from rl.recipe.config import Recipe

RECIPE = Recipe.model_validate({"model": "embedded", "envs": [{"name": "arithmetic"}]})


def test_who_waits_for_another_process_says_for_which_and_then_finds_the_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))
    target = cache_root() / fingerprint(RECIPE, None)
    target.mkdir(parents=True)
    waiting = threading.Event()
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        waiting.set()

    found = []
    lock = f"{target}.lock"
    thread = threading.Thread(target=lambda: found.append(starting_policy(RECIPE, say)))
    with FileLock(lock):
        thread.start()
        assert waiting.wait(60)
        assert not found
    thread.join(60)
    assert said == [f"waiting for another process that makes the same policy (it holds {lock})"]
    assert (found[0].path, found[0].cached) == (str(target), True)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "cannot be stored (No space left"),
        (
            PermissionError(errno.EACCES, "Permission denied", "/cache"),
            "(/cache: Permission denied",
        ),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "hub cannot be reached"),
        (OSError("the server does not answer"), "hub cannot be reached"),
    ],
)
def test_a_full_disk_is_not_taken_for_a_missing_network(error: OSError, message: str) -> None:
    assert message in str(hub_error("some/model", error))


def test_a_recipe_is_read_as_strictly_as_everywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("model: embedded\nenvs: [{name: arithmetic}]\nsteps: '5'\nseed: -1\n")
    assert main(["--recipe", str(recipe), "--out", str(tmp_path / "out.json")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{recipe}:3: steps: input should be a valid integer (found '5')" in line
    assert f"; {recipe}:" in line

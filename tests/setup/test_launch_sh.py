"""launch.sh is really run, in a copy of the files it reads; a stand-in takes the place of Python
where the question is not what gets installed but what launch.sh does about it."""

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHONS = ("python3.11", "python3.12", "python3.13", "python3")

# Answers launch.sh's questions as a Python 3.11 would. `-m venv` makes an environment out of
# itself and of a uv that notes its arguments, obeys ./uv_says, and reports what uv reports.
STAND_IN = """#!/bin/bash
case "$*" in
    *sys.executable*) echo "$0" ;;
    -V) echo "Python 3.11.7" ;;
    "-m venv --clear "*)
        rm -rf "$4" && mkdir -p "$4/bin" && cp "$0" "$4/bin/python"
        printf '#!/bin/bash\\necho "$@" >>uv_calls; . ./uv_says; echo Installed 1 package\\n' \\
            >"$4/bin/uv"
        printf '#!/bin/bash\\necho assay "$@"\\n' >"$4/bin/assay"
        chmod +x "$4"/bin/* ;;
    "-m pip config list") cat pip_config ;;
    *pip_settings.py) exec REAL_PYTHON "$@" ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what launch.sh reads, with no .venv."""
    for name in ("launch.sh", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    (tmp_path / "rl").mkdir()
    shutil.copy(ROOT / "rl" / "cli.py", tmp_path / "rl")
    python = tmp_path / "stand_in"
    python.write_text(STAND_IN.replace("REAL_PYTHON", sys.executable))
    python.chmod(0o755)
    for name in ("uv_says", "pip_config", "recipe.yaml"):
        (tmp_path / name).touch()
    return tmp_path


def environment(checkout: Path, **changes: str) -> dict[str, str]:
    base = {
        "PATH": os.environ["PATH"],
        "HOME": str(checkout / "home"),
        "ASSAY_PYTHON": str(checkout / "stand_in"),
        "ASSAY_HARDWARE": "cpu",
    }
    return {key: value for key, value in (base | changes).items() if value}


def launch(checkout: Path, *args: str, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "launch.sh", *args],
        cwd=checkout,
        env=environment(checkout, **changes),
        capture_output=True,
        text=True,
        timeout=120,
    )


def path_with(checkout: Path, **programs: str) -> str:
    """PATH with these programs (bash) in front of all others."""
    folder = checkout / "programs"
    folder.mkdir()
    for name, body in programs.items():
        (folder / name).write_text(f"#!/bin/bash\n{body}\n")
        (folder / name).chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def path_without(checkout: Path, *programs: str) -> str:
    """PATH with the ordinary system programs except these."""
    folder = checkout / "programs"
    folder.mkdir()
    for place in ("/bin", "/usr/bin"):
        for program in Path(place).iterdir():
            if program.name not in programs and not (folder / program.name).is_symlink():
                (folder / program.name).symlink_to(program)
    return str(folder)


def uv_calls(checkout: Path) -> list[str]:
    return (checkout / "uv_calls").read_text().splitlines()


def assert_one_sentence(result: subprocess.CompletedProcess[str], *words: str) -> None:
    lines = result.stderr.strip().splitlines()
    assert result.returncode != 0
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("launch.sh: ")
    for word in words:
        assert word in lines[0]


@pytest.mark.parametrize("args", [(), ("help",), ("-h",), ("--help",)])
def test_without_a_command_a_usage_is_shown_and_nothing_is_installed(checkout, args):
    result = launch(checkout, *args)
    assert result.returncode == 0
    assert "bash launch.sh recipes/math_grpo.yaml" in result.stdout
    assert not (checkout / ".venv").exists()


def test_a_missing_recipe_is_said_before_anything_is_installed(checkout):
    assert_one_sentence(launch(checkout, "recipes/none.yaml"), "recipes/none.yaml", "ls recipes")
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize("word", ["tset", "trian", "recipes/math_grpo", "--dry-run"])
def test_an_unknown_command_is_said_before_anything_is_installed(checkout, word):
    result = launch(checkout, word)
    assert_one_sentence(result, f"no command '{word}'", "help setup test train", "doctor")
    assert not (checkout / ".venv").exists()


def test_what_was_meant_is_said_in_place_of_a_command(checkout):
    assert_one_sentence(launch(checkout, "recipe"), "the recipe is recipe.yaml")
    (checkout / "runs" / "a").mkdir(parents=True)
    (checkout / "runs" / "a" / "recipe.yaml").touch()
    assert_one_sentence(launch(checkout, "runs/a"), "runs/a is a run", "launch.sh report runs/a")
    assert not (checkout / ".venv").exists()


def test_every_command_of_assay_is_known(checkout):
    from rl.cli import parse

    with pytest.raises(SystemExit):
        parse(["no such command"])
    listed = launch(checkout, "tset").stderr.split("help setup test ")[1].rstrip(".\n").split()
    text = subprocess.run(
        [sys.executable, "-m", "rl", "--help"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip
    assert listed == re.findall(r"(?m)^    ([a-z-]+) ", text)


def test_the_version_is_told_without_a_set_up(checkout):
    assert re.fullmatch(r"assay \d+\.\d+\.\d+\n", launch(checkout, "--version").stdout)
    assert not (checkout / ".venv").exists()


def test_a_home_that_is_not_set_is_what_the_system_says(checkout):
    result = launch(checkout, "recipe.yaml", HOME="")
    assert result.returncode == 0, result.stderr
    assert "unbound" not in result.stderr


def test_a_python_whose_path_has_a_space_is_used(checkout):
    spaced = checkout / "my pythons"
    spaced.mkdir()
    shutil.copy(checkout / "stand_in", spaced / "python")
    result = launch(checkout, "setup", ASSAY_PYTHON=str(spaced / "python"))
    assert result.returncode == 0, result.stderr
    assert f"with {spaced}/python into .venv" in result.stdout


def test_a_second_set_up_says_that_it_waits_and_gives_up_with_a_sentence(checkout):
    script = checkout / "launch.sh"
    hasty = re.sub(r"lock_wait_s=\d+", "lock_wait_s=1", script.read_text())
    script.write_text(hasty)
    with script.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        result = launch(checkout, "setup")
    assert "waiting for another set-up of this checkout, at most 1 s" in result.stdout
    assert_one_sentence(result, "another set-up of this checkout is not done after 1 s")
    assert launch(checkout, "setup").returncode == 0


def test_a_moved_checkout_is_set_up_again(checkout, tmp_path_factory):
    launch(checkout, "setup")
    moved = tmp_path_factory.mktemp("moved") / "here"
    checkout.rename(moved)
    environment = {"ASSAY_PYTHON": str(moved / "stand_in"), "HOME": str(moved)}
    assert "installing" in launch(moved, "setup", **environment).stdout
    assert launch(moved, "setup", **environment).stdout == ""


def test_a_wrong_python_is_said_in_one_sentence(checkout):
    path = path_with(checkout, **dict.fromkeys(PYTHONS, "exit 1"))
    result = launch(checkout, "setup", PATH=path, ASSAY_PYTHON="")
    assert_one_sentence(result, "3.11, 3.12 or 3.13", "ASSAY_PYTHON")


def test_a_python_that_does_not_exist_is_said_in_one_sentence(checkout):
    result = launch(checkout, "setup", ASSAY_PYTHON="/nowhere/python")
    assert_one_sentence(result, "/nowhere/python", "3.11, 3.12 or 3.13")


def test_a_python_without_venv_is_said_in_one_sentence(checkout):
    body = '[[ "$*" == *sys.executable* ]] && echo "$0"'
    path = path_with(checkout, **dict.fromkeys(PYTHONS, body))
    result = launch(checkout, "setup", PATH=path, ASSAY_PYTHON="")
    assert_one_sentence(result, "python3.11", "apt-get install python3-venv")


def test_no_compiler_is_said_in_one_sentence(checkout):
    result = launch(checkout, "setup", PATH=path_without(checkout, "gcc"))
    assert_one_sentence(result, "gcc", "apt-get install")


def test_no_disk_is_said_in_one_sentence_with_how_much_is_needed(checkout):
    row = "echo 'Filesystem 1024-blocks Used Available'; echo /dev/vda 9000000 7999999 1000001"
    result = launch(checkout, "setup", PATH=path_with(checkout, df=row))
    assert_one_sentence(result, "1 GB free", "needs 4 GB")
    assert not (checkout / ".venv").exists()


def test_a_machine_of_another_kind_is_said_in_one_sentence(checkout):
    result = launch(checkout, "setup", PATH=path_with(checkout, uname="echo Darwin arm64"))
    assert_one_sentence(result, "Darwin arm64", "Linux x86_64")


def test_unknown_hardware_is_said_in_one_sentence(checkout):
    assert_one_sentence(launch(checkout, "setup", ASSAY_HARDWARE="tpu"), "tpu", "cpu or gpu")


def test_no_network_is_said_in_one_sentence_by_a_real_set_up(checkout):
    result = launch(
        checkout,
        "setup",
        ASSAY_PYTHON=sys.executable,
        PIP_CONFIG_FILE="/dev/null",
        PIP_INDEX_URL="http://127.0.0.1:9/simple",  # nothing listens there
        PIP_RETRIES="0",
    )
    assert_one_sentence(result, "cannot be reached", "proxy")


def test_an_index_that_uv_cannot_reach_is_named(checkout):
    message = "cause: Failed to fetch: https://index.example/simple/torch/"
    (checkout / "uv_says").write_text(f"echo {message!r} >&2; exit 2")
    assert_one_sentence(launch(checkout, "setup"), "https://index.example cannot be reached")


def test_a_full_disk_during_the_set_up_is_said_in_one_sentence(checkout):
    (checkout / "uv_says").write_text("echo 'No space left on device (os error 28)' >&2; exit 2")
    assert_one_sentence(launch(checkout, "setup"), "disk filled up")


def test_a_recipe_is_set_up_for_once_and_handed_to_assay_train(checkout):
    first = launch(checkout, "recipe.yaml", "steps=3")
    assert first.returncode == 0, first.stderr
    assert "cpu.lock (ASSAY_HARDWARE=cpu" in first.stdout
    assert first.stdout.splitlines()[-1] == "assay train recipe.yaml steps=3"
    calls = uv_calls(checkout)
    started = time.monotonic()
    second = launch(checkout, "doctor", "--json")
    assert time.monotonic() - started < 2
    assert second.stdout == "assay doctor --json\n"
    assert uv_calls(checkout) == calls


@pytest.mark.parametrize("changed", ["requirements/cpu.lock", "pyproject.toml"])
def test_a_changed_lock_or_project_is_installed_again(checkout, changed):
    launch(checkout, "setup")
    before = len(uv_calls(checkout))
    with open(checkout / changed, "a") as file:
        file.write("# changed\n")
    assert "installing" in launch(checkout, "setup").stdout
    assert len(uv_calls(checkout)) == 2 * before


def test_a_broken_environment_is_built_again(checkout):
    launch(checkout, "setup")
    (checkout / ".venv/bin/python").unlink()
    result = launch(checkout, "setup")
    assert result.returncode == 0, result.stderr
    assert (checkout / ".venv/bin/python").exists()


def test_another_python_that_is_wished_for_gets_an_environment_of_its_own(checkout):
    launch(checkout, "setup")
    python = checkout / "stand_in"
    python.write_text(python.read_text().replace("Python 3.11.7", "Python 3.12.1"))
    assert "installing" in launch(checkout, "setup").stdout
    assert launch(checkout, "setup").stdout == ""


def test_a_set_up_that_was_killed_in_the_middle_is_repaired_by_the_next(checkout):
    os.mkfifo(checkout / "reached")
    (checkout / "uv_says").write_text(
        "case $* in *require-hashes*) echo >reached; sleep 60 ;; esac"
    )
    process = subprocess.Popen(
        ["bash", "launch.sh", "setup"],
        cwd=checkout,
        env=environment(checkout),
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    (checkout / "reached").read_text()  # returns once uv is in the middle of its work
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (checkout / ".venv/left_over").touch()
    (checkout / "uv_says").write_text("")
    assert "ready" in launch(checkout, "setup").stdout
    assert not (checkout / ".venv/left_over").exists()


def test_pips_settings_reach_uv(checkout):
    (checkout / "pip_config").write_text("global.find-links='/a/folder'\n")
    launch(checkout, "setup")
    assert all("--find-links=/a/folder" in call for call in uv_calls(checkout))
    assert not any("--torch-backend" in call for call in uv_calls(checkout))


def test_torch_comes_from_pytorchs_cpu_index_where_pip_knows_no_other_source(checkout):
    (checkout / "uv_says").write_text("case $* in *--dry-run*) exit 1 ;; esac")
    launch(checkout, "setup")
    (install,) = [call for call in uv_calls(checkout) if "--require-hashes" in call]
    assert "--torch-backend cpu" in install
    assert "--no-deps" in install
    assert "requirements/cpu.lock" in install

"""The sandbox in a container, of a stand-in for a runtime: test_code_attacks.py uses a real one."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.processes import children
from verifiers.code import Grader
from verifiers.sandbox import Sandbox, SandboxError, TooWeak
from verifiers.sandbox_confine import Limits
from verifiers.verdict import Outcome

ROOT = Path(__file__).parents[2]
STAND_IN = ROOT / "tests" / "faults" / "stand_in_runtime.py"
NO_DAEMON = "#!/bin/sh\necho 'Cannot connect to the Docker daemon' >&2\nexit 1\n"
LIMITS = Limits(wall_s=10.0)


def program(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


@pytest.fixture
def runtimes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where programs are looked for first: docker without its daemon, and the stand-in."""
    try:
        with Sandbox("namespaces"):
            pass
    except TooWeak as error:
        pytest.skip(str(error))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    program(tmp_path, "docker", NO_DAEMON)
    run = f"PYTHONPATH={ROOT} exec {sys.executable} {STAND_IN} {tmp_path}"
    program(tmp_path, "podman", f'#!/bin/sh\n{run} "$@"\n')
    return tmp_path


@pytest.fixture
def contained(runtimes: Path) -> Iterator[Sandbox]:
    with Sandbox("container", use="container") as sandbox:
        yield sandbox


def printed(sandbox: Sandbox, text: str) -> bytes:
    ran = sandbox.run({"do": "print", "program": text, "input": "1 2\n"}, LIMITS)
    return ran.output or ran.report


def test_the_first_runtime_that_works_is_used_and_the_others_are_said(contained: Sandbox) -> None:
    assert contained.strength == "container"
    assert "podman" in contained.description
    assert "container: Cannot connect to the Docker daemon" in contained.description
    assert printed(contained, "print(input())") == b"1 2\n"


def test_files_of_the_host_are_not_there(contained: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    for path in (tmp_path / "secret", ROOT / "pyproject.toml", "/control/socket", "/proc/1/mem"):
        assert b"Error" in printed(contained, f"open({str(path)!r})"), path
    assert b"Error" in printed(contained, "open('/tmp/x', 'w')")


@pytest.mark.slow
def test_the_image_is_made_once_and_nothing_is_fetched(runtimes: Path) -> None:
    for _ in range(2):
        with Sandbox("container", use="container"):
            pass
    calls = [json.loads(line) for line in (runtimes / "calls").read_text().splitlines()]
    assert [words[0] for words in calls] == ["image", "import", "run", "image", "run"]
    run = " ".join(calls[-1])
    for wanted in (
        "--pull never", "--network none", "--read-only", "--cap-drop ALL", "no-new-privileges",
        "--pids-limit", "--user",
    ):  # fmt: skip
        assert wanted in run
    writable = [word for word in calls[-1] if "dst=" in word and "readonly" not in word]
    assert [word.rpartition("dst=")[2] for word in writable] == ["/control"]
    assert (runtimes / "image").read_bytes().strip(b"\0") == b""


@pytest.mark.slow
def test_a_grader_names_it_and_nothing_is_left(runtimes: Path) -> None:
    task = {
        "style": "function", "entry_point": "f", "hidden_tests": [{"args": [2], "expected": 4}],
        "time_limit_s": 10,
    }  # fmt: skip
    before = children()
    with Grader("container", use="container") as grader:
        verdict = grader.grade(task, "def f(n): return n + n")
        assert (verdict.outcome, verdict.verifier) == (Outcome.CORRECT, "code/1+container")
    assert children() == before
    with pytest.raises(TooWeak, match="at least 'namespaces'"):
        Sandbox("namespaces", use="container").start()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("#!/bin/sh\n[ $1 = run ] || exit 0\necho no space left >&2\nexit 125\n", "no space left"),
        ("#!/bin/sh\n[ $1 = run ] || exit 0\nexit 125\n", "it ended"),
        ("#!/bin/sh\n[ $1 = image ] && exit 1\nexit 3\n", "podman import"),
        ("no program", "podman"),
    ],
)
def test_a_runtime_that_fails_says_why(runtimes: Path, text: str, said: str) -> None:
    program(runtimes, "podman", text)
    with pytest.raises(SandboxError, match=said):
        Sandbox("container", use="container").start()
    assert children() == []

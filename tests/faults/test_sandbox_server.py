"""Programs run by a real `assay sandbox`, and what can go wrong on the way."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from rl.cli import main
from tests.faults.processes import PATIENCE_S, descendants, wait_until_gone
from verifiers.code import Grader
from verifiers.process import clean_environment
from verifiers.sandbox import SandboxError, TooWeak
from verifiers.sandbox_confine import Limits
from verifiers.sandbox_remote import RemoteSandbox
from verifiers.sandbox_wire import TOKEN
from verifiers.verdict import Outcome, Verdict

ROOT = Path(__file__).parents[2]
SECRET = "a-token-for-these-tests"
FUNCTION: dict[str, Any] = {
    "style": "function", "entry_point": "add", "time_limit_s": 10, "output_limit_mb": 1,
    "hidden_tests": [{"args": [1, 2], "expected": 3}, {"args": [-1, 1], "expected": 0}],
}  # fmt: skip
SCRIPT: dict[str, Any] = {
    "style": "stdio", "time_limit_s": 10, "output_limit_mb": 1,
    "hidden_tests": [{"input": "1 2\n", "output": "3\n"}],
}  # fmt: skip
CHECKED = {
    **FUNCTION,
    "checker": {"type": "python", "source": "def check(inp, out, exp): return out == exp"},
}
UNITS: dict[str, Any] = {
    "style": "unittest", "time_limit_s": 10, "expected_tests": ["test_it"],
    "test_file": "from solution import add\ndef test_it(): assert add(1, 2) == 3\n",
}  # fmt: skip
RIGHT = "def add(a, b): return a + b"
FOR_EVER = "def add(a, b):\n    while True: pass"
WEAK = (
    "from rl.commands.sandbox_server import serve\n"
    "serve('127.0.0.1', {}, n_sandboxes=1, require='landlock', use='landlock')"
)


class Server(NamedTuple):
    process: "subprocess.Popen[str]"
    url: str
    port: int


@contextmanager
def serving(*words: str, code: str = "", token: str = SECRET) -> Iterator[Server]:
    """A server in a process of its own; killed at the end if it still runs."""
    argv = ["-c", code] if code else ["-m", "rl", "sandbox", "--port", "0", *words]
    process = subprocess.Popen(
        [sys.executable, *argv],
        cwd=ROOT,
        env={**os.environ, TOKEN: token},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(2)]
    found = re.search(r"at (http://127\.0\.0\.1:(\d+)),", lines[1])
    try:
        if found is None:
            _, said = process.communicate(timeout=PATIENCE_S)
            if "programs need a sandbox" in said:
                pytest.skip(said)
            raise AssertionError(f"{lines} {said}")
        yield Server(process, found[1], int(found[2]))
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, SECRET)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving("--sandboxes", "2", "--memory-mib", "512") as server:
        yield server


@pytest.fixture
def remote(server: Server) -> Iterator[Grader]:
    with Grader(url=server.url) as grader:
        yield grader


@pytest.fixture(scope="module")
def here() -> Iterator[Grader]:
    with Grader() as grader:
        yield grader


def post(server: Server, body: bytes, headers: dict[str, str] | None = None) -> tuple[int, str]:
    """Status and error of a request that is not made by our client."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_S)
    try:
        given = {"Authorization": f"Bearer {SECRET}", **(headers or {})}
        connection.request("POST", "/run", body, given)
        response = connection.getresponse()
        return response.status, json.loads(response.read()).get("error", "")
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("task", "program", "outcome"),
    [
        (FUNCTION, RIGHT, Outcome.CORRECT),
        (FUNCTION, "def add(a, b): return 3", Outcome.WRONG),
        (FUNCTION, "def add(a, b): return float(a + b)", Outcome.WRONG),
        (FUNCTION, "def add(a, b): return '\ud800\0'", Outcome.WRONG),
        (FUNCTION, "import os\nos.write(4, b'[\"value\",3]')\nos._exit(0)", Outcome.WRONG),
        (FUNCTION, "import ctypes\nctypes.string_at(0)\n" + RIGHT, Outcome.WRONG),
        (FUNCTION, "def add(a, b): return open('/etc/passwd').read()", Outcome.WRONG),
        (FUNCTION, "def add(a, b): return __import__('socket').socket()", Outcome.WRONG),
        ({**FUNCTION, "time_limit_s": 0.3}, FOR_EVER, Outcome.EXCEEDED),
        (FUNCTION, "def add(a, b): return bytearray(1 << 30)", Outcome.EXCEEDED),
        (SCRIPT, "print(sum(map(int, input().split())))", Outcome.CORRECT),
        (SCRIPT, "import sys\nsys.stdout.buffer.write(b'\\xff\\x00')", Outcome.WRONG),
        (SCRIPT, "while True: print('x' * 9999)", Outcome.EXCEEDED),
        (SCRIPT, "print('\\0' * (1 << 19))", Outcome.WRONG),
        (CHECKED, RIGHT, Outcome.CORRECT),
        (CHECKED, "def add(a, b): return '\\0' * (1 << 17)", Outcome.WRONG),
        (UNITS, RIGHT, Outcome.CORRECT),
        (UNITS, "def add(a, b): return 4", Outcome.WRONG),
    ],
)
def test_verdicts_are_those_of_a_sandbox_on_this_machine(
    remote: Grader, here: Grader, task: dict[str, Any], program: str, outcome: Outcome
) -> None:
    found, expected = remote.grade(task, program), here.grade(task, program)
    assert found.outcome is outcome
    assert found.verifier == "code/1+remote-namespaces"
    assert found == Verdict(
        expected.outcome, expected.score, expected.answer, expected.detail, found.verifier
    )


def test_several_clients_are_served_at_the_same_time(server: Server) -> None:
    found: list[Outcome] = []

    def grade() -> None:
        with Grader(url=server.url) as grader:
            found.extend(grader.grade(FUNCTION, RIGHT).outcome for _ in range(5))

    threads = [threading.Thread(target=grade) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert found == 20 * [Outcome.CORRECT]


def test_what_a_run_cost_comes_back(server: Server) -> None:
    request = {"do": "print", "program": "print(len(bytearray(90 << 20)))", "input": ""}
    with RemoteSandbox(server.url) as sandbox:
        ran = sandbox.run(request, Limits(wall_s=10.0, output_bytes=1 << 10))
    assert (ran.output, ran.status, ran.exceeded) == (b"94371840\n", 0, "")
    assert ran.memory_mib > 90
    assert 0 < ran.cpu_s < 10


@pytest.mark.slow
def test_a_server_that_is_killed_is_the_verifiers_failure_and_leaves_nothing() -> None:
    with serving("--sandboxes", "1") as server, Grader(url=server.url) as grader:
        idle = set(descendants(server.process.pid))
        verdicts: list[Verdict] = []
        grading = threading.Thread(target=lambda: verdicts.append(grader.grade(FUNCTION, FOR_EVER)))
        grading.start()
        end = time.monotonic() + PATIENCE_S
        while not set(descendants(server.process.pid)) - idle:
            assert time.monotonic() < end, "the program was not started"
        family = descendants(server.process.pid)
        server.process.kill()
        grading.join(PATIENCE_S)
        assert [verdict.outcome for verdict in verdicts] == [Outcome.BROKEN]
        assert "cannot be reached, or went away" in verdicts[0].detail
        for pid in family:
            wait_until_gone(pid)
        with serving(code=WEAK.format(server.port)):
            verdict = grader.grade(FUNCTION, RIGHT)
            assert verdict.outcome is Outcome.BROKEN
            assert "at least 'namespaces', and the server" in verdict.detail


@pytest.mark.slow
def test_a_server_that_is_asked_to_end_lets_programs_end_and_leaves_nothing() -> None:
    with serving("--sandboxes", "1", "--require-strength", "landlock") as server:
        family = descendants(server.process.pid)
        assert family
        with Grader("landlock", url=server.url) as grader:
            assert grader.grade(FUNCTION, RIGHT).outcome is Outcome.CORRECT
        server.process.terminate()
        assert server.process.wait(PATIENCE_S) == 0
        for pid in family:
            wait_until_gone(pid)


def test_a_server_weaker_than_required_is_refused() -> None:
    with serving(code=WEAK.format(0)) as server:
        with pytest.raises(TooWeak, match=r"at least 'namespaces', and the server .*landlock"):
            RemoteSandbox(server.url).start()
        with Grader("landlock", url=server.url) as grader:
            verdict = grader.grade(FUNCTION, RIGHT)
        assert (verdict.outcome, verdict.verifier) == (Outcome.CORRECT, "code/1+remote-landlock")


def test_whoever_lacks_the_token_is_turned_away(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wrong in ("", "another", SECRET + "x"):
        monkeypatch.setenv(TOKEN, wrong)
        with pytest.raises(SandboxError, match=f"says 401: wrong token: set {TOKEN}"):
            RemoteSandbox(server.url).start()
    assert post(server, b"{}", {"Authorization": "Bearer \xe4"})[0] == 401
    monkeypatch.setenv(TOKEN, "two words")
    with pytest.raises(ValueError, match="without blanks") as raised:
        RemoteSandbox(server.url)
    assert "two words" not in str(raised.value)


def test_other_machines_are_not_served_without_a_token(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(TOKEN)
    assert main(["sandbox", "--host", "0.0.0.0", "--port", "0"]) == 1
    assert f"set {TOKEN} to a secret" in capsys.readouterr().err


def test_a_server_that_could_not_serve_properly_does_not_start(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sandbox", "--port", str(server.port)]) == 1
    assert f"cannot listen on 127.0.0.1, port {server.port}" in capsys.readouterr().err
    assert main(["sandbox", "--port", "0", "--memory-mib", "100"]) == 1
    assert "at least 512 and 16" in capsys.readouterr().err


def test_the_token_reaches_verifier_workers() -> None:
    assert clean_environment()[TOKEN] == SECRET


def test_requests_that_are_too_large_or_make_no_sense_are_refused_with_a_reason(
    server: Server, remote: Grader
) -> None:
    limits = Limits(wall_s=1.0, output_bytes=1 << 10)._asdict()
    job = {"request": {"do": "print"}, "limits": limits}
    for body, reason in [
        (b"", "no jobs in it: JSONDecodeError"),
        (b"[" * 100_000, "no jobs in it: RecursionError"),
        (b"[]", "no jobs in it: TypeError"),
        (json.dumps({"jobs": []}).encode(), "not 0"),
        (json.dumps({"jobs": 3 * [job]}).encode(), "not 3"),
        (json.dumps({"jobs": [{**job, "request": 1}]}).encode(), "each with a request"),
        (json.dumps({"jobs": [{**job, "limits": {}}]}).encode(), "no jobs in it: TypeError"),
        *(
            (
                json.dumps({"jobs": [{**job, "limits": {**limits, name: value}}]}).encode(),
                f"the limit {name} is",
            )
            for name, value in [
                ("wall_s", float("nan")), ("wall_s", -1), ("memory_mib", 1.5), ("threads", True),
                ("open_files", "9"),
            ]
        ),
    ]:  # fmt: skip
        status, error = post(server, body)
        assert (status, reason in error) == (400, True), error
    most = 128 << 20
    assert post(server, b"", {"Content-Length": str(most + 1)})[0] == 413
    assert remote.grade({**FUNCTION, "memory_limit_mb": 512}, RIGHT).outcome is Outcome.CORRECT
    verdict = remote.grade({**FUNCTION, "memory_limit_mb": 1024}, RIGHT)
    assert verdict.outcome is Outcome.BROKEN
    assert "memory_mib 1,024, and this server gives at most 512" in verdict.detail
    assert remote.grade(FUNCTION, RIGHT).outcome is Outcome.CORRECT


@pytest.mark.slow
def test_a_request_that_is_too_large_is_not_even_sent(server: Server) -> None:
    request = {"do": "print", "program": "", "input": "x" * (128 << 20)}
    with RemoteSandbox(server.url) as sandbox:
        with pytest.raises(SandboxError, match="takes at most 134,217,728: start it with a larger"):
            sandbox.run(request, Limits(wall_s=1.0))
        assert not sandbox.running


@pytest.mark.slow
def test_a_request_waits_for_a_sandbox_for_a_while_and_then_is_told_so() -> None:
    with serving("--sandboxes", "1", "--require-strength", "landlock") as server:
        request = {"do": "print", "program": "while True: pass", "input": ""}
        with RemoteSandbox(server.url, "landlock") as first, RemoteSandbox(server.url, "landlock"):
            second = RemoteSandbox(server.url, "landlock")
            second.start()
            idle = set(descendants(server.process.pid))
            busy = threading.Thread(target=lambda: first.run(request, Limits(wall_s=8.0)))
            busy.start()
            end = time.monotonic() + PATIENCE_S
            while not set(descendants(server.process.pid)) - idle:
                assert time.monotonic() < end, "the program was not started"
            with pytest.raises(SandboxError, match=r"says 503: no sandbox was free within 3 s"):
                second.run(request, Limits(wall_s=1.0))
            busy.join(PATIENCE_S)


@contextmanager
def answering(data: bytes) -> Iterator[str]:
    """The URL of something that is no sandbox server: it answers all with the same."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(data)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join(PATIENCE_S)


def http(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "cannot be reached, or went away"),
        (b"SSH-2.0-OpenSSH_9\r\n", "cannot be reached, or went away: BadStatusLine"),
        (http(b"<html>"), "says 200: OK: b'<html>'"),
        (http(b"[]"), "says 200"),
        (http(b'{"protocol": 2}'), "no sandbox server of this version"),
        (http(b'{"protocol": 1, "most_request_bytes": 9, "strength": ["namespaces"]}'), "at least"),
        (http(b"x" * 100_000), "it answered with more than 65,536 bytes"),
        (http(b"{}")[:-1], "1 bytes arrived, 2 were announced"),
    ],
)
def test_something_else_than_a_sandbox_server_is_told_apart(data: bytes, message: str) -> None:
    with answering(data) as url, pytest.raises(SandboxError, match=re.escape(message)):
        RemoteSandbox(url).start()


@pytest.mark.slow
def test_a_server_that_says_nothing_is_not_waited_for_without_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(SandboxError, match="did not answer within 10 s"):
            RemoteSandbox(url).start()


@pytest.mark.parametrize(
    "url", ["", "10.0.0.7:8900", "ftp://x", "http://", "http://x:y", "http://u:p@x", "http://x?y"]
)
def test_what_is_no_url_of_a_server_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="no URL of a sandbox server"):
        RemoteSandbox(url)


@pytest.mark.slow
def test_lines_of_programs_are_judged_through_a_server(server: Server) -> None:
    line = json.dumps({"id": 1, "task": FUNCTION, "program": RIGHT})
    argv = [sys.executable, "-m", "rl", "verify", "code", "--sandbox"]
    how: dict[str, Any] = {"capture_output": True, "text": True, "cwd": ROOT, "check": False}
    ended = subprocess.run([*argv, server.url], input=line, timeout=PATIENCE_S, **how)
    answer = json.loads(ended.stdout.splitlines()[1])
    assert (answer["verdict"], answer["verifier"]) == (True, "code/1+remote-namespaces")
    assert ended.stderr.startswith("sandbox: remote-namespaces (bubblewrap")
    ended = subprocess.run([*argv, "http://127.0.0.1:1"], input=line, timeout=PATIENCE_S, **how)
    assert ended.returncode == 1
    assert "is `assay sandbox` running there?" in ended.stderr

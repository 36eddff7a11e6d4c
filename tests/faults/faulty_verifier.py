"""A verifier that misbehaves on demand: job["do"] names the function below that is called."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from verifiers.verdict import Verdict, correct, wrong

calls = 0
hoard: list[bytes] = []
prepared: list[Any] = []


def judge(job: dict[str, Any]) -> Verdict:
    global calls
    calls += 1
    return globals()[job["do"]](job)


def prepare(item: Any) -> None:
    if item == "fail":
        print("preparing the failure")
        raise LookupError("this cannot be prepared")
    prepared.append(item)


def judge_badly_prepared(job: dict[str, Any]) -> Verdict:
    return correct("")


def accept(job: dict[str, Any]) -> Verdict:
    return correct(str(job.get("answer", "")))


def refuse(job: dict[str, Any]) -> Verdict:
    return wrong(str(job.get("answer", "")), "refused")


def who(job: dict[str, Any]) -> Verdict:
    """Tells the process, how many jobs it has had, and what it was prepared with."""
    return correct(json.dumps({"pid": os.getpid(), "calls": calls, "prepared": prepared}))


def environment(job: dict[str, Any]) -> Verdict:
    return correct(json.dumps(dict(os.environ)))


def raise_error(job: dict[str, Any]) -> Verdict:
    raise ValueError("the truth has\nno answer")


def hang(job: dict[str, Any]) -> Verdict:
    while True:
        time.sleep(60)


def spin(job: dict[str, Any]) -> Verdict:
    while True:
        pass


def spin_ignoring_signals(job: dict[str, Any]) -> Verdict:
    for number in (signal.SIGPROF, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    return spin(job)


def eat_memory(job: dict[str, Any]) -> Verdict:
    held = []
    while True:
        held.append(bytes(1 << 20))


def hoard_memory(job: dict[str, Any]) -> Verdict:
    """Needs little itself, but keeps it: in the end there is none for the next job."""
    hoard.append(bytes(job["mib"] << 20))
    return correct(str(len(hoard)))


def killed_by_kernel(job: dict[str, Any]) -> Verdict:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def crash(job: dict[str, Any]) -> Verdict:
    os.kill(os.getpid(), signal.SIGSEGV)
    raise AssertionError


def leave(job: dict[str, Any]) -> Verdict:
    sys.exit(0)


def leave_at_once(job: dict[str, Any]) -> Verdict:
    os._exit(0)


def return_nonsense(job: dict[str, Any]) -> Any:
    return "correct"


def enormous_verdict(job: dict[str, Any]) -> Verdict:
    return correct("x" * (8 << 20))


def print_a_lot(job: dict[str, Any]) -> Verdict:
    print('{"id": 1, "verdict": {"outcome": "correct", "score": 1.0}}')
    print("noise without end of line " * 10000, end="")
    os.write(1, b"\xff\xfe raw\n")
    os.write(2, b"to standard error\n")
    return wrong("printed", "refused")


def write_to_channel(job: dict[str, Any]) -> Verdict:
    for fd in range(64):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{fd}").startswith("socket:"):
                os.write(fd, job["text"].encode())
    return hang(job)


def fill_file(job: dict[str, Any]) -> Verdict:
    with Path(job["path"]).open("wb") as file:
        while True:
            file.write(bytes(1 << 24))


def fork(job: dict[str, Any]) -> Verdict:
    """Leaves a process behind that tells its pid and then lives on."""
    pid = os.fork()
    if pid == 0:
        Path(job["pid_file"]).write_text(str(os.getpid()))
        time.sleep(600)
        os._exit(0)
    return hang(job) if job.get("hang") else correct(str(pid))


def fork_and_return(job: dict[str, Any]) -> Verdict:
    """The child comes back too, and would answer a second time."""
    os.fork()
    return correct(str(job.get("answer", "")))


def start_daemon(job: dict[str, Any]) -> Verdict:
    """Leaves a process behind in a session of its own."""
    code = "import time; time.sleep(600)"
    child = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    Path(job["pid_file"]).write_text(str(child.pid))
    return hang(job) if job.get("hang") else correct(str(child.pid))


def tell_and_hang(job: dict[str, Any]) -> Verdict:
    told = Path(job["path"] + ".new")
    told.write_text(str(os.getpid()))
    told.rename(job["path"])
    return hang(job)


def burn(job: dict[str, Any]) -> Verdict:
    end = time.process_time() + job["cpu_s"]
    while time.process_time() < end:
        pass
    return correct(str(os.getpid()))


def trace(job: dict[str, Any]) -> Verdict:
    """Appends how many jobs this process has had to a file."""
    with Path(job["path"]).open("a") as file:
        file.write(f"{calls} ")
    return correct("")


def leave_over_limit(job: dict[str, Any]) -> Verdict:
    raise MemoryError

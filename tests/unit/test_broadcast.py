"""Calls to servers that do not answer, on the way of weights from GPU to GPU."""

import asyncio
import subprocess
import sys
import threading

import pytest

from rl.sampling.answers import EngineError
from rl.sampling.engine import Deadline
from rl.weights.broadcast import in_daemon_thread

HANGING_SERVER = """
import socket, time
import vllm.distributed.weight_transfer  # not within a deadline of fractions of a second
from rl.weights.broadcast import AllServers, in_daemon
from rl.sampling.engine import Deadline

silent = socket.create_server(("127.0.0.1", 0))
servers = AllServers([f"http://127.0.0.1:{silent.getsockname()[1]}"] * 2, [1, 1])
for seconds in (0.2, 1.0):
    servers.deadline = Deadline(seconds)
    begin = time.monotonic()
    try:
        servers.start_weight_update()
    except Exception as error:
        print(type(error).__name__, seconds <= time.monotonic() - begin < seconds + 10)
servers.deadline = Deadline(3600)
in_daemon(servers.start_weight_update)
print("ended", flush=True)
"""


def test_work_that_fails_or_hangs_is_told_apart() -> None:
    forever = threading.Event()
    with pytest.raises(EngineError, match=r"by NCCL failed: KeyError\('weight'\)"):
        asyncio.run(in_daemon_thread(lambda: {}["weight"], Deadline(60)))
    with pytest.raises(EngineError, match=r"not done within 0.01 s \(engine.update_deadline_s\)"):
        asyncio.run(
            in_daemon_thread(lambda: forever.wait(), Deadline(0.01, "engine.update_deadline_s"))
        )
    forever.set()
    asyncio.run(in_daemon_thread(lambda: None, Deadline(60)))


@pytest.mark.slow
def test_every_update_has_its_own_deadline_and_a_hanging_server_does_not_keep_the_process() -> None:
    argv = [sys.executable, "-c", HANGING_SERVER]
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == ["ReadTimeout True", "ReadTimeout True", "ended"]

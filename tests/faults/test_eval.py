"""`assay eval` as a process: killed in the middle, repeated, asked to judge again."""

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rl.children import processes_of
from tests.chat_server import ChatServer, chat_server, reply, said
from tests.loop.runs import until

pytestmark = pytest.mark.timeout(900)

SUMS = """
from dataclasses import dataclass
from random import Random

from envs.base import Env, Task
from verifiers.verdict import Verdict, correct, wrong


@dataclass(frozen=True)
class Sums(Env):
    def task(self, rng: Random) -> Task:
        a, b = rng.randrange(100), rng.randrange(100)
        return Task(f"{a}+{b}=?", str(a + b))

    def verify(self, task: Task, response: str) -> Verdict:
        if response PASSES:
            return correct(response, "sums/1")
        return wrong(response, "not the sum", "sums/1")

    def solve(self, task: Task) -> str:
        return task.truth
"""
PROBLEMS, SAMPLES = 12, 2


def summed(body):
    """Every other problem is answered with a sign of equality before the sum."""
    a, b = map(int, body["messages"][0]["content"].removesuffix("=?").split("+"))
    return reply(said(str(a + b) if (a + b) % 2 else f"={a + b}"))


@pytest.fixture
def sums(tmp_path):
    file = tmp_path / "sums.py"
    file.write_text(SUMS.replace("PASSES", "== task.truth"))
    return file


def assay(tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "rl", "eval", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "ASSAY_EVAL_KEY": "a-secret-key"},
    )  # fmt: skip


def evaluation(tmp_path: Path, server: ChatServer, env: Path) -> subprocess.Popen[str]:
    return assay(
        tmp_path, server.url, "--env", f"{env}:Sums", f"run_dir={tmp_path / 'out'}",
        f"evaluation.problems={PROBLEMS}", f"evaluation.samples={SAMPLES}",
        "engine.max_num_seqs=2", "verify.workers=1",
    )  # fmt: skip


def lines(file: Path) -> list[bytes]:
    return file.read_bytes().splitlines() if file.exists() else []


def test_an_evaluation_that_is_killed_and_repeated_redoes_nothing_and_can_be_judged_again(
    tmp_path, sums
):
    held, numbers = threading.Event(), itertools.count(1)

    def respond(body):
        if next(numbers) > 10:
            held.wait(600)
        return summed(body)

    server = ChatServer(respond, models=["tiny"])
    with chat_server(server):
        first = evaluation(tmp_path, server, sums)
        until(lambda: len(server.requests) >= 12, "the twelfth request", 600)
        (directory,) = (path for path in (tmp_path / "out").iterdir() if path.is_dir())
        until(lambda: len(lines(directory / "answers.jsonl")) >= 10, "ten stored answers", 600)
        os.kill(first.pid, signal.SIGKILL)
        first.communicate(timeout=60)
        until(lambda: processes_of(directory) == [], "the end of what it had started", 60)
        stored = lines(directory / "answers.jsonl")
        assert len(stored) == 10
        held.set()
        server.requests.clear()

        again = evaluation(tmp_path, server, sums)
        printed, _ = again.communicate(timeout=600)
        assert again.returncode == 0, printed
        assert "10 of 24 answers are stored already" in printed
        assert len(server.requests) == PROBLEMS * SAMPLES - 10
        found = lines(directory / "answers.jsonl")
        assert found[:10] == stored
        keys = {(row["problem"], row["sample"]) for row in map(json.loads, found)}
        assert len(keys) == len(found) == PROBLEMS * SAMPLES
        scores = json.loads((directory / "scores.json").read_text())["all"]
        right = sum(json.loads(line)["verdict"]["score"] for line in found)
        assert scores["avg_at_k"]["value"] == pytest.approx(right / len(found))
        assert scores["avg_at_k"]["low"] < scores["avg_at_k"]["value"] < scores["avg_at_k"]["high"]
        assert printed.splitlines()[-1] == str(tmp_path / "out")

        server.requests.clear()
        third = evaluation(tmp_path, server, sums)
        printed, _ = third.communicate(timeout=600)
        assert third.returncode == 0, printed
        assert "evaluated already: nothing is sampled again" in printed
        assert server.requests == []

    for file in directory.rglob("*"):  # neither in what is kept nor in a log
        assert file.is_dir() or b"a-secret-key" not in file.read_bytes(), file

    sums.write_text(SUMS.replace("PASSES", '.removeprefix("=") == task.truth'))
    process = assay(tmp_path, "--regrade", str(tmp_path / "out"))
    printed, _ = process.communicate(timeout=600)
    assert process.returncode == 1, printed
    wrong = len(found) - round(right)
    assert f"24 answers judged again: {wrong} verdicts changed" in printed
    assert f"{wrong}  wrong -> correct" in printed
    listed = [json.loads(line) for line in lines(directory / "regrade.jsonl")]
    assert [change["then"]["outcome"] for change in listed] == ["wrong"] * wrong
    rows = [json.loads(line) for line in lines(directory / "answers.jsonl")]
    assert [row["verdict"]["outcome"] for row in rows] == ["correct"] * 24
    assert sum("verdicts_before" in row for row in rows) == wrong
    assert json.loads((directory / "scores.json").read_text())["all"]["avg_at_k"]["value"] == 1.0
    summary = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert summary["evaluated"][0]["scores"]["all"]["avg_at_k"]["value"] == 1.0

    summary = (tmp_path / "out" / "evaluation.json").read_text()
    (tmp_path / "out" / "evaluation.json").write_text("{}")
    process = assay(tmp_path, "--regrade", str(directory))
    printed, _ = process.communicate(timeout=600)
    assert process.returncode == 1
    assert "evaluation.json is not what `assay eval` writes" in printed
    (tmp_path / "out" / "evaluation.json").write_text(summary)

    sums.write_text(SUMS.replace("PASSES", "== task.nothing_of_that_name"))
    process = assay(tmp_path, "--regrade", str(directory))
    printed, _ = process.communicate(timeout=600)
    assert process.returncode == 1, printed
    assert "today's verifier fails on 24 of 24 answers" in printed
    assert lines(directory / "answers.jsonl") == [
        json.dumps(row, ensure_ascii=False).encode() for row in rows
    ]


def test_an_answer_that_the_server_refuses_is_broken_and_can_be_asked_for_again(tmp_path, sums):
    refused: list[str] = []

    def respond(body):
        question = body["messages"][0]["content"]
        if not refused:
            refused.append(question)
        if question in refused:
            return reply({"error": "longer than the context"}, 400)
        return summed(body)

    server = ChatServer(respond, models=["tiny"])
    with chat_server(server):
        printed, _ = (first := evaluation(tmp_path, server, sums)).communicate(timeout=600)
        assert first.returncode == 0, printed
        assert f"are over {PROBLEMS - 1} of {PROBLEMS} problems" in printed
        (directory,) = (path for path in (tmp_path / "out").iterdir() if path.is_dir())
        rows = [json.loads(line) for line in lines(directory / "answers.jsonl")]
        failed = [row["verdict"]["detail"] for row in rows if row["stop"] == "failed"]
        assert len(failed) == SAMPLES
        assert "longer than the context" in failed[0]

        refused[:] = ["nothing"]
        server.requests.clear()
        printed, _ = (third := evaluation(tmp_path, server, sums)).communicate(timeout=600)
        assert third.returncode == 0, printed
        assert server.requests == []
        assert f"the server failed on {SAMPLES} answers" in printed
        (directory / "scores.json").unlink()
        printed, _ = (again := evaluation(tmp_path, server, sums)).communicate(timeout=600)
        assert again.returncode == 0, printed
        assert len(server.requests) == SAMPLES
        assert json.loads((directory / "scores.json").read_text())["all"]["broken"] == 0

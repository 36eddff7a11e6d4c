"""A verifier for the pool that keeps a prepared sandbox, as a code environment does."""

import os
from typing import Any

from verifiers.code import Grader
from verifiers.verdict import Verdict, correct

GRADERS: list[Grader] = []


def prepare(strength: str) -> None:
    GRADERS.append(Grader(strength).__enter__())


def judge(job: dict[str, Any]) -> Verdict:
    if job.get("who"):
        return correct(str(os.getpid()))
    return GRADERS[0].grade(job["task"], job["program"])

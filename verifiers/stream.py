"""Verdicts for whoever speaks JSON lines: one request per line in, one answer per line out.

The first line out is {"ready": true}. A line that cannot be read gets an answer with "error"; the
next one is served. Ends when the input does. `verdict` is true for the outcome `correct` alone.
"""

import json
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, BinaryIO

from verifiers.blocking import BlockingPool
from verifiers.pool import Limits
from verifiers.verdict import Outcome, Verdict, broken

MAX_ID = 1000  # characters of JSON
MAX_LINE = 1 << 28  # bytes; a longer one is not kept in memory


class BadRequest(ValueError):
    """This line cannot be judged; says what is missing or wrong."""


def serve(judge: Callable[[dict[str, Any]], Verdict], lines: BinaryIO, answers: BinaryIO) -> None:
    """Answer every line until there are no more. `judge` may raise BadRequest; what else it raises
    is a failure of the verifier, and its verdict is `broken`."""
    _say(answers, {"ready": True})
    while line := lines.readline(MAX_LINE):
        begin = time.perf_counter()
        name: Any = None
        try:
            request = _read(line, lines)
            name = _name(request)
            found = _answer(judge(request))
        except BadRequest as error:
            text = str(error)
            found = {"verdict": False, "outcome": "error", "reason": text, "error": text}
        except Exception as error:  # every line gets an answer
            traceback.print_exc()
            found = _answer(broken(f"the verifier raised {type(error).__name__}: {error!s:.500}"))
        _say(answers, {"id": name, **found, "t": round(time.perf_counter() - begin, 6)})


def _read(line: bytes, lines: BinaryIO) -> dict[str, Any]:
    if len(line) >= MAX_LINE and not line.endswith(b"\n"):
        while rest := lines.readline(MAX_LINE):
            if rest.endswith(b"\n"):
                break
        raise BadRequest(f"a line of more than {MAX_LINE:,} bytes")
    try:
        request = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"not a line of JSON: {str(error)[:200]}") from error
    if not isinstance(request, dict):
        raise BadRequest(f"a request is a JSON object, not {type(request).__name__}")
    return request


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number of JSON")


def _name(request: dict[str, Any]) -> Any:
    """The request's id, which its answer repeats."""
    name = request.get("id")
    try:
        text = json.dumps(name, allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"'id' cannot be written as JSON: {error}") from error
    if len(text) > MAX_ID:  # one that is nested so deep could not be written into an answer
        raise BadRequest(f"'id' takes {len(text):,} characters as JSON (at most {MAX_ID:,})")
    return name


def _answer(verdict: Verdict) -> dict[str, Any]:
    return {
        "verdict": verdict.outcome is Outcome.CORRECT,
        "outcome": verdict.outcome,
        "reason": verdict.detail,
        "score": verdict.score,
        "answer": verdict.answer,
        "verifier": verdict.verifier,
    }


def _say(answers: BinaryIO, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer).encode() + b"\n")
    answers.flush()


def text_of(request: dict[str, Any], key: str) -> str:
    """A field that must be a string.

    Raises:
        BadRequest: it is not.
    """
    value = request.get(key)
    if not isinstance(value, str):
        raise BadRequest(f"'{key}' must be a string, not {type(value).__name__}")
    return value


def serve_code(require_strength: str, *, url: str | None, partial: bool) -> None:
    """`assay verify code`: {"id", "task", "program"} per line. With `url`, programs are run by a
    sandbox server.

    Raises:
        TooWeak: this machine, or that server, gives no sandbox as strong as required.
        SandboxError: the server cannot be used. ValueError: the URL is none.
    """
    from verifiers.code import Grader

    with Grader(require_strength, url=url, partial=partial) as grader:
        print(f"sandbox: {grader.description}", file=sys.stderr, flush=True)

        def judge(request: dict[str, Any]) -> Verdict:
            return grader.grade(*code_job(request))

        serve(judge, sys.stdin.buffer, sys.stdout.buffer)


def code_job(request: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Task and program of a request.

    Raises:
        BadRequest: it lacks one.
    """
    task = request.get("task")
    if not isinstance(task, dict):
        raise BadRequest(f"'task' must be an object, not {type(task).__name__}")
    return task, text_of(request, "program")


def serve_math() -> None:
    """`assay verify math`: {"id", "problem", "gold", "response"} per line, judged in a worker
    process that is killed when an answer uses up its limits."""
    with BlockingPool("verifiers.math:judge", 1, Limits(), prepare=[None]) as pool:

        def judge(request: dict[str, Any]) -> Verdict:
            return pool.verify([math_job(request)])[0]

        serve(judge, sys.stdin.buffer, sys.stdout.buffer)


def math_job(request: dict[str, Any]) -> dict[str, str]:
    """The job for `verifiers.math.judge` in a request.

    Raises:
        BadRequest: it lacks something.
    """
    job = {key: text_of(request, key) for key in ("gold", "response")}
    if request.get("problem") is not None:
        job["problem"] = text_of(request, "problem")
    return job

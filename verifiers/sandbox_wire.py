"""What a sandbox server and its clients say to each other, as JSON.

    GET /about    {"protocol", "strength", "description", "sandboxes", "most": limits,
                  "most_request_bytes"}
    POST /run     {"jobs": [{"request": {...}, "limits": {...}}]}, one job or two joined ones
                  -> {"strength", "ran": [{"report", "output" (both base64), "status", ...}]}

An answer with another status than 200 is {"error": a sentence}. A request holds a program and what
it is given; what is expected of it stays with the grader.
"""

import base64
import json
import os
from collections.abc import Sequence
from typing import Any

from verifiers.sandbox import Ran
from verifiers.sandbox_confine import Limits

PROTOCOL = 1
TOKEN = "ASSAY_SANDBOX_TOKEN"  # environment variable, of the server and of its clients
QUEUE_S = 3.0  # that a request may wait for a free sandbox

Job = tuple[dict[str, Any], Limits]


class BadJobs(ValueError):
    """These jobs cannot be run; says which part, what is there, and what is allowed."""


def token() -> str:
    """The secret that a server and its clients share; empty if none is set.

    Raises:
        ValueError: it cannot stand in a line of HTTP. The message does not show it.
    """
    found = os.environ.get(TOKEN, "")
    if not found.isascii() or not found.isprintable() or " " in found:
        raise ValueError(f"{TOKEN} must be printable ASCII characters without blanks")
    return found


def write_jobs(jobs: Sequence[Job]) -> bytes:
    listed = [{"request": request, "limits": limits._asdict()} for request, limits in jobs]
    return json.dumps({"jobs": listed}).encode()


def read_jobs(data: bytes, most: Limits) -> list[Job]:
    """The inverse of `write_jobs`, for data from anywhere.

    most: what a program may be given here. Asking for more is refused and not cut down: a program
        that then ran into the lower limit would be blamed for it.

    Raises:
        BadJobs: it is no list of jobs, or one asks for more.
    """
    try:
        listed = json.loads(data)["jobs"]
        jobs = [(job["request"], _limits(job["limits"], most)) for job in listed]
    except (TypeError, KeyError, ValueError, RecursionError) as error:
        if isinstance(error, BadJobs):
            raise
        raise BadJobs(f"no jobs in it: {type(error).__name__}: {str(error)[:200]}") from None
    if not 1 <= len(jobs) <= 2 or not all(isinstance(request, dict) for request, _ in jobs):
        raise BadJobs(f"one job, or two that are joined, each with a request; not {len(jobs)}")
    return jobs


def _limits(data: dict[str, Any], most: Limits) -> Limits:
    limits = Limits(**data)
    for name, value, highest in zip(Limits._fields, limits, most, strict=True):
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not (whole or (name == "wall_s" and isinstance(value, float))) or not value > 0:
            raise BadJobs(f"the limit {name} is {value!r}; it must be a number above 0")
        if value > highest:
            raise BadJobs(
                f"a program is to have {name} {value:,}, and this server gives at most "
                f"{highest:,}: start it with more, or lower the task's limit"
            )
    return limits


def write_ran(strength: str, ran: Sequence[Ran]) -> bytes:
    listed = [
        {
            **one._asdict(),
            "report": base64.b64encode(one.report).decode(),
            "output": base64.b64encode(one.output).decode(),
        }
        for one in ran
    ]
    return json.dumps({"strength": strength, "ran": listed}).encode()


def read_ran(data: Sequence[dict[str, Any]]) -> list[Ran]:
    """The inverse of `write_ran`, from what stands under "ran".

    Raises:
        KeyError, TypeError, ValueError: it is something else.
    """
    return [
        Ran(
            report=base64.b64decode(one["report"], validate=True),
            output=base64.b64decode(one["output"], validate=True),
            status=int(one["status"]),
            exceeded={"": "", "time": "time", "output": "output"}[one["exceeded"]],
            cpu_s=float(one["cpu_s"]),
            memory_mib=float(one["memory_mib"]),
        )
        for one in data
    ]


def most_answer_bytes(jobs: Sequence[Job]) -> int:
    """Of a proper answer to these jobs: a report and an output each, in base64."""
    return sum(4 * (limits.output_bytes + 4096) for _, limits in jobs)

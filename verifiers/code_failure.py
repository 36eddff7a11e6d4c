"""Why a program did not pass a test, read from how its run ended."""

import signal
from contextlib import suppress
from dataclasses import dataclass

from verifiers.code_values import NotAValue, TooManyParts, Tree, parse_report
from verifiers.sandbox import Ran
from verifiers.sandbox_confine import Limits
from verifiers.verdict import Outcome

# Members of an answer at all depths together, where the task's own value gives no reason for more:
# reading them takes the grader, which has no time limit of its own, about a second.
MAX_PARTS = 250_000


class BadTask(ValueError):
    """The task itself cannot be used; says which part, what is there, and what is allowed."""


@dataclass(frozen=True)
class Failure:
    """Why a test was not passed."""

    outcome: Outcome
    detail: str


def returned(
    ran: Ran, limits: Limits, most_parts: int | None = MAX_PARTS
) -> tuple[Tree, Failure | None]:
    """The value that a run reports, in normal form, or why there is none.

    The report may be anything: a program can write its own. It is read as data or not at all. One
    of more than `most_parts` is not read; None is for what an author's program reports.
    """
    if ran.exceeded or not ran.report:
        return None, ended(ran, limits)
    try:
        what, tree = parse_report(ran.report, most_parts)
    except TooManyParts as error:
        return None, Failure(Outcome.EXCEEDED, f"returned {error}")
    except NotAValue as error:
        return None, Failure(Outcome.WRONG, f"sent {error}")
    if what == "value":
        return tree, None
    return None, _said(what, tree, limits)


def ended(ran: Ran, limits: Limits) -> Failure:
    """Why a run that was to print or to return something did not do so properly."""
    if ran.exceeded:
        return Failure(Outcome.EXCEEDED, _limit(ran.exceeded, limits))
    if ran.report:
        with suppress(NotAValue):
            what, tree = parse_report(ran.report, MAX_PARTS)
            if what in ("raised", "exceeded"):
                return _said(what, tree, limits)
    if ran.status == -signal.SIGKILL:
        detail = "was killed by the kernel, for its CPU time or for want of memory"
        return Failure(Outcome.EXCEEDED, detail)
    if ran.status < 0:
        return Failure(Outcome.WRONG, f"was ended by {signal.Signals(-ran.status).name}")
    if ran.status > 0:
        return Failure(Outcome.WRONG, f"ended with exit code {ran.status}")
    return Failure(Outcome.WRONG, "ended without returning a value")


def _said(what: str, tree: Tree, limits: Limits) -> Failure:
    text = tree if isinstance(tree, str) else "something that is no text"
    if what == "exceeded":
        return Failure(Outcome.EXCEEDED, _limit(text, limits))
    known = {"raised": "raised", "no value": "returned"}
    return Failure(Outcome.WRONG, f"{known.get(what, 'sent')} {text[:600]}")


def _limit(which: str, limits: Limits) -> str:
    sizes = {
        "time": f"{limits.wall_s:g} s of time",
        "memory": f"{limits.memory_mib} MiB of memory",
        "output": f"{limits.output_bytes >> 10} KiB of output",
    }
    return f"used up its {sizes.get(which, 'limits')}"

"""A second opinion on answers that were accepted: narrow rules in a few lines, so that a mistake in
the large verifier is hardly in here too."""

import re

from verifiers.verdict import Verdict, correct, wrong

VERSION = "strict/1"

_BOX = re.compile(r"\\boxed\{([^{}]*)\}")


def verify_number(gold: str, response: str) -> Verdict:
    r"""Correct iff the response has one `\boxed{...}`, or only equal ones, that hold `gold` digit
    by digit."""
    found = {content.strip() for content in _BOX.findall(response)}
    if len(found) != 1:
        return wrong("", f"{len(found)} different boxes", VERSION)
    answer = found.pop()
    if answer != gold or not answer.isascii():
        return wrong(answer[:100], f"not {gold}, digit by digit", VERSION)
    return correct(answer, VERSION)

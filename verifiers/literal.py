"""Is the final answer of a response the same Python value as the reference, sign by sign?"""

import re

from verifiers.answer import final_answer
from verifiers.verdict import Verdict, correct, shown, unparsed, wrong

VERSION = "literal/1"

_TOKEN = re.compile(
    r"""\s*(?: '([^'\\\n]*)' | "([^"\\\n]*)" | (-?\d+(?:\.\d+)?|[A-Za-z]+|[][(){},:]) )\s*""",
    re.VERBOSE | re.ASCII,
)


def verify_literal(gold: str, response: str) -> Verdict:
    r"""Correct iff the final answer is written as `gold`, spaces and the kind of quotes aside.

    Numbers, strings without escapes, lists, tuples and dictionaries of these. Exact in type too:
    1 is not 1.0, 'a' is not a, [1] is not (1). Nothing is evaluated: tokens are compared.

    Raises:
        ValueError: gold is no such value.
    """
    expected = _tokens(gold)
    if expected is None:
        raise ValueError(f"the reference answer is no Python value that can be compared: {gold!r}")
    answer = final_answer(response)
    if not answer:
        return unparsed("no \\boxed{...} and no 'Answer: ...' with something in it", VERSION)
    found = _tokens(answer)
    if found is None:
        return unparsed(f"'{shown(answer)}' is no Python value such as [1, 'a']", VERSION)
    if found != expected:
        return wrong(shown(answer), f"not {gold}", VERSION)
    return correct(shown(answer), VERSION)


def _tokens(text: str) -> list[tuple[str, str]] | None:
    """(kind, text) of each token; None where something is none. Linear in the length."""
    tokens, end = [], 0
    while end < len(text):
        found = _TOKEN.match(text, end)
        if found is None:
            return None
        single, double, other = found.groups()
        string = single if single is not None else double
        tokens.append(("other", other) if string is None else ("string", string))
        end = found.end()
    return tokens

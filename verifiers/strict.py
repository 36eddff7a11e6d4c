r"""A second opinion on answers that were accepted: narrow rules in a few lines, so that a mistake
in a large verifier is hardly in here too.

Nothing is computed. Two answers are the same if they are plain numbers of the same value, or if
they are spelled alike once spaces, fonts and the like are taken away, in lists member by member and
in sums term by term. Rare ways to write a right answer are refused: the alarm that asks
(`alarms.recheck_disagreement`) puts up with some.
"""

import json
import re
from fractions import Fraction
from typing import Any

from verifiers.verdict import Verdict, correct, wrong

VERSION = "strict/2"

LONGEST = 1000  # characters of an answer that is looked at

_BOX = re.compile(r"\\boxed\s*\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}")
_MARKED = re.compile(
    r"^.*(?:####|answer(?::| is))[ \t:*]*(.+?)(?:\.[ \t].*)?$", re.IGNORECASE | re.MULTILINE
)
_BLANK = r"(?:\\(?:left|right|displaystyle)(?![a-zA-Z])|\\[,;:! ]|[\s~])"
_SPELLING = [
    (re.compile(pattern, re.ASCII), instead)
    for pattern, instead in (
        (r"(?<=\d)(?:\{,\}|,\\!|\\,)(?=\d{3}(?!\d))", ","),  # thousands
        (r"\\[dt]frac", r"\\frac"),
        (r"\\frac\s*\{\s*(-?\d+)\s*\}\s*\{\s*(\d+)\s*\}", r"\1/\2"),
        (r"\\frac\s*(\d)\s*(\d)", r"\1/\2"),
        (r"\\(?:text|textbf|mathrm|mathbf)\{([^{}]*)\}", r"\1"),
        (rf"(?<!\d){_BLANK}+|{_BLANK}+(?!\d)", ""),  # not between digits: 4 5 is not 45
        (r"(?<!\w)\\?\$|\$(?!\w)", ""),
        (r"\^\{(\w+)\}", r"^\1"),
        (r"(?<=\d)(?:\\cdot|\*)(?=[a-z(])", ""),
        (r"\.$", ""),
    )
]
_UNIT = re.compile(
    r"(?:\\[,; ]|[\s~])*(?:\\(?:text|mathrm)\{([a-zA-Z/^23 ]+)\}|(?<=\s)([a-zA-Z/]+))"
    r"(\^\{?[23]\}?)?$"
)
_OR = re.compile(r"\\text\{\s*,?\s*(?:or|and)\s*\}|\b(?:or|and)\b")
_NAME = re.compile(r"[a-z]=|\([a-z](?:,[a-z])+\)=")
_NUMBER = re.compile(r"[+-]?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+|/[1-9]\d*)?|\.\d+)", re.ASCII)


def is_number(gold: str) -> bool:
    """Whether `verify_plain` compares it by value."""
    return isinstance(_value(_spelled(gold)), Fraction)


def verify_plain(gold: str, response: str, problem: str = "") -> Verdict:
    r"""Correct iff the response says `gold` and nothing else as its answer, plainly written.

    Its answer is what stands in `\boxed{...}` (different boxes are a list), or without a box
    behind the last `####`, `answer:` or `answer is`. A unit may follow if the problem names it.
    gold: a list if it has a ", "; without brackets around it, its members stand in any order.
    """
    answers = [_without_unit(answer, problem) for answer in _answers(response)]
    shown = ", ".join(answers)[:LONGEST]
    if not shown.isascii() or sum(map(len, answers)) > LONGEST:
        return wrong(shown[:100], "too long for an answer, or not in ASCII", VERSION)
    if ", " in gold:
        expected, found = _members(gold), _members(",".join(answers))
        same = expected == found if gold.startswith("(") else sorted(expected) == sorted(found)
    else:
        same = {_value(_spelled(answer)) for answer in answers} == {_value(_spelled(gold))}
    if same:
        return correct(shown, VERSION)
    several = f"{len(answers)} different boxes" if len(answers) != 1 else f"not plainly {gold}"
    return wrong(shown[:100], several, VERSION)


def verify_value(value: Any, response: str) -> Verdict:
    """Correct iff the response's only answer is a Python value of strings, whole numbers and lists
    of them, quoted either way: read as JSON, it is written as `value` is."""
    answers = _answers(response)
    if len(answers) != 1:
        return wrong("", f"{len(answers)} different boxes", VERSION)
    shown = answers[0][:100]
    try:
        found = json.dumps(json.loads(answers[0].replace("'", '"')))
    except (ValueError, RecursionError):
        return wrong(shown, "no value of strings, whole numbers and lists", VERSION)
    same = found == json.dumps(value)
    return correct(shown, VERSION) if same else wrong(shown, f"not {value!r}", VERSION)


def _answers(response: str) -> list[str]:
    """The different answers behind the thinking, as they are written."""
    said = re.split(r"</think(?:ing)?>", response)[-1]
    if "<think" in said:
        return []
    found = _BOX.findall(said) or _MARKED.findall(said)[-1:]
    return list(dict.fromkeys(answer.strip() for answer in found))


def _without_unit(answer: str, problem: str) -> str:
    found = _UNIT.search(answer) if len(answer) <= LONGEST else None
    if found is None or found.start() == 0:
        return answer
    unit = (found[1] or found[2]).strip() + re.sub("[{}]", "", found[3] or "")
    named = re.search(rf"(?<!\w){re.escape(unit)}(?!\w)", problem)
    return answer[: found.start()] if named else answer


def _spelled(answer: str) -> str:
    """The one spelling that stands for an answer's many."""
    for pattern, instead in _SPELLING:
        answer = pattern.sub(instead, answer)
    return answer


def _members(answers: str) -> list[str]:
    """The members of a list or a point, brackets and the names of unknowns taken away."""
    bare = re.sub(r"\\?[(){}\[\]]", "", _NAME.sub("", _spelled(_OR.sub(",", answers))))
    return [str(_value(member)) for member in bare.split(",") if member]


def _value(spelled: str) -> Fraction | tuple[str, ...]:
    """A number as what it is, fractions in lowest terms only; else the terms, in no order."""
    bare = _NAME.sub("", spelled.lower(), count=1)
    if _NUMBER.fullmatch(bare):
        value = Fraction(bare.replace(",", ""))
        if "/" not in bare or str(value) == bare.lstrip("+"):
            return value
    return tuple(sorted(re.findall(r"[+-][^+-]*", bare if bare[:1] in "+-" else f"+{bare}")))

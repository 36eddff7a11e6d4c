"""What stands directly beside a boxed answer: another one (`or 5`), a denial, an operator.

Looks at a bounded number of characters before and behind the box.
"""

import re
from typing import NamedTuple

PARAGRAPH = 5000  # characters that are looked at before a box
REACH = 200  # and behind it

HEDGE = re.compile(
    r"\b(?:or|oder|maybe|perhaps|possibly|alternatively|unless|not|wrong|incorrect)\b|\u2228",
    re.IGNORECASE,
)
_CLOSING = r"(?:[\s$.,;)\]}*]|\\[\])])*"  # of the formula or sentence around the box
_OR = re.compile(
    _CLOSING
    + r"(?:\(\s*|\\(?:quad|[,;: ])\s*)*"
    + r"(?:and/or\b|or\b|oder\b|\|(?=\s*\d)|\u2228|\\text\{\s*or\s*\}|\\lor\b|\\vee\b"
    + r"|alternatively\b)[\s,:]*(?P<about>(?:about|approximately|roughly|around|\\approx)?)\s*"
    + r"(?:(?:maybe|perhaps|possibly|equivalently|simply|just|even)\b[\s,:]*)*(?P<other>.*)",
    re.DOTALL | re.IGNORECASE,
)
_TAKEN_BACK = re.compile(
    _CLOSING
    + r"(?:,?\s*(?:but\s+)?(?:maybe|perhaps|possibly|unless)\b|(?:is|was|would be)\s+(?:wrong|not\b"
    + r"|incorrect|false)|isn't\b)",
    re.IGNORECASE,
)
_DENIED = re.compile(r"(?:\bnot|n't|\bnever|\bneither|\bnor)[\s$\\(\[:*]*$", re.IGNORECASE)
_CHOICE_TOO = re.compile(r"[\s$.]*,\s*\(?([A-J])\)?[\s.$]*$")
_CHOICE = re.compile(r"(?:\\[a-z]+\{)?\(?[A-J]\)?\}?")  # its content may follow the box
_OPERATOR_BEFORE = re.compile(
    r"(?:[-+*/^_!0-9a-zA-Z]|\\(?:pm|mp|cdot|times|div|neq?|not|sqrt)|(?:\\(?:sqrt|[dt]?frac)"
    r"(?:\[[^\]]*\])?|\^|_|\})\{)$"
)
_SPOKEN_BEFORE = re.compile(r"\\(?:text|quad|qquad|implies|iff|to|therefore|so|displaystyle|large"
    r"|Large|huge|color|rightarrow|Rightarrow|[a-zA-Z]*arrow|approx|equiv|in|le|ge|leq|geq|lt|gt|bf"
    r"|left|big|Big)$")  # fmt: skip
_OPERATOR_AFTER = re.compile(
    r"[0-9]|[a-zA-Z](?![a-zA-Z])|\s*(?:[-+*/!]|[\^_](?!\s*\{?\s*\\circ)|\\(?:pm|mp|cdot|times|div|neq?|sqrt|[dt]?frac)"
    r"(?![a-zA-Z]))"
)
_DELIMITER = re.compile(r"(?<!\\)(?:\$\$?|\\[(\[\])]|\\(?:begin|end)\{[a-z*]+\})")
_ENDING = re.compile(r"(?<!\\)\$|\\[)\]]|\\end\{|\n\s*\n|\\\\|&")


class Beside(NamedTuple):
    others: tuple[str, ...] = ()  # other answers, or what denies the one in the box
    sign: str = ""  # a percent sign behind the box, which belongs to the answer
    joins: bool = True  # nothing beside it speaks against a list of boxes


def beside(text: str, start: int, end: int, answer: str) -> Beside:
    """What stands beside the box at text[start:end], with `answer` in it."""
    before = text[max(text.rfind("\n\n", 0, start), start - PARAGRAPH, 0) : start]
    after = text[end : end + REACH].partition("\n\n")[0]
    if _DENIED.search(before[-40:]) or _TAKEN_BACK.match(after):
        return Beside(("it is taken back beside the box",), joins=False)
    other = _other(after, answer)
    if other:
        return Beside((other,), joins=False)
    if re.match(r"/\s*\d", after):
        return Beside((f"{after[:20].strip()} behind the box",), joins=False)
    left, right = _in_formula(before, after)
    if left is not None and _OPERATOR_BEFORE.search(left) and not _SPOKEN_BEFORE.search(left):
        return Beside((f"{left[-20:].strip()} before the box",), joins=False)
    if left is not None and _OPERATOR_AFTER.match(right) and not _CHOICE.fullmatch(answer):
        return Beside((f"{right[:20].strip()} behind the box",), joins=False)
    sign = left is not None and re.match(r"(?:\\[,;: ]|\s)*\\%", right)
    return Beside(sign="\\%" if sign else "")


def _other(after: str, answer: str) -> str:
    """The answer that follows "or" directly behind the box; "" when there is none."""
    choice = _CHOICE_TOO.match(after.partition("\n")[0])
    if choice:
        return choice[1]
    found = _OR.match(after)
    if found is None:
        return ""
    said = found["other"].partition("\n")[0].strip()
    if "\\boxed" in said or "\\fbox" in said:
        return ""  # it is looked at as a box
    formula = re.match(r"\$+([^$]*)\$", said)
    other = formula[1] if formula else re.split(r"[.;](?:\s|$)|\$", said)[0].strip(" ).,$")
    if found["about"] and other:
        return f"{answer} \\approx {other}"
    return other or "or ... behind the box"


def _in_formula(before: str, after: str) -> tuple[str | None, str]:
    """The parts of the formula around the box, before and behind it; None when it is in none."""
    inside, begins = False, 0
    for found in _DELIMITER.finditer(before):
        dollar = found[0].startswith("$")
        inside = not inside if dollar else found[0].startswith(("\\(", "\\[", "\\begin"))
        begins = found.end()
    if not inside:
        return None, ""
    left = re.split(r"\\\\|&", before[begins:][-REACH:])[-1]
    ending = _ENDING.search(after)
    return left.rstrip(), after[: ending.start()] if ending else after

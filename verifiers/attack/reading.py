"""Reading the right answer out of a solution, without the verifier under attack: what it misreads
must not mislead the attackers too."""

import re
from fractions import Fraction

MAX_DIGITS = 4000

_BOX = re.compile(r"\\boxed\s*\{")
_MARKED = re.compile(r"(?:####|\banswer(?: is)?\s*:)[*: ]*(.+)", re.IGNORECASE)
_THOUSANDS = re.compile(r"(?<=\d)(?:,\\!|\{,\}|,|\\,|\\ )(?=\d{3}(?!\d))")
_WORDS = re.compile(r"\\(?:text|mathrm)\s*\{([^{}]*)\}")
_NUMBER = re.compile(
    r"(?P<sign>[-+\u2212]?)\s*(?:"
    r"\\[dt]?frac\s*\{(?P<top>-?\d+)\}\s*\{(?P<bottom>-?\d+)\}"
    r"|\\[dt]?frac(?P<top1>\d)(?P<bottom1>\d)"
    r"|(?P<left>\d+)/(?P<right>\d+)"
    r"|(?P<decimal>\d+(?:\.\d*)?|\.\d+)"
    r")",
    re.ASCII,
)


def final_answer(solution: str) -> str | None:
    r"""What the last `\boxed{...}` holds, else what follows the last `####` or `Answer:`."""
    boxes = list(_BOX.finditer(solution))
    if boxes:
        return _balanced(solution, boxes[-1].end())
    marked = _MARKED.findall(solution)
    return marked[-1].strip().strip("*$").strip() or None if marked else None


def _balanced(text: str, start: int) -> str | None:
    """The text from `start` to the brace that closes the one before it; None where none does."""
    depth = 1
    for brace in re.finditer(r"\\[{}]|[{}]", text[start:]):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if depth == 0:
            return text[start : start + brace.start()].strip()
    return None


def plain_number(text: str) -> Fraction | None:
    """An integer, decimal or fraction; None for anything else."""
    if len(text) > MAX_DIGITS:
        return None
    found = _NUMBER.fullmatch(_THOUSANDS.sub("", text.strip().strip("$").strip()))
    if found is None:
        return None
    if found["decimal"]:
        value = Fraction(found["decimal"])
    else:
        top = int(found["top"] or found["top1"] or found["left"])
        bottom = int(found["bottom"] or found["bottom1"] or found["right"])
        if bottom == 0:
            return None
        value = Fraction(top, bottom)
    return -value if found["sign"] in ("-", "\u2212") and found["sign"] else value


def same(one: str, other: str) -> bool:
    """Whether two final answers are plainly the same: as numbers, or letter by letter."""
    x, y = plain_number(one), plain_number(other)
    if x is not None or y is not None:
        return x == y
    return _letters(one) == _letters(other)


def _letters(text: str) -> str:
    return "".join(_WORDS.sub(r"\1", text).split()).casefold()


def gold_of(solution: str) -> str:
    """The final answer of a solution; all of it where it has none."""
    return final_answer(solution) or solution.strip()

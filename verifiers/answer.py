"""Finding the final answer in a response, and reading it where that needs no algebra.

Everything here takes time linear in the length of the text, whatever the text is.
"""

import re
from fractions import Fraction

MAX_DIGITS = 4000  # of a number that is turned into an integer (Python's own limit is 4300)

_BRACE = re.compile(r"\\[\\{}]|[{}]")
_BOX = re.compile(r"\\(?:boxed|fbox)(?![a-zA-Z])")
_MARKER = re.compile(r"####|\banswer\b(?: is)?[*: =]{0,4}", re.IGNORECASE)
_SPACING = re.compile(r"\\[,;:! ]|~|\s|\\(?:displaystyle|textstyle|left|right)(?![a-zA-Z])")
_GROUPED = re.compile(r"\d{1,3}(?:(?:,|\{,\}|,\\!|\\,|\\ )\d{3})+(?![\d,])", re.ASCII)
_PLAIN = re.compile(
    r"(?P<sign>[-+\u2212]?)(?:"
    r"\\[dt]?frac\{(?P<top>[-+]?\d+)\}\{(?P<bottom>[-+]?\d+)\}"
    r"|\\[dt]?frac(?P<top1>\d)(?P<bottom1>\d)"
    r"|(?P<left>\d+)/(?P<right>\d+)"
    r"|(?P<decimal>\d+(?:\.\d*)?|\.\d+)"
    r")",
    re.ASCII,
)


def final_answer(response: str) -> str | None:
    r"""The text of the last `\boxed{...}`, else what follows the last `####` or `answer:` on its
    line; None when there is neither, or when the last box is not closed."""
    if _BOX.search(response) is None:
        return _marked(response)
    closing = _closing_braces(response)
    answer, end = None, 0
    for box in _BOX.finditer(response):
        if box.start() < end:
            continue  # inside the box before
        opening = box.end()
        while opening < len(response) and response[opening] == " ":
            opening += 1
        close = closing.get(opening)
        answer, end = (None, 0) if close is None else (response[opening + 1 : close], close)
    return answer.strip() if answer is not None else None


def _closing_braces(text: str) -> dict[int, int]:
    """Position of every opening brace that is closed -> position of its closing one."""
    open_at: list[int] = []
    closing: dict[int, int] = {}
    for found in _BRACE.finditer(text):
        if found[0] == "{":
            open_at.append(found.start())
        elif found[0] == "}" and open_at:
            closing[open_at.pop()] = found.start()
    return closing


def _marked(response: str) -> str | None:
    ends = [marker.end() for marker in _MARKER.finditer(response)]
    if not ends:
        return None
    line = response[ends[-1] :].lstrip("*: \t").partition("\n")[0].strip().strip("*").strip()
    if line.startswith("$") and line.find("$", 2) > 0:
        dollars = 2 if line.startswith("$$") else 1
        inside, _, after = line[dollars:].partition("$" * dollars)
        if not re.search(r"[\d$\\]", after):  # nothing that could be a second answer
            return inside.strip()
    return line.removesuffix(".").strip() or None


def tidy(text: str) -> str:
    """The answer without math delimiters, style commands and a full stop around it."""
    text = text.strip()
    if text.isalnum():
        return text
    for _ in range(4):  # not as often as somebody likes to write dollars
        before = text
        text = text.removesuffix(".").strip() if not text.endswith("..") else text
        for opening, closing in (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]")):
            inner = text[len(opening) : -len(closing)]
            if text.startswith(opening) and text.endswith(closing) and len(text) > 2:
                text = inner.strip()
                break
        text = text.removeprefix(r"\displaystyle").strip()
        if text.endswith("\\") and not text.endswith("\\\\"):  # what is left of "\\ "
            text = text[:-1].strip()
        if text == before:
            break
    return text


def plain_number(text: str) -> Fraction | None:
    """An integer, decimal or fraction as an exact number; None for anything else.

    Spacing commands, thousands separators and a pair of parentheses are allowed around it.
    """
    if text.isdigit() and text.isascii() and len(text) <= MAX_DIGITS:
        return Fraction(int(text))
    if len(text) > 2 * MAX_DIGITS:
        return None
    text = _GROUPED.sub(lambda found: re.sub(r"\D", "", found[0]), text)
    text = _SPACING.sub(" ", text).strip()
    if text.startswith("(") and text.endswith(")"):
        text = text[1:-1].strip()
    text = re.sub(r" ?([-+/{}\u2212]) ?", r"\1", text)
    found = _PLAIN.fullmatch(text)
    if found is None or max(map(len, re.findall(r"\d+", text)), default=0) > MAX_DIGITS:
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


def exact_number(text: str) -> Fraction | str | None:
    """`plain_number`; or sign and digits of an integer too long for that, so that two such can be
    compared."""
    value = plain_number(text)
    if value is not None or len(text) <= MAX_DIGITS:
        return value
    digits = text.replace(",", "")
    sign = "-" if digits.startswith("-") else ""
    digits = digits.removeprefix("-").lstrip("0")
    return sign + digits if digits.isdigit() and digits.isascii() else None

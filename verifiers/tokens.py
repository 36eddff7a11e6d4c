"""Cutting a LaTeX answer into tokens. Time is linear in its length; nothing is evaluated."""

import re
from typing import NamedTuple


class NotMathematics(ValueError):
    """The text cannot be read as one mathematical answer."""


class Token(NamedTuple):
    kind: str  # "digit", "letter", "command", "text" or "mark"
    value: str
    glued: bool  # nothing, not even a space, lies between this token and the one before


UNICODE = {  # written as LaTeX
    "\u2212": "-", "\u00d7": r"\times ", "·": r"\cdot ", "÷": r"\div ", "π": r"\pi ",
    "°": r"^\circ ",
    "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "\u222a": r"\cup ", "∈": r"\in ",
    "√": r"\sqrt ", "±": r"\pm ", "θ": r"\theta ", "∅": r"\emptyset ",
    "½": r"\frac12 ", "¼": r"\frac14 ", "¾": r"\frac34 ", "²": "^2 ", "³": "^3 ",
    r"\lbrace": r"\{", r"\rbrace": r"\}",
}  # fmt: skip
IGNORED = frozenset(
    {"left", "right", "displaystyle", "textstyle", "limits", "bf", "rm", "it", "mathstrut"}
    | {
        "large",
        "Large",
        "LARGE",
        "huge",
        "Huge",
        "small",
        "normalsize",
        "underline",
        "boxed",
        "fbox",
    }
    | {"big", "Big", "bigg", "Bigg", "bigl", "bigr", "Bigl", "Bigr", "biggl", "biggr"}
)
TEXT = frozenset({"text", "textbf", "textit", "textrm", "mathrm", "mathbf", "mbox", "textnormal"})

_TOKEN = re.compile(
    r"(?P<space>(?:\s|~|\\[,;:! ]|\\q?quad(?![a-zA-Z])|\\(?:text)?color\{[a-zA-Z0-9!]*\}"
    r"|\\(?:left|right)\.|\\h?phantom(?: *-|\{[^{}]*\})|\\hspace\{[^{}]*\})+)"
    r"|(?<![a-zA-Z\\])(?P<plain>sqrt|sin|cos|tan|ln|log|pi|and|or)(?![a-zA-Z])"
    r"|(?P<text>\\(?:" + "|".join(sorted(TEXT, reverse=True)) + r")\s*\{(?P<words>[^{}\\]*)\})"
    r"|(?P<begin>\\(?P<which>begin|end)\{(?P<name>[a-zA-Z]+)\})"
    r"|\\(?P<command>[a-zA-Z]+)"
    r"|(?P<mark>\\\\|\\[{}|%$]|<=|>=|!=|[-+*/^_=<>(){}\[\],;:.!|&%])"
    r"|(?P<digit>[0-9])"
    r"|(?P<letter>[a-zA-Z])"
)
_ROW_END = re.compile(r"\\\\\[[0-9.]+ ?[a-z]{2}\]")  # `\\[2pt]`
_GROUPED = re.compile(r"[0-9]{1,3}(?:(?:\{,\}|,\\!|\\,|\\ | )[0-9]{3})+(?![0-9])")
_COMMA_GROUPED = re.compile(r"[-+]?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?")


def tokens(text: str) -> list[Token]:
    for symbol, command in UNICODE.items():
        text = text.replace(symbol, command)
    text = _ROW_END.sub(r"\\\\", text)
    text = _GROUPED.sub(lambda found: re.sub(r"[^0-9]", "", found[0]), text)
    if _COMMA_GROUPED.fullmatch(text):
        text = text.replace(",", "")
    found: list[Token] = []
    at, glued = 0, False
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise NotMathematics(f"it has {text[at]!r} at character {at + 1}")
        at = match.end()
        if match["space"]:
            glued = False
            continue
        if match["plain"]:
            found.append(Token("command", match["plain"], glued))
        elif match["words"] is not None:
            found += text_tokens(match["words"].strip())
        elif match["begin"]:
            found.append(Token("command", f"{match['which']} {match['name']}", glued))
        elif (command := match["command"]) is not None:
            if command not in IGNORED:
                found.append(Token("command", command, glued))
        else:
            kind = match.lastgroup or ""
            found.append(Token(kind, match[kind], glued))
        glued = True
    return found


def text_tokens(words: str) -> list[Token]:
    r"""The inside of `\text{...}`: a number or a single letter is that, the rest are words."""
    if re.fullmatch(r"[0-9]+", words):
        return [Token("digit", digit, True) for digit in words]
    if letter := re.fullmatch(r"([a-zA-Z])|\(([A-Z])\)", words):
        return [Token("letter", letter[1] or letter[2], False)]
    named = " ".join(words.casefold().replace(",", " ").split())
    if named == "to":  # 2 to 3
        return [Token("mark", ":", False)]
    if not named.strip(". "):
        return []
    return [Token("text", named, False)]

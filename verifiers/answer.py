"""Finding the final answer in a response.

Everything here takes time linear in the length of the text, whatever the text is.
"""

import re
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from verifiers.around import HEDGE, beside
from verifiers.rules import STRICT, MathRules

BARE_LENGTH = 200
MAX_OTHERS = 20  # different answers beside the last that are looked at

_BRACE = re.compile(r"\\[\\{}]|[{}]")
_BOX = re.compile(r"\\(?:boxed|fbox)(?![a-zA-Z])")
_UNBRACED = re.compile(r"\s+([^\s{}\\$]+)")
_COMMENT = re.compile(r"^[ \t]*%.*$", re.MULTILINE)
_LEADING = re.compile(r"-?\$?-?[0-9](?:[0-9.,/]*[0-9])?(?![0-9a-zA-Z^\\])|\\[a-zA-Z].*")
_THINK = re.compile(r"</?think(?:ing)?>")
_JOINT = re.compile(r"(?:[\s$,;]|\\[,;:! ]|\\q?quad|\band\b|\\text\{ *,? *and *\})+")


class Final(NamedTuple):
    """The final answer as it is written; `others` are different ones given beside it."""

    text: str
    others: tuple[str, ...] = ()
    joined: bool = False  # all of them stand side by side, as one list


def final_answer(response: str) -> str | None:
    r"""The text of the last `\boxed{...}`, else what follows the last marker (`####`, `answer:`,
    `answer is`) on its line; None when there is neither, or when the last box is not closed."""
    final = find_final(response, STRICT)
    return final.text if final else None


def find_final(response: str, rules: MathRules) -> Final | None:
    """The final answer, and different ones given beside it.

    What a model thinks (up to `</think>`) and comments of TeX are no answer.
    """
    text = _spoken(response)
    if text is None:
        return None
    if _BOX.search(text) is not None:
        return _boxed(text, rules.markers)
    marked = _marked(text, rules.markers)
    if marked is None and rules.bare and 0 < len(text.strip()) <= BARE_LENGTH:
        return Final(text.strip())
    return marked


def _spoken(response: str) -> str | None:
    """The response without thoughts and comments; None when the thinking never ends."""
    if "</think" in response or "<think" in response:
        tags = list(_THINK.finditer(response))
        if tags and not tags[-1][0].startswith("</"):
            return None
        response = response[tags[-1].end() :] if tags else response
    return _COMMENT.sub("", response) if "%" in response else response


class _Box(NamedTuple):
    start: int
    content: str | None  # None: it is not closed
    end: int


def _boxed(text: str, markers: tuple[str, ...]) -> Final | None:
    boxes = _boxes(text)
    last = boxes[-1]
    if last.content is None:
        return None
    others: dict[str, None] = {}
    joined = False
    if len(boxes) > 1:
        closed = [box for box in boxes if box.content is not None]
        others = dict.fromkeys(box.content.strip() for box in closed if box.content)
        between = (text[a.end : b.start] for a, b in pairwise(closed))
        joined = all(_JOINT.fullmatch(words) for words in between)
    answer = last.content.strip()
    others.pop(answer, None)
    if not answer:
        return None
    around = beside(text, last.start, last.end, answer)
    others |= dict.fromkeys(around.others)
    if others and not around.joins:
        joined = False
    others |= dict.fromkeys(_marked_after(text, last.end, markers))
    answer += around.sign
    others.pop(answer, None)
    return Final(answer, tuple(others), joined)


def _marked_after(text: str, end: int, markers: tuple[str, ...]) -> list[str]:
    """The numbers and formulas behind markers that follow the last box. A line that begins with
    `####` can be a heading, so it must be a number or formula as a whole."""
    found = list(_marker(markers).finditer(text, end))[-MAX_OTHERS:] if markers else []
    answers: list[str] = []
    for marker in found:
        rest = _line(text[marker.end() :])
        number = _LEADING.match(rest)
        if number is None or "\\boxed" in rest or "\\fbox" in rest:
            continue
        if not marker[0].startswith("#") or number[0] == rest:
            answers.append(number[0])
    return answers


def _boxes(text: str) -> list[_Box]:
    """Every box that is not inside another, from left to right."""
    closing = _closing_braces(text)
    found: list[_Box] = []
    end = 0
    for box in _BOX.finditer(text):
        if box.start() < end:
            continue  # inside the box before
        opening = box.end()
        while opening < len(text) and text[opening] == " ":
            opening += 1
        if opening < len(text) and text[opening] == "{":
            close = closing.get(opening)
            content = None if close is None else text[opening + 1 : close]
            end = box.end() if close is None else close + 1
        else:
            word = _UNBRACED.match(text, box.end())
            content, end = (word[1], word.end()) if word else (None, box.end())
        found.append(_Box(box.start(), content, end))
    return found


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


@lru_cache(maxsize=16)
def _marker(markers: tuple[str, ...]) -> re.Pattern[str]:
    """Before a marker of letters stands no letter; after it, what sets it apart may stand."""
    spelled = [
        (r"\b" if marker[:1].isalpha() else "")
        + re.escape(marker.removesuffix(":")).replace(r"\ ", r"\s+")
        + (r"[*_ ]{0,4}[:=]" if marker.endswith(":") else "")
        + (r"\b" if marker[-1:].isalpha() else "")
        for marker in markers
    ]
    return re.compile(r"(?:" + "|".join(spelled) + r")[*_: =]{0,4}", re.IGNORECASE)


def _marked(text: str, markers: tuple[str, ...]) -> Final | None:
    found = list(_marker(markers).finditer(text)) if markers else []
    if not found:
        return None
    answer = _line(text[found[-1].end() :])
    latest = found[-MAX_OTHERS:]
    alone = [m for m in latest if not text[: m.start()].rpartition("\n")[2].strip("*#_ \t")]
    others = dict.fromkeys(_line(text[m.end() :]) for m in alone)
    others.pop(answer, None)
    others.pop("", None)
    return Final(answer, tuple(others)) if answer else None


def _line(text: str) -> str:
    """The answer at the beginning of a text: up to the end of its line, or of its formula."""
    line = text[:100_000].lstrip("*: \t").partition("\n")[0].strip().strip("*").strip()
    if line.startswith("$") and line.find("$", 2) > 0:
        dollars = 2 if line.startswith("$$") else 1
        inside, _, after = line[dollars:].partition("$" * dollars)
        if not re.search(r"[\d$\\]", after) and not HEDGE.search(after):
            return inside.strip()  # nothing that could be a second answer
    return line.removesuffix(".").strip()

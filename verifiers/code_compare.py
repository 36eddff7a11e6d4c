"""Is what a program returned or printed what the task expects? Decided outside of any sandbox, on
plain data; no method of a program's objects is ever called."""

import math
import re
from dataclasses import dataclass
from typing import Any

from verifiers.code_values import Tree, normal, shown, to_bytes, to_tree

# Whitespace that may differ at the end of a line; every other character counts.
_BLANKS = " \t\r\f\v"
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_NO_NUMBER = re.compile(r"(?<!\w)(nan|inf|infinity)(?!\w)", re.IGNORECASE)
_LONGEST_NUMBER = 400  # characters


@dataclass(frozen=True)
class Tolerance:
    """Numbers match when they differ by at most `absolute`, or by `relative` of the expected."""

    absolute: float
    relative: float

    def close(self, expected: float, found: float) -> bool:
        """NaN matches only NaN, an infinity only itself."""
        if not (math.isfinite(expected) and math.isfinite(found)):
            return expected == found or (math.isnan(expected) and math.isnan(found))
        return abs(expected - found) <= max(self.absolute, self.relative * abs(expected))


def expected_tree(value: Any) -> Tree:
    """A task's own value, in normal form.

    Raises:
        NotAValue: it is no plain data.
    """
    return normal(to_tree(value))


def value_difference(expected: Tree, found: Tree, tolerance: Tolerance | None) -> str:
    """Why a returned value, in normal form, is not the expected one; "" if it is.

    Types are strict: True is not 1, 1 is not 1.0, a tuple is no list. Order matters in lists and
    tuples only. NaN equals NaN. With a tolerance, numbers of either type are compared by it.
    """
    if tolerance is None:
        same = to_bytes(expected) == to_bytes(found)
    else:
        same = _close(expected, found, tolerance)
    return "" if same else f"returned {shown(found)}"


def output_difference(expected: str, found: bytes, tolerance: Tolerance | None) -> str:
    """Why an output is not the expected one; "" if it is.

    Compared line by line; blanks at the end of a line and empty lines at the end are left aside.
    With a tolerance, lines are compared word by word, and words that are numbers by the tolerance.
    """
    try:
        text = found.decode("utf-8")
    except UnicodeDecodeError:
        return "printed bytes that are not UTF-8"
    wanted, lines = _lines(expected), _lines(text)
    for number, line in enumerate(lines[: len(wanted)]):
        if line != wanted[number] and not (
            tolerance is not None and _close_line(wanted[number], line, tolerance)
        ):
            return f"printed {_cut(line)!r} as line {number + 1}"
    if len(lines) != len(wanted):
        return f"printed {len(lines)} lines where {len(wanted)} are expected"
    return ""


def has_no_number(tree: Tree) -> bool:
    """Whether NaN or an infinity stands in a value, at any depth. Each comparison with NaN is
    false, so a checker such as `if abs(out - exp) > 1e-6: return False` accepts it."""
    return b'["float",' in to_bytes(tree)  # within a string a quote is written as \\"


def prints_no_number(text: str) -> bool:
    """Whether a word of an output is one that `float` reads as NaN or an infinity."""
    return _NO_NUMBER.search(text) is not None


def _lines(text: str) -> list[str]:
    lines = [line.rstrip(_BLANKS) for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _close_line(expected: str, found: str, tolerance: Tolerance) -> bool:
    wanted, words = expected.split(), found.split()
    return len(wanted) == len(words) and all(
        a == b or _close_word(a, b, tolerance) for a, b in zip(wanted, words, strict=True)
    )


def _close_word(expected: str, found: str, tolerance: Tolerance) -> bool:
    if max(len(expected), len(found)) > _LONGEST_NUMBER:
        return False
    if not (_NUMBER.fullmatch(expected) and _NUMBER.fullmatch(found)):
        return False
    return tolerance.close(float(expected), float(found))


def _close(expected: Tree, found: Tree, tolerance: Tolerance) -> bool:
    a, b = _number(expected), _number(found)
    if a is not None or b is not None:
        return a is not None and b is not None and tolerance.close(a, b)
    if not (isinstance(expected, list) and isinstance(found, list)):
        return to_bytes(expected) == to_bytes(found)
    if expected[0] != found[0] or len(expected) != len(found):
        return False
    if expected[0] in ("list", "tuple"):
        pairs = zip(expected[1:], found[1:], strict=True)
        return all(_close(x, y, tolerance) for x, y in pairs)
    if expected[0] == "dict":
        keys = (tree[1::2] for tree in (expected, found))
        values = zip(expected[2::2], found[2::2], strict=True)
        first, second = (to_bytes(["list", *k]) for k in keys)
        return first == second and all(_close(x, y, tolerance) for x, y in values)
    return to_bytes(expected) == to_bytes(found)


def _number(tree: Tree) -> float | None:
    """The real number that a tree stands for. An integer too large for a float is none."""
    match tree:
        case bool():
            return None
        case int() | float():
            return float(tree)
        case ["float", text]:
            return float(text)
    return None


def _cut(text: str, limit: int = 100) -> str:
    return text if len(text) <= limit else text[:limit] + "..."

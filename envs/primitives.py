"""The small steps that programming tasks are made of: as words, as Python text, and to call."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Type = Literal["text", "numbers", "words", "number"]

VARIABLES: dict[Type, str] = {"text": "s", "numbers": "ns", "words": "ws", "number": "n"}
NOUNS: dict[Type, str] = {
    "text": "a string",
    "numbers": "a list of integers",
    "words": "a list of strings",
    "number": "an integer",
}


@dataclass(frozen=True)
class Primitive:
    keyword: str  # "drop {k}"
    says: str  # "leave out the first {k} characters"
    code: str  # an expression with "{x}" once for the value, and "{k}" for the constant
    call: Callable[[Any, Any], Any]  # of value and constant, the same as the code
    constants: Sequence[Any] = (None,)


TIMES, COUNTS, LETTERS = (2, 3), (2, 3, 4, 5), tuple("aeiorst")


def slices(noun: str) -> tuple[Primitive, ...]:
    """What strings and lists have in common."""
    return (
        Primitive("reverse", f"reverse the order of the {noun}", "{x}[::-1]", lambda x, k: x[::-1]),
        Primitive(
            "first {k}", f"keep the first {{k}} {noun}", "{x}[:{k}]", lambda x, k: x[:k], COUNTS
        ),
        Primitive(
            "last {k}", f"keep the last {{k}} {noun}", "{x}[-{k}:]", lambda x, k: x[-k:], COUNTS
        ),
        Primitive(
            "drop {k}", f"remove the first {{k}} {noun}", "{x}[{k}:]", lambda x, k: x[k:], COUNTS
        ),
        Primitive(
            "cut {k}", f"remove the last {{k}} {noun}", "{x}[:-{k}]", lambda x, k: x[:-k], COUNTS
        ),
        Primitive(
            "every {k}", f"keep one of every {{k}} {noun}, starting with the first",
            "{x}[::{k}]", lambda x, k: x[::k], TIMES,
        ),
    )  # fmt: skip


TEXT = (
    *slices("characters"),
    Primitive("upper", "turn it into upper case", "{x}.upper()", lambda s, k: s.upper()),
    Primitive("lower", "turn it into lower case", "{x}.lower()", lambda s, k: s.lower()),
    Primitive("swap", "swap upper and lower case", "{x}.swapcase()", lambda s, k: s.swapcase()),
    Primitive("times {k}", "write it {k} times in a row", "({x} * {k})", lambda s, k: s * k, TIMES),
    Primitive(
        "remove {k}", "remove every '{k}'",
        "{x}.replace({k}, '')", lambda s, k: s.replace(k, ""), LETTERS,
    ),
    Primitive(
        "star {k}", "replace every '{k}' by '*'",
        "{x}.replace({k}, '*')", lambda s, k: s.replace(k, "*"), LETTERS,
    ),
    Primitive("end {k}", "add '{k}' at the end", "({x} + {k})", lambda s, k: s + k, tuple("!?#")),
    Primitive("start {k}", "put '{k}' in front", "({k} + {x})", lambda s, k: k + s, tuple("!?#")),
    Primitive(
        "sort", "sort its characters by code point",
        "''.join(sorted({x}))", lambda s, k: "".join(sorted(s)),
    ),
    Primitive(
        "unique", "keep only the first occurrence of each character",
        "''.join(dict.fromkeys({x}))", lambda s, k: "".join(dict.fromkeys(s)),
    ),
    Primitive(
        "letters", "keep only the letters",
        "''.join(c for c in {x} if c.isalpha())",
        lambda s, k: "".join(c for c in s if c.isalpha()),
    ),
    Primitive(
        "repeat {k}", "write each character {k} times",
        "''.join(c * {k} for c in {x})", lambda s, k: "".join(c * k for c in s), TIMES,
    ),
)  # fmt: skip

NUMBERS = (
    *slices("numbers"),
    Primitive("sort", "sort them from small to large", "sorted({x})", lambda ns, k: sorted(ns)),
    Primitive(
        "unique", "keep only the first occurrence of each number",
        "list(dict.fromkeys({x}))", lambda ns, k: list(dict.fromkeys(ns)),
    ),
    Primitive(
        "add {k}", "add {k} to every number",
        "[n + {k} for n in {x}]", lambda ns, k: [n + k for n in ns], (1, 2, 3, 5, 10),
    ),
    Primitive(
        "times {k}", "multiply every number by {k}",
        "[n * {k} for n in {x}]", lambda ns, k: [n * k for n in ns], (2, 3, 4, 5, -1),
    ),
    Primitive(
        "square", "square every number",
        "[n * n for n in {x}]", lambda ns, k: [n * n for n in ns],
    ),
    Primitive(
        "abs", "replace every number by its absolute value",
        "[abs(n) for n in {x}]", lambda ns, k: [abs(n) for n in ns],
    ),
    Primitive(
        "mod {k}", "replace every number by its remainder modulo {k} (never negative)",
        "[n % {k} for n in {x}]", lambda ns, k: [n % k for n in ns], (3, 4, 5, 7),
    ),
    Primitive(
        "even", "keep only the even numbers",
        "[n for n in {x} if n % 2 == 0]", lambda ns, k: [n for n in ns if n % 2 == 0],
    ),
    Primitive(
        "odd", "keep only the odd numbers",
        "[n for n in {x} if n % 2 == 1]", lambda ns, k: [n for n in ns if n % 2 == 1],
    ),
    Primitive(
        "above {k}", "keep only the numbers greater than {k}",
        "[n for n in {x} if n > {k}]", lambda ns, k: [n for n in ns if n > k], (0, 2, 5, 8),
    ),
    Primitive(
        "below {k}", "keep only the numbers less than {k}",
        "[n for n in {x} if n < {k}]", lambda ns, k: [n for n in ns if n < k], (0, 3, 6, 10),
    ),
)  # fmt: skip

WORDS = (
    *slices("words"),
    Primitive("sort", "sort them by code points", "sorted({x})", lambda ws, k: sorted(ws)),
    Primitive(
        "by length", "sort them by length, words of equal length in their old order",
        "sorted({x}, key=len)", lambda ws, k: sorted(ws, key=len),
    ),
    Primitive(
        "unique", "keep only the first occurrence of each word",
        "list(dict.fromkeys({x}))", lambda ws, k: list(dict.fromkeys(ws)),
    ),
    Primitive(
        "upper", "turn every word into upper case",
        "[w.upper() for w in {x}]", lambda ws, k: [w.upper() for w in ws],
    ),
    Primitive(
        "mirror", "reverse the letters of every word",
        "[w[::-1] for w in {x}]", lambda ws, k: [w[::-1] for w in ws],
    ),
    Primitive(
        "heads {k}", "cut every word down to its first {k} letters",
        "[w[:{k}] for w in {x}]", lambda ws, k: [w[:k] for w in ws], (2, 3, 4),
    ),
    Primitive(
        "tails {k}", "cut every word down to its last {k} letters",
        "[w[-{k}:] for w in {x}]", lambda ws, k: [w[-k:] for w in ws], (2, 3, 4),
    ),
    Primitive(
        "add {k}", "add '{k}' to the end of every word",
        "[w + {k} for w in {x}]", lambda ws, k: [w + k for w in ws], tuple("sxyz"),
    ),
    Primitive(
        "longer {k}", "keep only the words of more than {k} letters",
        "[w for w in {x} if len(w) > {k}]", lambda ws, k: [w for w in ws if len(w) > k], COUNTS,
    ),
    Primitive(
        "with {k}", "keep only the words that contain '{k}'",
        "[w for w in {x} if {k} in w]", lambda ws, k: [w for w in ws if k in w], LETTERS,
    ),
)  # fmt: skip

PRIMITIVES: dict[tuple[Type, Type], tuple[Primitive, ...]] = {
    ("text", "text"): TEXT,
    ("numbers", "numbers"): NUMBERS,
    ("words", "words"): WORDS,
    ("text", "number"): (
        Primitive("length", "take its length", "len({x})", lambda s, k: len(s)),
        Primitive(
            "count {k}", "count how often '{k}' occurs",
            "{x}.count({k})", lambda s, k: s.count(k), LETTERS,
        ),
    ),
    ("words", "numbers"): (
        Primitive(
            "lengths", "replace every word by its length",
            "[len(w) for w in {x}]", lambda ws, k: [len(w) for w in ws],
        ),
    ),
    ("words", "text"): (
        Primitive("join", "join them with spaces", "' '.join({x})", lambda ws, k: " ".join(ws)),
        Primitive("glue", "join them without spaces", "''.join({x})", lambda ws, k: "".join(ws)),
    ),
    ("numbers", "number"): (
        Primitive("sum", "take their sum", "sum({x})", lambda ns, k: sum(ns)),
        Primitive("length", "count them", "len({x})", lambda ns, k: len(ns)),
        Primitive(
            "largest", "take the largest, or 0 if there is none",
            "max({x}, default=0)", lambda ns, k: max(ns, default=0),
        ),
        Primitive(
            "smallest", "take the smallest, or 0 if there is none",
            "min({x}, default=0)", lambda ns, k: min(ns, default=0),
        ),
    ),
}  # fmt: skip

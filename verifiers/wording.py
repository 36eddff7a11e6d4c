r"""Answers that are words, dates or codes: `\text{Monday}`, `June 20`, `2023-01-05`, `555-1234`.

They are compared as text, word by word and number by number, and never computed.
"""

import re

from verifiers.tokens import TEXT

WRAPPED = r"\\(?:" + "|".join(sorted(TEXT, reverse=True)) + r")\s*\{([^{}\\]*)\}"

_WORDS = re.compile(r"[a-zA-Z][a-zA-Z' -]*")
_CODE = re.compile(r"[0-9]+(?:-[0-9]+)+|[0-9]+(?:/[0-9]+){2,}|[0-9]+(?:\.[0-9]+){2,}")
_NO_WORDS = frozenset({"pi", "sin", "cos", "tan", "sec", "exp", "or", "and"})
_VOWEL = re.compile(r"[aeiou]", re.IGNORECASE)
_WRAPPER = re.compile(r"\\(?:" + "|".join(sorted(TEXT, reverse=True)) + r")(?![a-zA-Z])")
_SPOKEN = re.compile(r"[a-z]+|[0-9]+|[^\sa-z0-9]")


def words(text: str, *, wrapped_only: bool = True) -> str | None:
    r"""The words of an answer that is words, in small letters; None when it is not.

    `\text{...}` around two letters or more says that it is words. Without it (and `wrapped_only`
    not asked for) so does being nothing but letters; a capital in front is enough of a sign too.
    """
    found = re.fullmatch(WRAPPED + r"\.?", text.strip())
    inside = (found[1] if found else text).strip().removesuffix(".")
    if not _WORDS.fullmatch(inside) or len(inside) < 2:
        return None
    plainly = re.fullmatch(r"[A-Z][a-z]{2,}(?: [a-zA-Z]+)*", inside)
    if found or not wrapped_only or plainly:
        return " ".join(inside.casefold().split())
    return None


def letters(text: str) -> str | None:
    """The words of an answer without `\\text{...}` that read like words, in small letters: `yes`,
    `No`, `not enough`; None for `xy`, `CD`, `x`. Whether they are symbols, the problem knows."""
    if not re.fullmatch(r"[A-Z]?[a-z]+(?: [a-z]+)*", text):
        return None
    named = text.casefold().split()
    spoken = all(len(word) > 1 and word not in _NO_WORDS and _VOWEL.search(word) for word in named)
    return " ".join(named) if spoken else None


def is_code(text: str) -> bool:
    """Whether it is shaped like a date, a telephone number or a code, and no plain number."""
    return _CODE.fullmatch(text) is not None


def has_words(text: str) -> bool:
    r"""Whether it has a word of two letters or more, with or without `\text{...}` around it."""
    return re.search(r"(?<![a-zA-Z\\])[a-zA-Z]{2,}", _WRAPPER.sub(" ", text)) is not None


def spoken(text: str) -> list[str]:
    r"""Its words, numbers and signs one by one: `\text{June} 20` is "june", "20", as `June 20`."""
    text = _WRAPPER.sub(" ", text).casefold()
    text = re.sub(r"\\(?:left|right)(?![a-z])|\\[,;:! ]|[{}~$]", " ", text)
    return _SPOKEN.findall(text.replace("\u2013", "-").replace("\u2212", "-"))

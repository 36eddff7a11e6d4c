r"""What a problem's text asks for: the form of the answer, its unit, the choices it offers.

Read by patterns, and used only to refuse an answer, or to understand a percentage or a choice that
would otherwise be refused; never to find out what is right.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from verifiers.units import NO_UNITS, UNIT_WORDS, canonical_unit

MAX_LENGTH = 20_000  # of a problem; what is beyond is not read
REMEMBERED = 256


class Asked(NamedTuple):
    """What a problem says about its answer; every part is empty when it says nothing."""

    forms: frozenset[str] = frozenset()  # keys of _FORMS
    percent: bool = False
    units: frozenset[str] = frozenset()  # that stand behind "in", "how many", "to the nearest"
    choices: tuple[tuple[str, str], ...] = ()  # letter and content
    formulas: frozenset[str] = frozenset()  # formulas in the problem, without spaces and style
    nouns: frozenset[str] = frozenset()  # words that may stand behind a number as its unit
    symbols: frozenset[str] = frozenset()  # letters in the formulas
    tasks: frozenset[str] = frozenset()  # those that directly follow "write", "simplify", ...


NOTHING = Asked()

_FORMS = {
    "lowest": r"lowest terms|simplest (?:\w+ )?form|\bsimplif|\breduced?\b",
    "fraction": r"(?:common|simplified|reduced|single|improper|proper) fraction|\bas a fraction",
    "decimal": r"\bas an? (?:\w+ )?decimal|\bin decimal form",
    "percent": r"\bas a percent|\bto a percent|\bas percents?\b",
    "mixed": r"mixed number",
    "scientific": r"scientific notation|standard form of the number",
    "factored": r"\bfactor(?:ed|ise|ize)?\b(?! of)",
    "expanded": r"\bexpand(?:ed)?\b",
    "rational denominator": r"rationali[sz]e",
}  # fmt: skip
_FORM = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in _FORMS.items()}
_PERCENT = re.compile(r"percent|\\%|%", re.IGNORECASE)
_UNIT = re.compile(
    r"\b(?:in|to|of|many|nearest) (?:the nearest )?((?:square |cubic )?(?:"
    + "|".join(UNIT_WORDS)
    + r")(?: per (?:"
    + "|".join(UNIT_WORDS)
    + r"))?)\b",
    re.IGNORECASE,
)
_CHOICE = re.compile(
    r"\(([A-J])\)|(?:^|\s)([A-J])[.):](?=\s)|\\text(?:bf)?\{\s*\(?([A-J])[).]*\s*\}"
)
_FORMULA = re.compile(r"\$\$(.+?)\$\$|\$(.+?)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_NO_SYMBOLS = re.compile(r"\\(?:text|mathrm|mbox)[a-z]*\{[^{}]*\}|\\[a-zA-Z]+")
_TASK = re.compile(
    r"\b(?:write|express|convert|simplify|reduce|rewrite|change|expand|factor|rationali[sz]e)"
    r"(?: out| the \w+(?: \w+)?)?:?\s*$",
    re.IGNORECASE,
)


@lru_cache(maxsize=REMEMBERED)
def read_problem(text: str) -> Asked:
    """What the problem asks for, by its words alone."""
    text = text[:MAX_LENGTH]
    formulas, tasks, symbols = set[str](), set[str](), set[str]()
    for found in _FORMULA.finditer(text):
        formula = bare(next(group for group in found.groups() if group))
        formulas.add(formula)
        symbols.update(re.findall(r"[a-zA-Z]", _NO_SYMBOLS.sub("", formula)))
        if _TASK.search(text[max(0, found.start() - 40) : found.start()]):
            tasks.add(formula)
    units = (canonical_unit(found[1]) for found in _UNIT.finditer(text))
    return Asked(
        frozenset(name for name, pattern in _FORM.items() if pattern.search(text)),
        _PERCENT.search(text) is not None,
        frozenset(unit for unit in units if unit),
        _choices(text),
        frozenset(formulas),
        frozenset(re.findall(r"[a-z]{3,}", text.casefold())) - NO_UNITS,
        frozenset(symbols),
        frozenset(tasks),
    )


def bare(formula: str) -> str:
    """A formula without what changes only its looks, for comparing formulas letter by letter."""
    formula = re.sub(r"\\(?:left|right|displaystyle|[,;:! ])|\s|~", "", formula)
    formula = formula.replace("dfrac", "frac").replace("tfrac", "frac")
    return re.sub(r"\{([0-9a-zA-Z])\}", r"\1", formula).rstrip(".,;?")


def _choices(text: str) -> tuple[tuple[str, str], ...]:
    """The choices A, B, ... and what stands behind each; none unless they begin with A and B."""
    found = list(_CHOICE.finditer(text))
    letters = [next(group for group in match.groups() if group) for match in found]
    start = next((i for i in range(len(letters)) if letters[i : i + 2] == ["A", "B"]), None)
    if start is None:
        return ()
    choices: list[tuple[str, str]] = []
    for i, expected in zip(range(start, len(letters)), "ABCDEFGHIJ", strict=False):
        if letters[i] != expected:
            break
        end = found[i + 1].start() if i + 1 < len(found) else len(text)
        content = text[found[i].end() : end].strip().strip("$.,; ").removeprefix(r"\ ")
        choices.append((expected, content.partition("\n\n")[0].strip().rstrip(".,")))
    return tuple(choices)

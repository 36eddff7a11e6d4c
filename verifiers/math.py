r"""Exact-answer mathematics: is the final answer of a response equal to the reference answer?

What is plainly a number is settled with exact fractions in microseconds. Everything else is read
by verifiers/latex.py into a tree, compared part by part (verifiers/compare.py), and only
expressions go to algebra. What is convention is in verifiers/rules.py.
"""

import re
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import Any

from verifiers import algebra
from verifiers.answer import MAX_OTHERS, Final, final_answer, find_final
from verifiers.approximate import rounds_to
from verifiers.compare import Manner, named_number, same
from verifiers.forms import fits, is_expression, is_plain
from verifiers.latex import MAX_LENGTH, Node, read
from verifiers.numerals import Numeral, long_integer, numeral, tidy
from verifiers.problem import NOTHING, Asked, bare, read_problem
from verifiers.rational import TooLarge
from verifiers.rules import STRICT, MathRules
from verifiers.tokens import NotMathematics
from verifiers.units import Quantity, quantity, same_kind
from verifiers.verdict import SHOWN, Outcome, Verdict, broken, correct, exceeded, unparsed, wrong
from verifiers.verdict import shown as _shown
from verifiers.wording import has_words, is_code, letters, spoken, words

__all__ = ["VERSION", "MathRules", "final_answer", "judge", "preload", "prepare", "verify_math"]

VERSION = "math/2"

REMEMBERED = 1024  # reference answers, read once each

_CHOICE = re.compile(
    r"(?P<mark>\\(?:text|textbf|textrm|mathrm|mathbf)\s*\{\s*)?(?P<open>\()?(?P<letter>[A-Za-z])"
    r"(?P<close>[).:]*)\s*\}?(?P<content>.*)",
    re.DOTALL,
)


def verify_math(
    gold: str, response: str, problem: str | None = None, rules: MathRules = STRICT
) -> Verdict:
    r"""Correct iff the response's final answer has exactly the value of `gold`.

    The final answer is the last `\boxed{...}`, else what follows the last `####` or `answer:`;
    different ones beside it make it a hedge. When gold is a number the answer must be one too,
    written out: `2+2` is not accepted for 4. A list is accepted only for a list of the same
    members. No tolerance: 0.333 is not 1/3. With the problem's text, an answer that only repeats
    the problem, or has another form than it asks for, is wrong too. `rules` says what else counts.

    Broken when gold itself cannot be read and is not matched letter by letter.
    """
    return _verify(gold, response, problem, Manner(rules))


def verify_without_short_cuts(
    gold: str, response: str, problem: str | None = None, rules: MathRules = STRICT
) -> Verdict:
    """The same verdict, the long way round; for tests and benchmarks of the short cuts."""
    return _verify(gold, response, problem, Manner(rules, short_cuts=False))


def preload() -> None:
    """Import now what the harder answers need, so that none of them pays for it."""
    algebra.preload()


def judge(job: dict[str, Any]) -> Verdict:
    """`verify_math` for worker processes: gold, response, problem (may be missing or None) and
    rules (may be missing; a dict of options).

    Raises:
        KeyError, TypeError, ValueError: it is no such job.
    """
    options: dict[str, Any] = job.get("rules", {})
    rules = {key: tuple(v) if isinstance(v, list) else v for key, v in options.items()}
    return verify_math(job["gold"], job["response"], job.get("problem"), MathRules(**rules))  # pyright: ignore[reportArgumentType]


def prepare(_: Any = None) -> None:
    """Make a worker process ready: import what the harder answers need."""
    preload()


class _UnreadableGold(ValueError):
    pass


class _Reference:
    """A reference answer, read as far as judging needs it."""

    def __init__(self, gold: str) -> None:
        # A worked solution stands for its final answer.
        self.text = tidy((final_answer(gold) if "\\boxed" in gold else None) or gold)
        self.number = numeral(self.text)
        self.words = words(self.text)
        self.letters = letters(self.text)
        choice = _CHOICE.fullmatch(self.text)
        is_choice = choice and "A" <= choice["letter"] <= "J" and not choice["content"].strip()
        self.choice = choice["letter"] if choice and is_choice else ""

    @cached_property
    def quantity(self) -> Quantity:
        return quantity(self.text, any_unit=True)

    @cached_property
    def tree(self) -> Node:
        try:
            return read(self.quantity.value)
        except NotMathematics as error:
            raise _UnreadableGold(str(error)) from error

    @cached_property
    def is_text(self) -> bool:
        """A date or code, or something with words that is no mathematics: compared as text."""
        return is_code(self.text) or (has_words(self.text) and not self.is_readable)

    @cached_property
    def is_readable(self) -> bool:
        try:
            return bool(self.tree)
        except _UnreadableGold:
            return False

    @cached_property
    def bare(self) -> str:
        return bare(self.text)


@lru_cache(maxsize=REMEMBERED)
def _reference(gold: str) -> _Reference:
    return _Reference(gold)


def _verify(gold: str, response: str, problem: str | None, how: Manner) -> Verdict:
    final = find_final(response, how.rules)
    if final is None:
        return unparsed("no \\boxed{...} and no 'Answer: ...' with something in it", VERSION)
    reference = _reference(gold) if how.short_cuts and len(gold) <= MAX_LENGTH else _Reference(gold)
    asked = read_problem(problem) if problem and how.rules.respect_form else NOTHING
    if final.others and not how.rules.several_boxes:
        return _judge_several(reference, final, asked, how)
    return _judge(reference, final.text, asked, how)


def _judge_several(reference: _Reference, final: Final, asked: Asked, how: Manner) -> Verdict:
    """Several answers that differ as text: the members of one list, or the same written in several
    ways, or a hedge."""
    answers = (*final.others, final.text)
    shown = _shown(", ".join(answers))
    if len(answers) <= MAX_OTHERS:
        if final.joined:
            together = _judge(reference, ", ".join(answers), asked, how)
            if together.outcome is Outcome.CORRECT:
                return together
        verdict = _judge(reference, final.text, asked, how)
        # The others may be written in any way, if only they have the same value.
        lenient = replace(how.rules, unevaluated=True, unsimplified=True)
        others = (_judge(reference, o, NOTHING, how._replace(rules=lenient)) for o in final.others)
        if verdict.outcome is not Outcome.CORRECT or all(
            other.outcome is Outcome.CORRECT for other in others
        ):
            return verdict
    return wrong(shown, "several different final answers", VERSION)


def _judge(reference: _Reference, answer: str, asked: Asked, how: Manner) -> Verdict:
    answer = tidy(answer)
    if how.rules.decimal_comma:
        answer = re.sub(r"^([-+]?\d+),(\d{1,2}|\d{4,})$", r"\1.\2", answer)
    if not answer:
        return unparsed("the final answer is empty", VERSION)
    shown = _shown(answer)
    try:
        why = _difference(reference, answer, asked, how)
    except _UnreadableGold as error:
        detail = f"the reference answer '{reference.text[:SHOWN]}' cannot be read: {error}"
        return broken(detail, VERSION)
    except NotMathematics as error:
        return Verdict(Outcome.UNPARSED, 0.0, shown, f"the answer cannot be read: {error}", VERSION)
    except TooLarge as error:
        return exceeded(f"the answer needs {error} to be judged", VERSION)
    except algebra.Disagreement as error:
        return wrong(shown, f"not shown to be {reference.text[:SHOWN]}: {error}", VERSION)
    return wrong(shown, why, VERSION) if why else correct(shown, VERSION)


def _difference(reference: _Reference, answer: str, asked: Asked, how: Manner) -> str:
    """Why the answer is not right; "" when it is.

    Raises:
        _UnreadableGold, NotMathematics, TooLarge, Disagreement: there is no telling.
    """
    if asked is not NOTHING and (why := _restates(reference, answer, asked)):
        return why
    different = f"not {reference.text[:SHOWN]}"
    if how.short_cuts or len(answer) > MAX_LENGTH or len(reference.text) > MAX_LENGTH:
        found = numeral(answer)
        if reference.number is not None and found is not None:
            return different if _numbers_differ(reference.number, found, asked, how) else ""
        if reference.text.split() == answer.split():
            return ""
        if reference.number is None and (long := long_integer(reference.text)) is not None:
            return "" if long == long_integer(answer) else different
    if _same_text(reference, answer, asked, how):
        return _wrong_form(reference, answer, asked)
    digits = how.rules.approximate_digits
    if digits is not None and rounds_to(reference.tree, answer, digits):
        return ""
    return different


def _numbers_differ(gold: Numeral, found: Numeral, asked: Asked, how: Manner) -> bool:
    rules = how.rules
    if not rules.unsimplified and gold.in_lowest_terms and not found.in_lowest_terms:
        return True
    if not rules.exact_decimals and found.is_decimal and not gold.is_decimal:
        return True
    if "fraction" in asked.forms and found.is_decimal and not gold.is_decimal:
        return True
    if "decimal" in asked.forms and found.is_fraction and not gold.is_fraction:
        return True
    return gold.value != found.value


def _restates(reference: _Reference, answer: str, asked: Asked) -> str:
    """Why the answer is the problem itself, handed back; "" when it is not."""
    text = bare(answer)
    if text == reference.bare or text not in asked.formulas:
        return ""
    if text in asked.tasks:
        return "it repeats what the problem says to rewrite"
    try:
        tree = read(answer)
    except NotMathematics:
        return ""
    computed = is_expression(tree) and tree[0] not in ("sym", "const") and not is_plain(tree)
    if computed or tree[0] == "relation":
        return "it repeats an expression or equation of the problem"
    return ""


def _wrong_form(reference: _Reference, answer: str, asked: Asked) -> str:
    """Why a right value is not written as the problem asks; "" when it is."""
    if not asked.forms or reference.words is not None or reference.choice:
        return ""
    written = quantity(answer)
    if "percent" in asked.forms and reference.quantity.unit == "percent" != written.unit:
        gold, found = numeral(reference.quantity.value), numeral(written.value)
        if gold and found and gold.value != found.value:
            return "it is not a percentage"
    try:
        tree = read(written.value)
    except NotMathematics:
        return ""
    for form in sorted(asked.forms):
        if not fits(form, reference.tree, tree):
            return f"right, but not in the form that is asked for ({form})"
    return ""


def _same_text(reference: _Reference, answer: str, asked: Asked, how: Manner) -> bool:
    if reference.words is not None:
        return reference.words == words(answer, wrapped_only=False)
    if reference.letters and not asked.symbols.issuperset(reference.letters.replace(" ", "")):
        return reference.letters == words(answer, wrapped_only=False)
    if reference.choice and (chosen := _same_choice(reference, answer, asked, how)) is not None:
        return chosen
    if reference.text.split() == answer.split() or _same_spelling(reference.text, answer):
        return True
    if reference.is_text:
        return spoken(reference.text) == spoken(answer)
    expected, tree = reference.quantity, reference.tree
    if len(answer) > MAX_LENGTH:
        raise NotMathematics(f"it is {len(answer):,} characters long (at most {MAX_LENGTH:,})")
    found = quantity(answer, nouns=asked.nouns)
    if not expected.unit and found.unit != "percent":
        try:
            whole = read(answer)
        except NotMathematics:
            whole = None
        if whole is not None and same(tree, whole, how):
            return True
    return _same_quantity(expected, tree, found, asked, how)


def _same_spelling(gold: str, answer: str) -> bool:
    r"""Of answers with words: `\text{June 20}` and `\text{June } 20` are the same letter by
    letter, capital or small."""
    if not re.search(r"\\text[a-z]*\s*\{[^{}]*[a-zA-Z]{2}", gold):
        return False
    return spoken(gold) == spoken(answer)


def _same_quantity(
    expected: Quantity, tree: Node, found: Quantity, asked: Asked, how: Manner
) -> bool:
    rules, value = how.rules, read(found.value)
    if "percent" in (expected.unit, found.unit):
        if expected.unit == found.unit:
            return same(tree, value, how)
        if {expected.unit, found.unit} != {"percent", ""}:
            return False
        x, y = named_number(tree, how), named_number(value, how)
        if x is None or y is None:
            return False
        # "25" for 25 %, and 25 % for "25" where a percentage is asked for
        sign_left_out = rules.percent_sign_optional and (bool(expected.unit) or asked.percent)
        of_one = x / 100 == y if expected.unit else x == y / 100
        return (sign_left_out and x == y) or (rules.percent_value and of_one)
    if expected.unit and found.unit and expected.unit != found.unit:
        return False
    if expected.unit and not found.unit and not rules.unit_optional:
        return False
    if found.unit and not expected.unit:
        others = [unit for unit in asked.units if same_kind(unit, found.unit)]
        if not rules.unit_added or (others and found.unit not in others):
            return False
    return same(tree, value, how)


def _same_choice(reference: _Reference, answer: str, asked: Asked, how: Manner) -> bool | None:
    """Whether the answer names the same choice; None when it does not read like a choice."""
    found = _CHOICE.fullmatch(answer)
    if found is None:
        return None
    letter, content = found["letter"], found["content"].strip().removeprefix("}").strip()
    if content:
        marked = found["open"] or found["close"] or found["mark"]
        right = dict(asked.choices).get(reference.choice)
        if not marked or right is None or letter != reference.choice:
            return None
        return _difference(_Reference(tidy(right)), tidy(content), NOTHING, how) == ""
    if letter.islower() and not asked.choices:
        return None
    return letter.upper() == reference.choice

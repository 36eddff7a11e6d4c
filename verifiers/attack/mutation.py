"""Near misses of the right answer, each with how it is known to be wrong, and rewritten right ones.

A number's near misses differ from it as exact fractions. Of other answers only such changes are
made that change every value they could have.
"""

import re
from collections.abc import Iterator
from fractions import Fraction

from verifiers.attack.attacker import Attacker, Expect, Response, Target
from verifiers.attack.reading import gold_of, plain_number, same

_MEMBERS = re.compile(r"(?P<left>\\?[({\[])(?P<inside>[^(){}\[\]\\]+)(?P<right>\\?[)}\]])")
_NO_EXPRESSION = re.compile(
    r"[,;:=<>%!'\"]|\\(?:le|ge|neq?|in|cup|cap|text|mathrm|pm|mp|circ|begin|infty|emptyset|%|\$)"
    r"|\b(?:or|and)\b|[^\W\d]{4,}"
)


def number(target: Target) -> Fraction | None:
    """The exact value of the right answer; None when it is no plain number."""
    return plain_number(target.gold)


def written(value: Fraction) -> str:
    r"""As an integer or `\frac{a}{b}`."""
    if value.denominator == 1:
        return str(value.numerator)
    sign = "-" if value < 0 else ""
    return f"{sign}\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"


def decimal(value: Fraction) -> str:
    """With up to 12 digits after the point, rounded where there are more."""
    whole, parts = divmod(round(abs(value) * 10**12), 10**12)
    return f"{'-' if value < 0 else ''}{whole}.{parts:012}".rstrip("0").rstrip(".")


def near_misses(target: Target) -> Iterator[Response]:
    """Wrong final answers, as text, next to the right one."""
    if target.answers == "program":
        return
    value, gold = number(target), target.gold
    found = _near_numbers(value) if value is not None else _near_texts(gold)
    seen = set[str]()
    for label, answer in found:
        if answer not in seen and not same(answer, gold):
            seen.add(answer)
            yield Response(label, answer)


def _near_numbers(value: Fraction) -> Iterator[tuple[str, str]]:
    """Each differs from `value` as an exact fraction, which is checked here."""
    tried = {
        "one more": value + 1,
        "one less": value - 1,
        "ten more": value + 10,
        "sign": -value,
        "times ten": value * 10,
        "a tenth": value / 10,
        "twice": value * 2,
        "half": value / 2,
        "a hundredth": value / 100,
        "inverse": 1 / value if value else Fraction(1),
        "a half more": value + Fraction(1, 2),
        "square": value * value,
    }
    digits = str(abs(value.numerator))
    if value.denominator == 1 and len(digits) > 1:
        changed = {
            "first digits swapped": digits[1] + digits[0] + digits[2:],
            "last digits swapped": digits[:-2] + digits[-1] + digits[-2],
            "last digit lost": digits[:-1],
            "first digit lost": digits[1:],
            "digit twice": digits + digits[-1],
            "reversed": digits[::-1],
            "last digit": digits[:-1] + str((int(digits[-1]) + 5) % 10),
        }
        tried |= {name: Fraction(int(text)) for name, text in changed.items()}
    for label, other in tried.items():
        if other != value:
            yield label, written(other)
    for label, other in {
        "0.001 more": value + Fraction(1, 1000),
        "0.001 less": value - Fraction(1, 1000),
        "0.1 more": value + Fraction(1, 10),
        "0.1 less": value - Fraction(1, 10),
        "0.4 more": value + Fraction(2, 5),
        "0.4 less": value - Fraction(2, 5),
        "a ten-thousandth more": value * Fraction(10001, 10000),
        "a ten-thousandth less": value * Fraction(9999, 10000),
    }.items():
        text = decimal(other)
        if Fraction(text) not in (value, *tried.values()):
            yield label, text


def _near_texts(gold: str) -> Iterator[tuple[str, str]]:
    rows = _MEMBERS.fullmatch(gold.strip())
    if rows is not None and "," in rows["inside"]:
        yield from _near_members(rows["left"], rows["inside"].split(","), rows["right"])
    elif gold.strip() in ("A", "B", "C", "D", "E"):
        for letter in "ABCDE":
            yield "another letter", letter
    elif re.fullmatch(r"[^\d^!]*\d+[^\d^!]*", gold):  # 5 cm, Tuesday 12, \sqrt{2}, 7\pi
        for change in (1, 10):
            changed = re.sub(r"\d+", lambda found, n=change: str(int(found[0]) + n), gold)
            yield f"its number plus {change}", changed
    elif _NO_EXPRESSION.search(gold) is None:  # an expression: x + 1 is never x
        yield "one more", f"{gold}+1"
        yield "ten less", f"{gold}-10"
    yield "nothing of the kind", "\\text{none of these}"


def _near_members(left: str, members: list[str], right: str) -> Iterator[tuple[str, str]]:
    """Lists of plain numbers, whose largest member tells two sets apart."""
    values = [plain_number(member.strip()) for member in members]
    if any(value is None for value in values):
        return
    largest = max(value for value in values if value is not None)
    more = written(largest + 1)
    yield "last member changed", f"{left}{','.join([*members[:-1], more])}{right}"
    yield "a member more", f"{left}{','.join([*members, more])}{right}"
    if len(set(values)) == len(values):
        yield "a member less", f"{left}{','.join(members[:-1])}{right}"
    if left == "(" and len(members) == 2 and values[0] != values[1]:
        yield "swapped", f"({members[1]},{members[0]})"


def _wrong_answers(target: Target) -> Iterator[Response]:
    for label, answer in near_misses(target):
        yield Response(label, target.answered(answer))
    if target.answers == "math":
        for label, answer in near_misses(target):
            yield Response(f"{label}, box alone", f"\\boxed{{{answer}}}")


def _neighbours_answers(target: Target) -> Iterator[Response]:
    """The final answers of other tasks behind this task's own work."""
    for other in target.others[4:10]:
        answer = gold_of(other)
        if not same(answer, target.gold):
            yield Response("another task's answer", target.answered(answer))


def _several(target: Target) -> Iterator[Response]:
    """The right text among others: whoever looks for it anywhere pays for a list of guesses."""
    for _, wrong in list(near_misses(target))[:2]:
        gold = target.gold
        for label, text in {
            "or, right first": f"{gold} or {wrong}",
            "or, right last": f"{wrong} or {gold}",
            "list": f"{wrong}, {gold}",
            "lines": f"{gold}\n{wrong}",
            "denied": f"It is not {gold}. It is {wrong}.",
        }.items():
            yield Response(label, text)


def _cut_and_continued(target: Target) -> Iterator[Response]:
    """The right text with something behind it, or only its beginning."""
    gold = target.gold
    yield Response("or not", f"{gold} or not")
    yield Response("and more", f"{gold} and more")
    yield Response("a letter more", f"{gold}x")
    for label, part in {
        "half of it": gold[: len(gold) // 2],
        "last letter lost": gold[:-1],
    }.items():
        if part and gold[-1].isalnum() and not same(part, gold):
            yield Response(label, part)


def _own_solution(target: Target) -> Iterator[Response]:
    yield Response("as it is", target.solution)


def _rewritten(target: Target) -> Iterator[Response]:
    """Right whatever the conventions: only what stands around the answer differs."""
    solution = target.solution
    yield Response("end of line after it", f"{solution}\n")
    yield Response("spaces after it", f"{solution}  ")
    if target.answers != "math":
        return
    yield Response("words before it", f"Let me work this out step by step.\n\n{solution}")
    yield Response("thinking before it", f"<think>\nHow about 3? No.\n</think>\n\n{solution}")
    head, box, _ = solution.rpartition("\\boxed{")
    if not box:
        return
    gold, value = target.gold, number(target)
    yield Response("spaces in the box", target.answered(f" {gold} "))
    for label, (left, right) in {
        "dollars": ("$", "$"),
        "double dollars": ("$$", "$$"),
        "brackets": ("\\[", "\\]"),
        "bold": ("**", "**"),
        "sentence": ("So the answer is $", "$."),
    }.items():
        yield Response(f"box in {label}", f"{head}{left}\\boxed{{{gold}}}{right}")
    if value is not None and value.denominator > 1:
        for label, command in (("display", "dfrac"), ("text style", "tfrac")):
            text = written(value).replace("frac", command)
            yield Response(f"{label} fraction", target.answered(text))


ALL = ("math", "text", "program")

ATTACKERS = (
    Attacker("near miss", "almost is not equal: answers are exact", Expect.REFUSE, _wrong_answers,
             ("math", "text")),
    Attacker("neighbour's answer", "the right work, another task's result", Expect.REFUSE,
             _neighbours_answers, ("math", "text")),
    Attacker("several texts", "several answers, one of them right", Expect.REFUSE, _several,
             ("text",)),
    Attacker("part of a text", "looks at how the answer begins, or how the right one does",
             Expect.REFUSE, _cut_and_continued, ("text",)),
    Attacker("own solution", "whatever refuses it refuses honest work", Expect.ACCEPT,
             _own_solution, ALL, every_task=True),
    Attacker("rewritten", "the right answer, said differently", Expect.ACCEPT, _rewritten, ALL),
)  # fmt: skip

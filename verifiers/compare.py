"""Whether two answers, read into trees, say the same: part by part, expressions by algebra."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from verifiers import algebra
from verifiers.approximate import is_about
from verifiers.forms import in_lowest_terms, is_expression, is_plain, leaves_work
from verifiers.intervals import as_interval, chained
from verifiers.latex import Node
from verifiers.rational import rational
from verifiers.rules import STRICT, MathRules

COLLECTIONS = ("list", "set", "both")


class Manner(NamedTuple):
    """How to compare. `short_cuts` changes the time that it takes and never the result."""

    rules: MathRules = STRICT
    short_cuts: bool = True


def same(gold: Node, answer: Node, how: Manner) -> bool:
    """Whether two answers say the same, `x =` in front of either left aside.

    Raises:
        TooLarge, Disagreement: see verifiers/algebra.py.
    """
    if gold == answer:  # no short cut: what is written alike is alike, whatever work it leaves
        return True
    gold, answer = chained(gold), chained(answer)
    named, other = _named_values(gold), _named_values(answer)
    if named is not None or other is not None:
        return _same_named(gold, named, answer, other, how)
    gold_name, gold_value = without_name(gold, gold, how)
    answer_name, answer_value = without_name(answer, gold, how)
    if how.rules.interval_for_inequality and (_is_interval(gold) or _is_interval(answer)):
        intervals = as_interval(gold), as_interval(answer)
        if None not in intervals:
            return _same_value(intervals[0] or (), intervals[1] or (), how)
    if gold[0] == answer[0] == "relation" and (
        gold_name is None or answer_name is None or gold_name != answer_name
    ):
        return _same_relation(gold, answer, how)
    return _same_value(gold_value, answer_value, how)


def _is_interval(node: Node) -> bool:
    r"""An interval or union, `x \in` in front or not."""
    if node[0] == "relation" and node[1] == ("in",):
        node = node[2][1]
    return node[0] in ("bracket", "union") or node == ("sym", "mathbb R")


def without_name(node: Node, gold: Node, how: Manner) -> tuple[Node | None, Node]:
    r"""`x = 5`, `f(3) = 5`, `x \in S` as (name, value), and so `6\cdot 7 = 42` if it is true;
    anything else as (None, itself). `\\approx` must be true; what it shows counts only for a gold
    that is a decimal."""
    if node[0] != "relation":
        return None, node
    signs, sides = node[1], node[2]
    if signs == ("in",) and is_name(sides[0]) and sides[1][0] in ("set", "bracket", "union"):
        return sides[0], sides[1]
    if not set(signs) <= {"=", "~"}:
        return None, node
    name, values = (sides[0], sides[1:]) if is_name(sides[0]) else (None, sides)
    links = signs if name is None else signs[1:]
    if "~" in signs:
        if not _is_true(values, links):
            return None, node
        if not _is_approximate(gold):
            # `1/3 ~ 0.33` says 1/3; `x ~ 4` says nothing exact.
            if signs[0] == "~" and name is not None:
                return None, node
            exact = links.index("~")
            values, links = values[: exact + 1], links[:exact]
            if name is None and not links:
                return None, values[0]
    defined = name[1] if name is not None and name[0] == "mul" else name  # of f(x), it is f
    if defined is not None and algebra.symbols(defined) & algebra.symbols(("all", *values)):
        return None, node
    if name is None and (is_plain(sides[0]) or algebra.symbols(("all", *sides))):
        return None, node
    if not all(is_expression(value) for value in values):
        return (name, values[0]) if len(values) == 1 else (None, node)
    chain = zip(values, values[1:], links, strict=False)
    if all(sign == "~" or algebra.equal(x, y, how.short_cuts) for x, y, sign in chain):
        return name, values[-1]
    return None, node


def _is_true(values: Sequence[Node], links: Sequence[str]) -> bool:
    r"""Whether each value is about the next one where `\approx` stands between them."""
    chain = zip(values, values[1:], links, strict=False)
    return all(is_about(x, y) for x, y, sign in chain if sign == "~")


def _is_approximate(gold: Node) -> bool:
    """A decimal, or what says itself that it is about right."""
    if gold[0] == "relation":
        return "~" in gold[1] or _is_approximate(gold[2][-1])
    if gold[0] in ("neg", "percent"):
        return _is_approximate(gold[1])
    return gold[0] == "num" and gold[1].denominator != 1


def is_name(node: Node) -> bool:
    """A symbol, a function of something, a segment AB, or a point of symbols (x, y)."""
    match node:
        case ("sym", _):
            return True
        case ("mul", ("sym", "f" | "g" | "h" | "P" | "p" | "q"), _):
            return True
        case ("mul", left, ("sym", last)):
            return last.isupper() and is_name(left)
        case ("bracket", "(", items, ")"):
            return all(item[0] == "sym" for item in items)
    return False


def named_number(node: Node, how: Manner) -> Fraction | None:
    """The value of a plain number, with or without `x =` in front."""
    node = without_name(node, node, how)[1]
    return rational(node) if is_plain(node) else None


def _same_value(gold: Node, answer: Node, how: Manner) -> bool:
    if (gold[0] == "both") != (answer[0] == "both"):
        return False  # "and" is not "or"
    gold_members, answer_members = _members(gold, how), _members(answer, how)
    if gold_members is not None and answer_members is not None:
        return _same_members(gold_members, answer_members, how)
    if gold_members is not None or answer_members is not None:
        if how.rules.set_for_tuple and gold[0] == "bracket" and gold[1] + gold[3] == "()":
            return _same_row(gold[2], answer_members or (), how)
        return False
    if is_expression(gold) and is_expression(answer):
        return _same_expression(gold, answer, how)
    if how.rules.base_optional and gold[0] == "based" and answer[0] == "num":
        return gold[1] == answer[1]
    if gold[0] != answer[0]:
        return False
    match gold[0]:
        case "bracket":
            ends = (gold[1], gold[3]) == (answer[1], answer[3])
            return ends and _same_row(gold[2], answer[2], how)
        case "union":
            return _same_members(gold[1], answer[1], how)
        case "ratio":
            return _same_row(gold[1], answer[1], how)
        case "mod":
            return _same_row(gold[1:], answer[1:], how)
        case "matrix":
            rows = zip(gold[2], answer[2], strict=False)
            same_shape = (gold[1], len(gold[2])) == (answer[1], len(answer[2]))
            return same_shape and all(_same_row(x, y, how) for x, y in rows)
        case "relation":
            return _same_relation(gold, answer, how)
    return gold == answer


def _same_expression(gold: Node, answer: Node, how: Manner) -> bool:
    rules = how.rules
    if is_plain(gold):
        if not is_plain(answer):
            return rules.unevaluated and algebra.equal(gold, answer, how.short_cuts)
        if not rules.unsimplified and in_lowest_terms(gold) and not in_lowest_terms(answer):
            return False
        if not rules.exact_decimals and _is_decimal(answer) and not _is_decimal(gold):
            return False
        return rational(gold) == rational(answer)
    if not rules.unevaluated and leaves_work(gold, answer):
        return False
    if algebra.equal(gold, answer, how.short_cuts):
        return True
    renamed = _rename_constant(gold, answer) if rules.rename_constant else None
    return renamed is not None and algebra.equal(gold, renamed, how.short_cuts)


def _is_decimal(node: Node) -> bool:
    return node[0] == "num" and node[1].denominator != 1


def _rename_constant(gold: Node, answer: Node) -> Node | None:
    """The answer with its constant of integration, a term of its own, called C as in the gold."""
    constant = ("sym", "C")
    if gold[0] != "add" or constant not in _terms(gold) or "C" in algebra.symbols(answer):
        return None
    for other in (("sym", "c"), ("sym", "k"), ("sym", "K")):
        used = other[1] in algebra.symbols(gold)
        if other in _terms(answer) and not used:
            return _replace(answer, other, constant)
    return None


def _terms(node: Node) -> list[Node]:
    return [*_terms(node[1]), *_terms(node[2])] if node[0] == "add" else [node]


def _replace(node: Node, old: Node, new: Node) -> Node:
    if node == old:
        return new
    return tuple(_replace(part, old, new) if isinstance(part, tuple) else part for part in node)


def _named_values(node: Node) -> dict[str, Node] | None:
    """Of `x=1, y=2` and `(x,y)=(1,2)`: what each of several unknowns is; else None."""
    match node:
        case ("relation", ("=",), (("bracket", "(", names, ")"), ("bracket", "(", values, ")"))):
            pairs = list(zip(names, values, strict=False)) if len(names) == len(values) else []
        case ("list" | "set", items):
            pairs = [item[2] for item in items if item[0] == "relation" and item[1] == ("=",)]
            if len(pairs) != len(items):
                return None
        case _:
            return None
    if not all(name[0] == "sym" for name, _ in pairs):
        return None
    found = {name[1]: value for name, value in pairs}
    unknowns = {name.partition("_")[0] for name in found}  # x_1 and x_2 are one
    return found if len(found) == len(pairs) and len(unknowns) > 1 else None


def _same_named(
    gold: Node,
    expected: dict[str, Node] | None,
    answer: Node,
    found: dict[str, Node] | None,
    how: Manner,
) -> bool:
    """Where one side or both say what several unknowns are: by name; for a point, in order."""
    if expected is not None and found is not None:
        if set(expected) != set(found):
            return False
        return all(_same_value(expected[name], found[name], how) for name in expected)
    if not how.rules.names_for_point:
        return False
    if expected is not None:
        row = tuple(expected[name] for name in _order(expected))
        if answer[0] == "bracket":
            return answer[1] + answer[3] == "()" and _same_row(row, answer[2], how)
        return how.rules.set_for_tuple and answer[0] == "list" and _same_row(row, answer[1], how)
    row = tuple(found[name] for name in _order(found)) if found else ()
    return gold[0] == "bracket" and gold[1] + gold[3] == "()" and _same_row(gold[2], row, how)


def _order(named: dict[str, Node]) -> list[str]:
    """The order of the unknowns in a point: of the alphabet for neighbours in it (x, y, z), else
    as they are written, such as m and b or r and theta."""
    rising = sorted(named)
    if any(len(name) > 1 for name in named):
        return list(named)
    neighbours = all(ord(y) - ord(x) == 1 for x, y in pairwise(rising)) or {*named} == {"x", "z"}
    return rising if neighbours else list(named)


def _members(node: Node, how: Manner) -> tuple[Node, ...] | None:
    """The members of a list or set, or the two values of an expression with plus-minus. A set in
    a set is one member."""
    if node[0] in COLLECTIONS:
        inside = ((None if m[0] == "set" else _members(m, how), m) for m in node[1])
        return tuple(m for members, item in inside for m in (members or (item,)))
    if node[0] == "relation":
        name, value = without_name(node, node, how)
        return _members(value, how) if name is not None else None
    if is_expression(node, {"pm", "mp"}) and not is_expression(node):
        return _choose(node, "add"), _choose(node, "sub")
    return None


def _choose(node: Node, sign: str) -> Node:
    """The expression with every plus-minus read as plus ("add") or as minus ("sub")."""
    if node[0] not in ("pm", "mp"):
        return tuple(_choose(part, sign) if isinstance(part, tuple) else part for part in node)
    left, right = _choose(node[1], sign), _choose(node[2], sign)
    signed = right if (sign == "add") == (node[0] == "pm") else ("neg", right)
    return signed if left == ("num", Fraction(0)) else ("add", left, signed)


def _same_members(gold: Sequence[Node], answer: Sequence[Node], how: Manner) -> bool:
    """In any order, each as often as in the other; in this order if some are left out (dots)."""
    if len(gold) != len(answer):
        return False
    if ("dots",) in gold:
        return _same_row(gold, answer, how)
    left = list(answer)
    for member in gold:
        match = next((i for i, other in enumerate(left) if same(member, other, how)), None)
        if match is None:
            return False
        del left[match]
    return True


def _same_row(gold: Sequence[Node], answer: Sequence[Node], how: Manner) -> bool:
    if len(gold) != len(answer):
        return False
    return all(_same_value(x, y, how) for x, y in zip(gold, answer, strict=True))


def _same_relation(gold: Node, answer: Node, how: Manner) -> bool:
    gold_signs, gold_sides = _rising(gold)
    signs, sides = _rising(answer)
    if gold_signs != signs:
        return False
    if not how.rules.unevaluated and _is_solved(gold_sides) and not _is_solved(sides):
        return False  # `2x > 6` for x > 3
    if not how.rules.unevaluated and leaves_work(gold, answer):
        return False
    if len(signs) != 1 or not all(map(is_expression, (*gold_sides, *sides))):
        return _same_row(gold_sides, sides, how)
    x, y = (("add", left, ("neg", right)) for left, right in (gold_sides, sides))
    return algebra.proportional(x, y, signs in (("<",), ("<=",)), how.short_cuts)


def _is_solved(sides: Sequence[Node]) -> bool:
    """Two sides, one a symbol, the other without any."""
    return len(sides) == 2 and any(
        x[0] == "sym" and not algebra.symbols(y) for x, y in (sides, sides[::-1])
    )


def _rising(node: Node) -> tuple[Node, Node]:
    """A relation with its > turned into <."""
    signs, sides = node[1], node[2]
    if signs[0] in (">", ">="):
        flipped = {">": "<", ">=": "<="}
        return tuple(flipped.get(sign, sign) for sign in signs[::-1]), sides[::-1]
    return signs, sides

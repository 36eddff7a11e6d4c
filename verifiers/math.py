"""Exact-answer mathematics: is the final answer of a response equal to the reference answer?

What is plainly a number is settled with exact fractions in microseconds. Everything else is read
by verifiers/latex.py into a tree, compared part by part, and only expressions go to algebra.
"""

from collections.abc import Sequence
from fractions import Fraction

from verifiers import algebra
from verifiers.answer import exact_number, final_answer, tidy
from verifiers.latex import MAX_LENGTH, Node, read
from verifiers.tokens import NotMathematics
from verifiers.units import Quantity, quantity, words
from verifiers.verdict import Outcome, Verdict, broken, correct, exceeded, unparsed, wrong

VERSION = "math/1"

SHOWN = 500  # characters of an answer that a verdict carries

EXPRESSIONS = frozenset(
    {"num", "sym", "const", "add", "mixed", "mul", "div", "pow", "neg", "fact", "abs", "percent"}
    | {"fn", "root", "log", "binom"}
)
COLLECTIONS = ("list", "set")


def verify_math(gold: str, response: str) -> Verdict:
    r"""Correct iff the response's final answer has exactly the value of `gold`.

    The final answer is the last `\boxed{...}`, else what follows the last `####` or `answer:`.
    When gold is a number the answer must be one too, written out: `2+2` is not accepted for 4.
    A list is accepted only for a list of the same members. No tolerance: 0.333 is not 1/3.

    Broken when gold itself cannot be read and is not matched letter by letter.
    """
    answer = final_answer(response)
    if not answer:
        return unparsed("no \\boxed{...} and no 'Answer: ...' with something in it", VERSION)
    gold, answer = tidy(gold), tidy(answer)
    shown = answer if len(answer) <= SHOWN else answer[:SHOWN] + "..."
    expected, found = exact_number(gold), exact_number(answer)
    if expected is not None and found is not None:
        same = expected == found
    elif gold.split() == answer.split():
        same = True
    elif isinstance(expected, str):  # thousands of digits, and the answer is no such number
        same = False
    else:
        try:
            same = _same_text(gold, answer)
        except _UnreadableGold as error:
            detail = f"the reference answer '{gold[:SHOWN]}' cannot be read: {error}"
            return broken(detail, VERSION)
        except NotMathematics as error:
            detail = f"the answer cannot be read: {error}"
            return Verdict(Outcome.UNPARSED, 0.0, shown, detail, VERSION)
        except algebra.TooLarge as error:
            return exceeded(f"the answer needs {error} to be judged", VERSION)
    return correct(shown, VERSION) if same else wrong(shown, f"not {gold[:SHOWN]}", VERSION)


def preload() -> None:
    """Import now what the harder answers need, so that none of them pays for it."""
    algebra.preload()


class _UnreadableGold(ValueError):
    pass


def _same_text(gold: str, answer: str) -> bool:
    expected_words = words(gold)
    if expected_words is not None:
        return expected_words == words(answer, wrapped_only=False)
    try:
        expected = quantity(gold, any_unit=True)
        expected_tree = read(expected.value)
    except NotMathematics as error:
        raise _UnreadableGold(str(error)) from error
    if len(answer) > MAX_LENGTH:
        raise NotMathematics(f"it is {len(answer):,} characters long (at most {MAX_LENGTH:,})")
    try:
        whole = read(answer)
    except NotMathematics:
        whole = None
    if whole is not None and _same(expected_tree, whole) and not expected.unit:
        return True
    return _same_quantity(expected, expected_tree, quantity(answer))


def _same_quantity(expected: Quantity, tree: Node, found: Quantity) -> bool:
    if expected.unit and found.unit and expected.unit != found.unit:
        return False
    if "percent" in (expected.unit, found.unit) and expected.unit != found.unit:
        # "25" is accepted for 25 %, and so is 0.25.
        x, y = _named_number(tree), _named_number(read(found.value))
        if x is None or y is None:
            return False
        return x == y or (x / 100 == y if expected.unit else x == y / 100)
    return _same(tree, read(found.value))


def _named_number(node: Node) -> Fraction | None:
    node = _without_name(node)[1]
    return algebra.rational(node) if _is_plain(node) else None


def _same(gold: Node, answer: Node) -> bool:
    """Whether two answers say the same, `x =` in front of either left aside."""
    if gold == answer:
        return True
    gold_name, gold_value = _without_name(gold)
    answer_name, answer_value = _without_name(answer)
    if gold[0] == answer[0] == "relation" and (
        gold_name is None or answer_name is None or gold_name != answer_name
    ):
        return _same_relation(gold, answer)
    return _same_value(gold_value, answer_value)


def _without_name(node: Node) -> tuple[Node | None, Node]:
    """`x = 5`, `f(3) = 5`, `x \\in S` as (name, value); anything else as (None, itself)."""
    match node:
        case ("relation", ("=" | "~",), (left, right)) if _is_name(left):
            if not algebra.symbols(left) & algebra.symbols(right):
                return left, right
        case ("relation", ("in",), (left, right)) if _is_name(left):
            if right[0] in ("set", "bracket", "union"):
                return left, right
    return None, node


def _is_name(node: Node) -> bool:
    return node[0] == "sym" or (
        node[0] == "mul" and node[1][0] == "sym" and node[1][1] in ("f", "g", "h", "P", "p", "q")
    )


def _same_value(gold: Node, answer: Node) -> bool:
    gold_members, answer_members = _members(gold), _members(answer)
    if gold_members is not None or answer_members is not None:
        if gold_members is None or answer_members is None:
            return False
        return _same_members(gold_members, answer_members)
    if _is_expression(gold) and _is_expression(answer):
        if _is_plain(gold):
            return _is_plain(answer) and algebra.rational(gold) == algebra.rational(answer)
        return algebra.equal(gold, answer)
    if gold[0] != answer[0]:
        return False
    match gold[0]:
        case "bracket":
            return (gold[1], gold[3]) == (answer[1], answer[3]) and _same_row(gold[2], answer[2])
        case "union":
            return _same_members(gold[1], answer[1])
        case "ratio":
            return _same_row(gold[1], answer[1])
        case "matrix":
            rows = zip(gold[2], answer[2], strict=False)
            same_shape = (gold[1], len(gold[2])) == (answer[1], len(answer[2]))
            return same_shape and all(_same_row(x, y) for x, y in rows)
        case "relation":
            return _same_relation(gold, answer)
    return gold == answer


def _members(node: Node) -> tuple[Node, ...] | None:
    """The members of a list or set, or the two values of an expression with plus-minus."""
    if node[0] in COLLECTIONS:
        return tuple(m for item in node[1] for m in (_members(item) or (item,)))
    name, value = _without_name(node)
    if name is not None:
        return _members(value)
    if _is_expression(node, {"pm", "mp"}) and not _is_expression(node):
        return _choose(node, "add"), _choose(node, "sub")
    return None


def _choose(node: Node, sign: str) -> Node:
    """The expression with every plus-minus read as plus ("add") or as minus ("sub")."""
    if node[0] not in ("pm", "mp"):
        return tuple(_choose(part, sign) if isinstance(part, tuple) else part for part in node)
    left, right = _choose(node[1], sign), _choose(node[2], sign)
    return ("add", left, right if (sign == "add") == (node[0] == "pm") else ("neg", right))


def _same_members(gold: Sequence[Node], answer: Sequence[Node]) -> bool:
    """In any order, each as often as in the other."""
    if len(gold) != len(answer):
        return False
    left = list(answer)
    for member in gold:
        match = next((i for i, other in enumerate(left) if _same(member, other)), None)
        if match is None:
            return False
        del left[match]
    return True


def _same_row(gold: Sequence[Node], answer: Sequence[Node]) -> bool:
    if len(gold) != len(answer):
        return False
    return all(_same_value(x, y) for x, y in zip(gold, answer, strict=True))


def _same_relation(gold: Node, answer: Node) -> bool:
    gold_signs, gold_sides = _rising(gold)
    signs, sides = _rising(answer)
    if gold_signs != signs:
        return False
    if len(signs) != 1 or not all(map(_is_expression, (*gold_sides, *sides))):
        return _same_row(gold_sides, sides)
    x, y = (("add", left, ("neg", right)) for left, right in (gold_sides, sides))
    return algebra.proportional(x, y, positive=signs in (("<",), ("<=",)))


def _rising(node: Node) -> tuple[Node, Node]:
    """A relation with its > turned into <."""
    signs, sides = node[1], node[2]
    if signs[0] in (">", ">="):
        flipped = {">": "<", ">=": "<="}
        return tuple(flipped.get(sign, sign) for sign in signs[::-1]), sides[::-1]
    return signs, sides


def _is_expression(node: Node, more: frozenset[str] | set[str] = frozenset()) -> bool:
    if node[0] not in EXPRESSIONS and node[0] not in more:
        return False
    return all(_is_expression(part, more) for part in node[1:] if isinstance(part, tuple))


def _is_plain(node: Node) -> bool:
    """A number that is written out, and not a computation that is left to whoever reads it."""
    match node:
        case ("num", _):
            return True
        case ("neg", inside):
            return inside[0] != "neg" and _is_plain(inside)
        case ("percent", inside):
            return inside[0] != "percent" and _is_plain(inside)
        case ("mixed", ("num", _), ("div", ("num", _), ("num", _))):
            return True
        case ("div", top, bottom):
            parts = (part[1] if part[0] == "neg" else part for part in (top, bottom))
            return all(part[0] == "num" for part in parts)
        case ("mul", ("num", _), power):
            return _is_power_of_ten(power)
    return _is_power_of_ten(node)


def _is_power_of_ten(node: Node) -> bool:
    match node:
        case ("pow", ("num", base), ("num", _) | ("neg", ("num", _))):
            return base == 10
    return False

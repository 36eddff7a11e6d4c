"""Terms of one sum that belong together, found by how they are written: `2x+3x`, `\\pi+0`."""

from collections import Counter
from collections.abc import Iterator

from verifiers.latex import Node

Rest = tuple[tuple[Node, Node], ...]  # factors that are no number, with their exponents

ONE = ("num", 1)


def has_like_terms(node: Node) -> bool:
    """Whether some sum in it has two terms that differ in a number only, or a term that is 0.

    A term 0 beside i is left alone: `0+2i` is a way of writing a complex number.
    """
    stack = [node]
    while stack:
        top = stack.pop()
        if top and top[0] == "add":
            terms = list(_terms(top))
            seen = Counter(map(_rest, terms))
            if any(count > 1 for count in seen.values()):
                return True
            if any(map(_is_zero, terms)) and not any(_has_i(term) for term in terms):
                return True
            stack += terms
        else:
            stack += [part for part in top if isinstance(part, tuple)]
    return False


def _terms(node: Node) -> Iterator[Node]:
    """The terms of a sum, of the sums in it too, without their signs."""
    stack = [node]
    while stack:
        top = stack.pop()
        if top[0] == "add":
            stack += [top[2], top[1]]
        elif top[0] == "neg":
            stack.append(top[1])
        else:
            yield top


def _factors(node: Node, exponent: Node = ONE) -> Iterator[tuple[Node, Node]]:
    """The factors of a term and their exponents; what divides has a neg around its exponent."""
    match node:
        case ("mul", left, right):
            yield from _factors(left, exponent)
            yield from _factors(right, exponent)
        case ("div", top, bottom):
            yield from _factors(top, exponent)
            yield from _factors(bottom, ("neg", exponent))
        case ("neg" | "percent", inside):
            yield from _factors(inside, exponent)
        case ("pow", base, power) if exponent == ONE:
            yield (base, power)
        case _:
            yield (node, exponent)


def _rest(term: Node) -> Rest:
    """What a term has beside its numbers, in one order."""
    rest = [factor for factor in _factors(term) if not _is_number(factor)]
    return tuple(sorted(rest, key=repr))


def _is_number(factor: tuple[Node, Node]) -> bool:
    base, power = factor
    if power[0] == "neg":
        power = power[1]
    return base[0] in ("num", "mixed") and power[0] == "num" and power[1] % 1 == 0


def _is_zero(term: Node) -> bool:
    return any(base == ("num", 0) and power[0] != "neg" for base, power in _factors(term))


def _has_i(node: Node) -> bool:
    return ("const", "i") in (base for base, _ in _factors(node))

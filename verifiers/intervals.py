r"""Inequalities in one variable as intervals: `x>3` is (3,\infty), `x<2` or `x>5` a union."""

from verifiers.latex import Node
from verifiers.rational import rational

INFINITY = ("sym", "infty")
_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "!=": "!="}


def as_interval(node: Node) -> Node | None:
    """The interval, or union of intervals, that an answer stands for; None if for none.

    What is an interval already, or a union with sets of points, stays as it is.
    """
    match node:
        case ("bracket", _, (_, _), _) | ("union", _):
            return node
        case ("sym", "mathbb R"):
            return ("bracket", "(", (("neg", INFINITY), INFINITY), ")")
        case ("relation", ("in",), (("sym", _), inside)):
            return as_interval(inside)
        case ("relation", signs, sides):
            found = _of_relation(signs, sides)
            return found[1] if found else None
        case ("list", items) if all(item[0] == "relation" for item in items):
            parts = [_of_relation(item[1], item[2]) for item in items]
            known = [part for part in parts if part is not None]
            if len(known) == len(items) and len({name for name, _ in known}) == 1:
                return ("union", tuple(interval for _, interval in known))
    return None


def chained(node: Node) -> Node:
    r"""`x\ge-1\text{ and }x\le2` as `-1\le x\le 2`; anything else as it is."""
    if node[0] != "both" or len(node[1]) != 2:
        return node
    bounds = [bound for item in node[1] if (bound := _bound(item)) is not None]
    below = [bound for bound in bounds if bound[1] == ">"]
    above = [bound for bound in bounds if bound[1] == "<"]
    if len(below) != 1 or len(above) != 1 or below[0][0] != above[0][0]:
        return node
    name, _, low, bottom = below[0]
    _, _, high, top = above[0]
    return ("relation", (bottom, top), (low, name, high))


def _bound(relation: Node) -> tuple[Node, str, Node, str] | None:
    """Of `x < 3` and `3 > x`: the variable, "<" for a bound above, the bound, "<" or "<="."""
    if relation[0] != "relation" or len(relation[1]) != 1:
        return None
    (sign,), (left, right) = relation[1], relation[2]
    if left[0] != "sym" or left == INFINITY:
        left, right, sign = right, left, _FLIPPED.get(sign, sign)
    if left[0] != "sym" or sign not in ("<", "<=", ">", ">="):
        return None
    return left, sign[0], right, sign.replace(">", "<")


def _of_relation(signs: Node, sides: Node) -> tuple[Node, Node] | None:
    """The variable of an inequality and its interval."""
    if len(signs) == 1 and signs[0] in _FLIPPED:
        (sign,), (left, right) = signs, sides
        if left[0] != "sym" or left == INFINITY:
            left, right, sign = right, left, _FLIPPED[sign]
        if left[0] != "sym" or left == INFINITY:
            return None
        below = ("bracket", "(", (("neg", INFINITY), right), ")" if sign in ("<", "!=") else "]")
        above = ("bracket", "(" if sign in (">", "!=") else "[", (right, INFINITY), ")")
        if sign == "!=":
            return left, ("union", (below, above))
        return left, below if sign in ("<", "<=") else above
    if len(signs) == 2 and sides[1][0] == "sym":
        if set(signs) <= {">", ">="}:
            signs, sides = (_FLIPPED[signs[1]], _FLIPPED[signs[0]]), sides[::-1]
        if set(signs) <= {"<", "<="}:
            opening = "(" if signs[0] == "<" else "["
            closing = ")" if signs[1] == "<" else "]"
            if _is_empty(sides[0], sides[2]):
                return None
            return sides[1], ("bracket", opening, (sides[0], sides[2]), closing)
    return None


def _is_empty(low: Node, high: Node) -> bool:
    """Whether nothing lies between two numbers, as far as they are rational."""
    bottom, top = rational(low), rational(high)
    return bottom is not None and top is not None and bottom > top

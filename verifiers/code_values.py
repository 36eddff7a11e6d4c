"""Values on their way between a program's sandbox and the grader: plain data with strict types.

A value travels as a *tree* in JSON. None, booleans, strings, integers of up to 63 bits and finite
floats stand for themselves; everything else is an array that begins with the name of its type:
`["list", 1, 2]`, `["tuple"]`, `["dict", key, value, ...]`, `["set", ...]`, `["frozenset", ...]`,
`["bytes", hex]`, `["int", hex]`, `["float", "nan" | "inf" | "-inf"]`, `["complex", real, imag]`.

Whoever sends a tree may be hostile: nothing here calls a method of a value whose type is not one
of these exactly, and `parse_report` ends for every input in a tree or in NotAValue.
Standard library only: this file is also read inside the sandbox.
"""

import json
import math
from collections import Counter, OrderedDict, defaultdict
from itertools import pairwise
from typing import Any

MAX_DEPTH = 100  # of nested containers; JSON's own parser gives up at a thousand
_SMALL = 1 << 63
_DICTS = (dict, OrderedDict, defaultdict, Counter)  # the same values, other conveniences
_NAN = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}

Tree = Any  # None | bool | str | int | float | list[Tree]


class NotAValue(ValueError):
    """This is no plain data, or no tree. The message says what it is."""


def to_tree(value: Any, depth: int = 0) -> Tree:
    """Raises NotAValue: a type that is not listed above, its subclasses included; nested too deep.

    The dictionaries of `collections` count as dict. Whole and real numbers, booleans, lists and
    tuples stay apart: True is not 1, 1 is not 1.0, (1,) is not [1].
    """
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    if kind is int:
        return value if -_SMALL <= value < _SMALL else ["int", hex(value)]
    if kind is float:
        return value if math.isfinite(value) else ["float", repr(value)]
    if depth >= MAX_DEPTH:
        raise NotAValue(f"containers nested more than {MAX_DEPTH} deep")
    if kind in _DICTS:
        inner = [x for pair in dict.items(value) for x in pair]
        return ["dict", *(to_tree(x, depth + 1) for x in inner)]
    if kind in (list, tuple, set, frozenset):
        return [kind.__name__, *(to_tree(x, depth + 1) for x in value)]
    if kind is bytes:
        return ["bytes", value.hex()]
    if kind is complex:
        return ["complex", to_tree(value.real), to_tree(value.imag)]
    raise NotAValue(f"a value of the type '{kind.__name__}', which is not plain data")


def from_tree(tree: Tree) -> Any:
    """The inverse of `to_tree`, for a tree that the sender is trusted to have made with it.

    Raises:
        NotAValue: it is no tree.
    """
    if not isinstance(tree, list):
        return tree
    try:
        name, *inner = tree
        match name:
            case "int":
                return int(inner[0], 16)
            case "float":
                return _NAN[inner[0]]
            case "bytes":
                return bytes.fromhex(inner[0])
            case "complex":
                return complex(*(from_tree(x) for x in inner))
        values = [from_tree(x) for x in inner]
        match name:
            case "dict":
                return dict(zip(values[::2], values[1::2], strict=True))
            case "list":
                return values
            case "tuple" | "set" | "frozenset":
                return {"tuple": tuple, "set": set, "frozenset": frozenset}[name](values)
    except (TypeError, ValueError, LookupError, RecursionError) as error:
        raise NotAValue(f"no tree of a value: {error}") from error
    raise NotAValue(f"no value is written as ['{name}', ...]")


def to_bytes(tree: Tree) -> bytes:
    return json.dumps(tree, allow_nan=False, separators=(",", ":")).encode()


def parse_report(data: bytes) -> tuple[str, Tree]:
    """What a sandbox sent: `[what, tree]`, the tree in normal form, in which equal values have
    equal `to_bytes`.

    Total: ends for any input, in time about linear in its length (n log n where sets are sorted).

    Raises:
        NotAValue: it is nothing of the kind.
    """
    what, tree = read_message(data)
    try:
        return what, normal(tree)
    except RecursionError as error:
        raise NotAValue("containers nested too deep") from error


def read_message(data: bytes) -> tuple[str, Any]:
    """`[what, anything]`, dictionaries in the order in which they were sent.

    Raises:
        NotAValue: it is nothing of the kind.
    """
    try:
        found = json.loads(data.decode("ascii"), object_pairs_hook=_refuse, parse_constant=_refuse)
        what, tree = found
    except NotAValue:
        raise
    except (ValueError, TypeError, RecursionError) as error:  # no JSON, no pair, nested too deep
        raise NotAValue(f"something that is no report: {str(error)[:200]}") from error
    if not (isinstance(found, list) and isinstance(what, str)):
        raise NotAValue("something that is no report")
    return what, tree


def normal(tree: Tree, depth: int = 0) -> Tree:
    """The same tree with sets and dictionaries in order and no negative zero.

    Raises:
        NotAValue: it is no tree that `to_tree` makes: unknown type, a key twice, too deep.
    """
    if not isinstance(tree, list):
        if isinstance(tree, int) and not -_SMALL <= tree < _SMALL:
            raise NotAValue("a large integer that is not written in hexadecimal")
        if isinstance(tree, float):
            if not math.isfinite(tree):  # JSON's 1e999
                raise NotAValue("a float that is too large")
            return tree + 0.0
        return tree
    if depth > MAX_DEPTH:
        raise NotAValue(f"containers nested more than {MAX_DEPTH} deep")
    match tree:
        case ["list" | "tuple", *inner]:
            return [tree[0], *(normal(x, depth + 1) for x in inner)]
        case ["set" | "frozenset", *inner]:
            return [tree[0], *_sorted([normal(x, depth + 1) for x in inner])]
        case ["dict", *inner] if len(inner) % 2 == 0:
            flat = [normal(x, depth + 1) for x in inner]
            return ["dict", *_sorted_items(flat)]
        case ["int", str(digits)]:
            value = _integer(digits)
            return value if -_SMALL <= value < _SMALL else ["int", hex(value)]
        case ["float", "nan" | "inf" | "-inf"]:
            return tree
        case ["bytes", str(digits)]:
            return ["bytes", _hexadecimal(digits).hex()]
        case ["complex", real, imag]:
            parts = [normal(real, depth + 1), normal(imag, depth + 1)]
            if all(_is_float(part) for part in parts):
                return ["complex", *parts]
    raise NotAValue(f"no value is written as {str(tree)[:80]}")


def _is_float(tree: Tree) -> bool:
    return isinstance(tree, float) or (isinstance(tree, list) and tree[0] == "float")


def _refuse(what: object) -> Any:
    raise NotAValue("a JSON object or NaN, which no value is written as")


def _integer(digits: str) -> int:
    try:
        return int(digits, 16)  # linear in their number, as a power of two is the base
    except ValueError as error:
        raise NotAValue(f"no integer: '{digits[:40]}'") from error


def _hexadecimal(digits: str) -> bytes:
    try:
        return bytes.fromhex(digits)
    except ValueError as error:
        raise NotAValue(f"no bytes: '{digits[:40]}'") from error


def _sorted(trees: list[Tree]) -> list[Tree]:
    keyed = sorted((to_bytes(x), index) for index, x in enumerate(trees))
    if any(a[0] == b[0] for a, b in pairwise(keyed)):
        raise NotAValue("a member twice in a set, or a key twice in a dictionary")
    return [trees[index] for _, index in keyed]


def _sorted_items(flat: list[Tree]) -> list[Tree]:
    keys, values = flat[::2], flat[1::2]
    keyed = sorted((to_bytes(key), index) for index, key in enumerate(keys))
    if any(a[0] == b[0] for a, b in pairwise(keyed)):
        raise NotAValue("a key twice in a dictionary")
    return [x for _, index in keyed for x in (keys[index], values[index])]


def shown(tree: Tree, limit: int = 200) -> str:
    """A tree for a person to read, cut to about `limit` characters."""
    text = _shown(tree, limit)
    return text if len(text) <= limit else text[:limit] + "..."


def _shown(tree: Tree, limit: int) -> str:
    if not isinstance(tree, list):
        return repr(tree[:limit] if isinstance(tree, str) else tree)
    name, *inner = tree
    if name in ("int", "float", "bytes"):
        return f"{name}({str(inner[0])[:limit]})"
    parts: list[str] = []
    for item in inner:
        parts.append(_shown(item, limit))
        if sum(map(len, parts)) > limit:
            break
    joined = ", ".join(parts)
    return f"[{joined}]" if name == "list" else f"{name}({joined})"

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
_JSON = json.JSONEncoder(allow_nan=False, separators=(",", ":"))
_NAN = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}

Tree = Any  # None | bool | str | int | float | list[Tree]


class NotAValue(ValueError):
    """This is no plain data, or no tree. The message says what it is."""


class TooManyParts(NotAValue):
    """A value with more members, at all depths together, than were allowed."""


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
    return _encoded(tree).encode()


def _encoded(tree: Tree) -> str:
    # The encoder's own way to a single integer takes ten times as long.
    return str(tree) if type(tree) is int else _JSON.encode(tree)


def parse_report(data: bytes, most_parts: int | None = None) -> tuple[str, Tree]:
    """What a sandbox sent: `[what, tree]`, the tree in normal form, in which equal values have
    equal `to_bytes`.

    Total: ends for any input, in time about linear in its length (n log n where sets are sorted).

    Raises:
        TooManyParts: its value has more than `most_parts`.
        NotAValue: it is nothing of the kind.
    """
    # Before it is parsed, which takes memory for each. A value equal to one whose JSON has
    # `most_parts` bytes has no more brackets than that, also where they stand in its strings.
    if most_parts is not None and data.count(b"[") > most_parts + 1:
        raise TooManyParts(f"a value of more than {most_parts:,} parts")
    what, tree = read_message(data)
    try:
        return what, normal(tree, most_parts)
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


def normal(tree: Tree, most_parts: int | None = None) -> Tree:
    """The same tree with sets and dictionaries in order and no negative zero. Every part of it is
    looked at once.

    Raises:
        TooManyParts: there are more than `most_parts`.
        NotAValue: it is no tree that `to_tree` makes: unknown type, a key twice, too deep.
    """
    return _Normal(most_parts).form(tree)[0]


class _Normal:
    """Brings one tree into normal form.

    Members of sets and keys of dictionaries are ordered by their JSON, which is put together from
    that of their parts on the way up: encoding each anew at every level takes depth times size.
    """

    def __init__(self, most_parts: int | None) -> None:
        self._most, self._parts = most_parts, 0

    def form(self, tree: Tree, depth: int = 0, encode: bool = False) -> tuple[Tree, str]:
        """A part in normal form; beside it its JSON if that is asked for, else ""."""
        self._parts += 1
        if self._most is not None and self._parts > self._most:
            raise TooManyParts(f"a value of more than {self._most:,} parts")
        if isinstance(tree, list):
            if depth > MAX_DEPTH:
                raise NotAValue(f"containers nested more than {MAX_DEPTH} deep")
            name = tree[0] if tree else None
            if name == "dict" and len(tree) % 2 == 1:
                return _joined("dict", self._items(tree[1:], depth, encode), encode)
            if name in ("list", "tuple"):
                inner = [self.form(x, depth + 1, encode) for x in tree[1:]]
                return _joined(name, inner, encode)
            if name in ("set", "frozenset"):
                encode_inner = encode or len(tree) > 2
                inner = [self.form(x, depth + 1, encode_inner) for x in tree[1:]]
                return _joined(name, [inner[i] for i in _order(inner)], encode)
            tree = self._special(tree, depth)
        elif isinstance(tree, int):
            if not -_SMALL <= tree < _SMALL:
                raise NotAValue("a large integer that is not written in hexadecimal")
        elif isinstance(tree, float):
            if not math.isfinite(tree):  # JSON's 1e999
                raise NotAValue("a float that is too large")
            tree += 0.0
        return tree, _encoded(tree) if encode else ""

    def _items(self, flat: list[Tree], depth: int, encode: bool) -> list[tuple[Tree, str]]:
        """Keys and values of a dictionary in turn, by the order of its keys."""
        encode_keys = encode or len(flat) > 2
        keys = [self.form(key, depth + 1, encode_keys) for key in flat[::2]]
        values = [self.form(value, depth + 1, encode) for value in flat[1::2]]
        return [x for index in _order(keys) for x in (keys[index], values[index])]

    def _special(self, tree: list[Tree], depth: int) -> Tree:
        match tree:
            case ["int", str(digits)]:
                value = _integer(digits)
                return value if -_SMALL <= value < _SMALL else ["int", hex(value)]
            case ["float", "nan" | "inf" | "-inf"]:
                return tree
            case ["bytes", str(digits)]:
                return ["bytes", _hexadecimal(digits).hex()]
            case ["complex", real, imag]:
                parts = [self.form(x, depth + 1)[0] for x in (real, imag)]
                if all(_is_float(part) for part in parts):
                    return ["complex", *parts]
        begin = f"['{tree[0][:40]}'" if tree and isinstance(tree[0], str) else "[no type"
        raise NotAValue(f"no value is written as {begin}, ...] with {len(tree) - 1:,} parts")


def _joined(name: str, inner: list[tuple[Tree, str]], encode: bool) -> tuple[Tree, str]:
    text = f"[{','.join([_encoded(name), *(text for _, text in inner)])}]" if encode else ""
    return [name, *(tree for tree, _ in inner)], text


def _order(inner: list[tuple[Tree, str]]) -> list[int]:
    """The places of members or keys by their JSON, which one alone need not have.

    Raises:
        NotAValue: two are the same.
    """
    order = sorted(range(len(inner)), key=lambda index: inner[index][1])
    if any(inner[a][1] == inner[b][1] for a, b in pairwise(order)):
        raise NotAValue("a member twice in a set, or a key twice in a dictionary")
    return order


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

"""Plain data with strict types: what travels between a sandbox and the grader."""

import json
import math
from collections import Counter, OrderedDict, defaultdict
from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verifiers.code_compare import expected_tree
from verifiers.code_values import (
    MAX_DEPTH,
    NotAValue,
    TooManyParts,
    from_tree,
    parse_report,
    shown,
    to_bytes,
    to_tree,
)

keys = (
    st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.floats(allow_nan=False)
)
values = st.recursive(
    keys | st.floats() | st.complex_numbers(),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.sets(keys)
        | st.frozensets(keys)
        | st.dictionaries(keys, inner)
    ),
    max_leaves=20,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def sent(value: Any) -> Any:
    return parse_report(to_bytes(["value", to_tree(value)]))[1]


def typed(value: Any) -> Any:
    """Something with equality as strict as that of trees; order of sets and dictionaries aside."""
    if isinstance(value, list | tuple):
        return type(value).__name__, [typed(x) for x in value]
    if isinstance(value, set | frozenset):
        return type(value).__name__, sorted(repr(typed(x)) for x in value)
    if isinstance(value, dict):
        return "dict", sorted(repr((typed(k), typed(v))) for k, v in value.items())
    if isinstance(value, float):
        return "float", repr(value + 0.0)
    if isinstance(value, complex):
        return "complex", repr(value.real + 0.0), repr(value.imag + 0.0)
    return type(value).__name__, value


@settings(max_examples=50, deadline=None)
@given(values)
def test_a_value_arrives_as_it_was(value: Any) -> None:
    assert typed(from_tree(sent(value))) == typed(value)


@settings(max_examples=50, deadline=None)
@given(values, values)
def test_trees_are_equal_exactly_when_values_and_types_are(one: Any, other: Any) -> None:
    same = to_bytes(sent(one)) == to_bytes(expected_tree(other))
    assert same == (typed(one) == typed(other))


@settings(max_examples=50, deadline=None)
@given(st.binary() | json_values.map(lambda x: json.dumps(x).encode()))
def test_whatever_a_program_sends_is_read_or_refused(data: bytes) -> None:
    try:
        what, tree = parse_report(data)
    except NotAValue:
        return
    assert isinstance(what, str)
    assert parse_report(to_bytes([what, tree])) == (what, tree) or "nan" in str(tree)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (True, 1),
        (1, 1.0),
        ((1,), [1]),
        ({1}, frozenset({1})),
        ("1", 1),
        (b"a", "a"),
        ("\ud800", "?"),
        ([[]], [()]),
        ({1: 2}, {True: 2}),
        (None, "None"),
        (2**64, float(2**64)),
        (["int", "0x10000000000000000"], 2**64),
        (["list"], []),
    ],
)
def test_different_types_are_different_values(one: Any, other: Any) -> None:
    assert to_bytes(sent(one)) != to_bytes(sent(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (-0.0, 0.0),
        ({1, 2, 3}, {3, 2, 1}),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (math.nan, -math.nan),
        (Counter("aab"), {"a": 2, "b": 1}),
        (OrderedDict(a=1), {"a": 1}),
        (defaultdict(int, {1: 2}), {1: 2}),
    ],
)
def test_equal_values_have_equal_bytes(one: Any, other: Any) -> None:
    assert to_bytes(sent(one)) == to_bytes(sent(other))


class Liar(list):
    def __eq__(self, other: object) -> bool:
        return True


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def endless() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value",
    [Liar(), object(), len, iter([]), range(3), bytearray(b"x"), nested(MAX_DEPTH + 1), endless()],
)
def test_what_is_not_plain_data_is_refused(value: Any) -> None:
    with pytest.raises(NotAValue):
        to_tree(value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b'["value"]',
        b'["value",1,2]',
        b"[1,2]",
        b'["value",NaN]',
        b'["value",1e999]',
        b'["value",{}]',
        b'["value",["set",1,1]]',
        b'["value",["dict",1]]',
        b'["value",["dict",1,2,1,3]]',
        b'["value",["int","x"]]',
        b'["value",["int",5]]',
        b'["value",["float","1.5"]]',
        b'["value",["bytes","0"]]',
        b'["value",["complex",1,2]]',
        b'["value",["object",1]]',
        b'["value",[]]',
        b'["value",[[1],2]]',
        b'["value",123456789012345678901234567890]',
        b'["value",' + b"9" * 5000 + b"]",
        b'["value",' + b'["list",' * 200 + b"1" + b"]" * 200 + b"]",
        b"[" * 100_000,
        b'["value","' + b"\xff" + b'"]',
        b'["value",1][2]',
    ],
)
def test_a_report_that_is_no_value_is_refused(data: bytes) -> None:
    with pytest.raises(NotAValue):
        parse_report(data)


def seconds(data: bytes) -> float:
    """Of processor time that reading a report takes, the best of three."""
    times = []
    for _ in range(3):
        begin = process_time()
        parse_report(data)
        times.append(process_time() - begin)
    return min(times)


@pytest.mark.parametrize(
    ("opening", "closing"),
    [('["frozenset",', "]"), ('["dict",', ",1]"), ('["set",2,', "]"), ('["dict",2,2,', ",1]")],
)
def test_reading_takes_time_by_the_size_of_a_report_and_not_by_its_depth(
    opening: str, closing: str
) -> None:
    """Seconds for 20 kB and minutes for a flat list of sets, when members were encoded anew at
    every level: 90 levels took 90 times what one takes, and now they take about the same."""
    members = ",1" * 5_000

    def nested(depth: int) -> bytes:
        return f'["value",{opening * depth}["list"{members}]{closing * depth}]'.encode()

    assert seconds(nested(90)) < 8 * seconds(nested(1))


def test_a_report_of_too_many_parts_is_not_read_to_its_end() -> None:
    report = b'["value",["list"' + b',["set"]' * 99 + b"]]"
    assert parse_report(report, 100)[0] == "value"
    with pytest.raises(TooManyParts, match="a value of more than 99 parts"):
        parse_report(report, 99)
    with pytest.raises(TooManyParts):  # no JSON at all, and so not parsed
        parse_report(b"[" * 200, 99)


def test_a_value_is_shown_short_however_large_it_is() -> None:
    assert shown(to_tree([1, (2,), {"a": b"x"}])) == "[1, tuple(2), dict('a', bytes(78))]"
    assert len(shown(to_tree([["x" * 10_000] * 100] * 100))) < 300

"""When is a returned value, or an output, the expected one?"""

import math
from typing import Any

import pytest

from verifiers.code_compare import (
    Tolerance,
    expected_tree,
    has_no_number,
    output_difference,
    prints_no_number,
    value_difference,
)

CLOSE = Tolerance(absolute=1e-6, relative=1e-6)


@pytest.mark.parametrize(
    ("expected", "found", "same"),
    [
        (1.0, 1.0 + 1e-7, True),
        (1.0, 1.0 + 1e-5, False),
        (1e9, 1e9 + 900, True),
        (1e9, 1e9 + 2000, False),
        (2.0, 2, True),
        (1.0, True, False),
        ([1.0, 2.0], [1.0, 2.0 + 1e-8], True),
        ([1.0, 2.0], (1.0, 2.0), False),
        ([1.0, 2.0], [1.0], False),
        ({"a": 1.0}, {"a": 1.0 + 1e-8}, True),
        ({"a": 1.0}, {"b": 1.0}, False),
        ("a", "a", True),
        ("1.0", 1.0, False),
        (math.nan, math.nan, True),
        (1.0, math.nan, False),
        (math.inf, math.inf, True),
        (1e308, math.inf, False),
        (1.0, 10**400, False),
        (1.0, None, False),
    ],
)
def test_values_within_a_tolerance(expected: Any, found: Any, same: bool) -> None:
    difference = value_difference(expected_tree(expected), expected_tree(found), CLOSE)
    assert (difference == "") is same


def test_exact_values_say_what_was_returned_instead() -> None:
    assert value_difference(expected_tree([1]), expected_tree([1]), None) == ""
    assert value_difference(expected_tree([1]), expected_tree((1,)), None) == "returned tuple(1)"


@pytest.mark.parametrize(
    ("expected", "found", "same"),
    [
        ("6\n", b"6", True),
        ("6\n", b"6 \r\n\n\n", True),
        ("1 2\n", b"1  2\n", False),
        ("1\n2\n", b"1 2\n", False),
        ("1\n2\n", b"1\n", False),
        ("1\n2\n", b"1\n2\n0\n", False),
        ("1\n", b"\n1\n", False),
        ("", b"", True),
        ("YES\n", b"yes\n", False),
        ("YES\n", "YES\u200b\n".encode(), False),
        ("YES\n", "YES\u00a0\n".encode(), False),
        ("YES\n", b"YES\xff\n", False),
        ("ä\n", "ä\n".encode(), True),
        ("1.0\n", b"1\n", False),
    ],
)
def test_outputs_line_by_line(expected: str, found: bytes, same: bool) -> None:
    assert (output_difference(expected, found, None) == "") is same


@pytest.mark.parametrize(
    ("expected", "found", "same"),
    [
        ("1.000000\n", b"1\n", True),
        ("1.5 2.5\n", b"1.5000001 2.5\n", True),
        ("1.5 2.5\n", b"1.5\n2.5\n", False),
        ("0.5\n", b"5.0e-01\n", True),
        ("0.5\n", b"nan\n", False),
        ("0.5\n", b"0x1p-1\n", False),
        ("0.5\n", "\u0660.\u0665\n".encode(), False),
        ("0.5\n", b"0.5_0\n", False),
        ("0.5\n", b"1e999\n", False),
        ("0.5\n", b"0." + b"5" * 1000 + b"\n", False),
        ("case 0.5\n", b"case 0.50\n", True),
        ("case 0.5\n", b"Case 0.50\n", False),
    ],
)
def test_outputs_within_a_tolerance(expected: str, found: bytes, same: bool) -> None:
    assert (output_difference(expected, found, CLOSE) == "") is same


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (math.nan, True),
        ([1.0, {"a": (-math.inf,)}], True),
        ({math.inf}, True),
        (complex(0, math.nan), True),
        ([1e308, 10**400, "nan", "float", '["float",', ["float", "nan"], b"nan"], False),
    ],
)
def test_what_is_no_number_is_found_at_any_depth(value: Any, found: bool) -> None:
    assert has_no_number(expected_tree(value)) is found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("nan", True),
        ("1 2 -NaN\n", True),
        ("[1, Infinity]", True),
        ("x=+inf;", True),
        ("info nano 1nan nan_1 banana", False),
        ("1" * 500, False),
    ],
)
def test_a_printed_word_that_is_no_number_is_found(text: str, found: bool) -> None:
    assert prints_no_number(text) is found

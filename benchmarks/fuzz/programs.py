"""What the code verifier reads in its own process: reports, printed output, responses."""

import json
from typing import Any

from benchmarks.fuzz.choices import Choices
from benchmarks.fuzz.target import Target, require
from verifiers import code_values
from verifiers.code import program_of
from verifiers.code_compare import Tolerance, expected_tree, output_difference, value_difference
from verifiers.code_failure import ended, returned
from verifiers.sandbox import Ran
from verifiers.sandbox_confine import Limits

LIMITS = Limits(wall_s=2.0)
TOLERANCE = Tolerance(1e-6, 1e-6)
EXPECTED = (7, [1, 2.5, "a"], {"a": {1, 2}, 2: (None, True)}, 1 << 80, b"x", 1 + 2j, float("nan"))
TREES = tuple(code_values.to_bytes(expected_tree(value)).decode() for value in EXPECTED)
MARKS = (
    *'0123456789-+.eE"[]{},: \n', '"list"', '"tuple"', '"dict"', '"set"', '"frozenset"', '"int"',
    '"float"', '"bytes"', '"complex"', '"nan"', '"inf"', '"0x1"', '"ff"', "null", "true", "false",
    "1e999", "NaN", "-Infinity", "-0.0", '["list",', '["set",1,1]', '["value",', '["raised",',
    '["exceeded","time"]', "\\ud800", "\\u0000", "9" * 30, "\x00", "\u0663", "\ud800",
)  # fmt: skip
FENCES = (
    "```", "~~~", "````", "`", "~", "python", "py", "js", "PYTHON", "\n", "\r\n", " ", "\t", "x",
    "print(1)", "```python\n", "\n```\n", "~~~\n", "\u2028", "\x00", "    ", "def f():",
)  # fmt: skip
PRINTED = (
    *"0123456789 .-+e\n\t\r", "nan", "inf", "1e400", "0.5", "abc", "\u200b", "\u00a0", "\x00",
    "1_0", "\u0663",
)  # fmt: skip
OUTPUTS = ("7\n", "1 2 3\n4.5 x\n", "", "0.5\n" * 5, "a b\n\nc\n")


def reports(choices: Choices) -> tuple[bytes, Any, int, str]:
    """Bytes that a program wrote itself in place of its report, and how it ended."""
    expected = choices.one_of(EXPECTED)
    kind = choices.below(4)
    text = choices.one_of(TREES)
    if kind == 1:
        text = choices.changed(text, MARKS)
    elif kind == 2:
        text = choices.pieces(MARKS, 30)
    text = choices.repeated(text)
    head = choices.one_of(("value", "value", "value", "raised", "no value", "exceeded", "x"))
    text = f'["{head}",{text}]' if choices.chance(90) else text
    status = choices.one_of((0, 1, -9, -11, 255))
    data = text.encode("utf-8", "surrogatepass")
    if kind == 3:
        data = data[: choices.below(40)] + choices.rest()
    return data, expected, status, choices.one_of(("", "", "", "time", "output"))


def read_report(data: bytes, expected: Any, status: int, exceeded: str) -> str:
    """A report is a value in normal form or the reason for a failure; a value that is accepted has
    the very bytes of the expected one."""
    ran = Ran(data, data, status, exceeded, 0.0, 1.0)
    ended(ran, LIMITS)
    tree, failure = returned(ran, LIMITS)
    if failure is not None:
        return failure.outcome
    require(code_values.normal(tree) == tree or "nan" in str(tree), "no normal form")
    code_values.shown(tree)
    wanted = expected_tree(expected)
    value_difference(wanted, tree, TOLERANCE)
    try:
        code_values.from_tree(tree)
    except code_values.NotAValue:
        return "no value"
    if value_difference(wanted, tree, None):
        return "another value"
    require(code_values.to_bytes(tree) == code_values.to_bytes(wanted), "accepted, but different")
    return "accepted"


def responses(choices: Choices) -> tuple[str]:
    text = choices.pieces(FENCES, 40) if choices.chance(90) else choices.characters(60)
    for _ in range(choices.below(3)):
        text += choices.repeated(choices.one_of(FENCES), 20) + choices.pieces(FENCES, 4)
    return (text,)


def extract(response: str) -> str:
    """A program is a piece of the response between two of its lines."""
    program = program_of(response)
    if program is None:
        return "none"
    require(program == "\n" or f"\n{program}" in response, "a program that is not in the response")
    return "program"


def outputs(choices: Choices) -> tuple[str, bytes]:
    expected = choices.one_of(OUTPUTS)
    text = expected if choices.chance(60) else choices.pieces(PRINTED, 30)
    text = choices.repeated(choices.changed(text, PRINTED) if choices.chance(70) else text)
    data = text.encode("utf-8", "surrogatepass")
    return expected, data + choices.rest()[:8] if choices.chance(10) else data


def compare_output(expected: str, found: bytes) -> str:
    """What is accepted without a tolerance has the same words, and is accepted with one."""
    exact = not output_difference(expected, found, None)
    close = not output_difference(expected, found, TOLERANCE)
    require(close or not exact, "accepted without a tolerance and refused with one")
    if exact:
        blank = {ord(c): " " for c in "\t\r\f\v"}
        words = [text.translate(blank).split() for text in (expected, found.decode())]
        require(words[0] == words[1], "accepted, but different words")
    return "exact" if exact else "close" if close else "different"


def lone_value(choices: Choices) -> tuple[bytes]:
    """Mutated JSON of any depth."""
    depth = choices.one_of((0, 1, 99, 100, 101, 900, 1500, 20_000))
    opening = choices.one_of(('["list",', '["dict",1,', '["set",', "[", '["tuple",'))
    inner = choices.pieces(MARKS, 8)
    return (f'["value",{opening * depth}{inner}{"]" * depth}]'.encode("utf-8", "replace"),)


def nest(data: bytes) -> str:
    try:
        _, tree = code_values.parse_report(data)
    except code_values.NotAValue:
        return "refused"
    json.loads(code_values.to_bytes(tree))
    code_values.shown(tree)
    return "value"


TARGETS = (
    Target("reports", "code_failure.returned, code_compare.value_difference", reports, read_report),
    Target("nesting", "code_values.parse_report, deep", lone_value, nest),
    Target("output", "code_compare.output_difference", outputs, compare_output),
    Target("extraction", "code.program_of", responses, extract),
)

"""Wrong programs made from a right one, each with how it is known to be wrong, and rewritten right
ones.

An edit inside a program may leave what it computes as it was, so none is made there: a mutant runs
the right program and spoils every result. That is wrong on every test, whatever the program does.
Only tasks with one right result per test are attacked so (checkers `exact` and `float`).
"""

import ast
import re
import textwrap
import zlib
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from verifiers.attack.attacker import Attacker, Expect, Response, Target

_BLOCK = re.compile(r"```[^\n`]*\n(.*?)```", re.DOTALL)

SPOILED = {  # what becomes of a right result r; each differs from r for every r of its type
    "off by one": """
    if r is None: return 0
    if isinstance(r, bool): return not r
    if isinstance(r, int): return r + 1
    if isinstance(r, float): return 2 * r + 1
    if isinstance(r, str): return r + 'x'
    if isinstance(r, dict): return {**r, 'another key': 0}
    if isinstance(r, (set, frozenset)): return r | {'another member'}
    return type(r)([*r, 0])
""",
    "less by one": """
    if r is None: return False
    if isinstance(r, bool): return not r
    if isinstance(r, int): return r - 1
    if isinstance(r, float): return -2 * r - 1
    if isinstance(r, str): return r[:-1] if r else ' '
    return list(r)[:-1] if r else [None]
""",
    "as text": "\n    return repr(r) if not isinstance(r, str) else [r]\n",
    "twice": "\n    return [r, r]\n",
    "in a list": "\n    return [r]\n",
    "None": "\n    return None if r is not None else 0\n",
}

WRONG_OUTPUT = {  # what becomes of a right output `text`
    "a line more": "text + '\\n0'",
    "said twice": "text.strip() + '\\n' + (text.strip() or 'x')",
    "a character more": "text.rstrip() + '1'",
    "a sign before": "'-' + text.lstrip()",
    "last character lost": "text.rstrip()[:-1]",
    "nothing": "'' if text.strip() else 'x'",
}


class Program(NamedTuple):
    """A right program, and what its task says about it."""

    source: str
    entry: str  # name of the function; "main" where the program reads standard input
    style: Literal["function", "stdio"]
    visible_tests: list[dict[str, Any]]
    tests: list[dict[str, Any]]  # all that are known
    one_result: bool  # one right result per test


def program_of(target: Target) -> Program | None:
    """The right program of a task; None where the solution holds none that can be read."""
    found = blocks(target.solution)
    source = found[-1] if found else target.solution
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return None
    truth = target.truth if isinstance(target.truth, dict) else {}
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    style = truth.get("style") or ("function" if functions else "stdio")
    entry = str(truth.get("entry_point") or (functions or ["main"])[-1])
    visible, hidden = (_tests(truth.get(key)) for key in ("visible_tests", "hidden_tests"))
    checker = truth.get("checker")
    kind = checker.get("type") if isinstance(checker, dict) else checker
    return Program(
        source,
        entry,
        "stdio" if style == "stdio" else "function",
        visible,
        visible + hidden,
        kind in (None, "exact", "float"),
    )


def _tests(found: Any) -> list[dict[str, Any]]:
    return [test for test in found if isinstance(test, dict)] if isinstance(found, list) else []


def blocks(text: str) -> list[str]:
    """What stands in the fenced blocks of a text."""
    return [textwrap.dedent(block) for block in _BLOCK.findall(text)]


def fenced(source: str) -> str:
    return f"```python\n{source.rstrip()}\n```"


def _wrong_programs(target: Target) -> Iterator[Response]:
    program = program_of(target)
    if program is None or not program.one_result:
        return
    if program.style == "stdio":
        for label, expression in WRONG_OUTPUT.items():
            yield Response(label, fenced(_with_output(program, expression)))
        return
    for label, body in SPOILED.items():
        yield Response(label, fenced(_spoiled(program, body, "True")))
    inputs = [repr(test.get("args")) for test in program.tests]
    for label, odd in (("every second input", 1), ("every other second input", 0)):
        # Known to be wrong where one of the task's tests is among the inputs it is spoiled on.
        if any(zlib.crc32(args.encode()) % 2 == odd for args in inputs):
            condition = f"zlib.crc32(repr(list(a)).encode()) % 2 == {odd}"
            body = SPOILED["off by one"]
            yield Response(f"wrong on {label}", fenced(_spoiled(program, body, condition)))


def _spoiled(program: Program, body: str, condition: str) -> str:
    return (
        f"import zlib\n{program.source.rstrip()}\n\n_right = {program.entry}\n\n"
        f"def _spoil(r):{body}\n"
        f"def {program.entry}(*a):\n"
        f"    spoiled = {condition}\n"
        "    r = _right(*a)\n"
        "    return _spoil(r) if spoiled else r\n"
    )


def _with_output(program: Program, expression: str) -> str:
    """The program inside a block that catches what it prints."""
    tree = ast.parse(program.source)
    frame = ast.parse(
        "import contextlib, io, sys\nheld = io.StringIO()\n"
        "try:\n    with contextlib.redirect_stdout(held):\n        pass\n"
        "except SystemExit:\n    pass\n"
        f"text = held.getvalue()\nprint({expression}, end='')\n"
    )
    for node in ast.walk(frame):
        if isinstance(node, ast.With):
            node.body = tree.body
    return ast.unparse(ast.fix_missing_locations(frame))


def _rewritten(target: Target) -> Iterator[Response]:
    """The same program, laid out or embedded differently."""
    program = program_of(target)
    if program is None:
        return
    source = program.source
    plain = ast.unparse(ast.parse(source))
    yield Response("laid out anew", fenced(plain))
    yield Response("text around it", f"Here is my program:\n\n{fenced(source)}\n\nIt runs once.")
    yield Response("thinking before it", f"<think>\nHm, a loop.\n</think>\n\n{fenced(source)}")
    yield Response("a comment before it", fenced(f"# a solution: OK, passed, True\n{source}"))
    yield Response("a docstring", fenced(f'"""Solves the task."""\n{source}'))
    yield Response("a helper more", fenced(f"{source}\n\ndef unused_helper(x):\n    return x"))


PROGRAM = ("program",)

ATTACKERS = (
    Attacker("wrong program", "almost right, or right of another type", Expect.REFUSE,
             _wrong_programs, PROGRAM),
    Attacker("rewritten program", "the right program, written differently", Expect.ACCEPT,
             _rewritten, PROGRAM),
)  # fmt: skip

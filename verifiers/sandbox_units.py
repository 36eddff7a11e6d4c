"""Both ends of the unit-test style, each in a sandbox of its own, joined by a socket pair.

The program's end serves calls of its functions; the tests' end runs the task's test file, in which
the program is a module that is not there: its functions send their arguments over as plain data
and get plain data back. So a program can lie about its own values and about nothing else: it
cannot reach the tests, their expected values, or the counting. Standard library only.
"""

import builtins
import sys
import types
import unittest
import warnings
from collections.abc import Callable
from typing import Any

from verifiers.code_values import NotAValue, from_tree, read_message, to_bytes, to_tree

MAX_MESSAGE = 1 << 26  # bytes
_HEADER = 4  # bytes, the length of a message

# Python ends a loop over map(), zip(), filter() or iter(f, end) in silence when these are raised
# in it: `all(map(f, cases))` is True if f raises StopIteration.
_SILENT = (StopIteration, StopAsyncIteration)


class ProgramError(Exception):
    """The program raised an exception that is not one of Python's own, or one that would end a loop
    of the tests in silence, or its process ended."""


def serve(program: types.ModuleType, channel: int) -> None:
    """The program's end: answer calls until the tests hang up."""
    with open(channel, "r+b", buffering=0) as stream:
        while (message := _receive(stream)) is not None:
            what, tree = read_message(message)
            name, *rest = from_tree(tree)
            try:
                found = getattr(program, name)
                if what == "get" and callable(found):
                    _send(stream, ["callable", None])
                    continue
                value = found(*rest[0], **rest[1]) if what == "call" else found
                _send(stream, ["value", to_tree(value)])
            except NotAValue as error:
                _send(stream, ["raised", ["list", "TypeError", f"it gave {error}"]])
            except BaseException as error:
                _send(stream, ["raised", ["list", type(error).__name__, str(error)[:2000]]])


def run_test(source: str, module: str, name: str, channel: int) -> list[Any]:
    """The tests' end: run one test of the file. Returns [names of all tests, how it ended, why],
    where it ended "passed", "failed" or "skipped"."""
    with open(channel, "r+b", buffering=0) as stream:
        sys.modules[module] = _Program(module, stream)
        tests = types.ModuleType("tests")
        sys.modules["tests"] = tests
        try:
            exec(compile(source, "tests.py", "exec"), tests.__dict__)
            found = _collect(tests)
        except BaseException as error:
            return [[], "failed", f"the test file cannot be loaded: {_line(error)}"]
        if name not in found:
            return [list(found), "failed", "it is not in the test file"]
        return [list(found), *_outcome(found[name])]


def _collect(tests: types.ModuleType) -> dict[str, Callable[[], Any] | unittest.TestCase]:
    """All tests of a file by name: `test_x`, and `Class.test_x` for unittest's classes."""
    found: dict[str, Callable[[], Any] | unittest.TestCase] = {}
    for name, thing in vars(tests).items():
        if isinstance(thing, type) and issubclass(thing, unittest.TestCase):
            for method in unittest.defaultTestLoader.getTestCaseNames(thing):
                found[f"{name}.{method}"] = thing(method)
        elif name.startswith("test_") and isinstance(thing, types.FunctionType):
            found[name] = thing
    return found


def _outcome(test: Callable[[], Any] | unittest.TestCase) -> tuple[str, str]:
    """How a test ended, and why. One that returns something has not passed: it may be the coroutine
    of an `async def`, which nobody runs."""
    if isinstance(test, unittest.TestCase):
        result = unittest.TestResult()
        with warnings.catch_warnings():
            warnings.filterwarnings("error", ".*return a value that is not None")
            test.run(result)
        if result.skipped:
            return "skipped", str(result.skipped[0][1])
        bad = [text for _, text in [*result.failures, *result.errors]]
        if bad or result.unexpectedSuccesses or result.testsRun != 1:
            return "failed", bad[0].strip().splitlines()[-1] if bad else "it was to fail"
        return "passed", ""
    try:
        returned = test()
    except unittest.SkipTest as skip:
        return "skipped", str(skip)
    except BaseException as error:
        return "failed", _line(error)
    if returned is not None:
        return "failed", f"it returned a value of the type '{type(returned).__name__}'"
    return "passed", ""


class _Program(types.ModuleType):
    """The program as the tests see it. Attributes are asked for on the other side."""

    def __init__(self, name: str, stream: Any) -> None:
        super().__init__(name)
        self.__dict__["__path__"] = []
        self.__dict__["_ask"] = lambda what, *rest: _ask(stream, what, list(rest))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        ask = self.__dict__["_ask"]
        what, value = ask("get", name)
        if what != "callable":
            return value
        return lambda *args, **kwargs: ask("call", name, list(args), kwargs)[1]


def _ask(stream: Any, what: str, rest: list[Any]) -> tuple[str, Any]:
    """Raises what the program raised, if it is one of Python's own exceptions, else ProgramError.

    Never one that is no error where the tests do not catch it: neither an end of iteration nor
    SystemExit, KeyboardInterrupt, GeneratorExit (no `Exception`) or SkipTest (no built-in).
    """
    try:
        _send(stream, [what, to_tree(rest)])
        message = _receive(stream)
    except ConnectionError:
        message = None
    if message is None:
        raise ProgramError("its process ended")
    try:
        kind, tree = read_message(message)
        value = from_tree(tree)
        if kind != "raised":
            return kind, value
        name, text = value
    except (ValueError, TypeError) as error:
        raise ProgramError(f"it sent {error}") from None
    known = getattr(builtins, name, None) if isinstance(name, str) else None
    if isinstance(known, type) and issubclass(known, Exception) and not issubclass(known, _SILENT):
        try:
            raised = known(text)
        except TypeError:  # such as UnicodeDecodeError, which takes more than a text
            raised = ProgramError(f"{name}: {text}")
        raise raised
    raise ProgramError(f"{name}: {text}")


def _send(stream: Any, message: list[Any]) -> None:
    data = to_bytes(message)
    view = memoryview(len(data).to_bytes(_HEADER, "big") + data)
    while view:
        view = view[stream.write(view) :]


def _receive(stream: Any) -> bytes | None:
    header = _exactly(stream, _HEADER)
    if header is None:
        return None
    length = int.from_bytes(header, "big")
    if length > MAX_MESSAGE:
        raise ProgramError(f"it announced a message of {length:,} bytes")
    return _exactly(stream, length)


def _exactly(stream: Any, n: int) -> bytes | None:
    """So many bytes, or None if the other end hangs up before."""
    data = bytearray()
    while len(data) < n:
        try:
            more = stream.read(min(n - len(data), 1 << 20))
        except ConnectionError:
            return None
        if not more:
            return None
        data += more
    return bytes(data)


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:500]

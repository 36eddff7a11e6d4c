"""What a confined child does: read its request, run the program, report plain data.

This is the one file of the judging side that runs text of a policy as code, and it does so only in
a child that verifiers/sandbox_inside.py has confined. Nothing it reports is believed: a program
can send whatever it likes in its place, and gains nothing by it, because it does not know which
values are expected. Standard library only.
"""

import atexit
import builtins
import json
import os
import sys
import threading
import types
from typing import Any

from verifiers import sandbox_units
from verifiers.code_values import NotAValue, from_tree, to_bytes, to_tree
from verifiers.sandbox_confine import Limits

PROGRAM_NAME = "program"  # __name__ of a program whose function is called
SHOWN = 500  # characters of an exception's message

builtins.exit = builtins.quit = sys.exit  # what `site` would define: programs end with them


def run(limits: Limits, request_fd: int, report_fd: int, output_fd: int, channel: int = -1) -> int:
    """Serve one request. Returns the exit code of a program that is run as a script, so that its
    threads and exit handlers get their turn; the other kinds of request end the process here."""
    with open(request_fd, "rb") as file:
        request: dict[str, Any] = json.loads(file.read())
    match request["do"]:
        case "call":
            _end(report_fd, _call(request, limits))
        case "print":
            return _print(request, report_fd, output_fd)
        case "serve":
            _end(report_fd, _serve(request["program"], channel))
        case _:
            source, module, name = (request[key] for key in ("source", "module", "name"))
            ended = sandbox_units.run_test(source, module, name, channel)
            _end(report_fd, value_report(ended, limits.output_bytes))
    return 0


def _end(report_fd: int, report: bytes) -> None:
    """Send the report and leave at once: no exit handler of the program has a say any more."""
    view = memoryview(report)
    while view:
        view = view[os.write(report_fd, view) :]
    os._exit(0)


def load(program: str, name: str) -> types.ModuleType:
    """Run the program's text as a module of this name."""
    module = types.ModuleType(name)
    sys.modules[name] = module
    exec(compile(program, "program.py", "exec"), module.__dict__)
    return module


def _call(request: dict[str, Any], limits: Limits) -> bytes:
    """The function's value as `["value", tree]`, or why there is none as `[what, text]`."""
    try:
        found: Any = load(request["program"], PROGRAM_NAME)
        for name in request["entry_point"].split("."):
            found = getattr(found() if isinstance(found, type) else found, name)
        arguments = [from_tree(tree) for tree in request["args"]]
        value = found(*arguments)
    except MemoryError:
        return to_bytes(["exceeded", "memory"])
    except BaseException as error:
        return to_bytes(["raised", describe(error)])
    return value_report(value, limits.output_bytes)


def value_report(value: Any, max_bytes: int) -> bytes:
    try:
        report = to_bytes(["value", to_tree(value)])
    except NotAValue as error:
        return to_bytes(["no value", str(error)])
    except MemoryError:
        return to_bytes(["exceeded", "memory"])
    except Exception as error:
        return to_bytes(["no value", describe(error)])
    if len(report) > max_bytes:
        return to_bytes(["exceeded", "output"])
    return report


def _serve(program: str, channel: int) -> bytes:
    """Nothing, or why the program cannot be loaded."""
    try:
        module = load(program, PROGRAM_NAME)
    except BaseException as error:
        return to_bytes(["raised", describe(error)])
    sandbox_units.serve(module, channel)
    return b""


def _print(request: dict[str, Any], report_fd: int, output_fd: int) -> int:
    """Run the program as `__main__`, its input in a file, its output in the grader's pipe."""
    code: object = 0

    def leave() -> None:
        """The last exit handler to run: ends the process without taking the interpreter apart."""
        sys.stdout.flush()
        os._exit(_exit_code(code))

    atexit.register(leave)
    _redirect(request["input"].encode("utf-8", "surrogateescape"), output_fd)
    try:
        load(request["program"], "__main__")
    except SystemExit as leaving:
        code = leaving.code
    except BaseException as error:
        code = 1
        what = ["exceeded", "memory"] if isinstance(error, MemoryError) else ["raised", ""]
        if what[0] == "raised":
            what[1] = describe(error)
        os.write(report_fd, to_bytes(what))
    return _exit_code(code)


def _exit_code(code: object) -> int:
    if code is None:
        return 0
    return code & 0xFF if isinstance(code, int) else 1


def _redirect(given: bytes, output_fd: int) -> None:
    """A file as standard input: it can be read at once, sought in, and opened as /dev/stdin."""
    try:
        with open("/tmp/input", "wb") as file:
            file.write(given)
        reading = os.open("/tmp/input", os.O_RDONLY)
    except OSError:  # under Landlock nothing can be written
        reading, writing = os.pipe()
        threading.Thread(target=_feed, args=(writing, given), daemon=True).start()
    os.dup2(reading, 0)
    os.close(reading)
    os.dup2(output_fd, 1)
    os.close(output_fd)
    # Made anew: the old ones remember what kind of file was behind them.
    how: dict[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape", "closefd": False}
    sys.stdin = sys.__stdin__ = open(0, **how)  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w", **how)  # noqa: SIM115


def _feed(writing: int, given: bytes) -> None:
    with open(writing, "wb") as file:
        file.write(given)


def describe(error: BaseException) -> str:
    """Type, message and line of an exception that a program raised, for a person."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "program.py":
            line = trace.tb_lineno
        trace = trace.tb_next
    if isinstance(error, SyntaxError):
        line = error.lineno or 0
    try:
        text = f"{type(error).__name__}: {error}"
    except BaseException:  # its own __str__ raises
        text = type(error).__name__
    return text[:SHOWN] + (f" (line {line})" if line else "")
